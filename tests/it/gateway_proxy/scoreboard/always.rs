//! What holds of everything that a gateway passes on, whatever was asked.

use super::{
    probe::{Recorded, Seen},
    sides::Side,
};
use crate::support::raw::Answer;

/// What no request may reach the upstream as.
pub const SMUGGLED: &str = "/smuggled";

pub fn check(side: &Side, seen: &Seen) -> Result<(), String> {
    for request in &seen.requests {
        if request.target() == SMUGGLED {
            return Err(format!("smuggled: {:?}", request.raw));
        }
        if side.is_ours() {
            passed_on(request).map_err(|rule| format!("{rule}: {:?}", request.raw))?;
        }
    }
    if side.is_ours() {
        for answer in &seen.answers {
            given(answer).map_err(|rule| format!("{rule}: {answer:?}"))?;
        }
    }
    Ok(())
}

fn passed_on(request: &Recorded) -> Result<(), &'static str> {
    let head = request.head();
    let line = head.split("\r\n").next().unwrap_or_default();
    let count = |name: &str| request.lines(name).len();
    let rules = [
        (
            "RFC 9112 §3: a request line",
            line.split(' ').count() == 3 && line.ends_with(" HTTP/1.1"),
        ),
        (
            "RFC 9112 §2.2: no bare CR or LF",
            !head.replace("\r\n", "").contains(['\r', '\n']),
        ),
        ("RFC 9112 §3.2: one Host", count("host") == 1),
        (
            "RFC 9112 §6.2: one framing",
            count("content-length") + count("transfer-encoding") <= 1,
        ),
        (
            "RFC 9112 §7: no coding but chunked",
            request
                .lines("transfer-encoding")
                .iter()
                .all(|coding| coding == "chunked"),
        ),
        (
            "RFC 9110 §7.6.1: the connection's own fields stay",
            ["keep-alive", "proxy-connection", "proxy-authorization"]
                .iter()
                .all(|name| count(name) == 0),
        ),
        (
            "one X-Forwarded-For, of the peer",
            request.lines("x-forwarded-for") == ["127.0.0.1"],
        ),
        ("one Forwarded", count("forwarded") == 1),
        (
            "CVE-2016-5385 and its kin: no name that CGI confuses",
            request
                .fields()
                .all(|(name, _)| name != "proxy" && !name.contains(['_', '.', ' ', '\t'])),
        ),
    ];
    match rules.into_iter().find(|(_, holds)| !holds) {
        Some((rule, _)) => Err(rule),
        None => Ok(()),
    }
}

fn given(answer: &Answer) -> Result<(), &'static str> {
    let count = |name: &str| answer.header_all(name).len();
    let rules = [
        (
            "RFC 9112 §6.2: one framing",
            count("content-length") + count("transfer-encoding") <= 1,
        ),
        (
            "RFC 9110 §7.6.1: the connection's own fields stay",
            ["keep-alive", "proxy-connection", "proxy-authenticate"]
                .iter()
                .all(|name| count(name) == 0),
        ),
        (
            "RFC 9110 §6.6.1: it has one Date",
            answer.status < 200 || count("date") == 1,
        ),
    ];
    match rules.into_iter().find(|(_, holds)| !holds) {
        Some((rule, _)) => Err(rule),
        None => Ok(()),
    }
}
