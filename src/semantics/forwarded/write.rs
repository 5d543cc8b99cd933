//! How it is told to the next.

use std::{fmt::Write as _, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{FOR, HOST, Identity, Node, PORT, PREFIX, PROTO};
use crate::semantics::host;

impl Identity {
    /// Writes `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `-Prefix`, as far as they are
    /// known, in place of what was there.
    pub fn write_x_forwarded(&self, headers: &mut HeaderMap) {
        self.put_x_forwarded(headers, &mut String::new());
    }

    /// Writes `Forwarded` in place of what was there. The first element tells the host and the
    /// scheme, which are the client's.
    pub fn write_forwarded(&self, headers: &mut HeaderMap) {
        self.put_forwarded(headers, &mut String::new());
    }

    /// Writes both, which then say the same.
    pub fn write_both(&self, headers: &mut HeaderMap) {
        let mut scratch = String::with_capacity(128);
        self.put_x_forwarded(headers, &mut scratch);
        self.put_forwarded(headers, &mut scratch);
    }

    fn put_x_forwarded(&self, headers: &mut HeaderMap, scratch: &mut String) {
        scratch.clear();
        for node in &self.chain {
            if !scratch.is_empty() {
                scratch.push_str(", ");
            }
            // By habit, IPv6 addresses have no brackets here.
            match node {
                Node::Ip(ip) => push_ip(scratch, *ip),
                Node::Obfuscated(name) => scratch.push_str(name),
                Node::Unknown => scratch.push_str("unknown"),
            }
        }
        set(headers, FOR, value_of(scratch));
        set(headers, PROTO, self.proto.clone());
        set(headers, HOST, self.host.clone());
        set(headers, PORT, self.port());
        set(headers, PREFIX, value_of(&self.prefix));
    }

    fn put_forwarded(&self, headers: &mut HeaderMap, scratch: &mut String) {
        scratch.clear();
        let mut nodes = self.chain.iter();
        // RFC 7239 §6.2: "The "unknown" identifier is used when the identity of the preceding
        // entity is not known, but the proxy server still wants to signal that a forwarding of
        // the request was made."
        push_for(scratch, nodes.next().unwrap_or(&Node::Unknown));
        for (name, value) in [(";host=", &self.host), (";proto=", &self.proto)] {
            if let Some(Ok(value)) = value.as_ref().map(HeaderValue::to_str) {
                scratch.push_str(name);
                push_value(scratch, value);
            }
        }
        for node in nodes {
            scratch.push_str(", ");
            push_for(scratch, node);
        }
        set(headers, header::FORWARDED, value_of(scratch));
    }

    /// The port that the client asked for: that of the host, or the scheme's own.
    fn port(&self) -> Option<HeaderValue> {
        let host = self.host.as_ref()?.to_str().ok()?;
        match (host::port(host), self.proto.as_ref()?.as_bytes()) {
            (Some(port), _) => HeaderValue::from_str(port).ok(),
            (None, b"https" | b"wss") => Some(HeaderValue::from_static("443")),
            (None, b"http" | b"ws") => Some(HeaderValue::from_static("80")),
            (None, _) => None,
        }
    }
}

fn push_for(text: &mut String, node: &Node) {
    text.push_str("for=");
    match node {
        Node::Ip(ip @ IpAddr::V4(_)) => push_ip(text, *ip),
        // RFC 7239 §4: "Note that as ":" and "[]" are not valid characters in "token", IPv6
        // addresses are written as "quoted-string"."
        Node::Ip(ip @ IpAddr::V6(_)) => {
            text.push_str("\"[");
            push_ip(text, *ip);
            text.push_str("]\"");
        }
        Node::Obfuscated(name) => push_value(text, name),
        Node::Unknown => text.push_str("unknown"),
    }
}

fn push_ip(text: &mut String, ip: IpAddr) {
    match ip {
        // `Display` is slower, and this is done for each request.
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            push_decimal(text, a);
            for octet in [b, c, d] {
                text.push('.');
                push_decimal(text, octet);
            }
        }
        IpAddr::V6(ip) => {
            // Writing into a `String` does not fail.
            let _ = write!(text, "{ip}");
        }
    }
}

fn push_decimal(text: &mut String, number: u8) {
    if number >= 100 {
        text.push(char::from(b'0' + number / 100));
    }
    if number >= 10 {
        text.push(char::from(b'0' + number / 10 % 10));
    }
    text.push(char::from(b'0' + number % 10));
}

/// RFC 7239 §4: "value = token / quoted-string".
fn push_value(text: &mut String, value: &str) {
    if !value.is_empty() && value.bytes().all(is_token_byte) {
        return text.push_str(value);
    }
    text.push('"');
    for character in value.chars() {
        // RFC 9110 §5.6.4: "quoted-pair = "\" ( HTAB / SP / VCHAR / obs-text )".
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// None if there is nothing to say.
fn value_of(text: &str) -> Option<HeaderValue> {
    (!text.is_empty())
        .then(|| HeaderValue::from_str(text).ok())
        .flatten()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}
