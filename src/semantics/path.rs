//! The one reading of a request path.
//!
//! A file server that decodes `/%70rivate`, behind a router that does not, serves what the router
//! meant to guard. So every layer of this crate reads the path once, here, and from then on
//! matching, stripping, opening a file and forwarding all use that reading; the inner service is
//! handed the same one, written into the request's URI.
//!
//! The canonical form is the one of RFC 3986 §6.2.2: hexadecimal digits of an escape in upper
//! case, unreserved bytes not escaped, no `.` and `..` segments; and no empty segments but a last
//! one. What cannot be in a path unescaped is escaped. The query is never touched.
//!
//! ```
//! use http::Uri;
//! use tower_gateway::semantics::path::{PathError, PathPolicy, PathRefusal};
//!
//! let policy = PathPolicy::new();
//! for spelling in ["//private/x", "/./private/x", "/%70rivate/x", "/a/../private//x"] {
//!     let mut uri: Uri = format!("{spelling}?q=//%70")
//!         .parse()?;
//!     policy.enforce(&mut uri).unwrap();
//!     assert_eq!(uri, "/private/x?q=//%70");
//! }
//!
//! let mut uri = Uri::from_static("/private%2Fx");
//! let refusal = policy.enforce(&mut uri).unwrap_err();
//! assert_eq!(refusal, PathRefusal::Malformed(PathError::EncodedSlash));
//! # Ok::<(), http::uri::InvalidUri>(())
//! ```

use std::{borrow::Cow, error, fmt};

use http::uri::{PathAndQuery, Uri};

/// What to do with a path that is not in its canonical form, and with an encoded slash.
///
/// Cost: a canonical path is scanned once and not copied; another is copied once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct PathPolicy {
    spelling: Spelling,
    encoded_slash: EncodedSlash,
}

/// What to do with a path whose meaning is clear but whose spelling is not canonical.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spelling {
    /// Write the canonical path into the request, and go on. The default.
    #[default]
    Rewrite,
    /// Send the client to the canonical path: 308, so that the method stays.
    Redirect,
    /// Refuse it: 400.
    Reject,
}

/// What `%2F` in a path means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodedSlash {
    /// Refuse it: 400. The default, as of Apache's `AllowEncodedSlashes`: few applications need
    /// it, and those behind a decoding server (PEP 3333's `PATH_INFO`) cannot see it.
    #[default]
    Reject,
    /// A byte of its segment. It separates nothing, matches no mount, and names no file.
    Keep,
    /// A slash like any other.
    Decode,
}

/// Why a path has no reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// A `%` without two hexadecimal digits behind it.
    BadEscape,
    /// A NUL byte, which would end the path early in a C library.
    Nul,
    /// A backslash, which some systems read as a slash.
    Backslash,
    /// `%2F`, under [`EncodedSlash::Reject`].
    EncodedSlash,
    /// A path that does not begin with a slash.
    NotAbsolute,
    /// Another spelling than the canonical one, under [`Spelling::Reject`].
    NotCanonical,
    /// The canonical path is longer than a URI can be (65,534 bytes).
    TooLong,
}

/// Why [`PathPolicy::enforce`] did not let a request pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathRefusal {
    /// Answer 400.
    Malformed(PathError),
    /// Answer 308, with this path and query (below the place where the service is mounted) as
    /// the location. It begins with exactly one slash, so it cannot leave the host.
    Redirect(String),
}

impl PathPolicy {
    /// Rewrites other spellings, refuses encoded slashes.
    pub const fn new() -> Self {
        Self {
            spelling: Spelling::Rewrite,
            encoded_slash: EncodedSlash::Reject,
        }
    }

