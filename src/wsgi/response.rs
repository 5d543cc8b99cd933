//! The head that a worker sends, as one of HTTP.
//!
//! What the application said is checked in the worker, where an exception can still tell its author;
//! here it is checked once more, since what leaves this process is HTTP whoever wrote it.

use std::{error, fmt};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::ext::ReasonPhrase;

use crate::semantics::{
    accel, hop,
    send_file::{SendsFiles, X_ACCEL_REDIRECT, X_SENDFILE},
};

#[cfg(test)]
mod tests;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// What the application calls the status, if that is not what everybody does.
    pub(super) reason: Option<ReasonPhrase>,
    pub(super) headers: HeaderMap,
    /// What `Content-Length` says.
    pub(super) length: Option<u64>,
}

/// What is no head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// It does not begin with a status from 200 to 999.
    Status,
    /// It ends with a name.
    Value,
    /// The name of a field is no token.
    Name,
    /// The value of this field has a byte that it may not have.
    Field(HeaderName),
    /// This field is not for an application to send.
    HopByHop(HeaderName),
    /// `Content-Length` is no number, or there is more than one.
    Length,
    /// There are more fields than can be counted.
    Fields,
}

/// Reads a head: latin-1, joined by LF. The values of the fields are parts of it, not copies.
pub(super) fn parse(text: &Bytes) -> Result<Head, BadHead> {
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let mut parts = text.split(|byte| *byte == b'\n');
    let line = parts.next().map(|line| text.slice_ref(line));
    let (status, reason) = line.as_ref().and_then(status).ok_or(BadHead::Status)?;
    let mut head = Head {
        status,
        reason,
        headers: HeaderMap::try_with_capacity(lines / 2).map_err(|_full| BadHead::Fields)?,
        length: None,
    };
    while let Some(name) = parts.next() {
        let name = HeaderName::from_bytes(name).map_err(|_invalid| BadHead::Name)?;
        let value = parts.next().ok_or(BadHead::Value)?;
        // PEP 3333: "applications are forbidden from using HTTP/1.1 'hop-by-hop' features or
        // headers".
        if hop::is_hop_by_hop(&name) {
            return Err(BadHead::HopByHop(name));
        }
        let value = match HeaderValue::from_maybe_shared(text.slice_ref(value)) {
            Ok(value) => value,
            Err(_invalid) => return Err(BadHead::Field(name)),
        };
        if name == header::CONTENT_LENGTH {
            let length = length(&value).filter(|_| head.length.is_none());
            head.length = Some(length.ok_or(BadHead::Length)?);
        }
        head.headers
            .try_append(name, value)
            .map_err(|_full| BadHead::Fields)?;
    }
    // RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response with a
    // status code of 1xx (Informational) or 204 (No Content)."
    if status == StatusCode::NO_CONTENT {
        head.headers.remove(header::CONTENT_LENGTH);
        head.length = None;
    }
    Ok(head)
}

/// What a head says to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// `X-Accel-Buffering`: whether the answer is read ahead of its client.
    pub(super) is_buffered: Option<bool>,
}

/// Takes out what is for a gateway only: nginx's own fields, and what names a file that nobody outside
/// sends.
pub(super) fn prepare(headers: &mut HeaderMap, sends: SendsFiles) -> Told {
    let is_buffered = accel::take_fields(headers, true);
    for name in [X_ACCEL_REDIRECT, X_SENDFILE] {
        if !sends.by(&name) && headers.remove(&name).is_some() {
            tracing::warn!(
                header = %name,
                "an answer names a file that no layer outside sends: see StaticFiles::accel_redirect and ::sendfile"
            );
        }
    }
    Told { is_buffered }
}

/// `200 OK`. RFC 9110 §15.1: phrases "can be replaced by local equivalents or left out altogether"; HTTP/2 has none.
fn status(line: &Bytes) -> Option<(StatusCode, Option<ReasonPhrase>)> {
    let (code, phrase) = line.split_at_checked(3)?;
    let phrase = match phrase {
        [] => phrase,
        [b' ', phrase @ ..] => phrase,
        _ => return None,
    };
    let status = StatusCode::from_bytes(code).ok()?;
    // There is one head, and it is the last.
    if status.is_informational() {
        return None;
    }
    let known = status.canonical_reason().unwrap_or_default();
    let reason = match phrase == known.as_bytes() || phrase.is_empty() {
        true => None,
        false => Some(ReasonPhrase::try_from(line.slice_ref(phrase)).ok()?),
    };
    Some((status, reason))
}

/// RFC 9110 §8.6: "Content-Length = 1*DIGIT".
fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.to_str().ok()?.parse().ok()
}

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("its status is not one of an answer"),
            Self::Value => f.write_str("its last field has no value"),
            Self::Name => f.write_str("the name of a field is not a token"),
            Self::Field(name) => write!(f, "the value of {name} is not one of a field"),
            Self::HopByHop(name) => {
                write!(
                    f,
                    "{name} is for the server to send, not for the application"
                )
            }
            Self::Length => f.write_str("its Content-Length is not one number"),
            Self::Fields => f.write_str("it has too many fields"),
        }
    }
}

impl error::Error for BadHead {}
