//! RFC 9110 §10.2.3, Retry-After.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use proptest::prelude::*;
use tower_gateway::semantics::retry_after;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: u64 = 784_111_777;

fn parse(value: &[u8]) -> Option<Duration> {
    let value = HeaderValue::from_bytes(value).unwrap();
    retry_after::parse(&value, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
}

/// "The Retry-After field value can be either an HTTP-date or a number of seconds to delay after
/// receiving the response."
#[test]
fn both_forms_are_understood() {
    for (value, seconds) in [
        ("0", 0),
        ("1", 1),
        ("120", 120),
        ("0007", 7),
        (" 3\t", 3),
        ("18446744073709551615", u64::MAX),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3),
        ("Sun Nov  6 08:49:40 1994", 3),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sun, 06 Nov 1994 23:59:60 GMT", 54_623),
    ] {
        assert_eq!(
            parse(value.as_bytes()),
            Some(Duration::from_secs(seconds)),
            "{value:?}"
        );
    }
}

#[test]
fn a_number_beyond_all_bounds_is_a_long_time() {
    assert_eq!(parse(b"18446744073709551616"), Some(Duration::MAX));
    assert_eq!(parse("9".repeat(4000).as_bytes()), Some(Duration::MAX));
}

/// "A delay-seconds value is a non-negative decimal integer, representing time in seconds."
#[test]
fn what_is_neither_form_is_nothing() {
    for value in [
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1s",
        "0x10",
        "1 2",
        "1,2",
        "soon",
        "GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 23:59:61 GMT",
    ] {
        assert_eq!(parse(value.as_bytes()), None, "{value:?}");
    }
    assert_eq!(parse(b"\xff"), None);
    assert_eq!(parse("１".as_bytes()), None);
}

proptest! {
    #[test]
    fn nothing_panics(value in prop::collection::vec(prop_oneof![9u8..10, 32u8..127, 128u8..=255], 0..40)) {
        parse(&value);
    }

    #[test]
    fn every_number_of_seconds_is_read(seconds: u64) {
        prop_assert_eq!(parse(seconds.to_string().as_bytes()), Some(Duration::from_secs(seconds)));
    }
}
