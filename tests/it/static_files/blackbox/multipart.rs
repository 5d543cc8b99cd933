//! RFC 9110 §14.6 and §15.3.7.2: several parts in one answer.

// A list of parts may well have one.
#![allow(clippy::single_range_in_vec_init)]

use std::ops::Range;

use super::{
    always::is_multipart,
    probe::{Expected, Probe, get, probe, status},
    site::big,
};
use crate::support::raw::Answer;

const LENGTH: usize = 300_000;

pub fn probes() -> Vec<Probe> {
    // As far apart as that no server need coalesce them.
    let two = "bytes=0-99,200000-200099";
    let lines: Vec<(&'static str, &str, String, Expected)> = vec![
        ("RFC 9110 §15.3.7.2", "two parts", two.into(), {
            parts(|answer| are(answer, &[0..100, 200_000..200_100]))
        }),
        (
            "RFC 9110 §15.3.7.2",
            "the end as well",
            "bytes=0-0,-1".into(),
            parts(|answer| are(answer, &[0..1, LENGTH - 1..LENGTH])),
        ),
        // "the parts in the same order that the corresponding range-spec appeared".
        (
            "RFC 9110 §15.3.7.2",
            "in the order asked for",
            "bytes=200000-200099,0-99".into(),
            parts(|answer| are(answer, &[200_000..200_100, 0..100])).or(whole()),
        ),
        // "excluding those ranges that were deemed unsatisfiable".
        (
            "RFC 9110 §15.3.7.2",
            "without what is not there",
            format!("{two},400000-"),
            parts(|answer| are(answer, &[0..100, 200_000..200_100])),
        ),
        // "MUST NOT generate a multipart response to a request for a single range".
        (
            "RFC 9110 §15.3.7.2",
            "one of two is left",
            "bytes=0-99,400000-".into(),
            parts(|answer| are(answer, &[0..100])).or(whole()),
        ),
        (
            "RFC 9110 §15.5.17",
            "none of two is left",
            "bytes=400000-,500000-".into(),
            status([416]).has("content-range", "bytes */300000"),
        ),
        // "MAY coalesce any of the ranges that overlap".
        (
            "RFC 9110 §15.3.7.2",
            "two that overlap",
            "bytes=0-99,50-149".into(),
            parts(|answer| cover(answer, &[0..150])).or(whole()),
        ),
        (
            "RFC 9110 §15.3.7.2",
            "two that touch",
            "bytes=0-99,100-199".into(),
            parts(|answer| cover(answer, &[0..200])).or(whole()),
        ),
        // "or that are separated by a gap that is smaller than the overhead".
        (
            "RFC 9110 §15.3.7.2",
            "two with a gap of a byte",
            "bytes=0-99,101-199".into(),
            parts(|answer| cover(answer, &[0..100, 101..200])).or(whole()),
        ),
        (
            "RFC 9110 §15.3.7.2",
            "the same one twice",
            "bytes=0-99,0-99".into(),
            parts(|answer| cover(answer, &[0..100])).or(whole()),
        ),
        (
            "RFC 9110 §14.1.2",
            "with zeros, spaces, and large numbers",
            "bytes=00-099 ,\t299999-99999999999999999999999".into(),
            parts(|answer| are(answer, &[0..100, 299_999..300_000])),
        ),
        // "ought to ignore, coalesce, or reject egregious range requests, such as requests for
        // more than two overlapping ranges or for many small ranges in the set".
        (
            "RFC 9110 §17.15",
            "200 times all of it",
            format!("bytes={}", ["0-"; 200].join(",")),
            not_more_than_the_file(),
        ),
        (
            "RFC 9110 §17.15",
            "300 times a half",
            format!("bytes={}", ["0-150000"; 300].join(",")),
            not_more_than_the_file(),
        ),
        (
            "RFC 9110 §17.15",
            "201 single bytes, apart",
            apart(201, 1000),
            not_more_than_the_file(),
        ),
        (
            "RFC 9110 §17.15",
            "1000 single bytes, close",
            apart(1000, 2),
            not_more_than_the_file(),
        ),
        (
            "RFC 9110 §17.15",
            "100 that begin one later each",
            {
                let set: Vec<_> = (0..100).map(|n| format!("{n}-")).collect();
                format!("bytes={}", set.join(","))
            },
            not_more_than_the_file(),
        ),
        (
            "RFC 9110 §17.15",
            "100 from the end to the beginning",
            {
                let set: Vec<_> = (0..100)
                    .rev()
                    .map(|n| format!("{0}-{0}", n * 1000))
                    .collect();
                format!("bytes={}", set.join(","))
            },
            not_more_than_the_file(),
        ),
    ];
    let mut probes: Vec<_> = lines
        .into_iter()
        .map(|(rule, name, ranges, right)| {
            let request = get("/big.bin").with("Range", &ranges);
            probe(rule, name, request, right)
        })
        .collect();
    let head = get("/big.bin").with("Range", two);
    let head = super::probe::Request {
        method: "HEAD".to_owned(),
        ..head
    };
    probes.push(probe("RFC 9110 §14.2", "two parts of a HEAD", head, {
        status([200]).has("content-length", "300000")
    }));
    let with = |name, value| get("/big.bin").with("Range", two).with(name, value);
    probes.push(probe(
        "RFC 9110 §13.1.5",
        "two parts if it is the tag",
        with("If-Range", "{etag}"),
        parts(|answer| are(answer, &[0..100, 200_000..200_100])),
    ));
    probes.push(probe(
        "RFC 9110 §13.1.5",
        "the whole if it is not",
        with("If-Range", "\"other\""),
        whole(),
    ));
    probes.push(probe(
        "RFC 9110 §13.2.2",
        "304 before two parts",
        with("If-None-Match", "{etag}"),
        status([304]),
    ));
    probes
}

