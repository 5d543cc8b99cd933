//! What of a message is meant for one connection only: RFC 9110 §7.6.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header};
//! use tower_gateway::semantics::hop;
//!
//! let mut headers = HeaderMap::new();
//! headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive"));
//! headers.append(header::CONNECTION, HeaderValue::from_static("X-Trace"));
//! headers.append("x-trace", HeaderValue::from_static("1"));
//! headers.append(header::COOKIE, HeaderValue::from_static("a=b"));
//!
//! hop::strip_request(&mut headers)?;
//! assert_eq!(headers.len(), 1);
//! assert_eq!(headers[header::COOKIE], "a=b");
//!
//! // Nobody takes the cookie out of somebody's request.
//! headers.append(header::CONNECTION, HeaderValue::from_static("Cookie"));
//! assert!(hop::strip_request(&mut headers).is_err());
//! # Ok::<(), hop::HopError>(())
//! ```

use std::{error, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Fields that never pass a proxy, whether `Connection` names them or not.
///
/// RFC 9110 §7.6.1: "intermediaries SHOULD remove or replace fields that are known to require
/// removal before forwarding, whether or not they appear as a connection-option". `Trailer` is
/// not among them: RFC 9110 made it an end-to-end field, and without it no trailer passes.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "http2-settings",
];

/// Fields that are meant for all recipients, so that no client may have them taken out.
///
/// RFC 9110 §7.6.1: "A sender MUST NOT send a connection option corresponding to a field that is
/// intended for all recipients of the content. For example, Cache-Control is never appropriate
/// as a connection option". Without this rule a client decides what the application is told of
/// who it is.
const PROTECTED: [HeaderName; 15] = [
    header::HOST,
    header::COOKIE,
    header::SET_COOKIE,
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CACHE_CONTROL,
    header::DATE,
    header::EXPECT,
    header::FORWARDED,
    header::ORIGIN,
    header::TRAILER,
    header::VIA,
    HeaderName::from_static("x-real-ip"),
];

/// How many connection options a request may have. Those that mean something are a handful; whoever
/// sends more wants fields taken out, or a proxy kept busy.
pub const MAX_OPTIONS: usize = 32;

/// What the fields that were taken out of a request have said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stripped {
    /// The protocols of `Upgrade`, most wanted first, if `Connection` names it.
    pub upgrade: Option<HeaderValue>,
    /// Whether `TE` says that trailers are welcome.
    pub trailers: bool,
}

/// Why a request's connection fields cannot be obeyed: 400.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HopError {
    /// A connection option is not a token. So are the pseudo-header fields of HTTP/2 (`:path`), which
    /// nobody may have taken out either.
    Malformed,
    /// There are more than [`MAX_OPTIONS`] connection options.
    TooMany,
    /// A connection option names a field that is meant for all recipients.
    Protected(HeaderName),
}

/// Takes out of a request what is meant for this connection only: the known fields, and those
/// which any line of `Connection` names.
///
/// # Errors
///
/// What makes it a bad request; the fields are as they were.
pub fn strip_request(headers: &mut HeaderMap) -> Result<Stripped, HopError> {
    let mut upgrades = false;
    let mut nominated = Vec::new();
    for (count, option) in options(headers).enumerate() {
        if count == MAX_OPTIONS {
            return Err(HopError::TooMany);
        }
        match option? {
            Nomination::Upgrade => upgrades = true,
            Nomination::Known => {}
            Nomination::Field(name) if is_protected(&name) => {
                return Err(HopError::Protected(name));
            }
            Nomination::Field(name) => nominated.push(name),
        }
    }
    let stripped = Stripped {
        // RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option";
        // without it, the field is of another hop.
        upgrade: upgrades
            .then(|| joined(headers, &header::UPGRADE))
            .flatten(),
        trailers: lists(headers, &header::TE, "trailers"),
    };
    remove(headers, &nominated);
    Ok(stripped)
}

