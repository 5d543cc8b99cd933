//! RFC 9110 §14: parts of a file, and §13.1.5: of which state of it.

use std::ops::Range;

use super::{
    probe::{Expected, Probe, Request, ask, get, probe, status},
    site::{TEN, big},
};

pub fn ten(ranges: &str) -> Request {
    get("/ten.txt").with("Range", ranges)
}

pub fn whole() -> Expected {
    status([200]).body(TEN)
}

pub fn part(range: Range<usize>) -> Expected {
    let last = range.end - 1;
    status([206])
        .has("content-range", format!("bytes {}-{last}/10", range.start))
        .has("content-length", range.len().to_string())
        .body(&TEN[range])
}

pub fn unsatisfiable() -> Expected {
    status([416]).has("content-range", "bytes */10")
}

/// "MAY ignore or reject a Range header field that contains an invalid ranges-specifier".
fn ignored_or_rejected() -> Expected {
    whole().or(status([400])).or(unsatisfiable())
}

pub fn probes() -> Vec<Probe> {
    let mut probes = single();
    probes.extend(invalid());
    probes.extend(other_methods_and_files());
    probes
}

fn single() -> Vec<Probe> {
    // Where the whole is the part, the server "MAY ignore" the field as well.
    let all = || part(0..10).or(whole());
    let lines: Vec<(&'static str, &str, &str, Expected)> = vec![
        ("RFC 9110 §14.1.2", "the beginning", "bytes=0-4", part(0..5)),
        ("RFC 9110 §14.1.2", "the middle", "bytes=3-6", part(3..7)),
        ("RFC 9110 §14.1.2", "the rest", "bytes=5-", part(5..10)),
        ("RFC 9110 §14.1.2", "the end", "bytes=-3", part(7..10)),
        (
            "RFC 9110 §14.1.2",
            "the first byte",
            "bytes=0-0",
            part(0..1),
        ),
        ("RFC 9110 §14.1.2", "the last byte", "bytes=-1", part(9..10)),
        (
            "RFC 9110 §14.1.2",
            "the last byte by number",
            "bytes=9-9",
            part(9..10),
        ),
        ("RFC 9110 §14.1.2", "all of it", "bytes=0-", all()),
        (
            "RFC 9110 §14.1.2",
            "all of it by number",
            "bytes=0-9",
            all(),
        ),
        (
            "RFC 9110 §14.1.2",
            "all of it from the end",
            "bytes=-10",
            all(),
        ),
        // "If the selected representation is shorter than the specified suffix-length, the entire
        // representation is used."
        (
            "RFC 9110 §14.1.2",
            "more than all of it from the end",
            "bytes=-11",
            all(),
        ),
        ("RFC 9110 §14.1.2", "much more", "bytes=-99999", all()),
        (
            "RFC 9110 §14.1.2",
            "beyond the end",
            "bytes=4-10",
            part(4..10),
        ),
        (
            "RFC 9110 §14.1.2",
            "far beyond the end",
            "bytes=4-99999",
            part(4..10),
        ),
        (
            "RFC 9110 §15.5.17",
            "behind the end",
            "bytes=10-",
            unsatisfiable(),
        ),
        (
            "RFC 9110 §15.5.17",
            "behind the end by number",
            "bytes=10-10",
            unsatisfiable(),
        ),
        (
            "RFC 9110 §15.5.17",
            "far behind",
            "bytes=99999-100000",
            unsatisfiable(),
        ),
        // "recipients MUST anticipate potentially large decimal numerals and prevent parsing
        // errors due to integer conversion overflows."
        (
            "RFC 9110 §14.1.2",
            "2^64 - 1",
            "bytes=4-18446744073709551615",
            part(4..10),
        ),
        (
            "RFC 9110 §14.1.2",
            "2^64",
            "bytes=4-18446744073709551616",
            part(4..10),
        ),
        (
            "RFC 9110 §14.1.2",
            "2^63 from the end",
            "bytes=-9223372036854775808",
            all(),
        ),
        (
            "RFC 9110 §14.1.2",
            "10^29 from the end",
            "bytes=-99999999999999999999999999999",
            all(),
        ),
        (
            "RFC 9110 §14.1.2",
            "from 2^64 - 1",
            "bytes=18446744073709551615-",
            unsatisfiable(),
        ),
        (
            "RFC 9110 §14.1.2",
            "from 10^29",
            "bytes=99999999999999999999999999999-",
            unsatisfiable(),
        ),
        (
            "RFC 9110 §14.1.2",
            "zeros before a number",
            "bytes=0003-0000000000000000000006",
            part(3..7),
        ),
        // "All range unit names are case-insensitive".
        (
            "RFC 9110 §14.1",
            "a unit in capitals",
            "BYTES=0-4",
            part(0..5),
        ),
        // "MUST parse and ignore a reasonable number of empty list elements".
        (
            "RFC 9110 §5.6.1.2",
            "an empty member behind",
            "bytes=0-4,",
            part(0..5),
        ),
        (
            "RFC 9110 §5.6.1.2",
            "an empty member before",
            "bytes=,0-4",
            part(0..5),
        ),
        (
            "RFC 9110 §5.6.1.2",
            "empty members and spaces",
            "bytes=, 0-4 , ,",
            part(0..5),
        ),
        (
            "RFC 9110 §14.1.2",
            "of two, one satisfiable",
            "bytes=0-4,20-30",
            part(0..5).or(whole()),
        ),
    ];
    lines
        .into_iter()
        .map(|(rule, name, ranges, right)| probe(rule, name, ten(ranges), right))
        .chain([
            // Satisfiable is what has "a non-zero suffix-length".
            probe(
                "RFC 9110 §14.1.2",
                "nothing from the end",
                ten("bytes=-0"),
                unsatisfiable().or(whole()),
            )
            .ours(unsatisfiable()),
        ])
        .collect()
}

