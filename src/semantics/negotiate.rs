//! Content negotiation, for a server that chooses: RFC 9110 §12.5.1 and §12.5.3.
//!
//! Nothing here allocates: fields are read where they stand.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header};
//! use tower_gateway::semantics::negotiate::{Coding, choose_coding, choose_media_type};
//!
//! let mut headers = HeaderMap::new();
//! let offered = [Coding::Brotli, Coding::Gzip];
//! assert_eq!(choose_coding(&headers, offered), None);
//!
//! headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
//! assert_eq!(choose_coding(&headers, offered), Some(Coding::Brotli));
//!
//! headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br;q=0.5, gzip"));
//! assert_eq!(choose_coding(&headers, offered), Some(Coding::Gzip));
//!
//! headers.insert(header::ACCEPT, HeaderValue::from_static("text/*;q=0.5, application/json"));
//! assert_eq!(choose_media_type(&headers, &["text/html", "application/json"]), Some(1));
//! ```

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, ACCEPT_ENCODING},
};

/// A content coding in which a representation may be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a file in this coding ends in, behind a dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }
}

/// The coding in which to send a representation that may be had without one and in those
/// `offered`; `None` for the one without (`identity`).
///
/// The one that `Accept-Encoding` gives the highest weight; of several, the one offered first.
/// Where the RFC leaves the choice, or is broken:
///
/// * Without the field any coding is acceptable, but a client that says nothing may well not know
///   one: `None`.
/// * A coding that the client accepts is better than none, unless the client names `identity` with
///   a higher weight. `*` does not name it.
/// * What is not acceptable is still better than nothing: `identity;q=0` without a coding that is
///   both offered and acceptable gives `None`, not a 406. RFC 9110 §12.4.1: "the origin server can
///   either honor the header field by sending a 406 (Not Acceptable) response or disregard the
///   header field".
/// * A member whose weight cannot be read, or that has other parameters, is no member. If one is
///   named twice, the last counts.
#[must_use]
pub fn choose_coding(
    headers: &HeaderMap,
    offered: impl IntoIterator<Item = Coding>,
) -> Option<Coding> {
    let accepted = AcceptEncoding::read(headers);
    let mut best = None;
    let mut highest = Weight::NONE;
    for coding in offered {
        let weight = accepted.weight(coding);
        // §12.5.3: "the acceptable content coding with the highest non-zero qvalue is preferred."
        if weight > highest {
            (best, highest) = (Some(coding), weight);
        }
    }
    best.filter(|_| highest >= accepted.identity.unwrap_or(Weight::NONE))
}

/// What `Accept-Encoding` says, of what this crate knows.
///
/// `Accept-Encoding = #( codings [ weight ] )`, `codings = content-coding / "identity" / "*"`
#[derive(Debug, Default)]
struct AcceptEncoding {
    brotli: Option<Weight>,
    zstd: Option<Weight>,
    gzip: Option<Weight>,
    identity: Option<Weight>,
    any: Option<Weight>,
}

impl AcceptEncoding {
    fn read(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        for line in lines(headers, &ACCEPT_ENCODING) {
            // No quoted string may stand here, so each comma is one between members.
            for member in line.split(|byte| *byte == b',') {
                accepted.read_member(member.trim_ascii());
            }
        }
        accepted
    }

    fn read_member(&mut self, member: &[u8]) {
        let (name, weight) = match member.iter().position(|byte| *byte == b';') {
            None => (member, Some(Weight::ONE)),
            Some(at) => (
                member[..at].trim_ascii_end(),
                Weight::of_parameter(member[at + 1..].trim_ascii_start()),
            ),
        };
        // By length first: this is read for every answer that a cache gives.
        let place = match name.len() {
            1 if name == b"*" => &mut self.any,
            2 if name.eq_ignore_ascii_case(b"br") => &mut self.brotli,
            4 if name.eq_ignore_ascii_case(b"gzip") => &mut self.gzip,
            4 if name.eq_ignore_ascii_case(b"zstd") => &mut self.zstd,
            // §8.4.1.3: 'A recipient SHOULD consider "x-gzip" to be equivalent to "gzip".'
            6 if name.eq_ignore_ascii_case(b"x-gzip") => &mut self.gzip,
            8 if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
            _ => return,
        };
        if weight.is_some() {
            *place = weight;
        }
    }