/// Takes out of a response what is meant for this connection only, and returns the protocol of
/// `Upgrade` if `Connection` names it.
///
/// The upstream is not out to harm itself: what it names wrongly is let be.
pub fn strip_response(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut upgrades = false;
    let mut nominated = Vec::new();
    for option in options(headers) {
        match option {
            Ok(Nomination::Upgrade) => upgrades = true,
            Ok(Nomination::Field(name)) if !is_protected(&name) => nominated.push(name),
            _ => {}
        }
    }
    let upgrade = upgrades
        .then(|| joined(headers, &header::UPGRADE))
        .flatten();
    remove(headers, &nominated);
    upgrade
}

/// Whether the body is framed in the one way that this crate understands: without a transfer
/// coding, or `chunked` alone.
///
/// hyper takes `chunked` off the body and leaves what is below it, so `gzip, chunked` would be
/// passed on as if it were plain.
#[must_use]
pub fn is_plain_or_chunked(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(coding), None) => coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether a field speaks of one connection, so that it never passes a proxy, whether
/// `Connection` names it or not.
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// Whether a field's name becomes another one in a CGI environment, so that a client could set
/// what only a proxy may.
///
/// `X_Forwarded_For` and `X-Forwarded-For` are both `HTTP_X_FORWARDED_FOR`, some servers treat
/// `.` the same way, and `Proxy` becomes `HTTP_PROXY` (CVE-2016-5385).
#[must_use]
pub fn is_ambiguous_name(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "proxy" || name.bytes().any(|byte| matches!(byte, b'_' | b'.'))
}

/// Whether a trailer field may pass a proxy.
///
/// RFC 9110 §6.5.1: "A sender MUST NOT generate a trailer field unless the sender knows the
/// corresponding header field name's definition permits"; those that frame, route, or identify
/// are known not to.
#[must_use]
pub fn is_forwardable_trailer(name: &HeaderName) -> bool {
    !(is_hop_by_hop(name) || is_protected(name) || is_ambiguous_name(name))
}

/// Whether the comma-separated list in all lines of a field holds this token.
#[must_use]
pub fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|line| tokens(line).any(|item| item.eq_ignore_ascii_case(token.as_bytes())))
}

/// The non-empty items of a comma-separated list, without the whitespace around them.
pub(crate) fn tokens(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    // RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list
    // elements".
    line.as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

enum Nomination {
    /// `close`, `keep-alive`, `te`: they speak of the connection, or of what is taken out anyway.
    Known,
    Upgrade,
    Field(HeaderName),
}

fn options(headers: &HeaderMap) -> impl Iterator<Item = Result<Nomination, HopError>> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(tokens)
        .map(|option| {
            if [&b"close"[..], b"keep-alive", b"te"]
                .iter()
                .any(|known| option.eq_ignore_ascii_case(known))
            {
                Ok(Nomination::Known)
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                Ok(Nomination::Upgrade)
            } else {
                HeaderName::from_bytes(option)
                    .map(Nomination::Field)
                    .map_err(|_invalid| HopError::Malformed)
            }
        })
}

pub(crate) fn is_protected(name: &HeaderName) -> bool {
    PROTECTED.contains(name) || name.as_str().starts_with("x-forwarded-")
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.clone();
    let Some(second) = lines.next() else {
        return Some(first);
    };
    let lines: Vec<_> = [&first, second].into_iter().chain(lines).collect();
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    HeaderValue::from_bytes(&lines.join(&b", "[..])).ok()
}

fn remove(headers: &mut HeaderMap, nominated: &[HeaderName]) {
    // One look at each name costs less than one look-up for each that may be there.
    let known: Vec<_> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name))
        .cloned()
        .collect();
    for name in known.iter().chain(nominated) {
        headers.remove(name);
    }
}

impl fmt::Display for HopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a connection option is not a token"),
            Self::TooMany => write!(f, "there are more than {MAX_OPTIONS} connection options"),
            Self::Protected(name) => {
                write!(
                    f,
                    "a connection option names {name}, which is for all recipients"
                )
            }
        }
    }
}

impl error::Error for HopError {}
