//! RFC 9110 §12.5.3 and §8.4: which coding of a file, and what it says of it.

use super::{
    probe::{Expected, Probe, Request, ask, get, probe, status},
    site::coded,
};
use crate::support::raw::Answer;

const ALL: &[&str] = &["br", "zstd", "gzip", ""];

/// `Accept-Encoding`, the codings that it lets anybody send (of this file), and which of them is
/// wanted most.
const ACCEPTED: &[(&str, &[&str], &[&str])] = &[
    ("br", &["br", ""], &["br"]),
    ("zstd", &["zstd", ""], &["zstd"]),
    ("gzip", &["gzip", ""], &["gzip"]),
    // "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"."
    ("x-gzip", &["gzip", "x-gzip", ""], &["gzip", ""]),
    // "All content codings are case-insensitive".
    ("GZIP", &["gzip", ""], &["gzip"]),
    ("gzip, br", &["gzip", "br", ""], &["gzip", "br"]),
    ("gzip, deflate, br, zstd", ALL, &["gzip", "br", "zstd"]),
    ("gzip;q=1, br;q=0.5", &["gzip", "br", ""], &["gzip"]),
    ("gzip;q=0.5, br;q=0.501", &["gzip", "br", ""], &["br"]),
    ("br;q=0.1, zstd;q=0.2, gzip;q=0.3", ALL, &["gzip"]),
    ("gzip ; q=0.5 ,br\t;\tq=1", &["gzip", "br", ""], &["br"]),
    ("gzip;Q=0.5, br;Q=1.000", &["gzip", "br", ""], &["br"]),
    (", ,gzip,, ", &["gzip", ""], &["gzip"]),
    ("gzip;q=0.001", &["gzip", ""], &["gzip", ""]),
    // "a quality value of 0 means "not acceptable"".
    ("gzip;q=0", &[""], &[""]),
    ("gzip;q=0.000", &[""], &[""]),
    ("br;q=0, gzip", &["gzip", ""], &["gzip"]),
    ("br;q=0, *", &["zstd", "gzip", ""], &["zstd", "gzip"]),
    ("*;q=0, gzip", &["gzip"], &["gzip"]),
    ("*", ALL, &["br", "zstd", "gzip", ""]),
    ("identity", &[""], &[""]),
    // "If no Accept-Encoding header field is in the request, any content coding is considered
    // acceptable"; an empty one: "the user agent does not want any content coding".
    ("", &[""], &[""]),
    ("deflate", &[""], &[""]),
    ("compress, sdch", &[""], &[""]),
    ("identity;q=0, gzip", &["gzip"], &["gzip"]),
    (
        "identity;q=0, br;q=0.1, gzip;q=0.2",
        &["br", "gzip"],
        &["gzip"],
    ),
    ("gzip;q=0.5, identity;q=0.9", &["gzip", ""], &[""]),
    ("*;q=0.1, identity;q=0.5", ALL, &[""]),
];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<_> = ACCEPTED
        .iter()
        .map(|(accepted, right, wanted)| {
            let request = css().with("Accept-Encoding", accepted);
            let name = format!("Accept-Encoding: {accepted}");
            probe("RFC 9110 §12.5.3", name, request, any_of(right)).ours(any_of(wanted))
        })
        .collect();
    probes.extend(preferences());
    probes.extend(conditions());
    probes.extend(siblings());
    probes
}

fn css() -> Request {
    get("/coded.css")
}

/// One of these codings, of which "" is none, with all that a negotiated answer says.
fn any_of(codings: &[&str]) -> Expected {
    let mut codings = codings.iter().map(|coding| in_coding(200, coding));
    let first = codings.next().unwrap();
    codings.fold(first, Expected::or)
}

fn in_coding(code: u16, coding: &str) -> Expected {
    let answer = status([code])
        .begins("content-type", "text/css")
        .lists("vary", &["accept-encoding"])
        .has_any("etag");
    match coding {
        "" => answer.lacks("content-encoding").body(coded("")),
        _ => answer
            .has("content-encoding", coding)
            .body(coded(extension(coding))),
    }
}

fn extension(coding: &str) -> &'static str {
    match coding {
        "br" => ".br",
        "zstd" => ".zst",
        _ => ".gz",
    }
}

