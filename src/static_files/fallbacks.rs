//! The file that an answer of the service inside leads to: one that it names (`X-Accel-Redirect`),
//! the page of an application of one page, or the page of an error.

use std::{
    borrow::Cow,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header,
    request::Parts,
};
use percent_encoding::percent_decode;

use super::{
    answer::{answer, whole},
    find::{Located, find_fixed},
    layer::{Config, PUBLIC},
    navigation::{self, is_navigation},
    representation::choose,
    rules::vary,
    seen::{self, Outcome},
    source::Wait,
    target::file_name,
};
use crate::{Body, semantics::mount::Prefix};

/// What one can say about that.
#[derive(Clone, Debug)]
pub(super) struct Fallbacks {
    /// What is left to the service inside: 404 stands for a miss, 405 for another method.
    pub(super) to_inner: Vec<StatusCode>,
    pub(super) spa: Option<PathBuf>,
    pub(super) pages: Vec<(StatusCode, PathBuf)>,
    /// Whether the errors of the service inside have these pages too.
    pub(super) intercept: bool,
    /// What `X-Accel-Redirect` may name: below which path, and on which shelf that is.
    pub(super) accel: Vec<(Prefix, usize)>,
    /// What `X-Sendfile` may name: below which directory, and on which shelf that is.
    pub(super) sendfile: Vec<(PathBuf, usize)>,
}

impl Default for Fallbacks {
    fn default() -> Self {
        Self {
            to_inner: vec![StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED],
            spa: None,
            pages: Vec::new(),
            intercept: false,
            accel: Vec::new(),
            sendfile: Vec::new(),
        }
    }
}

impl Fallbacks {
    pub(super) fn leaves(&self, status: StatusCode) -> bool {
        self.to_inner.contains(&status)
    }

    /// Whether an answer may lead to a file at all.
    fn are_any(&self) -> bool {
        self.spa.is_some()
            || !self.pages.is_empty()
            || !self.accel.is_empty()
            || !self.sendfile.is_empty()
    }
}

pub(super) const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
pub(super) const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// What nginx takes from the application besides, and keeps for itself.
const X_ACCEL: [HeaderName; 4] = [
    HeaderName::from_static("x-accel-expires"),
    HeaderName::from_static("x-accel-limit-rate"),
    HeaderName::from_static("x-accel-buffering"),
    HeaderName::from_static("x-accel-charset"),
];

/// An answer that was not made from the application's: its errors have pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own;

/// What is kept of a request for what may come of its answer.
#[derive(Debug)]
pub(super) struct After {
    config: Arc<Config>,
    /// What a file is answered by, and no more.
    request: Parts,
    /// Whether the path is below the mount of the files.
    is_below: bool,
    is_navigation: bool,
}

impl After {
    /// `None` if nothing can come of it.
    pub(super) fn of<B>(config: &Arc<Config>, request: &Request<B>) -> Option<Box<Self>> {
        let fallbacks = &config.fallbacks;
        if !fallbacks.are_any() {
            return None;
        }
        let is_below = config.at.strip(request.uri().path()).is_some();
        if !is_below && fallbacks.accel.is_empty() && fallbacks.sendfile.is_empty() {
            return None;
        }
        let is_navigation = is_below
            && fallbacks.spa.is_some()
            && is_navigation(request.method(), request.headers(), request.uri().path());
        let (mut kept, ()) = Request::new(()).into_parts();
        // Whatever the application was asked to do, a file is read.
        kept.method = match *request.method() {
            Method::HEAD => Method::HEAD,
            _ => Method::GET,
        };
        kept.uri = request.uri().clone();
        for name in [
            header::ACCEPT_ENCODING,
            header::RANGE,
            header::IF_RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_UNMODIFIED_SINCE,
        ] {
            for value in request.headers().get_all(&name) {
                kept.headers.append(&name, value.clone());
            }
        }
        Some(Box::new(Self {
            config: Arc::clone(config),
            request: kept,
            is_below,
            is_navigation,
        }))
    }

