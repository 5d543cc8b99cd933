//! Names, sizes, and times as text.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// All but RFC 3986's `unreserved`: whatever the name is, it stays one segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn percent_encoded(name: &[u8]) -> impl fmt::Display {
    percent_encode(name, SEGMENT)
}

/// Text between tags, or between the double quotes of an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        let mut rest = self.0;
        while let Some(at) = rest.find(needs_escape) {
            f.write_str(&rest[..at])?;
            let mut chars = rest[at..].chars();
            match chars.next() {
                Some('&') => f.write_str("&amp;")?,
                Some('<') => f.write_str("&lt;")?,
                Some('>') => f.write_str("&gt;")?,
                Some('"') => f.write_str("&quot;")?,
                Some('\'') => f.write_str("&#39;")?,
                Some(control) => f.write_char(picture(control))?,
                None => {}
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

fn needs_escape(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"' | '\'') || c.is_control() || is_noncharacter(c)
}

/// HTML §13.2.3.5 calls them errors of a document, as it does control characters.
fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE
}

/// What stands for a character that HTML cannot have, or that nobody would see.
fn picture(c: char) -> char {
    match u32::from(c) {
        control @ 0..0x20 => char::from_u32(0x2400 + control),
        0x7F => Some('\u{2421}'),
        _ => None,
    }
    .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A length in the unit in which it is short.
pub(super) fn human(length: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    if length < 1024 {
        return format!("{length} B");
    }
    // Tenths, rounded up: no file looks smaller than it is.
    let mut tenths = u128::from(length) * 10;
    let mut unit = "B";
    for larger in UNITS {
        tenths = tenths.div_ceil(1024);
        unit = larger;
        if tenths < 10_240 {
            break;
        }
    }
    match tenths {
        0..1000 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths.div_ceil(10)),
    }
}

/// A number with a comma between each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utc {
    year: i64,
    month: i64,
    day: i64,
    second: i64,
}

impl Utc {
    /// `None` of a year that does not have four digits: no standard writes it.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        const DAY: i64 = 24 * 60 * 60;

        let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).ok()?,
            Err(before) => {
                let before = before.duration();
                let part = i64::from(before > Duration::from_secs(before.as_secs()));
                -i64::try_from(before.as_secs()).ok()? - part
            }
        };
        // Days since 1 March of the year 0, in cycles of 400 years: then the leap day is the last of
        // its year, and a month begins each 153/5 days (H. Hinnant, "chrono-Compatible Low-Level
        // Date Algorithms").
        let days = seconds.div_euclid(DAY) + 719_468;
        let cycle = days.div_euclid(146_097);
        let day_of_cycle = days.rem_euclid(146_097);
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = month_from_march + if month_from_march < 10 { 3 } else { -9 };
        let year = 400 * cycle + year_of_cycle + i64::from(month <= 2);
        (0..10_000).contains(&year).then_some(Self {
            year,
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second: seconds.rem_euclid(DAY),
        })
    }

    /// As a reader wants it, to the minute.
    pub(super) fn short(self) -> String {
        let minute = self.second / 60;
        format!("{} {:02}:{:02}", self.date(), minute / 60, minute % 60)
    }

    /// As RFC 3339 has it.
    pub(super) fn rfc3339(self) -> String {
        let (minute, second) = (self.second / 60, self.second % 60);
        format!(
            "{}T{:02}:{:02}:{second:02}Z",
            self.date(),
            minute / 60,
            minute % 60
        )
    }

    fn date(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}