fn apart(count: usize, distance: usize) -> String {
    let set: Vec<_> = (0..count)
        .map(|n| format!("{0}-{0}", n * distance))
        .collect();
    format!("bytes={}", set.join(","))
}

fn whole() -> Expected {
    status([200]).body(big())
}

fn parts(check: fn(&Answer) -> Result<(), String>) -> Expected {
    status([206]).holds(check)
}

fn not_more_than_the_file() -> Expected {
    status([200, 206, 400, 416, 431]).holds(|answer| {
        if answer.status == 206 {
            read(answer)?;
        }
        match answer.body.len() <= LENGTH + 4096 {
            true => Ok(()),
            false => Err(format!("{} bytes were sent", answer.body.len())),
        }
    })
}

/// Exactly these parts.
fn are(answer: &Answer, expected: &[Range<usize>]) -> Result<(), String> {
    let parts = read(answer)?;
    match parts == expected {
        true => Ok(()),
        false => Err(format!("the parts are {parts:?}, not {expected:?}")),
    }
}

/// Every byte of these, and no other that lies more than 200 behind one of them.
fn cover(answer: &Answer, expected: &[Range<usize>]) -> Result<(), String> {
    let parts = read(answer)?;
    let within = |range: &Range<usize>, ranges: &[Range<usize>], slack: usize| {
        range.clone().all(|at| {
            ranges
                .iter()
                .any(|range| range.start <= at && at < range.end + slack)
        })
    };
    let right = expected.iter().all(|range| within(range, &parts, 0))
        && parts.iter().all(|part| within(part, expected, 200));
    match right {
        true => Ok(()),
        false => Err(format!(
            "the parts are {parts:?}; asked for was {expected:?}"
        )),
    }
}

/// The parts of a 206, whose bytes are those of the file.
fn read(answer: &Answer) -> Result<Vec<Range<usize>>, String> {
    if !is_multipart(answer) {
        let range = answer.header("content-range").ok_or("no Content-Range")?;
        return Ok(vec![part(range, &answer.body)?]);
    }
    // "MUST NOT generate a Content-Range header field in the HTTP header section of a multiple
    // part response".
    if answer.header("content-range").is_some() {
        return Err("Content-Range beside the parts".to_owned());
    }
    let boundary = answer
        .header("content-type")
        .and_then(|media_type| media_type.split_once("boundary="))
        .map(|(_, boundary)| boundary.trim_matches('"'))
        .ok_or("no boundary")?;
    // RFC 2046 §5.1.1: delimiter := CRLF "--" boundary; the first may have no CRLF before it.
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = &answer.body[..];
    if rest.starts_with(&delimiter.as_bytes()[2..]) {
        rest = &rest[delimiter.len() - 2..];
    } else {
        rest = after(rest, delimiter.as_bytes())
            .ok_or("no first boundary")?
            .1;
    }
    let mut parts = Vec::new();
    loop {
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            return match epilogue {
                b"" | b"\r\n" => Ok(parts),
                _ => Err("there is something behind the last boundary".to_owned()),
            };
        }
        rest = rest
            .strip_prefix(b"\r\n")
            .ok_or("no line break behind a boundary")?;
        let (head, content) = after(rest, b"\r\n\r\n").ok_or("no end of a part's fields")?;
        let (content, next) = after(content, delimiter.as_bytes()).ok_or("no last boundary")?;
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let field = |name: &str| {
            let line = head.split("\r\n").find_map(|line| line.strip_prefix(name));
            line.map(str::trim).ok_or(format!("a part has no {name}"))
        };
        field("content-type:")?;
        parts.push(part(field("content-range:")?, content)?);
        rest = next;
    }
}

/// What is before `separator`, and what behind it.
fn after<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

fn part(content_range: &str, content: &[u8]) -> Result<Range<usize>, String> {
    let wrong = || format!("Content-Range {content_range:?}");
    let range = content_range.strip_prefix("bytes ").ok_or_else(wrong)?;
    let (range, length) = range.split_once('/').ok_or_else(wrong)?;
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<usize>().ok().ok_or_else(wrong);
    let range = number(first)?..number(last)? + 1;
    if number(length)? != LENGTH {
        return Err(wrong());
    }
    match big().get(range.clone()) {
        Some(expected) if expected == content => Ok(range),
        _ => Err(format!("the bytes are not those of {content_range}")),
    }
}