    /// The file that an answer leads to, if it leads to one. What is for this layer alone is taken
    /// out of the answer.
    pub(super) fn leads_to<R>(self: Box<Self>, response: &mut Response<R>) -> Option<Wanted> {
        let fallbacks = &self.config.fallbacks;
        let is_own = response.extensions_mut().remove::<Own>().is_some();
        let named = named_file(fallbacks, response.headers_mut());
        let status = response.status();
        let file = match named {
            Some(named) => named,
            None if !self.is_below => return None,
            None => {
                if status == StatusCode::NOT_FOUND && fallbacks.spa.is_some() {
                    vary(
                        response.headers_mut(),
                        &HeaderValue::from_static(navigation::VARY),
                    );
                }
                let spa = fallbacks
                    .spa
                    .as_ref()
                    .filter(|_| status == StatusCode::NOT_FOUND && self.is_navigation);
                let page = || {
                    let of_ours = is_own || fallbacks.intercept;
                    let pages = &mut fallbacks.pages.iter().filter(|_| of_ours);
                    pages.find(|(of, _)| *of == status)
                };
                match spa {
                    Some(name) => File::Spa(name.clone()),
                    None => File::Page(status, page()?.1.clone()),
                }
            }
        };
        Some(Wanted {
            config: self.config,
            request: self.request,
            headers: response.headers().clone(),
            file,
        })
    }
}

/// A file that is to be sent in place of an answer.
#[derive(Debug)]
pub(super) struct Wanted {
    config: Arc<Config>,
    request: Parts,
    /// Of the answer.
    headers: HeaderMap,
    file: File,
}

#[derive(Debug)]
enum File {
    /// One that the application named: on a shelf, or nowhere that it may name.
    Named(Option<(usize, PathBuf)>),
    Spa(PathBuf),
    Page(StatusCode, PathBuf),
}

impl Wanted {
    /// The answer that the file is; `None` if there is none, so that the answer stays what it was.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if it is not to wait; else the source's.
    pub(super) fn answer(&self, wait: Wait) -> io::Result<Option<Response<Body>>> {
        let answer = match &self.file {
            File::Named(Some((shelf, name))) => self.named(*shelf, name, wait),
            File::Named(None) => Ok(None),
            File::Spa(name) => self.spa(name, wait),
            File::Page(status, name) => self.page(*status, name, wait),
        }?;
        if let Some(response) = &answer {
            seen::answered(Outcome::Instead, self.request.uri.path(), response);
        }
        Ok(answer)
    }

    /// Whether the answer that led here says nothing by itself, because it named a file.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.file, File::Named(_))
    }

    fn named(&self, shelf: usize, name: &Path, wait: Wait) -> io::Result<Option<Response<Body>>> {
        let Some(located) = self.find(shelf, name, wait)? else {
            return Ok(None);
        };
        let mut representation = choose(&self.config, located, &self.request.headers, wait)?;
        let fields = &mut representation.headers;
        // As nginx does: what the application says of these counts.
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_DISPOSITION,
            header::SET_COOKIE,
            header::CACHE_CONTROL,
            header::EXPIRES,
        ] {
            let mut values = self.headers.get_all(&name).iter();
            if let Some(first) = values.next() {
                fields.insert(&name, first.clone());
            }
            for value in values {
                fields.append(&name, value.clone());
            }
        }
        // Other than nginx: who may see the file may depend on these.
        for varies in self.headers.get_all(header::VARY) {
            vary(fields, varies);
        }
        let mut response = answer(Cow::Owned(representation), &self.request, wait)?;
        if response.status() == StatusCode::NOT_MODIFIED {
            for cookie in self.headers.get_all(header::SET_COOKIE) {
                response
                    .headers_mut()
                    .append(header::SET_COOKIE, cookie.clone());
            }
        }
        Ok(Some(response))
    }

    fn spa(&self, name: &Path, wait: Wait) -> io::Result<Option<Response<Body>>> {
        let Some(located) = self.find(PUBLIC, name, wait)? else {
            tracing::warn!(file = %name.display(), "the page of the application is not there");
            return Ok(None);
        };
        let mut representation = choose(&self.config, located, &self.request.headers, wait)?;
        vary(
            &mut representation.headers,
            &HeaderValue::from_static(navigation::VARY),
        );
        answer(Cow::Owned(representation), &self.request, wait).map(Some)
    }

    /// The page takes the place of the body; the rest of the answer stays what it is.
    fn page(
        &self,
        status: StatusCode,
        name: &Path,
        wait: Wait,
    ) -> io::Result<Option<Response<Body>>> {
        let Some(located) = self.find(PUBLIC, name, wait)? else {
            tracing::warn!(file = %name.display(), "the page of an error is not there");
            return Ok(None);
        };
        let representation = choose(&self.config, located, &self.request.headers, wait)?;
        let mut headers = self.headers.clone();
        for name in [
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::ETAG,
            header::LAST_MODIFIED,
        ] {
            headers.remove(&name);
            // Of the page's validators none: they would be taken for those of what is missing.
            if name != header::ETAG
                && name != header::LAST_MODIFIED
                && let Some(value) = representation.headers.get(&name)
            {
                headers.insert(name, value.clone());
            }
        }
        if let Some(varies) = representation.headers.get(header::VARY) {
            vary(&mut headers, varies);
        }
        let method = &self.request.method;
        let mut response = whole(Cow::Owned(representation), status, method, wait)?;
        *response.headers_mut() = headers;
        Ok(Some(response))
    }

    fn find(&self, shelf: usize, name: &Path, wait: Wait) -> io::Result<Option<Located<'_>>> {
        find_fixed(&self.config, shelf, name.to_owned(), wait)
    }
}