fn invalid() -> Vec<Probe> {
    let mut probes = Vec::new();
    // "An origin server MUST ignore a Range header field that contains a range unit it does not
    // understand."
    for unknown in [
        "lines=0-4",
        "seconds=1-2",
        "items=-1",
        "byte=0-4",
        "none=0-4",
    ] {
        let name = format!("{unknown:?}: another unit");
        probes.push(probe("RFC 9110 §14.2", name, ten(unknown), whole()));
    }
    for invalid in [
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=4-2",
        "bytes=a-b",
        "bytes=0-b",
        "bytes=0--4",
        "bytes=--4",
        "bytes=+0-4",
        "bytes=0x0-0x4",
        "bytes=0.0-4.0",
        "bytes=4",
        "bytes=0-4;1-2",
        "bytes=0-4 5-6",
        "bytes=0 - 4",
        "bytes=0-4, x",
        "bytes=0-4,6-5",
        "bytes=18446744073709551616-18446744073709551615",
        "bytes 0-4",
        "bytes: 0-4",
        "0-4",
        "=0-4",
        "bytes==0-4",
        "\"bytes\"=0-4",
    ] {
        let name = format!("{invalid:?} is no range");
        let line = probe("RFC 9110 §14.2", name, ten(invalid), ignored_or_rejected());
        probes.push(line.ours(whole()));
    }
    let two_lines = ten("bytes=0-0").with("Range", "bytes=1-1");
    probes.push(
        probe(
            "RFC 9110 §5.3",
            "two lines of what is no list",
            two_lines,
            ignored_or_rejected(),
        )
        .ours(whole()),
    );
    probes
}

fn other_methods_and_files() -> Vec<Probe> {
    let empty = |ranges| get("/empty.txt").with("Range", ranges);
    let nothing = || {
        status([200])
            .body("")
            .or(status([416]).has("content-range", "bytes */0"))
    };
    let big_part = big()[200_000..].to_vec();
    vec![
        // "A server MUST ignore a Range header field received with a request method that is
        // unrecognized or for which range handling is not defined. For this specification, GET is
        // the only method for which range handling is defined."
        probe(
            "RFC 9110 §14.2",
            "HEAD",
            ask("HEAD", "/ten.txt").with("Range", "bytes=0-4"),
            status([200]).has("content-length", "10"),
        ),
        probe(
            "RFC 9110 §14.2",
            "HEAD behind the end",
            ask("HEAD", "/ten.txt").with("Range", "bytes=10-"),
            status([200]).has("content-length", "10"),
        ),
        probe(
            "RFC 9110 §14.2",
            "POST",
            ask("POST", "/ten.txt").with("Range", "bytes=0-4"),
            status([405]),
        ),
        probe(
            "RFC 9110 §14.2",
            "a miss",
            get("/nothing").with("Range", "bytes=0-4"),
            status([404]),
        ),
        probe(
            "RFC 9110 §14.2",
            "an index file",
            get("/").with("Range", "bytes=1-2"),
            status([206]).body("om").has("content-range", "bytes 1-2/4"),
        ),
        probe(
            "RFC 9110 §14.1.2",
            "of nothing, all",
            empty("bytes=0-"),
            nothing(),
        ),
        probe(
            "RFC 9110 §14.1.2",
            "of nothing, the first byte",
            empty("bytes=0-0"),
            nothing(),
        ),
        probe(
            "RFC 9110 §14.1.2",
            "of nothing, the last byte",
            empty("bytes=-1"),
            nothing(),
        ),
        probe(
            "RFC 9110 §14.1.2",
            "of nothing, nothing",
            empty("bytes=-0"),
            nothing(),
        ),
        probe(
            "RFC 9110 §15.3.7.1",
            "a third of a large file",
            get("/big.bin").with("Range", "bytes=200000-"),
            status([206])
                .body(big_part)
                .has("content-range", "bytes 200000-299999/300000"),
        ),
        // "MUST generate [...] Date, Cache-Control, ETag, Expires, Content-Location, and Vary".
        probe(
            "RFC 9110 §15.3.7",
            "a part names its whole",
            ten("bytes=0-4"),
            part(0..5).has_any("etag"),
        ),
        // "MUST generate all of the representation header fields that would have been sent in a
        // 200 (OK) response to the same request", without If-Range.
        probe("RFC 9110 §15.3.7", "and its type", ten("bytes=0-4"), {
            part(0..5).begins("content-type", "text/plain")
        }),
        probe(
            "RFC 9110 §15.5.17",
            "416 is not the file",
            ten("bytes=10-"),
            unsatisfiable().lacks("content-encoding"),
        ),
    ]
}
