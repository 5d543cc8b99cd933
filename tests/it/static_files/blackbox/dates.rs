//! RFC 9110 §5.6.7, §13.1.3, and §13.1.4: dates as preconditions.

use super::{
    always::in_seconds,
    conditionals::{IMS, IUS, failed, not_modified, ten, whole},
    probe::{Expected, Probe, probe, status},
    site::{EARLIER, LATER, MODIFIED, MODIFIED_ASCTIME, MODIFIED_RFC850},
};
use crate::support::awaited::Feature;

pub fn probes() -> Vec<Probe> {
    let future = in_seconds(90 * 86_400);
    // "interpret a timestamp that appears to be more than 50 years in the future as representing
    // the most recent year in the past that had the same last two digits".
    let lines: Vec<(&'static str, &str, &[(&str, &str)], Expected)> = vec![
        (
            "RFC 9110 §13.1.3",
            "modified since before",
            &[(IMS, EARLIER)],
            whole(),
        ),
        (
            "RFC 9110 §13.1.3",
            "not since that second",
            &[(IMS, MODIFIED)],
            not_modified(),
        ),
        (
            "RFC 9110 §13.1.3",
            "not since later",
            &[(IMS, LATER)],
            not_modified(),
        ),
        (
            "RFC 9110 §5.6.7",
            "a date of RFC 850",
            &[(IMS, MODIFIED_RFC850)],
            not_modified(),
        ),
        (
            "RFC 9110 §5.6.7",
            "a date of asctime",
            &[(IMS, MODIFIED_ASCTIME)],
            not_modified(),
        ),
        (
            "RFC 9110 §5.6.7",
            "1994 is not 2094",
            &[(IMS, "Sunday, 06-Nov-94 08:49:37 GMT")],
            whole(),
        ),
        // "00:00:00 - 23:59:60 (leap second)"
        (
            "RFC 9110 §5.6.7",
            "a leap second",
            &[(IMS, "Sat, 31 Dec 2022 23:59:60 GMT")],
            not_modified(),
        ),
        (
            "RFC 9110 §13.1.4",
            "unmodified since that second",
            &[(IUS, MODIFIED)],
            whole(),
        ),
        ("RFC 9110 §13.1.4", "since later", &[(IUS, LATER)], whole()),
        (
            "RFC 9110 §13.1.4",
            "not since before",
            &[(IUS, EARLIER)],
            failed(),
        ),
        (
            "RFC 9110 §5.6.7",
            "RFC 850 as well",
            &[(IUS, MODIFIED_RFC850)],
            whole(),
        ),
        (
            "RFC 9110 §5.6.7",
            "asctime as well",
            &[(IUS, MODIFIED_ASCTIME)],
            whole(),
        ),
    ];
    let mut probes: Vec<_> = lines
        .into_iter()
        .map(|(rule, name, fields, right)| probe(rule, name, ten(fields), right))
        .collect();
    let since_future = ten(&[(IMS, &future)]);
    probes.push(probe(
        "RFC 9110 §13.1.3",
        "nor since the future",
        since_future,
        not_modified(),
    ));
    probes.push(
        probe(
            "RFC 9110 §5.6.7",
            "two digits within 50 years from now are the future",
            ten(&[(IMS, &soon_rfc850())]),
            not_modified(),
        )
        .needs(Feature::OddDates),
    );
    // "MUST ignore the If-Modified-Since header field if the received field value is not a valid
    // HTTP-date, the field value has more than one member, or if the request method is neither
    // GET nor HEAD."
    for bad in [
        "yesterday",
        "",
        "0",
        "1614834367",
        "Thu, 04 Mar 2021 05:06:07",
        "Thu, 04 Mar 2021 05:06:07 +0000",
        "Thu, 32 Mar 2021 05:06:07 GMT",
        "Thu, 04 Foo 2021 05:06:07 GMT",
        "Thu, 04 Mar 2021 25:06:07 GMT",
        "Thu, 04 Mar 2021 05:06 GMT",
        "2021-03-04T05:06:07Z",
        "Thu, 04 Mar 2021 05:06:07 GMT, Thu, 04 Mar 2021 05:06:07 GMT",
    ] {
        let name = format!("{bad:?} is no date");
        probes.push(probe("RFC 9110 §13.1.3", name, ten(&[(IMS, bad)]), whole()));
        // The same sentence is in §13.1.4; a date in the past would give 412.
        let name = format!("{bad:?} is none either");
        let bad = bad.replace("2021", "2020");
        probes.push(probe(
            "RFC 9110 §13.1.4",
            name,
            ten(&[(IUS, &bad)]),
            whole(),
        ));
    }
    let twice = ten(&[(IMS, MODIFIED), (IMS, MODIFIED)]);
    probes.push(
        probe("RFC 9110 §13.1.3", "two dates are none", twice, {
            whole().or(status([400]))
        })
        .ours(whole()),
    );
    probes
}

/// A date of RFC 850 whose two digits say a year that is less than 50 years ahead, and more than 30.
fn soon_rfc850() -> String {
    let date = in_seconds(45 * 365 * 86_400);
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let (year, time) = (&date[14..16], &date[17..]);
    // No recipient needs the name of the day.
    format!("Sunday, {}-{}-{year} {time}", &date[5..7], &date[8..11])
}
