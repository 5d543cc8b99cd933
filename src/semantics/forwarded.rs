//! Who asked, as proxies tell it: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! ```
//! use http::{HeaderMap, HeaderValue};
//! use tower_gateway::semantics::forwarded::{Identity, Node};
//!
//! let mut identity = Identity::default();
//! identity.chain.push(Node::Ip("2001:db8::7".parse()?));
//! identity.host = Some(HeaderValue::from_static("example.org:8080"));
//! identity.proto = Some(HeaderValue::from_static("https"));
//!
//! let mut headers = HeaderMap::new();
//! identity.write_x_forwarded(&mut headers);
//! identity.write_forwarded(&mut headers);
//! assert_eq!(headers["x-forwarded-for"], "2001:db8::7");
//! assert_eq!(headers["x-forwarded-port"], "8080");
//! assert_eq!(
//!     headers["forwarded"],
//!     r#"for="[2001:db8::7]";host="example.org:8080";proto=https"#
//! );
//! assert_eq!(Identity::read(&headers, |_everybody| true), identity);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod write;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::semantics::{hop, host};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Who asked, for what, by way of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The client first, then the proxies on the way, without the one that reads this.
    pub chain: Vec<Node>,
    /// The host (and port) that the client asked for.
    pub host: Option<HeaderValue>,
    /// The scheme by which the client asked, in lower case.
    pub proto: Option<HeaderValue>,
    /// The path that was stripped on the way: empty, or beginning with a slash.
    pub prefix: String,
}

/// One station on the way of a request: RFC 7239 §6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Node {
    /// An IP address. Ports are not kept: few readers of `X-Forwarded-For` expect one.
    Ip(IpAddr),
    /// A name that a proxy gave in place of an address; it begins with `_`.
    Obfuscated(String),
    /// Somebody.
    Unknown,
}

/// Whether a field tells who asked, so that no client may set it: `Forwarded`, `X-Real-IP`, and
/// everything that begins with `X-Forwarded-`.
///
/// Not only the five that are written here: Gunicorn, for one, also reads
/// `X-Forwarded-Protocol` and `X-Forwarded-Ssl`.
#[must_use]
pub fn is_identity(name: &HeaderName) -> bool {
    let text = name.as_str();
    *name == header::FORWARDED || text == "x-real-ip" || text.starts_with("x-forwarded-")
}

/// A station, and what the proxy to which it spoke says of that.
struct Station {
    node: Node,
    host: Option<HeaderValue>,
    proto: Option<HeaderValue>,
}

impl Identity {
    /// What the proxies on the way say, as far as they are trusted. The one that has sent this is
    /// for the caller to judge, and not in it.
    ///
    /// The chain is read from its end, and begins with the first station met there that is not
    /// trusted: what is told beyond, only that one has said (RFC 7239 §8.1). Host and scheme are
    /// those that the same element of `Forwarded` tells.
    ///
    /// Where there is `X-Forwarded-For`, it is the chain: proxies that write it often pass on a
    /// `Forwarded` which the client made up. Only without it is `Forwarded` read. `X-Forwarded-Proto`,
    /// `-Host` and `-Prefix` are believed before `Forwarded`; of several values the last, which is
    /// the one that whoever has sent this has added.
    ///
    /// A line of `Forwarded` whose quotes are out of place is one station of which nothing is
    /// known: a quote that a client has opened would hide what was added behind it.
    #[must_use]
    pub fn read(headers: &HeaderMap, is_trusted: impl Fn(&Node) -> bool) -> Self {
        let mut stations = match headers.contains_key(FOR) {
            true => read_x_forwarded_for(headers),
            false => read_forwarded(headers),
        };
        let is_untrusted = |station: &Station| !is_trusted(&station.node);
        if let Some(last) = stations.iter().rposition(is_untrusted) {
            stations.drain(..last);
        }
        let mut identity = Self::default();
        if let Some(first) = stations.first_mut() {
            identity.host = first.host.take();
            identity.proto = first.proto.take();
        }
        identity.chain = stations.into_iter().map(|station| station.node).collect();
        // Without a chain from `X-Forwarded-For`, these may still be what the proxy writes.
        if let Some(proto) = last(headers, &PROTO).and_then(scheme) {
            identity.proto = Some(proto);
        }
        if let Some(host) = last(headers, &HOST).and_then(host_value) {
            identity.host = Some(host);
        }
        if let Some(prefix) = last(headers, &PREFIX).filter(|prefix| is_prefix(prefix)) {
            identity.prefix = String::from_utf8_lossy(prefix)
                .trim_end_matches('/')
                .to_owned();
        }
        identity
    }

    /// The address of the first station: of the client. `None` if its address is not known.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        match self.chain.first()? {
            Node::Ip(ip) => Some(*ip),
            Node::Obfuscated(_) | Node::Unknown => None,
        }
    }
}

