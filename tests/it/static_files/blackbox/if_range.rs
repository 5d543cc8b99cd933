//! RFC 9110 §13.1.5 and §13.2.2: of which state of a file the part is.

use super::{
    probe::{Expected, Probe, get, probe, status},
    ranges::{part, ten, unsatisfiable, whole},
    site::{EARLIER, LATER, MODIFIED, MODIFIED_ASCTIME, MODIFIED_RFC850},
};

pub fn probes() -> Vec<Probe> {
    let mut probes = if_range();
    probes.extend(with_conditions());
    probes
}

fn if_range() -> Vec<Probe> {
    let ask = |value: &str| ten("bytes=0-4").with("If-Range", value);
    let lines: Vec<(&str, &str, Expected)> = vec![
        ("the tag", "{etag}", part(0..5)),
        ("another tag", "\"other\"", whole()),
        // "using the strong comparison function"
        ("a weak tag", "W/{opaque}", whole()),
        ("another weak tag", "W/\"other\"", whole()),
        // "exactly matches the Last-Modified field value"
        ("the date", MODIFIED, part(0..5)),
        (
            "the date of RFC 850",
            MODIFIED_RFC850,
            part(0..5).or(whole()),
        ),
        (
            "the date of asctime",
            MODIFIED_ASCTIME,
            part(0..5).or(whole()),
        ),
        ("an earlier date", EARLIER, whole()),
        ("a later date", LATER, whole()),
        // What is neither names nothing.
        ("no date", "yesterday", whole()),
        ("nothing", "", whole()),
        ("a star", "*", whole()),
        ("a tag without quotes", "tag", whole()),
        ("a list of tags", "\"a\", {etag}", whole()),
        ("half a tag", "\"half", whole()),
        (
            "a date without its zone",
            "Thu, 04 Mar 2021 05:06:07",
            whole(),
        ),
    ];
    let mut probes: Vec<_> = lines
        .into_iter()
        .map(|(name, value, right)| {
            probe(
                "RFC 9110 §13.1.5",
                format!("If-Range: {name}"),
                ask(value),
                right,
            )
        })
        .collect();
    // "A server MUST ignore an If-Range header field received in a request that does not contain
    // a Range header field."
    let alone = get("/ten.txt").with("If-Range", "\"other\"");
    probes.push(probe("RFC 9110 §13.1.5", "If-Range alone", alone, whole()));
    let stale = ten("bytes=10-").with("If-Range", "\"other\"");
    probes.push(probe(
        "RFC 9110 §13.1.5",
        "If-Range goes before 416",
        stale,
        whole(),
    ));
    let fresh = ten("bytes=10-").with("If-Range", "{etag}");
    probes.push(probe(
        "RFC 9110 §13.1.5",
        "416 goes after If-Range",
        fresh,
        unsatisfiable(),
    ));
    let twice = ask("{etag}").with("If-Range", "\"other\"");
    probes.push(probe(
        "RFC 9110 §5.3",
        "two If-Ranges",
        twice,
        whole().or(status([400])),
    ));
    probes
}

/// §13.2.2: ranges come last.
fn with_conditions() -> Vec<Probe> {
    let not_modified = || status([304]);
    let failed = || status([412]);
    let lines: Vec<(&str, &str, &str, &str, Expected)> = vec![
        (
            "a 304",
            "bytes=0-4",
            "If-None-Match",
            "{etag}",
            not_modified(),
        ),
        (
            "a part of what is new",
            "bytes=0-4",
            "If-None-Match",
            "\"other\"",
            part(0..5),
        ),
        ("a 412", "bytes=0-4", "If-Match", "\"other\"", failed()),
        (
            "a part of what matches",
            "bytes=0-4",
            "If-Match",
            "{etag}",
            part(0..5),
        ),
        (
            "a 304 by date",
            "bytes=0-4",
            "If-Modified-Since",
            MODIFIED,
            not_modified(),
        ),
        (
            "a part by date",
            "bytes=0-4",
            "If-Modified-Since",
            EARLIER,
            part(0..5),
        ),
        (
            "a 412 by date",
            "bytes=0-4",
            "If-Unmodified-Since",
            EARLIER,
            failed(),
        ),
        (
            "a part, unmodified",
            "bytes=0-4",
            "If-Unmodified-Since",
            MODIFIED,
            part(0..5),
        ),
        (
            "304 before 416",
            "bytes=10-",
            "If-None-Match",
            "{etag}",
            not_modified(),
        ),
        (
            "412 before 416",
            "bytes=10-",
            "If-Match",
            "\"other\"",
            failed(),
        ),
        (
            "416 after a match",
            "bytes=10-",
            "If-Match",
            "{etag}",
            unsatisfiable(),
        ),
    ];
    lines
        .into_iter()
        .map(|(name, ranges, field, value, right)| {
            let request = ten(ranges).with(field, value);
            probe(
                "RFC 9110 §13.2.2",
                format!("Range and {field}: {name}"),
                request,
                right,
            )
        })
        .collect()
}
