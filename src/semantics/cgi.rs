//! A request as the variables that CGI (RFC 3875) and WSGI (PEP 3333) know it by.
//!
//! uwsgi, SCGI, FastCGI and a WSGI `environ` hold the same variables, each in a container of its
//! own. What they are is decided here, once.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method};
//! use tower_gateway::semantics::cgi::{self, Meta};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("host", HeaderValue::from_static("example.org:8080"));
//! headers.append("cookie", HeaderValue::from_static("a=1"));
//! headers.append("cookie", HeaderValue::from_static("b=2"));
//! // None of these reaches the application.
//! headers.insert("proxy", HeaderValue::from_static("evil.test"));
//! headers.insert("remote_addr", HeaderValue::from_static("127.0.0.1"));
//! headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
//!
//! let mut meta = Meta::new(&Method::GET, "/caf%C3%A9", &headers);
//! meta.script_name = "/shop";
//! meta.query = "page=2";
//! meta.remote_addr = Some("203.0.113.7".parse()?);
//!
//! let mut lines = Vec::new();
//! cgi::variables(&meta, &mut |name, value| {
//!     lines.push(String::from_utf8([name, b"=", value].concat()).unwrap());
//! });
//! assert_eq!(
//!     lines,
//!     [
//!         "REQUEST_METHOD=GET",
//!         "REQUEST_URI=/shop/caf%C3%A9?page=2",
//!         "SCRIPT_NAME=/shop",
//!         "PATH_INFO=/café",
//!         "QUERY_STRING=page=2",
//!         "SERVER_PROTOCOL=HTTP/1.1",
//!         "REQUEST_SCHEME=http",
//!         "REMOTE_ADDR=203.0.113.7",
//!         "SERVER_NAME=example.org",
//!         "SERVER_PORT=8080",
//!         "HTTP_HOST=example.org:8080",
//!         "HTTP_COOKIE=a=1; b=2",
//!     ]
//! );
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod text;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use self::text::{FieldName, Text};
use crate::semantics::{hop, host, path};

/// What is known of a request. Made by [`Meta::new`]; the rest is set field by field.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Meta<'a> {
    /// `REQUEST_METHOD`.
    pub method: &'a Method,
    /// What the application sees of the path, canonical ([`semantics::path`](super::path)) and
    /// with its escapes: `PATH_INFO`. What does not begin with a slash (the `*` of `OPTIONS *`)
    /// names no path, and `PATH_INFO` is empty.
    pub path: &'a str,
    /// Whether `PATH_INFO` is decoded. It is, unless said otherwise.
    pub path_info: PathInfo,
    /// The prefix that was stripped from the path, canonical and with its escapes; empty if none
    /// was, never a lone slash: `SCRIPT_NAME`, which is decoded.
    pub script_name: &'a str,
    /// `QUERY_STRING`, without the question mark.
    pub query: &'a str,
    /// `REQUEST_URI`. By default the three above, put together: the path as it was read, never
    /// another spelling of it.
    pub request_uri: Option<&'a str>,
    /// `SERVER_PROTOCOL`: HTTP/1.1, unless said otherwise.
    pub protocol: Version,
    /// `REQUEST_SCHEME`: `http`, unless said otherwise. With `https` there is `HTTPS=on` too.
    pub scheme: &'a str,
    /// The fields of the request, from which [`hop::strip_request`] has taken what `Connection`
    /// names. A length among them is not believed.
    pub headers: &'a HeaderMap,
    /// The length of the body, in bytes, without any transfer coding: `CONTENT_LENGTH`. There is
    /// no such variable without it.
    pub content_length: Option<u64>,
    /// `REMOTE_ADDR`, which is empty when the client's address is not known.
    pub remote_addr: Option<IpAddr>,
    /// `REMOTE_PORT`, if it is known.
    pub remote_port: Option<u16>,
    /// `SERVER_NAME`. By default the name in `Host`, and `localhost` without one.
    pub server_name: Option<&'a str>,
    /// `SERVER_PORT`. By default the port in `Host`, or the one of the scheme.
    pub server_port: Option<u16>,
    /// The protocols to which the connection may be upgraded: `HTTP_UPGRADE`, and with it
    /// `HTTP_CONNECTION=Upgrade`. What the fields say of that is not believed.
    pub upgrade: Option<&'a HeaderValue>,
}

