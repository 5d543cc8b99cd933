//! Conditional requests: RFC 9110 §13, and the validators of §8.8 that they compare.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method, header};
//! use tower_gateway::semantics::conditional::{EntityTag, Validators, Verdict, evaluate};
//!
//! let validators = Validators {
//!     etag: EntityTag::strong("v2"),
//!     last_modified: None,
//! };
//! let mut headers = HeaderMap::new();
//! assert_eq!(evaluate(&Method::GET, &headers, &validators), Verdict::Proceed);
//!
//! headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(r#""v1", W/"v2""#));
//! assert_eq!(evaluate(&Method::GET, &headers, &validators), Verdict::NotModified);
//! assert_eq!(evaluate(&Method::PUT, &headers, &validators), Verdict::Failed);
//!
//! headers.insert(header::IF_MATCH, HeaderValue::from_static(r#"W/"v2""#));
//! assert_eq!(evaluate(&Method::GET, &headers, &validators), Verdict::Failed);
//! ```

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE},
};

/// What tells one state of a representation from another.
///
/// Without either, only `*` can match, and the conditions on times are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The value of `ETag`.
    pub etag: Option<EntityTag>,
    /// The value of `Last-Modified`.
    pub last_modified: Option<LastModified>,
}

/// The value of `Last-Modified`, and how far it may be trusted.
///
/// RFC 9110 §8.8.2.2: "A Last-Modified time, when used as a validator in a request, is implicitly
/// weak unless it is possible to deduce that it is strong". Only a strong one guards a range.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_gateway::semantics::conditional::LastModified;
///
/// let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
/// let after = |millis| LastModified::new(modified, modified + Duration::from_millis(millis));
///
/// assert!(!after(1_499).unwrap().is_strong());
/// assert!(after(1_500).unwrap().is_strong());
/// assert_eq!(after(0).unwrap().to_header(), "Sun, 06 Nov 1994 08:49:37 GMT");
///
/// // Of the future.
/// assert_eq!(LastModified::new(modified, SystemTime::UNIX_EPOCH), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastModified {
    date: HttpDate,
    is_strong: bool,
}

impl LastModified {
    /// What is to be said at `now` of a representation that was last modified at `modified`;
    /// `None` if that is later than `now`, or if HTTP cannot write it.
    ///
    /// It is strong once the second in which `modified` lies, and another one, are over: until
    /// then the representation may change again, and have the same date. (The other one is for
    /// clocks that lag, as those of file systems do by some milliseconds.) That takes for granted
    /// that nobody sets a time back to one that was used.
    #[must_use]
    pub fn new(modified: SystemTime, now: SystemTime) -> Option<Self> {
        // §8.8.2.1: "An origin server with a clock [...] MUST NOT generate a Last-Modified date
        // that is later than the server's time of message origination (Date)."
        if modified > now {
            return None;
        }
        let date = HttpDate::new(modified)?;
        let is_strong = now
            .duration_since(date.0)
            .is_ok_and(|age| age >= Duration::from_secs(2));
        Some(Self { date, is_strong })
    }

    /// A date in whose second the representation may have changed twice.
    #[must_use]
    pub fn weak(date: HttpDate) -> Self {
        Self {
            date,
            is_strong: false,
        }
    }

    /// A date of which the origin server, in the words of RFC 9110 §8.8.2.2, "reliably knows that
    /// the associated representation did not change twice during the second covered by" it.
    #[must_use]
    pub fn strong(date: HttpDate) -> Self {
        Self {
            date,
            is_strong: true,
        }
    }

    /// The second of the last change.
    #[must_use]
    pub fn date(self) -> HttpDate {
        self.date
    }

    /// Whether no two states of the representation have this date.
    #[must_use]
    pub fn is_strong(self) -> bool {
        self.is_strong
    }

    /// The date as a field value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        self.date.to_header()
    }
}

/// What the preconditions of a request ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Do what the method says.
    Proceed,
    /// The client has what it asks for: 304.
    NotModified,
    /// The representation is not the one that the client means: 412.
    Failed,
}