    /// What to do with a path that is not canonical. Defaults to [`Spelling::Rewrite`].
    pub const fn spelling(mut self, spelling: Spelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// What an encoded slash means. Defaults to [`EncodedSlash::Reject`].
    pub const fn encoded_slash(mut self, meaning: EncodedSlash) -> Self {
        self.encoded_slash = meaning;
        self
    }

    /// Reads the path of a request's URI, and leaves it canonical.
    ///
    /// Scheme, authority (of an absolute-form target) and query stay as they are. A target
    /// without a path, the `*` of `OPTIONS *` and the authority-form of `CONNECT`, passes.
    ///
    /// # Errors
    ///
    /// How to answer a request that the policy does not let pass.
    pub fn enforce(&self, uri: &mut Uri) -> Result<(), PathRefusal> {
        let path = uri.path();
        // RFC 9110 §7.1: the targets of CONNECT and of `OPTIONS *` are in "a method-specific
        // form", which names no path.
        if path.is_empty() || path == "*" {
            return Ok(());
        }
        let canonical = match self.read(path).map_err(PathRefusal::Malformed)? {
            Cow::Borrowed(_) => return Ok(()),
            Cow::Owned(canonical) => canonical,
        };
        let target = match uri.query() {
            None => canonical,
            Some(query) => format!("{canonical}?{query}"),
        };
        match self.spelling {
            Spelling::Rewrite => {
                *uri = with_path(uri, target).ok_or(PathRefusal::Malformed(PathError::TooLong))?;
                Ok(())
            }
            Spelling::Redirect => Err(PathRefusal::Redirect(target)),
            Spelling::Reject => Err(PathRefusal::Malformed(PathError::NotCanonical)),
        }
    }

    /// The canonical form of an absolute path (without a query), whatever the policy on
    /// spellings says: borrowed when it is canonical already.
    ///
    /// # Errors
    ///
    /// The reason for which it has no reading.
    pub fn read<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if is_canonical(path.as_bytes(), self.encoded_slash) {
            return Ok(Cow::Borrowed(path));
        }
        Canonical::of(path.as_bytes(), self.encoded_slash).map(Cow::Owned)
    }
}

/// The bytes that a canonical path stands for, as the name of a file or WSGI's `PATH_INFO`.
#[must_use]
pub fn decode(canonical: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(canonical).into()
}

/// The form in which two canonical paths with the same decoded segments are equal.
///
/// RFC 3986 §2.2: "URIs that differ in the replacement of a reserved character with its
/// corresponding percent-encoded octet are not equivalent." So the canonical path keeps `%21`;
/// but the file it names is the one that `!` names, and a guard before it must see them as one.
/// Borrowed when there is no such escape.
#[must_use]
pub fn match_key(canonical: &str) -> Cow<'_, str> {
    // Most have none, and it takes but a moment to see that, if the search does not stop half-way.
    if !canonical
        .bytes()
        .fold(false, |any, byte| any | (byte == b'%'))
    {
        return Cow::Borrowed(canonical);
    }
    let mut key = String::new();
    let mut rest = canonical;
    let mut search = 0;
    while let Some(at) = rest[search..].find('%').map(|at| at + search) {
        match escaped_byte(&rest.as_bytes()[at..]) {
            Some(byte) if CLASS[byte as usize] == Class::Reserved => {
                key.push_str(&rest[..at]);
                key.push(char::from(byte));
                rest = &rest[at + 3..];
                search = 0;
            }
            _ => search = at + 1,
        }
    }
    if key.is_empty() {
        return Cow::Borrowed(canonical);
    }
    key.push_str(rest);
    Cow::Owned(key)
}

/// The same URI with another path and query; `None` if it would be too long for a URI.
pub(crate) fn with_path(uri: &Uri, path_and_query: String) -> Option<Uri> {
    let target = PathAndQuery::from_maybe_shared(bytes::Bytes::from(path_and_query)).ok()?;
    if uri.scheme().is_none() && uri.authority().is_none() {
        return Some(Uri::from(target));
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).ok()
}

/// How a byte may stand in a path, RFC 3986 §3.3 and §2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// `unreserved`: never needs an escape.
    Unreserved,
    /// `sub-delims`, `:`, `@`: in a segment as they are, and another thing when escaped.
    Reserved,
    /// Between two segments.
    Slash,
    /// What no server reads alike: a NUL, a backslash.
    Forbidden,
    /// Only escaped: the rest.
    Escaped,
}

static CLASS: [Class; 256] = {
    let mut class = [Class::Escaped; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            // "unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~""
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                Class::Unreserved
            }
            // "sub-delims = "!" / "$" / "&" / "'" / "(" / ")" / "*" / "+" / "," / ";" / "=""
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            // "pchar = unreserved / pct-encoded / sub-delims / ":" / "@""
            | b':' | b'@' => Class::Reserved,
            b'/' => Class::Slash,
            0 | b'\\' => Class::Forbidden,
            _ => Class::Escaped,
        };
        byte += 1;
    }
    class
};