/// What the application names, if it does so in a way that was asked for.
fn named_file(fallbacks: &Fallbacks, headers: &mut HeaderMap) -> Option<File> {
    let mut named = None;
    if !fallbacks.accel.is_empty() {
        for name in &X_ACCEL {
            headers.remove(name);
        }
        if let Some(value) = headers.remove(X_ACCEL_REDIRECT) {
            named = Some(File::Named(accel(fallbacks, &value)));
        }
    }
    if !fallbacks.sendfile.is_empty()
        && let Some(value) = headers.remove(X_SENDFILE)
    {
        named = Some(File::Named(sendfile(fallbacks, &value)));
    }
    named
}

/// A path of URLs, with or without a query: the longest prefix counts.
fn accel(fallbacks: &Fallbacks, value: &HeaderValue) -> Option<(usize, PathBuf)> {
    let path = value.as_bytes().split(|byte| *byte == b'?').next()?;
    let path: Cow<'_, [u8]> = percent_decode(path).into();
    let below = |prefix: &Prefix| {
        let below = path.strip_prefix(prefix.as_str().trim_end_matches('/').as_bytes())?;
        relative(below.strip_prefix(b"/")?)
    };
    let found = fallbacks
        .accel
        .iter()
        .filter_map(|(prefix, shelf)| Some((prefix.as_str().len(), *shelf, below(prefix)?)))
        .max_by_key(|(length, _, _)| *length);
    if found.is_none() {
        tracing::warn!(
            header = "x-accel-redirect",
            ?value,
            "names nothing that may be sent"
        );
    }
    found.map(|(_, shelf, name)| (shelf, name))
}

/// A path of the file system.
fn sendfile(fallbacks: &Fallbacks, value: &HeaderValue) -> Option<(usize, PathBuf)> {
    let path = file_name(percent_decode(value.as_bytes()).into())?;
    let found = fallbacks.sendfile.iter().find_map(|(root, shelf)| {
        let below = path.strip_prefix(root).ok()?;
        let is_plain = |part| matches!(part, Component::Normal(_));
        (below.components().all(is_plain) && below.components().next().is_some())
            .then(|| (*shelf, below.to_owned()))
    });
    if found.is_none() {
        tracing::warn!(
            header = "x-sendfile",
            ?value,
            "names nothing that may be sent"
        );
    }
    found
}

/// A name without a segment that would lead elsewhere.
fn relative(name: &[u8]) -> Option<PathBuf> {
    let leads_elsewhere = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
    if name.contains(&0) || name.split(|byte| *byte == b'/').any(leads_elsewhere) {
        return None;
    }
    file_name(Cow::Borrowed(name))
}