/// Evaluates the preconditions of a request for a representation that exists, in the order of
/// RFC 9110 §13.2.2. Its step 5, `If-Range`, is [`range_applies`].
#[must_use]
pub fn evaluate(method: &Method, headers: &HeaderMap, validators: &Validators) -> Verdict {
    let reads = method == Method::GET || method == Method::HEAD;

    // "1. When recipient is the origin server and If-Match is present, evaluate the If-Match
    // precondition: [...] if false, respond 412"
    if headers.contains_key(IF_MATCH) {
        if !names_current(headers, &IF_MATCH, validators, |given, current| {
            given.matches_strongly(current)
        }) {
            return Verdict::Failed;
        }
    }
    // "2. When recipient is the origin server, If-Match is not present, and If-Unmodified-Since
    // is present [...] if false, respond 412"
    else if is_newer(headers, &IF_UNMODIFIED_SINCE, validators) == Some(true) {
        return Verdict::Failed;
    }

    // "3. When If-None-Match is present [...] if false for GET/HEAD, respond 304 (Not Modified)
    // [...] if false for other methods, respond 412 (Precondition Failed)"
    if headers.contains_key(IF_NONE_MATCH) {
        if names_current(headers, &IF_NONE_MATCH, validators, |given, current| {
            given.matches_weakly(current)
        }) {
            return if reads {
                Verdict::NotModified
            } else {
                Verdict::Failed
            };
        }
    }
    // "4. When the method is GET or HEAD, If-None-Match is not present, and If-Modified-Since is
    // present [...] if false, respond 304"
    else if reads && is_newer(headers, &IF_MODIFIED_SINCE, validators) == Some(false) {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether `If-Range` lets `Range` count: it is absent, or names the current representation
/// exactly, by a strong validator. What cannot be read as a validator is none, and lets the whole
/// be sent.
#[must_use]
pub fn range_applies(headers: &HeaderMap, validators: &Validators) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(value) = only_line(headers, &IF_RANGE) else {
        return false;
    };
    match HttpDate::parse(value) {
        // RFC 9110 §13.1.5: "If the HTTP-date validator provided is not a strong validator in the
        // sense defined by Section 8.8.2.2, the condition is false. If the HTTP-date validator
        // provided exactly matches the Last-Modified field value for the selected representation,
        // the condition is true."
        Some(date) => validators.last_modified == Some(LastModified::strong(date)),
        // "If the entity-tag validator provided exactly matches the ETag field value for the
        // selected representation using the strong comparison function, the condition is true."
        None => match (Tag::parse(value.as_bytes()), &validators.etag) {
            (Some(given), Some(current)) => given.matches_strongly(current.tag()),
            _ => false,
        },
    }
}

/// Whether a list of entity tags, or `*`, names the current representation.
fn names_current(
    headers: &HeaderMap,
    name: &HeaderName,
    validators: &Validators,
    matches: fn(Tag<'_>, Tag<'_>) -> bool,
) -> bool {
    // "If the field value is "*", the condition is true if the origin server has a current
    // representation for the target resource."
    if only_line(headers, name).is_some_and(|value| value.as_bytes().trim_ascii() == b"*") {
        return true;
    }
    let Some(current) = &validators.etag else {
        return false;
    };
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| Tags(line.as_bytes()))
        .any(|given| matches(given, current.tag()))
}

/// Whether the representation was modified after the date in a field; `None` if either date is
/// missing or is no date.
fn is_newer(headers: &HeaderMap, name: &HeaderName, validators: &Validators) -> Option<bool> {
    // RFC 9110 §13.1.3: "A recipient MUST ignore the If-Modified-Since header field if the
    // received field value is not a valid HTTP-date, the field value has more than one member"
    let given = HttpDate::parse(only_line(headers, name)?)?;
    Some(validators.last_modified?.date > given)
}

fn only_line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

/// The value of an `ETag` field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag(HeaderValue);

impl EntityTag {
    /// A strong tag of this opaque text, given without its quotes; `None` if the text has a
    /// quote, a space, or a control character.
    #[must_use]
    pub fn strong(opaque: &str) -> Option<Self> {
        Self::of("\"", opaque)
    }

    /// The same, weak: two representations that have it mean the same, byte for byte or not. It
    /// never matches in `If-Match` and `If-Range`.
    #[must_use]
    pub fn weak(opaque: &str) -> Option<Self> {
        Self::of("W/\"", opaque)
    }

