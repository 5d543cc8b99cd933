//! What holds of every answer, whatever was asked.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tower_gateway::semantics::conditional::{EntityTag, HttpDate};

use super::{probe::Request, site::SECRET};
use crate::support::raw::Answer;

pub fn check(request: &Request, answer: &Answer) -> Result<(), String> {
    let rules: &[(&str, fn(&Request, &Answer) -> bool)] = &[
        // "MUST generate a Date header field in all 2xx (Successful), 3xx (Redirection), and 4xx
        // (Client Error) responses".
        ("RFC 9110 §6.6.1: it has a Date", |_, answer| {
            answer.status >= 500 || date(answer, "date").is_some()
        }),
        // "MUST NOT generate a Last-Modified date that is later than the server's time of message
        // origination (Date)".
        (
            "RFC 9110 §8.8.2.1: nothing was modified after Date",
            |_, answer| date(answer, "last-modified") <= date(answer, "date"),
        ),
        ("RFC 9110 §8.8.2: Last-Modified is a date", |_, answer| {
            answer.header("last-modified").is_none() || date(answer, "last-modified").is_some()
        }),
        ("RFC 9110 §8.8.3: ETag is an entity tag", |_, answer| {
            let etag = answer.header("etag").map(HeaderValue::from_str);
            etag.is_none_or(|etag| etag.is_ok_and(|etag| EntityTag::parse(&etag).is_some()))
        }),
        // "MUST NOT generate multiple field lines with the same field name [...] unless that
        // field's definition allows multiple field line values to be recombined".
        ("RFC 9110 §5.3: what is no list comes once", |_, answer| {
            let single = [
                "accept-ranges",
                "content-encoding",
                "content-length",
                "content-range",
                "content-type",
                "date",
                "etag",
                "last-modified",
                "location",
            ];
            single.iter().all(|name| answer.header_all(name).len() < 2)
        }),
        // "MUST generate an Allow header field in a 405 response".
        (
            "RFC 9110 §15.5.6: a 405 says what is allowed",
            |_, answer| answer.status != 405 || answer.header("allow").is_some(),
        ),
        // "MUST NOT send a Content-Length header field in any response with a status code of 1xx
        // (Informational) or 204 (No Content)".
        ("RFC 9110 §8.6: a 204 has no length", |_, answer| {
            answer.status != 204 || answer.header("content-length").is_none()
        }),
        (
            "RFC 9110 §15.3.7.1: a single part says which",
            |_, answer| {
                let is_part = answer.status == 206 && !is_multipart(answer);
                is_part == answer.header("content-range").is_some() || answer.status == 416
            },
        ),
        // "SHOULD generate a Content-Range header field specifying the current length".
        ("RFC 9110 §15.5.17: a 416 says the length", |_, answer| {
            let range = answer.header("content-range").unwrap_or_default();
            answer.status != 416 || range.starts_with("bytes */")
        }),
        // "MUST NOT generate content": what is of the content's is not said of an empty one.
        (
            "RFC 9110 §15.4.5: a 304 describes no content",
            |_, answer| {
                let of_content = ["content-encoding", "content-range", "content-type"];
                answer.status != 304 || of_content.iter().all(|name| answer.header(name).is_none())
            },
        ),
        (
            "RFC 9110 §15.4: a redirect leads somewhere",
            |_, answer| {
                !matches!(answer.status, 301 | 302 | 303 | 307 | 308)
                    || answer.header("location").is_some()
            },
        ),
        // "MUST NOT send a response containing Transfer-Encoding unless the corresponding request
        // indicates HTTP/1.1".
        (
            "RFC 9112 §6.1: to HTTP/1.0, nothing is chunked",
            |request, answer| {
                request.version != "HTTP/1.0" || answer.header("transfer-encoding").is_none()
            },
        ),
        // "SHOULD generate a Content-Type header field in that message".
        ("RFC 9110 §8.3: content has a type", |_, answer| {
            answer.body.is_empty() || answer.header("content-type").is_some()
        }),
        (
            "RFC 9110 §17.3: nothing from outside of the root",
            |_, answer| !answer.text().contains(SECRET),
        ),
        (
            "RFC 9110 §15.6: the server has not failed",
            |request, answer| {
                answer.status < 500 || answer.status == 501 && request.method != "GET"
            },
        ),
    ];
    match rules.iter().find(|(_, holds)| !holds(request, answer)) {
        Some((rule, _)) => Err(format!("status {}, against {rule}", answer.status)),
        None => Ok(()),
    }
}

pub fn date(answer: &Answer, name: &str) -> Option<HttpDate> {
    HttpDate::parse(&HeaderValue::from_str(answer.header(name)?).ok()?)
}

pub fn is_multipart(answer: &Answer) -> bool {
    let media_type = answer.header("content-type").unwrap_or_default();
    media_type.starts_with("multipart/byteranges")
}

/// A date of so many seconds after now.
pub fn in_seconds(seconds: u64) -> String {
    let date = HttpDate::new(SystemTime::now() + Duration::from_secs(seconds));
    let date = date.unwrap().to_header();
    date.to_str().unwrap().to_owned()
}
