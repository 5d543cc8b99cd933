//! From a request to the answer that a file, or a directory, is. It may block: see [`Wait`].

use std::{
    borrow::Cow,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::{
    layer::Config,
    source::{Content, Found, Source, SourceFile, Wait},
};
use crate::{
    Body,
    body::{
        answer::{plain, redirect},
        file::{CHUNK, FileBody},
    },
    semantics::{
        conditional::{EntityTag, LastModified, Validators, Verdict, evaluate, range_applies},
        mount::{external_prefix, is_bare_mount},
        path::decode,
        range::{Selection, select},
    },
};

/// What a path below the mount may name.
#[derive(Debug)]
pub(super) struct Target {
    /// Relative to the root; empty for the root itself.
    name: PathBuf,
    /// Whether a slash stands behind it: then it is a directory's index file, and never a file.
    has_slash: bool,
}

impl Target {
    /// `None` if no file can have this path, whatever the disk says.
    pub(super) fn of(config: &Config, path: &str) -> Option<Self> {
        let below = config.at.strip(path)?;
        let has_slash = below.ends_with('/');
        // An encoded slash, if the policy lets one pass, is a byte of its segment; no file has
        // such a name.
        if below.contains("%2F") || has_slash && config.index.is_empty() {
            return None;
        }
        // The canonical form never escapes a dot.
        let is_hidden = |segment: &str| segment.starts_with('.') && segment != ".well-known";
        if !config.dotfiles && below.split('/').any(is_hidden) {
            return None;
        }
        let below = below.strip_prefix('/').unwrap_or(below);
        let name = file_name(decode(below.strip_suffix('/').unwrap_or(below)))?;
        Some(Self { name, has_slash })
    }

    /// Looks for the file, and answers with it; `None` is a miss.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if it is not to wait; else the disk's.
    pub(super) fn answer(
        &self,
        config: &Config,
        request: &Parts,
        wait: Wait,
    ) -> io::Result<Option<Response<Body>>> {
        if self.has_slash {
            let Some((file, name)) = self.index_file(config, wait)? else {
                return Ok(None);
            };
            if is_bare_mount(&request.extensions, request.uri.path())
                && let Some(status) = config.directory_redirect
            {
                return Ok(Some(to_directory(status, request)));
            }
            return answer_file(file, &name, config, request, wait).map(Some);
        }
        match config.source.open(&self.name, wait)? {
            Found::File(file) => answer_file(file, &self.name, config, request, wait).map(Some),
            // Without an index file the slash would lead to a miss, and the path may well be one
            // of the application's.
            Found::Directory => match config.directory_redirect {
                Some(status) if self.index_file(config, wait)?.is_some() => {
                    Ok(Some(to_directory(status, request)))
                }
                _ => Ok(None),
            },
            Found::Nothing => Ok(None),
        }
    }

    /// The first index file that the directory has.
    fn index_file(&self, config: &Config, wait: Wait) -> io::Result<Option<(SourceFile, PathBuf)>> {
        for index in &config.index {
            let name = self.name.join(index);
            if let Found::File(file) = config.source.open(&name, wait)? {
                return Ok(Some((file, name)));
            }
        }
        Ok(None)
    }
}

/// The bytes of a path as a name of this system's.
#[cfg(unix)]
fn file_name(bytes: Cow<'_, [u8]>) -> Option<PathBuf> {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    Some(OsString::from_vec(bytes.into_owned()).into())
}

#[cfg(not(unix))]
fn file_name(bytes: Cow<'_, [u8]>) -> Option<PathBuf> {
    String::from_utf8(bytes.into_owned()).ok().map(Into::into)
}

/// Sends the client to the same path with a slash behind it.
fn to_directory(status: StatusCode, request: &Parts) -> Response<Body> {
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

/// Answers with a file: conditions first, then ranges, and only then a byte is read.
fn answer_file(
    open: SourceFile,
    name: &Path,
    config: &Config,
    request: &Parts,
    wait: Wait,
) -> io::Result<Response<Body>> {
    let validators = validators(open.length, open.modified, SystemTime::now());
    match evaluate(&request.method, &request.headers, &validators) {
        Verdict::Failed => return Ok(plain(StatusCode::PRECONDITION_FAILED)),
        Verdict::NotModified => return Ok(not_modified(&validators)),
        Verdict::Proceed => {}
    }

    let length = open.length;
    let (status, range) = match selection(request, &validators, length) {
        Selection::One(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::Unsatisfiable => return Ok(unsatisfiable(length)),
        _ => (StatusCode::OK, 0..length),
    };

    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, config.media_types.of(name));
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end - range.start),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(etag) = validators.etag {
        headers.insert(header::ETAG, etag.to_header());
    }
    if let Some(date) = validators.last_modified {
        headers.insert(header::LAST_MODIFIED, date.to_header());
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end - 1;
        headers.insert(
            header::CONTENT_RANGE,
            content_range(&format!("{}-{last}", range.start), length),
        );
    }

    let body = if request.method == Method::HEAD {
        Body::empty()
    } else {
        read(&open.content, range, wait)?
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
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

/// What tells this state of a file from another.
fn validators(length: u64, modified: Option<SystemTime>, now: SystemTime) -> Validators {
    // Times of the first two seconds are what package builders (Nix, reproducible images) give to
    // every file; an older one is an accident. Both stay when the content changes.
    let since_epoch = modified.and_then(|time| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .filter(|since| *since >= Duration::from_secs(2))
    });
    let Some(since_epoch) = since_epoch else {
        return Validators::default();
    };
    Validators {
        // No inode: it differs between replicas of one file.
        etag: EntityTag::strong(&format!("{:x}-{length:x}", since_epoch.as_nanos())),
        last_modified: modified.and_then(|time| LastModified::new(time, now)),
    }
}

/// RFC 9110 §15.4.5: of the fields of a 200, those that guide a cache, and "Last-Modified might be
/// useful if the response does not have an ETag field".
fn not_modified(validators: &Validators) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    match validators {
        Validators {
            etag: Some(etag), ..
        } => {
            response
                .headers_mut()
                .insert(header::ETAG, etag.to_header());
        }
        Validators {
            last_modified: Some(date),
            ..
        } => {
            let date = date.to_header();
            response.headers_mut().insert(header::LAST_MODIFIED, date);
        }
        _ => {}
    }
    response
}

/// RFC 9110 §15.5.17: "A server that generates a 416 response to a byte-range request SHOULD
/// generate a Content-Range header field specifying the current length".
fn unsatisfiable(length: u64) -> Response<Body> {
    let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE);
    response
        .headers_mut()
        .insert(header::CONTENT_RANGE, content_range("*", length));
    response
}

fn content_range(part: &str, length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes {part}/{length}")).expect("numbers are ASCII")
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