    fn weight(&self, coding: Coding) -> Weight {
        let listed = match coding {
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        // '"*" [...] matches any available content coding not explicitly listed in the field.'
        listed.or(self.any).unwrap_or(Weight::NONE)
    }
}

/// Which of several media types `Accept` prefers, as an index; `None` if it accepts none of them.
///
/// The one with the highest weight; of several, the one offered first. Without the field, or
/// without a member that can be read, that is the first. See [`accepts`] for how one type is
/// weighed.
#[must_use]
pub fn choose_media_type(headers: &HeaderMap, offered: &[&str]) -> Option<usize> {
    let mut best = None;
    let mut highest = Weight::NONE;
    for (index, media_type) in offered.iter().enumerate() {
        let weight = accepted(headers, media_type).weight();
        if weight > highest {
            (best, highest) = (Some(index), weight);
        }
    }
    best
}

/// Whether `Accept` lets a representation of this media type be sent.
///
/// Of the ranges that match the type the most specific one decides: the type with parameters, the
/// type, `type/*`, `*/*`. A range with a parameter matches only types that have it (`charset`
/// aside, which says nothing about the type: a client that accepts `text/html;charset=utf-8`
/// accepts `text/html`). A member that cannot be read is no member; without any, all is accepted.
#[must_use]
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    accepted(headers, media_type).weight() > Weight::NONE
}

/// The same, and `Accept` names the type itself, not only `type/*` or `*/*`, nor by being absent.
///
/// So a browser that goes to a page names `text/html`; its scripts, images, and `fetch` do not.
#[must_use]
pub fn accepts_by_name(headers: &HeaderMap, media_type: &str) -> bool {
    match accepted(headers, media_type) {
        Accepted::By(specificity, weight) => specificity.0 == Named::Both && weight > Weight::NONE,
        Accepted::ByDefault | Accepted::Not => false,
    }
}

/// What `Accept` says of one media type.
enum Accepted {
    /// Nothing is said of any type.
    ByDefault,
    /// By the most specific range that matches; its weight may be none.
    By(Specificity, Weight),
    /// By no range.
    Not,
}

/// How closely a range describes a type: in what it names of it, and in how many parameters.
type Specificity = (Named, usize);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// `*/*`
    Nothing,
    /// `type/*`
    Type,
    /// `type/subtype`
    Both,
}

impl Accepted {
    fn weight(self) -> Weight {
        match self {
            // RFC 9110 §12.4.1: "a request that does not contain the field implies that the sender
            // has no preference on that dimension of negotiation."
            Self::ByDefault => Weight::ONE,
            Self::By(_, weight) => weight,
            Self::Not => Weight::NONE,
        }
    }
}

/// `Accept = #( media-range [ weight ] )`
fn accepted(headers: &HeaderMap, media_type: &str) -> Accepted {
    let mut accepted = Accepted::ByDefault;
    for line in lines(headers, &ACCEPT) {
        for member in split_unquoted(line, b',') {
            let Some(range) = MediaRange::read(member) else {
                continue;
            };
            // §12.5.1: "If more than one media range applies to a given type, the most specific
            // reference has precedence."
            accepted = match (accepted, range.specificity(media_type.as_bytes())) {
                (Accepted::ByDefault, None) => Accepted::Not,
                (Accepted::By(known, weight), Some(new)) if new < known => {
                    Accepted::By(known, weight)
                }
                (_, Some(new)) => Accepted::By(new, range.weight),
                (said, None) => said,
            };
        }
    }
    accepted
}

/// `media-range = ( "*/*" / ( type "/" "*" ) / ( type "/" subtype ) ) parameters`
struct MediaRange<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    /// Behind the type, with the weight, which is in `weight` too.
    parameters: &'a [u8],
    weight: Weight,
}

