//! Byte ranges: RFC 9110 §14, and how several of them are sent: §15.3.7.2.
//!
//! ```
//! use tower_gateway::semantics::range::{Selection, select};
//!
//! assert_eq!(select("bytes=0-4", 9_000), Selection::One(0..5));
//! assert_eq!(select("bytes=-9999", 9_000), Selection::One(0..9_000));
//! assert_eq!(select("bytes=9000-", 9_000), Selection::Unsatisfiable);
//! assert_eq!(select("lines=0-4", 9_000), Selection::Whole);
//!
//! // Several stay in order, as far as they are worth a part of their own.
//! assert_eq!(select("bytes=-2, 0-1", 9_000), Selection::Many(vec![8_998..9_000, 0..2]));
//! assert_eq!(select("bytes=0-4, 2-6, 10-19", 9_000), Selection::One(0..20));
//! assert_eq!(select("bytes=0-, 0-, 0-", 9_000), Selection::Whole);
//! ```

use std::ops::Range;

/// More ranges than this in one request are no download in pieces but an attack; the whole is
/// sent. As Apache's `MaxRanges`.
pub const MAX_RANGES: usize = 200;

/// More ranges than this that begin inside another one, and the whole is sent. As many as
/// Apache's `MaxRangeOverlaps`.
pub const MAX_OVERLAPS: usize = 20;

/// More ranges than this that begin before the one that was named before them, and the whole is
/// sent. As many as Apache's `MaxRangeReversals`.
pub const MAX_REVERSALS: usize = 20;

/// What a part of a `multipart/byteranges` costs in bytes, besides its own.
///
/// RFC 9110 §15.3.7.2: "the typical overhead between each part of a multipart/byteranges is around
/// 80 bytes, depending on the selected representation's media type and the chosen boundary
/// parameter length". With a boundary of 32 characters, `text/html; charset=utf-8`, and the
/// positions of a file of some megabytes it is this.
pub const PART_OVERHEAD: u64 = 128;

/// What of a representation a `Range` field asks for. Ends are exclusive, no range is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// All of it: 200. The field is to be ignored.
    Whole,
    /// One part: 206.
    One(Range<u64>),
    /// Several parts, at most [`MAX_RANGES`]: 206, with a `multipart/byteranges`. They are
    /// [`PART_OVERHEAD`] or more apart, and with it for each they are shorter than the whole.
    Many(Vec<Range<u64>>),
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// What a `Range` field selects from `length` bytes.
///
/// A field in another unit, and one that breaks the grammar, is ignored. Ranges that lie behind
/// the end are left out.
///
/// Of several ranges, those that overlap, touch, or have less than [`PART_OVERHEAD`] bytes between
/// them become one, which stands where the first of them was named; the others stay in the order
/// in which they were named. If that sends no less than the whole, it is the whole that is sent;
/// also if there are more ranges than [`MAX_RANGES`], [`MAX_OVERLAPS`] or [`MAX_REVERSALS`] allow.
#[must_use]
pub fn select(field: &str, length: u64) -> Selection {
    // RFC 9110 §14.2: "A server that supports range requests MAY ignore or reject a Range header
    // field that contains an invalid ranges-specifier".
    let Some(mut ranges) = read(field, length) else {
        return Selection::Whole;
    };
    match ranges.len() {
        0 => Selection::Unsatisfiable,
        // A suffix of nothing is satisfiable, but no Content-Range can name a part of nothing.
        _ if length == 0 => Selection::Whole,
        1 => Selection::One(ranges.remove(0)),
        _ => plan(&ranges, length),
    }
}

/// `ranges-specifier = range-unit "=" range-set`: the ranges that are satisfiable.
fn read(field: &str, length: u64) -> Option<Vec<Range<u64>>> {
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
    (asked > 0).then_some(ranges)
}

/// How several satisfiable ranges are sent.
fn plan(asked: &[Range<u64>], length: u64) -> Selection {
    // §14.2: a server "MAY ignore or reject a Range header field that contains [...] a
    // ranges-specifier with more than two overlapping ranges, or a set of many small ranges that
    // are not listed in ascending order, since these are indications of either a broken client or
    // a deliberate denial-of-service attack".
    let reversals = asked
        .windows(2)
        .filter(|pair| pair[1].start < pair[0].start);
    if reversals.count() > MAX_REVERSALS {
        return Selection::Whole;
    }
    let Some(mut parts) = merge(asked) else {
        return Selection::Whole;
    };
    let bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
    let overhead = match parts.len() {
        1 => 0,
        count => count as u64 * PART_OVERHEAD,
    };
    // §15.3.7.2: "it can be less efficient to transfer many small disjoint parts than it is to
    // transfer the entire selected representation."
    if bytes.saturating_add(overhead) >= length {
        return Selection::Whole;
    }
    match parts.len() {
        1 => Selection::One(parts.remove(0)),
        _ => Selection::Many(parts),
    }
}

/// Makes one range of those that are not worth a part each; `None` if too many overlap.
fn merge(asked: &[Range<u64>]) -> Option<Vec<Range<u64>>> {
    let mut by_start: Vec<(usize, Range<u64>)> = asked.iter().cloned().enumerate().collect();
    by_start.sort_by_key(|(_, range)| range.start);

    let mut overlaps = 0;
    let mut parts: Vec<(usize, Range<u64>)> = Vec::new();
    for (place, range) in by_start {
        match parts.last_mut() {
            // §15.3.7.2: "When multiple ranges are requested, a server MAY coalesce any of the
            // ranges that overlap, or that are separated by a gap that is smaller than the
            // overhead of sending multiple parts, regardless of the order in which the
            // corresponding range-spec appeared in the received Range header field."
            Some((first, part)) if range.start < part.end.saturating_add(PART_OVERHEAD) => {
                overlaps += usize::from(range.start < part.end);
                if overlaps > MAX_OVERLAPS {
                    return None;
                }
                *first = place.min(*first);
                part.end = range.end.max(part.end);
            }
            _ => parts.push((place, range)),
        }
    }
    // "A server that generates a multipart response SHOULD send the parts in the same order that
    // the corresponding range-spec appeared in the received Range header field, excluding those
    // ranges that were deemed unsatisfiable or that were coalesced into other ranges."
    parts.sort_by_key(|(place, _)| *place);
    Some(parts.into_iter().map(|(_, part)| part).collect())
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
