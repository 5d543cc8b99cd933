//! Byte ranges: RFC 9110 §14.
//!
//! ```
//! use tower_gateway::semantics::range::{Selection, select};
//!
//! assert_eq!(select("bytes=0-4", 10), Selection::One(0..5));
//! assert_eq!(select("bytes=-99", 10), Selection::One(0..10));
//! assert_eq!(select("bytes=10-", 10), Selection::Unsatisfiable);
//! assert_eq!(select("bytes=0-1, 8-9", 10), Selection::Many(vec![0..2, 8..10]));
//! assert_eq!(select("lines=0-4", 10), Selection::Whole);
//! ```

use std::ops::Range;

/// More ranges than this in one request are no download in pieces but an attack; the whole is
/// sent. As Apache's `MaxRanges`.
pub const MAX_RANGES: usize = 200;

/// What of a representation a `Range` field asks for. Ends are exclusive, no range is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// All of it: 200. The field is to be ignored.
    Whole,
    /// One part: 206.
    One(Range<u64>),
    /// Several parts, in the order in which the client named them.
    Many(Vec<Range<u64>>),
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// What a `Range` field selects from `length` bytes.
///
/// A field in another unit, one that breaks the grammar, and one with more than [`MAX_RANGES`]
/// ranges are ignored. Ranges that lie behind the end are left out.
#[must_use]
pub fn select(field: &str, length: u64) -> Selection {
    // RFC 9110 §14.2: "A server that supports range requests MAY ignore or reject a Range header
    // field that contains an invalid ranges-specifier".
    read(field, length).unwrap_or(Selection::Whole)
}

/// `ranges-specifier = range-unit "=" range-set`
fn read(field: &str, length: u64) -> Option<Selection> {
    let (unit, set) = field.split_once('=')?;
    // §14.1: range units are case-insensitive. §14.2: "An origin server MUST ignore a Range header
    // field that contains a range unit it does not understand."
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut asked = 0;
    let mut ranges = Vec::new();
    // "range-set = 1#range-spec", with the empty members that a recipient has to bear.
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
        if spec.is_empty() {
            continue;
        }
        asked += 1;
        if asked > MAX_RANGES {
            return None;
        }
        ranges.extend(Spec::read(spec)?.within(length));
    }
    match (asked, ranges.len()) {
        (0, _) => None,
        (_, 0) => Some(Selection::Unsatisfiable),
        // A suffix of nothing is satisfiable, but no Content-Range can name a part of nothing.
        _ if length == 0 => None,
        (_, 1) => ranges.pop().map(Selection::One),
        _ => Some(Selection::Many(ranges)),
    }
}

/// `range-spec = int-range / suffix-range`
enum Spec {
    /// `first-pos "-" [ last-pos ]`
    Int { first: u64, last: u64 },
    /// `"-" suffix-length`
    Suffix { length: u64 },
}

impl Spec {
    fn read(spec: &str) -> Option<Self> {
        match spec.split_once('-')? {
            ("", length) => Some(Self::Suffix {
                length: position(length)?,
            }),
            (first, "") => Some(Self::Int {
                first: position(first)?,
                last: u64::MAX,
            }),
            (first, last) => {
                // "An int-range is invalid if the last-pos value is present and less than
                // first-pos."
                if digits(last) < digits(first) {
                    return None;
                }
                Some(Self::Int {
                    first: position(first)?,
                    last: position(last)?,
                })
            }
        }
    }

    /// The bytes it stands for, if it is satisfiable.
    fn within(&self, length: u64) -> Option<Range<u64>> {
        match *self {
            Self::Int { first, last } => {
                // §14.1.2: "If the last-pos value is absent, or if the value is greater than or
                // equal to the current length of the representation data, the byte range is
                // interpreted as the remainder of the representation".
                (first < length).then(|| first..last.min(length - 1) + 1)
            }
            // "If the selected representation is shorter than the specified suffix-length, the
            // entire representation is used."
            Self::Suffix { length: suffix } => {
                (suffix > 0).then(|| length.saturating_sub(suffix)..length)
            }
        }
    }
}

/// `1*DIGIT`. A number too large to hold is behind the end of everything, as the largest is.
///
/// §14.1.2: "recipients MUST anticipate potentially large decimal numerals and prevent parsing
/// errors due to integer conversion overflows."
fn position(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Orders numbers of any size by their digits.
fn digits(text: &str) -> (usize, &str) {
    let digits = text.trim_start_matches('0');
    (digits.len(), digits)
}