/// How the path is written in `PATH_INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathInfo {
    /// Without escapes. RFC 3875 §4.1.5: "Unlike a URI path, the PATH_INFO is not URL-encoded".
    #[default]
    Decoded,
    /// With its escapes, for a server that decodes it once more, as Gunicorn does in its uwsgi
    /// protocol.
    Encoded,
}

impl<'a> Meta<'a> {
    /// A request over plain HTTP/1.1, without a body, from nobody in particular.
    #[must_use]
    pub fn new(method: &'a Method, path: &'a str, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            path,
            path_info: PathInfo::Decoded,
            script_name: "",
            query: "",
            request_uri: None,
            protocol: Version::HTTP_11,
            scheme: "http",
            headers,
            content_length: None,
            remote_addr: None,
            remote_port: None,
            server_name: None,
            server_port: None,
            upgrade: None,
        }
    }
}

/// Visits each variable once, its name first; `CONTENT_LENGTH` before all others, as SCGI wants it.
///
/// No field of the request can become another variable than one that begins with `HTTP_` (but
/// `Content-Type`), and no two fields become the same one: only names of letters, digits and
/// hyphens are passed. Lines of one field are joined.
///
/// Cost: names of up to 59 bytes and numbers are made on the stack. It allocates for longer names,
/// a path with escapes, repeated fields, and a [`request_uri`](Meta::request_uri) that is put
/// together.
pub fn variables(meta: &Meta<'_>, visit: &mut impl FnMut(&[u8], &[u8])) {
    // RFC 3875 §4.1.2: "The server MUST set this meta-variable if and only if the request is
    // accompanied by a message-body entity. The CONTENT_LENGTH value must reflect the length of
    // the message-body after the server has removed any transfer-codings or content-codings."
    if let Some(length) = meta.content_length {
        visit(b"CONTENT_LENGTH", Text::of(length).as_bytes());
    }
    target(meta, visit);
    visit(b"SERVER_PROTOCOL", protocol(meta.protocol).as_bytes());
    visit(b"REQUEST_SCHEME", meta.scheme.as_bytes());
    if meta.scheme.eq_ignore_ascii_case("https") {
        visit(b"HTTPS", b"on");
    }
    // RFC 3875 §4.1.8: "The REMOTE_ADDR variable MUST be set to the network address of the client
    // sending the request to the server." Applications rely on it being there.
    let address = meta.remote_addr.map(|ip| Text::of(ip.to_canonical()));
    visit(b"REMOTE_ADDR", address.as_ref().map_or(b"", Text::as_bytes));
    if let Some(port) = meta.remote_port {
        visit(b"REMOTE_PORT", Text::of(port).as_bytes());
    }
    server(meta, visit);
    if let Some(protocols) = meta.upgrade {
        visit(b"HTTP_CONNECTION", b"Upgrade");
        visit(b"HTTP_UPGRADE", protocols.as_bytes());
    }
    fields(meta.headers, visit);
}