fn preferences() -> Vec<Probe> {
    let two_lines = css()
        .with("Accept-Encoding", "br;q=0")
        .with("Accept-Encoding", "gzip");
    let unacceptable = |value| css().with("Accept-Encoding", value);
    // "can either honor the header field by sending a 406 (Not Acceptable) response or disregard
    // the header field by treating the resource as if it is not subject to content negotiation".
    let none = || {
        status([406])
            .lists("vary", &["accept-encoding"])
            .or(in_coding(200, ""))
    };
    vec![
        probe("RFC 9110 §12.5.3", "no Accept-Encoding", css(), any_of(ALL)).ours(any_of(&[""])),
        probe(
            "RFC 9110 §5.3",
            "two lines",
            two_lines,
            any_of(&["gzip", ""]),
        )
        .ours(any_of(&["gzip"])),
        probe(
            "RFC 9110 §12.4.1",
            "nothing is acceptable",
            unacceptable("*;q=0"),
            none(),
        ),
        probe(
            "RFC 9110 §12.4.1",
            "only what there is not",
            unacceptable("identity;q=0, deflate"),
            none(),
        ),
        // Not of the grammar: nobody says what it means, and nobody fails.
        probe(
            "RFC 9110 §12.4.2",
            "a weight above 1",
            unacceptable("gzip;q=1.5"),
            any_of(&["gzip", ""]),
        ),
        probe(
            "RFC 9110 §12.4.2",
            "a weight that is none",
            unacceptable("gzip;q=high"),
            any_of(&["gzip", ""]),
        ),
        probe(
            "RFC 9110 §12.5.3",
            "no list",
            unacceptable(";;;=,\"gzip"),
            any_of(&[""]),
        ),
        probe(
            "RFC 9110 §9.3.2",
            "HEAD",
            ask("HEAD", "/coded.css").with("Accept-Encoding", "gzip"),
            status([200])
                .has("content-encoding", "gzip")
                .has("content-length", coded(".gz").len().to_string())
                .lists("vary", &["accept-encoding"]),
        ),
    ]
}

fn conditions() -> Vec<Probe> {
    let gzip = |name, value| css().with("Accept-Encoding", "gzip").with(name, value);
    let length = coded(".gz").len();
    // Others may ignore Range.
    let part = || {
        status([206])
            .has("content-encoding", "gzip")
            .has("content-range", format!("bytes 7-9/{length}"))
            .has_any("etag")
            .body(&coded(".gz")[7..10])
    };
    let behind = || status([416]).has("content-range", format!("bytes */{length}"));
    vec![
        // "MUST generate [...] ETag, and Vary".
        probe(
            "RFC 9110 §15.4.5",
            "304 of a coding",
            gzip("If-None-Match", "{etag}"),
            status([304])
                .lists("vary", &["accept-encoding"])
                .has_any("etag")
                .lacks("content-encoding"),
        ),
        probe(
            "RFC 9110 §15.4.5",
            "304 of none",
            css().with("If-None-Match", "{etag}"),
            status([304])
                .lists("vary", &["accept-encoding"])
                .has_any("etag"),
        ),
        probe(
            "RFC 9110 §13.1.1",
            "412 of a coding",
            gzip("If-Match", "\"other\""),
            status([412]),
        ),
        // A range counts the bytes of the coded representation.
        probe(
            "RFC 9110 §14.1.2",
            "a part of a coding",
            gzip("Range", "bytes=7-9"),
            part().or(in_coding(200, "gzip")),
        )
        .ours(part().lists("vary", &["accept-encoding"])),
        probe(
            "RFC 9110 §13.1.5",
            "if it is that coding",
            gzip("Range", "bytes=7-9").with("If-Range", "{etag}"),
            part().or(in_coding(200, "gzip")),
        )
        .ours(part()),
        probe(
            "RFC 9110 §13.1.5",
            "and if it is not",
            gzip("Range", "bytes=7-9").with("If-Range", "\"other\""),
            in_coding(200, "gzip"),
        ),
        probe(
            "RFC 9110 §15.5.17",
            "behind the end of a coding",
            gzip("Range", "bytes=9999-"),
            behind().or(in_coding(200, "gzip")),
        )
        .ours(behind().lacks("content-encoding")),
    ]
}

fn siblings() -> Vec<Probe> {
    let every = |target| get(target).with("Accept-Encoding", "br, zstd, gzip");
    let one_or_other = |answer: &Answer| match answer.header("content-encoding") {
        Some(coding) if answer.text() == coded(extension(coding)) => Ok(()),
        None if answer.text() == coded("") => Ok(()),
        coding => Err(format!("coding {coding:?} of {:?}", answer.text())),
    };
    let original = || status([200]).lacks("content-encoding").body(coded(""));
    vec![
        probe(
            "RFC 9110 §12.5.3",
            "only gzip is there",
            every("/only-gz.css"),
            status([200]).holds(one_or_other),
        )
        .ours(
            status([200])
                .has("content-encoding", "gzip")
                .body(coded(".gz")),
        ),
        probe(
            "RFC 9110 §12.5.5",
            "it varies where br is wanted",
            get("/only-gz.css").with("Accept-Encoding", "br"),
            original().lists("vary", &["accept-encoding"]),
        ),
        // No rule of the RFC's: the coded file is of an original that is gone.
        probe("RFC 9110 §8.4", "older siblings", every("/stale.css"), {
            status([200]).holds(one_or_other)
        })
        .ours(original()),
        probe(
            "RFC 9110 §8.4",
            "a sibling of nothing",
            every("/orphan.css"),
            status([200, 404]),
        )
        .ours(status([404])),
        // Asked for by its name, it is a file like any other.
        probe(
            "RFC 9110 §8.3",
            "the sibling itself",
            get("/coded.css.gz"),
            status([200]).body(coded(".gz")),
        )
        .ours(
            status([200])
                .lacks("content-encoding")
                .has("content-type", "application/gzip")
                .body(coded(".gz")),
        ),
        probe(
            "RFC 9110 §8.4",
            "a file without siblings",
            every("/ten.txt"),
            status([200])
                .lacks("content-encoding")
                .body(super::site::TEN),
        ),
    ]
}
