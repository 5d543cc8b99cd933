//! Heads of messages on the wire: RFC 9112 §3 to §5. Their lines are read by `httparse`.

use std::mem::MaybeUninit;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use super::{
    super::uwsgi::{self, answer::Opening},
    BadAnswer,
};

/// How many fields the head of an answer may have, and its trailers.
const MAX_FIELDS: usize = 100;

/// Room for the field that is added to each answer on its way (`Via`), so that the map need not grow.
const SPARE: usize = 1;

/// Up to this size an incomplete head is looked at whenever some of it comes, so that nonsense is
/// known at once. Beyond, only when its end is there: to parse it for each byte that comes would cost
/// much more than to look for an empty line.
const EAGER: usize = 4 << 10;

/// Writes the head of a request.
pub(in crate::gateway_proxy) fn write_request(
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    out: &mut BytesMut,
) {
    let fields: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    out.reserve(method.as_str().len() + target.len() + fields + 14);
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    write_fields(headers, out);
    out.put_slice(b"\r\n");
}

pub(in crate::gateway_proxy::upstream) fn write_fields(headers: &HeaderMap, out: &mut BytesMut) {
    for (name, value) in headers {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
}

/// Takes the head of an answer out of `buffer`; `None` if it is not there to its end.
pub(in crate::gateway_proxy::upstream) fn answer(
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Option<Response<()>>, BadAnswer> {
    if buffer.len() > EAGER && !holds_empty_line(buffer) {
        return within(buffer, max).map(|()| None);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields)
        .map_err(unreadable)?;
    let httparse::Status::Complete(length) = status else {
        return within(buffer, max).map(|()| None);
    };
    if length > max {
        return Err(BadAnswer("its head is too large"));
    }
    let code = parsed.code.unwrap_or_default();
    let status =
        StatusCode::from_u16(code).map_err(|_invalid| BadAnswer("its status is not one"))?;
    let version = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let headers = headers_of(&buffer[..length], parsed.headers)?;
    buffer.advance(length);
    Ok(Some(assemble(status, version, headers)))
}

fn assemble(status: StatusCode, version: Version, headers: HeaderMap) -> Response<()> {
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.version_mut() = version;
    *answer.headers_mut() = headers;
    answer
}

/// Takes the head of a uwsgi server's answer out of `buffer`: one of HTTP of any version, or one
/// of CGI, which has no status line.
pub(in crate::gateway_proxy::upstream) fn uwsgi_answer(
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Option<Response<()>>, BadAnswer> {
    let opening = uwsgi::answer::opening(buffer).map_err(|invalid| BadAnswer(invalid.reason()))?;
    let (status, length) = match opening {
        Opening::Partial => return within(buffer, max).map(|()| None),
        Opening::StatusLine { status, length } => (Some(status), length),
        Opening::Fields => (None, 0),
    };
    let mut rest = buffer.split_off(length);
    let Some(mut headers) = trailers(&mut rest, max)? else {
        buffer.unsplit(rest);
        return within(buffer, max).map(|()| None);
    };
    *buffer = rest;
    let status = match status {
        Some(status) => status,
        None => uwsgi::answer::cgi_status(&mut headers)
            .map_err(|invalid| BadAnswer(invalid.reason()))?,
    };
    Ok(Some(assemble(status, Version::HTTP_11, headers)))
}

/// Takes a trailer section, with the empty line that ends it, out of `buffer`.
pub(super) fn trailers(buffer: &mut BytesMut, max: usize) -> Result<Option<HeaderMap>, BadAnswer> {
    if buffer.starts_with(b"\r\n") {
        let _ = buffer.split_to(2);
        return Ok(Some(HeaderMap::new()));
    }
    if !holds_empty_line(buffer) {
        return within(buffer, max).map(|()| None);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(buffer, &mut fields).map_err(unreadable)? {
        httparse::Status::Partial => within(buffer, max).map(|()| None),
        httparse::Status::Complete((length, fields)) => {
            within(&buffer[..length], max)?;
            let headers = headers_of(&buffer[..length], fields)?;
            buffer.advance(length);
            Ok(Some(headers))
        }
    }
}

/// The fields that were found in this section.
///
/// Their values share one copy of it, so that the buffer it was read into is free for what follows.
fn headers_of(section: &[u8], fields: &[httparse::Header<'_>]) -> Result<HeaderMap, BadAnswer> {
    let start = section.as_ptr() as usize;
    let section = Bytes::copy_from_slice(section);
    let mut headers = HeaderMap::with_capacity(fields.len() + SPARE);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_invalid| BadAnswer("the name of a field is not one"))?;
        // An empty one may stand anywhere.
        let value = match field.value {
            [] => Bytes::new(),
            value => {
                let at = value.as_ptr() as usize - start;
                section.slice(at..at + value.len())
            }
        };
        let value = HeaderValue::from_maybe_shared(value)
            .map_err(|_invalid| BadAnswer("the value of a field is not one"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn within(buffer: &[u8], max: usize) -> Result<(), BadAnswer> {
    match buffer.len() > max {
        true => Err(BadAnswer("its head is too large")),
        false => Ok(()),
    }
}

fn holds_empty_line(buffer: &[u8]) -> bool {
    buffer.windows(3).any(|three| three == b"\n\r\n") || buffer.windows(2).any(|two| two == b"\n\n")
}

fn unreadable(error: httparse::Error) -> BadAnswer {
    BadAnswer(match error {
        httparse::Error::HeaderName => "the name of a field is not one",
        httparse::Error::HeaderValue => "the value of a field is not one",
        httparse::Error::NewLine => "a line of its head does not end as it should",
        httparse::Error::Status => "its status is not one",
        httparse::Error::TooManyHeaders => "it has too many fields",
        httparse::Error::Version => "it is not of HTTP/1.0 or HTTP/1.1",
        _ => "it is not HTTP",
    })
}