/// Whether a server that decodes `PATH_INFO` once more reads another path in it: `/%2570rivate`
/// is `/%70rivate` to some, and then `/private`.
///
/// `path` is canonical, with its escapes.
#[must_use]
pub fn can_be_decoded_again(path: &str) -> bool {
    // What stands for a hexadecimal digit is never escaped in a canonical path.
    path.match_indices("%25").any(|(at, escape)| {
        let digits = path
            .as_bytes()
            .get(at + escape.len()..at + escape.len() + 2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn target(meta: &Meta<'_>, visit: &mut impl FnMut(&[u8], &[u8])) {
    visit(b"REQUEST_METHOD", meta.method.as_str().as_bytes());
    match meta.request_uri {
        Some(uri) => visit(b"REQUEST_URI", uri.as_bytes()),
        None if meta.script_name.is_empty() && meta.query.is_empty() => {
            visit(b"REQUEST_URI", meta.path.as_bytes());
        }
        None => {
            let mark = if meta.query.is_empty() { "" } else { "?" };
            let uri = [meta.script_name, meta.path, mark, meta.query].concat();
            visit(b"REQUEST_URI", uri.as_bytes());
        }
    }
    visit(b"SCRIPT_NAME", &path::decode(meta.script_name));
    // RFC 3875 §4.1.5: "PATH_INFO = "" | ( "/" path )".
    let path = if meta.path.starts_with('/') {
        meta.path
    } else {
        ""
    };
    match meta.path_info {
        PathInfo::Decoded => visit(b"PATH_INFO", &path::decode(path)),
        PathInfo::Encoded => visit(b"PATH_INFO", path.as_bytes()),
    }
    // RFC 3875 §4.1.7: "The server MUST set this variable; if the Script-URI does not include a
    // query component, the QUERY_STRING MUST be defined as an empty string ("")."
    visit(b"QUERY_STRING", meta.query.as_bytes());
}

/// PEP 3333: "`SERVER_NAME` and `SERVER_PORT` are required strings and must never be empty."
fn server(meta: &Meta<'_>, visit: &mut impl FnMut(&[u8], &[u8])) {
    let host = meta.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host::port(host);
    let name = match port {
        Some(port) => &host[..host.len() - port.len() - 1],
        None => host.strip_suffix(':').unwrap_or(host),
    };
    let name = meta.server_name.unwrap_or(name);
    let name = if name.is_empty() { "localhost" } else { name };
    visit(b"SERVER_NAME", name.as_bytes());

    match (meta.server_port, port) {
        (Some(port), _) => visit(b"SERVER_PORT", Text::of(port).as_bytes()),
        (None, Some(port)) => visit(b"SERVER_PORT", port.as_bytes()),
        (None, None) if meta.scheme.eq_ignore_ascii_case("https") => visit(b"SERVER_PORT", b"443"),
        (None, None) => visit(b"SERVER_PORT", b"80"),
    }
}

fn fields(headers: &HeaderMap, visit: &mut impl FnMut(&[u8], &[u8])) {
    let mut buffer = FieldName::default();
    let mut joined = Vec::new();
    let mut field = |name: &HeaderName, value: &[u8]| {
        // RFC 3875 §4.1.18: "it SHOULD remove any header fields […] that are available to the
        // script in other variables, such as 'Content-Length' and 'Content-Type'."
        if *name == header::CONTENT_TYPE {
            visit(b"CONTENT_TYPE", value);
        } else {
            visit(buffer.of(name), value);
        }
    };
    let has_repeated = headers.len() > headers.keys_len();
    if !has_repeated {
        for (name, value) in headers.iter().filter(|(name, _)| is_passed(name)) {
            field(name, value.as_bytes());
        }
        return;
    }
    for name in headers.keys().filter(|name| is_passed(name)) {
        joined.clear();
        for (number, line) in headers.get_all(name).iter().enumerate() {
            if number > 0 {
                joined.extend_from_slice(separator(name));
            }
            joined.extend_from_slice(line.as_bytes());
        }
        field(name, &joined);
    }
}

/// RFC 3875 §4.1.18: "If multiple header fields with the same field-name are received then the
/// server MUST rewrite them as a single value having the same semantics."
fn separator(name: &HeaderName) -> &'static [u8] {
    // RFC 9113 §8.2.3 on `Cookie`: "using the two-octet delimiter of 0x3b, 0x20".
    if *name == header::COOKIE {
        b"; "
    } else {
        b", "
    }
}

/// Whether a field becomes a variable: only where its name becomes one that no other field can
/// have, and that no server gives a meaning of its own.
///
/// `Proxy` would be `HTTP_PROXY`, by which libraries find their proxy (CVE-2016-5385). `Expect` and
/// `Trailer` speak of how the body comes here; RFC 3875 §4.1.18: "The server MAY remove header
/// fields that relate solely to client-side communication issues, such as 'Connection'."
fn is_passed(name: &HeaderName) -> bool {
    let text = name.as_str();
    ![header::CONTENT_LENGTH, header::EXPECT, header::TRAILER].contains(name)
        && text != "proxy"
        && !hop::is_hop_by_hop(name)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// RFC 3875 §4.1.16: "HTTP-Version = "HTTP" "/" 1*digit "." 1*digit".
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests;