/// The byte that the escape at the beginning of `bytes` stands for.
fn escaped_byte(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = *bytes else {
        return None;
    };
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

/// Whether `path`, which begins with a slash, is its own canonical form.
fn is_canonical(path: &[u8], slash: EncodedSlash) -> bool {
    let is_plain = |byte: &u8| {
        matches!(
            CLASS[usize::from(*byte)],
            Class::Unreserved | Class::Reserved
        )
    };
    let mut rest = path;
    while let Some(at) = rest.iter().position(|byte| !is_plain(byte)) {
        rest = match rest[at] {
            b'/' if !begins_with_no_name(&rest[at + 1..]) => &rest[at + 1..],
            b'%' if is_canonical_escape(&rest[at..], slash) => &rest[at + 3..],
            _ => return false,
        };
    }
    true
}

/// Whether the segment at the beginning of `rest` is an empty one before another, or a dot segment.
fn begins_with_no_name(rest: &[u8]) -> bool {
    matches!(
        rest,
        [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
    )
}

fn is_canonical_escape(bytes: &[u8], slash: EncodedSlash) -> bool {
    // RFC 3986 §6.2.2.1: "should be normalized to use uppercase letters for the digits A-F."
    let upper = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    bytes
        .get(1..3)
        .is_some_and(|digits| digits.iter().all(upper))
        && escaped_byte(bytes).is_some_and(|byte| match CLASS[byte as usize] {
            Class::Reserved | Class::Escaped => true,
            Class::Slash => slash == EncodedSlash::Keep,
            Class::Unreserved | Class::Forbidden => false,
        })
}

/// A canonical path in the making: it begins with a slash, and always holds whole segments
/// followed by the one that is being written.
struct Canonical {
    path: String,
    /// Where the segment that is being written begins, behind its slash.
    segment: usize,
}

impl Canonical {
    fn of(raw: &[u8], slash: EncodedSlash) -> Result<String, PathError> {
        let mut canonical = Self {
            path: String::with_capacity(raw.len() + 16),
            segment: 1,
        };
        canonical.path.push('/');
        let mut at = 1;
        while at < raw.len() {
            let (byte, escaped, length) = match raw[at] {
                b'%' => (
                    escaped_byte(&raw[at..]).ok_or(PathError::BadEscape)?,
                    true,
                    3,
                ),
                byte => (byte, false, 1),
            };
            match CLASS[byte as usize] {
                Class::Unreserved => canonical.path.push(char::from(byte)),
                Class::Reserved if !escaped => canonical.path.push(char::from(byte)),
                Class::Slash if !escaped || slash == EncodedSlash::Decode => canonical.slash(),
                Class::Slash if slash == EncodedSlash::Reject => {
                    return Err(PathError::EncodedSlash);
                }
                Class::Forbidden if byte == 0 => return Err(PathError::Nul),
                Class::Forbidden => return Err(PathError::Backslash),
                Class::Reserved | Class::Slash | Class::Escaped => canonical.escape(byte),
            }
            at += length;
        }
        canonical.remove_dot_segment();
        Ok(canonical.path)
    }

    fn escape(&mut self, byte: u8) {
        self.path
            .push_str(percent_encoding::percent_encode_byte(byte));
    }

    /// Ends the segment that is being written, and begins another.
    fn slash(&mut self) {
        self.remove_dot_segment();
        // An empty segment ("//") is no segment: the slash before it is the slash behind it.
        if self.path.len() > self.segment {
            self.path.push('/');
        }
        self.segment = self.path.len();
    }

    /// RFC 3986 §5.2.4: ".." takes the segment before it along, and at the root, nothing.
    fn remove_dot_segment(&mut self) {
        match &self.path[self.segment..] {
            "." => self.path.truncate(self.segment),
            ".." => {
                self.path.truncate(self.segment - 1);
                let parent = self.path.rfind('/').unwrap_or(0);
                self.path.truncate(parent);
                self.path.push('/');
            }
            _ => return,
        }
        self.segment = self.path.len();
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadEscape => "a % in the path is not followed by two hexadecimal digits",
            Self::Nul => "the path holds a NUL byte",
            Self::Backslash => "the path holds a backslash",
            Self::EncodedSlash => "the path holds an encoded slash",
            Self::NotAbsolute => "the path does not begin with a slash",
            Self::NotCanonical => "the path is not in its canonical form",
            Self::TooLong => "the path is too long",
        })
    }
}

impl error::Error for PathError {}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Redirect(location) => write!(f, "the canonical path is {location}"),
        }
    }
}

impl error::Error for PathRefusal {}
