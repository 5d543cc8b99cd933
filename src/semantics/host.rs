//! Which host a request is for: RFC 9112 §3.2 and RFC 9113 §8.3.1.
//!
//! ```
//! use http::{Request, Version};
//! use tower_gateway::semantics::host;
//!
//! let request = Request::get("http://example.org/").header("host", "evil.test").body(())?;
//! let host = host::of(Version::HTTP_11, request.uri(), request.headers()).unwrap();
//! assert_eq!(host.unwrap(), "example.org");
//!
//! let request = Request::get("/").header("host", "a").header("host", "b").body(())?;
//! assert!(host::of(Version::HTTP_11, request.uri(), request.headers()).is_err());
//! # Ok::<(), http::Error>(())
//! ```

use std::{error, fmt};

use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

/// Why it cannot be told for which host a request is: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// An HTTP/1.1 request without `Host`, whatever its target says, or a later one without any authority.
    Missing,
    /// More than one `Host` line.
    Repeated,
    /// What is there is not a host and an optional port.
    Invalid,
    /// An HTTP/2 request whose `Host` differs from its authority.
    Disagreement,
}

/// The host (and port) that a request is for, as it is to be written in `Host`.
///
/// `None` only for what may do without: HTTP/1.0.
///
/// # Errors
///
/// What makes it a bad request.
pub fn of(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, HostError> {
    let named = named(version, uri, headers)?;
    // Also where the target names one: see the sentence below.
    if version == Version::HTTP_11 && !headers.contains_key(header::HOST) {
        return Err(HostError::Missing);
    }
    match named {
        Some(Named::Field(host)) => Ok(Some(host.clone())),
        Some(Named::Authority(authority)) => HeaderValue::from_str(authority)
            .map(Some)
            .map_err(|_invalid| HostError::Invalid),
        None => Ok(None),
    }
}

/// The name of the host that a request is for, without a port and without the dot that may end it.
/// As it is written: names do not differ by case.
///
/// `None` if there is none.
///
/// # Errors
///
/// What makes it a bad request, [`Missing`](HostError::Missing) excepted.
#[cfg(feature = "path-dispatch")]
pub(crate) fn name<'a>(
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, HostError> {
    let host = match named(version, uri, headers) {
        Ok(Some(Named::Field(host))) => host.to_str().map_err(|_invalid| HostError::Invalid)?,
        Ok(Some(Named::Authority(authority))) => authority,
        Ok(None) | Err(HostError::Missing) => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or_default(),
    };
    Ok(Some(name.strip_suffix('.').unwrap_or(name)))
}

/// Where a request names its host.
enum Named<'a> {
    Field(&'a HeaderValue),
    Authority(&'a str),
}

fn named<'a>(
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<Named<'a>>, HostError> {
    // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
    // request message that lacks a Host header field and to any request message that contains
    // more than one Host header field line or a Host header field with an invalid field value."
    let mut lines = headers.get_all(header::HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err(HostError::Repeated);
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(HostError::Invalid);
    }
    let Some(authority) = uri.authority() else {
        return match host {
            Some(host) => Ok(Some(Named::Field(host))),
            None if version < Version::HTTP_11 => Ok(None),
            None => Err(HostError::Missing),
        };
    };
    // RFC 9110 §4.2.4 on userinfo: "a recipient SHOULD parse for userinfo and treat its presence
    // as an error".
    if !is_host(authority.as_str().as_bytes()) {
        return Err(HostError::Invalid);
    }
    // RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header
    // field that identifies an entity that differs from the entity in the ":authority"
    // pseudo-header field."
    if version >= Version::HTTP_2
        && host.is_some_and(|host| {
            !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes())
        })
    {
        return Err(HostError::Disagreement);
    }
    // RFC 9112 §3.2.2: "When a proxy receives a request with an absolute-form of request-target,
    // the proxy MUST ignore the received Host header field (if any) and instead replace it with
    // the host information of the request-target."
    Ok(Some(Named::Authority(authority.as_str())))
}

/// Whether a target has a form that goes with the method.
///
/// RFC 9112 §3.2.3: "The authority-form of request-target is only used for CONNECT requests";
/// §3.2.4: "The asterisk-form of request-target is only used for a server-wide OPTIONS request". A
/// parser takes `GET evil.test HTTP/1.1` for the first, and who looks for a path in it finds none.
///
/// ```
/// use http::{Method, Uri};
/// use tower_gateway::semantics::host::is_target_of;
///
/// assert!(is_target_of(&Method::GET, &Uri::from_static("http://example.org")));
/// assert!(!is_target_of(&Method::GET, &Uri::from_static("example.org")));
/// assert!(!is_target_of(&Method::GET, &Uri::from_static("*")));
/// ```
#[must_use]
pub fn is_target_of(method: &Method, uri: &Uri) -> bool {
    let is_authority = uri.authority().is_some() && uri.scheme().is_none();
    let is_asterisk = uri.path() == "*";
    match *method {
        Method::CONNECT => !is_asterisk,
        Method::OPTIONS => !is_authority,
        _ => !is_authority && !is_asterisk,
    }
}

/// The port of a `host` that [`of`] returned, if it has one.
#[must_use]
pub fn port(host: &str) -> Option<&str> {
    let (before, port) = host.rsplit_once(':')?;
    let in_brackets = before.contains('[') && !before.ends_with(']');
    (!in_brackets && !port.is_empty()).then_some(port)
}

/// `uri-host [ ":" port ]` of RFC 9110 §7.2; empty is allowed.
pub(crate) fn is_host(text: &[u8]) -> bool {
    let (host_ends, is_host) = if text.first() == Some(&b'[') {
        match text.iter().position(|byte| *byte == b']') {
            Some(end) => (end + 1, is_ip_literal(&text[1..end])),
            None => return false,
        }
    } else {
        let end = text.iter().position(|byte| *byte == b':');
        let end = end.unwrap_or(text.len());
        (end, text[..end].iter().all(|byte| is_reg_name_byte(*byte)))
    };
    is_host
        && match &text[host_ends..] {
            [] => true,
            [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}

fn is_ip_literal(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
}

/// RFC 3986 §3.2.2: "reg-name = *( unreserved / pct-encoded / sub-delims )".
fn is_reg_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request does not say for which host it is",
            Self::Repeated => "the request has more than one Host",
            Self::Invalid => "the request's host is not a host and an optional port",
            Self::Disagreement => "the request's Host differs from its authority",
        })
    }
}

impl error::Error for HostError {}