impl<'a> MediaRange<'a> {
    fn read(member: &'a [u8]) -> Option<Self> {
        let (essence, parameters) = split_type(member);
        let slash = essence.iter().position(|byte| *byte == b'/')?;
        let (kind, subtype) = (&essence[..slash], &essence[slash + 1..]);
        let is_token = |text: &[u8]| !text.is_empty() && !text.contains(&b' ');
        if !is_token(kind) || !is_token(subtype) || (kind == b"*" && subtype != b"*") {
            return None;
        }
        let mut weight = Weight::ONE;
        for parameter in split_unquoted(parameters, b';') {
            // 'Recipients SHOULD process any parameter named "q" as weight, regardless of
            // parameter ordering.'
            if is_weight(parameter) {
                weight = Weight::of_parameter(parameter)?;
            }
        }
        Some(Self {
            kind,
            subtype,
            parameters,
            weight,
        })
    }

    /// How closely it describes a type; `None` if it does not.
    fn specificity(&self, media_type: &[u8]) -> Option<Specificity> {
        let (essence, has) = split_type(media_type);
        let slash = essence.iter().position(|byte| *byte == b'/')?;
        let (kind, subtype) = (&essence[..slash], &essence[slash + 1..]);
        let asked = split_unquoted(self.parameters, b';').filter(|wanted| !is_weight(wanted));
        let named = if self.kind == b"*" {
            Named::Nothing
        } else if !self.kind.eq_ignore_ascii_case(kind) {
            return None;
        } else if self.subtype == b"*" {
            Named::Type
        } else if self.subtype.eq_ignore_ascii_case(subtype) {
            Named::Both
        } else {
            return None;
        };
        let mut parameters = 0;
        for wanted in asked {
            if split_unquoted(has, b';').any(|parameter| parameter.eq_ignore_ascii_case(wanted)) {
                parameters += 1;
            } else if !name_is(wanted, b"charset") {
                return None;
            }
        }
        Some((named, parameters))
    }
}

/// The type of a media type or range, and its parameters.
fn split_type(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b';');
    let (essence, parameters) = text.split_at(end.unwrap_or(text.len()));
    (essence.trim_ascii(), parameters)
}

fn is_weight(parameter: &[u8]) -> bool {
    name_is(parameter, b"q")
}

fn name_is(parameter: &[u8], name: &[u8]) -> bool {
    let given = parameter.split(|byte| *byte == b'=').next();
    given.is_some_and(|given| given.eq_ignore_ascii_case(name))
}

/// A quality value in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight(u16);

impl Weight {
    /// "a value of 0 means "not acceptable"."
    const NONE: Self = Self(0);
    /// 'If no "q" parameter is present, the default weight is 1.'
    const ONE: Self = Self(1000);

    /// `"q=" qvalue`, in either case, with nothing around it.
    fn of_parameter(parameter: &[u8]) -> Option<Self> {
        match parameter {
            [b'q' | b'Q', b'=', value @ ..] => Self::read(value),
            _ => None,
        }
    }

    /// RFC 9110 §12.4.2: `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`
    fn read(value: &[u8]) -> Option<Self> {
        let (whole, decimals) = match value {
            [whole] => (whole, &[] as &[u8]),
            [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
            _ => return None,
        };
        let mut thousandths = match whole {
            b'0' => 0,
            b'1' => 1000,
            _ => return None,
        };
        for (digit, worth) in decimals.iter().zip([100, 10, 1]) {
            if !digit.is_ascii_digit() {
                return None;
            }
            thousandths += u16::from(digit - b'0') * worth;
        }
        (thousandths <= 1000).then_some(Self(thousandths))
    }
}

/// All lines of a field: RFC 9110 §5.2 makes one list of them.
fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .map(http::HeaderValue::as_bytes)
}

/// The pieces between separators that stand in no quoted string, trimmed, without the empty ones.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |byte| {
        // RFC 9110 §5.6.4: `quoted-pair = "\" ( HTAB / SP / VCHAR / obs-text )`
        let was_escaped = is_escaped;
        is_escaped = is_quoted && !was_escaped && *byte == b'\\';
        if *byte == b'"' && !was_escaped {
            is_quoted = !is_quoted;
        }
        !is_quoted && *byte == separator
    })
    .map(<[u8]>::trim_ascii)
    .filter(|piece| !piece.is_empty())
}
