//! `Retry-After`, RFC 9110 §10.2.3: how long a server asks to be left alone.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use http::HeaderValue;
//! use tower_gateway::semantics::retry_after;
//!
//! // 1994-11-06 08:49:30 GMT.
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
//! let parse = |value| retry_after::parse(&HeaderValue::from_static(value), now);
//!
//! assert_eq!(parse("120"), Some(Duration::from_secs(120)));
//! assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
//! // A date that is over asks for nothing.
//! assert_eq!(parse("Sat, 05 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
//! assert_eq!(parse("soon"), None);
//! ```

use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// How long to wait, seen from `now`; `None` if the value is neither form.
///
/// A number too large for 64 bits is the longest time there is: what asks for more than anybody
/// waits must not be read as nothing.
#[must_use]
pub fn parse(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    // "Retry-After = HTTP-date / delay-seconds", "delay-seconds = 1*DIGIT"
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = parse_date(text)?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

fn parse_date(text: &str) -> Option<SystemTime> {
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date);
    }
    // §5.6.7: "00:00:00 - 23:59:60 (leap second)". The clock of Unix does not know it.
    let before = text.replacen("23:59:60", "23:59:59", 1);
    let date = httpdate::parse_http_date(&before).ok()?;
    date.checked_add(Duration::from_secs(1))
}
