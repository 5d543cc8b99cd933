//! Where the body of an answer ends: RFC 9112 §6.3.

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use super::{BadAnswer, chunked::Chunked};
use crate::semantics::hop;

/// How an answer is delimited.
#[derive(Debug)]
pub(in crate::gateway_proxy::upstream) struct Framed {
    pub(in crate::gateway_proxy::upstream) framing: Framing,
    /// Whether it was said in two ways, or something was said where nothing is. RFC 9112 §6.3: "Such a message might indicate an attempt
    /// to perform request smuggling or response splitting".
    pub(in crate::gateway_proxy::upstream) is_suspect: bool,
}

#[derive(Debug)]
pub(in crate::gateway_proxy::upstream) enum Framing {
    /// This many bytes more.
    Length(u64),
    Chunked(Chunked),
    /// When the connection is closed.
    Close,
}

/// Reads how long the body is, and makes `headers` say it once: what cannot be read in one way is
/// an error.
pub(in crate::gateway_proxy::upstream) fn of(
    method: &Method,
    version: Version,
    status: StatusCode,
    headers: &mut HeaderMap,
) -> Result<Framed, BadAnswer> {
    if !hop::is_plain_or_chunked(headers) {
        return Err(BadAnswer("its transfer coding is not chunked alone"));
    }
    let is_chunked = headers.contains_key(header::TRANSFER_ENCODING);
    // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a
    // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
    if is_chunked && version == Version::HTTP_10 {
        return Err(BadAnswer("it is of HTTP/1.0 and has a transfer coding"));
    }
    // RFC 9112 §6.3: "If a message is received with both a Transfer-Encoding and a Content-Length
    // header field, the Transfer-Encoding overrides the Content-Length."
    let has_length = headers.contains_key(header::CONTENT_LENGTH);
    // What it announces it may send, though nobody is to read it.
    let is_overfull = status == StatusCode::NO_CONTENT && (is_chunked || !is_zero(headers));
    if is_chunked || status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
    // RFC 9112 §6.3: "Any response to a HEAD request and any response with a 1xx (Informational),
    // 204 (No Content), or 304 (Not Modified) status code is always terminated by the first empty
    // line after the header fields".
    let has_body = *method != Method::HEAD
        && !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED;
    let length = one_length(headers, has_body)?;
    let framing = match length {
        _ if !has_body => Framing::Length(0),
        _ if is_chunked => Framing::Chunked(Chunked::new()),
        Some(length) => Framing::Length(length),
        None => Framing::Close,
    };
    Ok(Framed {
        framing,
        is_suspect: is_chunked && has_length || is_overfull,
    })
}

/// Whether the server goes on with this connection after the answer: RFC 9112 §9.3.
pub(in crate::gateway_proxy::upstream) fn persists(
    version: Version,
    headers: &HeaderMap,
    framed: &Framed,
) -> bool {
    if framed.is_suspect
        || matches!(framed.framing, Framing::Close)
        || hop::lists(headers, &header::CONNECTION, "close")
    {
        return false;
    }
    version == Version::HTTP_11 || hop::lists(headers, &header::CONNECTION, "keep-alive")
}

/// RFC 9110 §8.6: a list of equal values is to be replaced "with a single valid Content-Length".
fn one_length(headers: &mut HeaderMap, has_body: bool) -> Result<Option<u64>, BadAnswer> {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_none()
        && let Some(length) = number(first.as_bytes())
    {
        return Ok(Some(length));
    }
    match agreed_length(headers) {
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            Ok(Some(length))
        }
        // Without a body it is a remark, and a wrong one.
        None if !has_body => {
            headers.remove(header::CONTENT_LENGTH);
            Ok(None)
        }
        None => Err(BadAnswer("its Content-Length has no one meaning")),
    }
}

/// Whether no length is said but zero.
fn is_zero(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    lines.all(|length| length == "0")
}

fn agreed_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .flat_map(hop::tokens);
    let first = lengths.next()?;
    lengths
        .all(|length| length == first)
        .then(|| number(first))?
}

/// RFC 9110 §8.6: "Content-Length = 1*DIGIT".
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}
