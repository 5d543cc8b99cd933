//! By way of whom a message came, and whether it has been here before: RFC 9110 §7.6.3.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Version, header};
//! use tower_gateway::semantics::via::{self, Pseudonym};
//!
//! let us = Pseudonym::numbered(0x5eed_cafe);
//! let mut headers = HeaderMap::new();
//! headers.append(header::VIA, HeaderValue::from_static("1.0 fred (a, b), 1.1 p.example.net"));
//! assert!(!via::has_passed(&headers, &us));
//!
//! via::append(&mut headers, Version::HTTP_11, &us)?;
//! let last = headers.get_all(header::VIA).iter().next_back().unwrap();
//! assert_eq!(last, "1.1 gateway-5eedcafe");
//! assert!(via::has_passed(&headers, &us));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What others wrote is never changed, however malformed: it is theirs, and a list is longer by
//! one line or one item alike. How long it may grow is what bounds every head.

use std::{error, fmt};

use http::{
    HeaderMap, HeaderValue, Version,
    header::{self, MaxSizeReached},
};

/// The name under which an intermediary enters itself: a token, or a host with or without a port.
///
/// RFC 9110 §7.6.3: "If a port is not provided, a recipient MAY interpret that as meaning it was
/// received on the default port", and "a sender MAY replace it with a pseudonym" where the host is
/// considered to be sensitive information.
///
/// By it a loop is found, so no other intermediary on the way may have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym {
    name: Box<str>,
    /// What is added to a message, by the version by which it came.
    entries: [HeaderValue; 5],
}

/// Why a text is no [`Pseudonym`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPseudonym {
    /// It is empty.
    Empty,
    /// It is longer than [`Pseudonym::MAX`] bytes.
    TooLong,
    /// It is not a token, followed or not by a colon and a port.
    Malformed,
}

impl Pseudonym {
    /// The longest, in bytes: as long as a host name can be.
    pub const MAX: usize = 255;

    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it. An IPv6 address is no token, and refused.
    pub fn new(name: &str) -> Result<Self, InvalidPseudonym> {
        if name.is_empty() {
            return Err(InvalidPseudonym::Empty);
        }
        if name.len() > Self::MAX {
            return Err(InvalidPseudonym::TooLong);
        }
        // `received-by = pseudonym [ ":" port ]`, `pseudonym = token`, `port = *DIGIT`.
        let (token, port) = name.split_once(':').unwrap_or((name, ""));
        let is_good = !token.is_empty()
            && token.bytes().all(is_token_byte)
            && port.bytes().all(|byte| byte.is_ascii_digit());
        is_good
            .then(|| Self::from_valid(name))
            .ok_or(InvalidPseudonym::Malformed)
    }

    /// `gateway-` and the number in hexadecimal digits: with a random one, a name that no
    /// other process has.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        Self::from_valid(&format!("gateway-{number:08x}"))
    }

    fn from_valid(name: &str) -> Self {
        let entry = |protocol: &str| {
            HeaderValue::try_from(format!("{protocol} {name}"))
                .expect("a pseudonym is made of visible characters")
        };
        Self {
            name: name.into(),
            entries: VERSIONS.map(|version| entry(received_protocol(version))),
        }
    }

    /// RFC 9110 §7.6.3: "The protocol-name is omitted when and only when the received protocol is
    /// HTTP", with the version by which the message came.
    fn entry(&self, version: Version) -> HeaderValue {
        let known = VERSIONS.iter().position(|known| *known == version);
        self.entries[known.unwrap_or(0)].clone()
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// Adds the last station to a message that is about to be forwarded. `version` is that of the
/// message as it was received.
///
/// RFC 9110 §7.6.3: "An HTTP-to-HTTP gateway MUST send an appropriate Via header field in each
/// inbound request message and MAY send a Via header field in forwarded response messages."
///
/// # Errors
///
/// If the map holds as many fields as a [`HeaderMap`] can (32,768).
pub fn append(
    headers: &mut HeaderMap,
    version: Version,
    pseudonym: &Pseudonym,
) -> Result<(), MaxSizeReached> {
    headers
        .try_append(header::VIA, pseudonym.entry(version))
        .map(|_existed| ())
}

/// Whether the message was forwarded by this intermediary before: a loop, to be answered with 508
/// (Loop Detected), which WebDAV has lent for it (RFC 5842 §7.2).
///
/// RFC 9110 §7.6: "An intermediary MUST NOT forward a message to itself unless it is protected from
/// an infinite request loop."
#[must_use]
pub fn has_passed(headers: &HeaderMap, pseudonym: &Pseudonym) -> bool {
    passes(headers, pseudonym) > 0
}

/// How many times the message was forwarded by this intermediary, for those who let it come by
/// more than once.
///
/// Names are compared without regard to case. A name within a comment is none, unless the comment
/// does not end: somebody would write `(` to hide what those after him append.
#[must_use]
pub fn passes(headers: &HeaderMap, pseudonym: &Pseudonym) -> usize {
    headers
        .get_all(header::VIA)
        .iter()
        .flat_map(|line| Stations::of(line.as_bytes()))
        .filter(|station| is_by(station, pseudonym.as_str().as_bytes()))
        .count()
}

/// RFC 9110 §7.6.3: "the protocol-name is excluded when the received protocol is HTTP". Of §2.5, for
/// a version without minor ones "the minor version "0" is implied", and most intermediaries
/// write it.
/// The usual one first.
const VERSIONS: [Version; 5] = [
    Version::HTTP_11,
    Version::HTTP_2,
    Version::HTTP_10,
    Version::HTTP_3,
    Version::HTTP_09,
];

fn received_protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    }
}

/// `received-protocol RWS received-by [ RWS comment ]`
fn is_by(station: &[u8], name: &[u8]) -> bool {
    let mut words = station
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let (Some(_protocol), Some(by)) = (words.next(), words.next()) else {
        return false;
    };
    // The space before a comment is sometimes forgotten.
    let by = by.split(|byte| *byte == b'(').next().unwrap_or(by);
    by.eq_ignore_ascii_case(name)
}

/// The items of one line. There are no quoted strings in this field: a quote hides no comma.
struct Stations<'a> {
    rest: &'a [u8],
    /// A comment began that does not end. From there on `(` is a character like others, so that
    /// the line is searched for an end once, and not once for each `(`.
    is_open: bool,
}

impl<'a> Stations<'a> {
    fn of(line: &'a [u8]) -> Self {
        Self {
            rest: line,
            is_open: false,
        }
    }
}

impl<'a> Iterator for Stations<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut at = 0;
        while at < self.rest.len() && self.rest[at] != b',' {
            let comment = match self.rest[at] {
                b'(' if !self.is_open => {
                    let length = comment(&self.rest[at..]);
                    self.is_open = length.is_none();
                    length
                }
                _ => None,
            };
            at += comment.unwrap_or(1);
        }
        let (station, rest) = self.rest.split_at(at);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(station)
    }
}

/// The length of the comment at the beginning; `None` if it does not end.
///
/// RFC 9110 §5.6.5: `comment = "(" *( ctext / quoted-pair / comment ) ")"`
fn comment(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for InvalidPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a pseudonym cannot be empty",
            Self::TooLong => "a pseudonym has at most 255 bytes",
            Self::Malformed => "a pseudonym is a token, or a host name and a port",
        })
    }
}

impl error::Error for InvalidPseudonym {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