    fn of(before: &str, opaque: &str) -> Option<Self> {
        // With room for exactly that it becomes a field value without a copy.
        let mut text = String::with_capacity(before.len() + opaque.len() + 1);
        text.push_str(before);
        text.push_str(opaque);
        text.push('"');
        Tag::parse(text.as_bytes())?;
        HeaderValue::try_from(text).ok().map(Self)
    }

    /// A tag as weak or strong as this one, whose text has `suffix` at its end: for another coding
    /// of the same content. `None` if no tag can have this text.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Option<Self> {
        let tag = self.0.as_bytes().strip_suffix(b"\"")?;
        let value = HeaderValue::from_bytes(&[tag, suffix.as_bytes(), b"\""].concat()).ok()?;
        Self::parse(&value)
    }

    /// What a field value says, if it is one entity tag.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        Tag::parse(value.as_bytes()).map(|_| Self(value.clone()))
    }

    /// Whether it promises no more than the same meaning.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.tag().weak
    }

    /// The tag as a field value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    fn tag(&self) -> Tag<'_> {
        let value = self.0.as_bytes();
        Tag {
            weak: value.starts_with(b"W/"),
            opaque: value.strip_prefix(b"W/").unwrap_or(value),
        }
    }
}

/// An entity tag as it stands in a list; its quotes are part of it.
#[derive(Clone, Copy)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The tag that `value` is, and nothing besides.
    fn parse(value: &'a [u8]) -> Option<Self> {
        match Self::split(value.trim_ascii())? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// The tag with which `text` begins, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        // "entity-tag = [ weak ] opaque-tag"; "weak = %s"W/"": in upper case.
        let quoted = text.strip_prefix(b"W/").unwrap_or(text);
        let inner = quoted.strip_prefix(b"\"")?;
        let length = inner.iter().position(|byte| *byte == b'"')?;
        // "etagc = %x21 / %x23-7E / obs-text"
        if !inner[..length]
            .iter()
            .all(|byte| matches!(byte, 0x21..=0x7e | 0x80..))
        {
            return None;
        }
        let (opaque, rest) = quoted.split_at(length + 2);
        let weak = quoted.len() < text.len();
        Some((Self { weak, opaque }, rest))
    }

    /// RFC 9110 §8.8.3.2: "two entity tags are equivalent if both are not weak and their
    /// opaque-tags match character-by-character."
    fn matches_strongly(self, other: Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// "two entity tags are equivalent if their opaque-tags match character-by-character,
    /// regardless of either or both being tagged as "weak"."
    fn matches_weakly(self, other: Self) -> bool {
        self.opaque == other.opaque
    }
}

/// The tags of a list, up to its end or to the first member that is no tag.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        // RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty
        // list elements".
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let (tag, rest) = Tag::split(self.0)?;
        self.0 = rest.trim_ascii_start();
        matches!(self.0, [] | [b',', ..]).then_some(tag)
    }
}

/// A time as HTTP can write it: a whole second of the years 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(SystemTime);

impl HttpDate {
    /// The second in which `time` lies; `None` if HTTP cannot write it.
    #[must_use]
    pub fn new(time: SystemTime) -> Option<Self> {
        /// The first second of the year 10000.
        const TOO_LATE: u64 = 253_402_300_800;

        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        if seconds >= TOO_LATE {
            return None;
        }
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .map(Self)
    }

    /// What a field value says, if it is a date in one of the three forms of RFC 9110 §5.6.7.
    ///
    /// The two digits that a year has in the form of RFC 850 stand for one of 1970 to 2069. (The RFC
    /// has the 50 years before and after now, which takes a clock.)
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        match httpdate::parse_http_date(text) {
            Ok(time) => Self::new(time),
            // §5.6.7: "00:00:00 - 23:59:60 (leap second)". The clock of Unix does not know it.
            Err(_) => {
                let before = text.replacen("23:59:60", "23:59:59", 1);
                let time = httpdate::parse_http_date(&before).ok()?;
                Self::new(time.checked_add(Duration::from_secs(1))?)
            }
        }
    }

    /// The date as a field value.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        /// "Sun, 06 Nov 1994 08:49:37 GMT", for which each date has room exactly.
        const LENGTH: usize = 29;

        let mut text = String::with_capacity(LENGTH);
        write!(text, "{}", httpdate::HttpDate::from(self.0)).expect("a string takes all");
        HeaderValue::try_from(text).expect("a date is ASCII")
    }
}