impl Node {
    /// Reads a node as `X-Forwarded-For` and `Forwarded` write it, with or without a port and
    /// brackets. What is none is `Unknown`.
    fn parse(text: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(text) else {
            return Self::Unknown;
        };
        // By habit, `X-Forwarded-For` has IPv6 addresses without brackets.
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Self::Ip(ip.to_canonical());
        }
        // RFC 7239 §6: "node = nodename [ ":" node-port ]".
        let name = match text.rsplit_once(':') {
            Some((name, port)) if is_node_port(port) => name,
            _ => text,
        };
        if let Ok(ip) = name.parse::<Ipv4Addr>() {
            return Self::Ip(IpAddr::V4(ip));
        }
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        if let Some(Ok(ip)) = bare.map(str::parse::<Ipv6Addr>) {
            return Self::Ip(IpAddr::V6(ip).to_canonical());
        }
        match is_obfuscated(name) {
            true => Self::Obfuscated(name.to_owned()),
            false => Self::Unknown,
        }
    }
}

impl fmt::Display for Node {
    /// As RFC 7239 §6 writes it: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Obfuscated(name) => f.write_str(name),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Station {
    fn of(node: Node) -> Self {
        Self {
            node,
            host: None,
            proto: None,
        }
    }

    /// Reads `for=…;host=…;proto=…`.
    fn parse(element: &[u8]) -> Self {
        let mut station = Self::of(Node::Unknown);
        for pair in split(element, b';') {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let name = pair[..equals].trim_ascii();
            let value = unquote(pair[equals + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"for") {
                station.node = Node::parse(&value);
            } else if name.eq_ignore_ascii_case(b"host") {
                station.host = host_value(&value);
            } else if name.eq_ignore_ascii_case(b"proto") {
                station.proto = scheme(&value);
            }
        }
        station
    }
}

fn read_x_forwarded_for(headers: &HeaderMap) -> Vec<Station> {
    let lines = headers.get_all(FOR).iter();
    let nodes = lines.flat_map(hop::tokens).map(Node::parse);
    nodes.map(Station::of).collect()
}

fn read_forwarded(headers: &HeaderMap) -> Vec<Station> {
    let mut stations = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        match is_well_quoted(line.as_bytes()) {
            true => stations.extend(split(line.as_bytes(), b',').map(Station::parse)),
            false => stations.push(Station::of(Node::Unknown)),
        }
    }
    stations
}

/// Whether each quoted string is the whole value of a pair, and ends.
///
/// Behind a client's open quote, the first one of what was appended closes it, and is followed by
/// what was meant to be quoted: no separator. So nobody chooses where the strings of others begin.
fn is_well_quoted(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        let (before, quoted) = rest.split_at(start);
        let Some(length) = quoted_string(quoted) else {
            return false;
        };
        rest = &quoted[length..];
        let is_value = before.trim_ascii_end().ends_with(b"=");
        let is_whole = matches!(rest.trim_ascii_start().first(), None | Some(b',' | b';'));
        if !is_value || !is_whole {
            return false;
        }
    }
    true
}

/// The length of the quoted string at the beginning; `None` if it does not end.
fn quoted_string(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    let inner = text.get(1..)?.iter();
    let length = inner.take_while(|byte| {
        let goes_on = **byte != b'"' || is_escaped;
        is_escaped = **byte == b'\\' && !is_escaped;
        goes_on
    });
    let length = 1 + length.count();
    (length < text.len()).then_some(length + 1)
}

/// The parts of `text` between separators that are not in a quoted string; empty ones are not
/// given.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte => return !quoted && *byte == separator,
        }
        false
    })
    .map(<[u8]>::trim_ascii)
    .filter(|part| !part.is_empty())
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    let Some(inner) = inner else {
        return value.to_vec();
    };
    let mut escaped = false;
    inner
        .iter()
        .filter(|byte| {
            escaped = **byte == b'\\' && !escaped;
            !escaped
        })
        .copied()
        .collect()
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get_all(name).iter().flat_map(hop::tokens).last()
}

fn scheme(text: &[u8]) -> Option<HeaderValue> {
    // RFC 3986 §3.1: "scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )".
    let is_scheme = text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    is_scheme
        .then(|| HeaderValue::from_bytes(&text.to_ascii_lowercase()).ok())
        .flatten()
}

fn host_value(text: &[u8]) -> Option<HeaderValue> {
    (host::is_host(text) && !text.is_empty())
        .then(|| HeaderValue::from_bytes(text).ok())
        .flatten()
}

/// A path that cannot be taken for another host: "//evil.test" in a link is one.
fn is_prefix(text: &[u8]) -> bool {
    text.starts_with(b"/")
        && !text.starts_with(b"//")
        && text
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !b"\\\"<>?#".contains(byte))
}

/// RFC 7239 §6: "node-port = port / obfport", "port = 1*5DIGIT".
fn is_node_port(text: &str) -> bool {
    let is_port = matches!(text.len(), 1..=5) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_port || is_obfuscated(text)
}

/// RFC 7239 §6: "obfnode = "_" 1*( ALPHA / DIGIT / "." / "_" / "-")", and `obfport` alike.
fn is_obfuscated(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_allowed))
}
