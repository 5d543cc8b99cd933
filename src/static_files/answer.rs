//! From a request and a file to the answer: conditions, ranges, and only then a byte.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io,
    ops::Range,
    sync::Arc,
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::{
    representation::{Representation, not_modified},
    source::{Content, Wait},
};
use crate::{
    Body,
    body::{
        answer::{plain, redirect},
        file::{CHUNK, FileBody},
        multipart::Multipart,
    },
    semantics::{
        conditional::{Validators, Verdict, evaluate, range_applies},
        mount::external_prefix,
        range::{Selection, select},
    },
};

/// Answers with a representation. What is borrowed is kept, and shared with other answers.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else the disk's.
pub(super) fn answer(
    representation: Cow<'_, Representation>,
    request: &Parts,
    wait: Wait,
) -> io::Result<Response<Body>> {
    let validators = &representation.validators;
    match evaluate(&request.method, &request.headers, validators) {
        Verdict::Failed => return Ok(refuse(StatusCode::PRECONDITION_FAILED, &representation)),
        Verdict::NotModified => return Ok(unchanged(&representation)),
        Verdict::Proceed => {}
    }
    let length = representation.length;
    match selection(request, validators, length) {
        Selection::Whole => whole(representation, StatusCode::OK, &request.method, wait),
        Selection::One(range) => part(representation, range, wait),
        Selection::Many(ranges) => parts(representation, ranges),
        Selection::Unsatisfiable => Ok(unsatisfiable(&representation)),
    }
}

/// All of it, with a status that may be another than 200.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else the disk's.
pub(super) fn whole(
    representation: Cow<'_, Representation>,
    status: StatusCode,
    method: &Method,
    wait: Wait,
) -> io::Result<Response<Body>> {
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => read(&representation.content, 0..representation.length, wait)?,
    };
    Ok(response(status, fields(representation), body))
}

/// RFC 9110 §15.3.7.1: "If a single part is being transferred, the server generating the 206
/// response MUST generate a Content-Range header field".
fn part(
    representation: Cow<'_, Representation>,
    range: Range<u64>,
    wait: Wait,
) -> io::Result<Response<Body>> {
    let body = read(&representation.content, range.clone(), wait)?;
    let length = representation.length;
    let mut headers = fields(representation);
    let (first, last) = (range.start, range.end - 1);
    let content_range = content_range(format_args!("{first}-{last}"), length);
    headers.insert(header::CONTENT_RANGE, content_range);
    let part_length = HeaderValue::from(range.end - range.start);
    headers.insert(header::CONTENT_LENGTH, part_length);
    Ok(response(StatusCode::PARTIAL_CONTENT, headers, body))
}

/// §15.3.7.2: "If multiple parts are being transferred, the server generating the 206 response
/// MUST generate "multipart/byteranges" content [...] To avoid confusion with single-part
/// responses, a server MUST NOT generate a Content-Range header field in the HTTP header section of
/// a multiple part response".
fn parts(
    representation: Cow<'_, Representation>,
    ranges: Vec<Range<u64>>,
) -> io::Result<Response<Body>> {
    let length = representation.length;
    let content = representation.content.clone();
    let mut headers = fields(representation);
    let media_type = headers.get(header::CONTENT_TYPE);
    let body = match content {
        Content::Bytes(bytes) => Multipart::new(bytes, length, ranges, media_type),
        Content::File(file) => Multipart::new(file, length, ranges, media_type),
    };
    headers.insert(header::CONTENT_TYPE, body.content_type());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.length()));
    let body = Body::new(body);
    Ok(response(StatusCode::PARTIAL_CONTENT, headers, body))
}

/// What of the file a request asks for.
fn selection(request: &Parts, validators: &Validators, length: u64) -> Selection {
    // RFC 9110 §14.2: "A server MUST ignore a Range header field received with a request method
    // that is unrecognized or for which range handling is not defined. For this specification,
    // GET is the only method for which range handling is defined."
    if request.method != Method::GET {
        return Selection::Whole;
    }
    let mut fields = request.headers.get_all(header::RANGE).into_iter();
    // The field is no list: two of them say nothing.
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Selection::Whole;
    };
    match field.to_str() {
        Ok(field) if range_applies(&request.headers, validators) => select(field, length),
        _ => Selection::Whole,
    }
}

fn unchanged(representation: &Representation) -> Response<Body> {
    let headers = match &representation.not_modified {
        Some(headers) => headers.clone(),
        None => not_modified(&representation.headers),
    };
    response(StatusCode::NOT_MODIFIED, headers, Body::empty())
}

/// RFC 9110 §15.5.17: "A server that generates a 416 response to a byte-range request SHOULD
/// generate a Content-Range header field specifying the current length".
fn unsatisfiable(representation: &Representation) -> Response<Body> {
    let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE, representation);
    let content_range = content_range(format_args!("*"), representation.length);
    response
        .headers_mut()
        .insert(header::CONTENT_RANGE, content_range);
    response
}

/// A short answer about a representation.
fn refuse(status: StatusCode, representation: &Representation) -> Response<Body> {
    let mut response = plain(status);
    if let Some(vary) = representation.headers.get(header::VARY) {
        response.headers_mut().insert(header::VARY, vary.clone());
    }
    response
}

fn content_range(part: fmt::Arguments<'_>, length: u64) -> HeaderValue {
    let mut text = String::with_capacity(64);
    write!(text, "bytes {part}/{length}").expect("a string takes all");
    HeaderValue::from_str(&text).expect("numbers are ASCII")
}

/// Copied where they are kept, and moved where they are not.
fn fields(representation: Cow<'_, Representation>) -> HeaderMap {
    match representation {
        Cow::Borrowed(kept) => kept.headers.clone(),
        Cow::Owned(made) => made.headers,
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Sends the client to the same path with a slash behind it.
pub(super) fn to_directory(status: StatusCode, request: &Parts) -> Response<Body> {
    let path = request.uri.path();
    let prefix = external_prefix(&request.extensions, path);
    let path = format!("{prefix}{path}");
    // "//host/" would be another host, so one slash it is, whatever the prefix was.
    let path = path.trim_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    redirect(
        status,
        &match request.uri.query() {
            None => format!("/{path}{slash}"),
            Some(query) => format!("/{path}{slash}?{query}"),
        },
    )
}

/// The bytes of a range: all of them if one chunk holds them, so that they leave together with the
/// head; the first chunk, and the rest as it is sent, if not.
fn read(content: &Content, range: Range<u64>, wait: Wait) -> io::Result<Body> {
    let length = range.end - range.start;
    let first = usize::try_from(length).map_or(CHUNK, |length| length.min(CHUNK));
    match content {
        Content::Bytes(_) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(Body::from(content.read(range.start, length, wait)?))
        }
        Content::File(file) => {
            let ready = content.read(range.start, first, wait)?;
            if ready.len() as u64 == length {
                return Ok(Body::from(ready));
            }
            let file = Arc::clone(file);
            Ok(Body::file(FileBody::new(file, range.start, length, ready)))
        }
    }
}
