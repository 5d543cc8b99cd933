//! The file that an answer leads to: one that the service inside names (`X-Accel-Redirect`), the
//! page of an application of one page, or the page of an error.

use std::{
    borrow::Cow,
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    request::Parts,
};

use self::named::{OnShelf, announce, take_named};
use super::{
    answer::{answer, whole},
    find::{Located, find_fixed},
    layer::{Config, PUBLIC},
    navigation::{self, is_navigation},
    representation::choose,
    rules::vary,
    seen::{self, Outcome},
    service::failed,
    source::Wait,
};
use crate::{Body, body::answer::plain, semantics::mount::Prefix};

mod named;

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

    fn page(&self, status: StatusCode) -> Option<&Path> {
        let page = self.pages.iter().find(|(of, _)| *of == status);
        page.map(|(_, name)| name.as_path())
    }
}

/// What is kept of a request for what may come of its answer.
#[derive(Debug)]
pub(super) struct After {
    config: Arc<Config>,
    /// What a file is answered by, and no more.
    request: Parts,
    /// Whether the service inside has no part in the answer.
    is_own: bool,
    /// Whether the errors among the answers have pages.
    has_pages: bool,
    /// Whether a 404 becomes the page of the application; `None` if that has no part in it.
    spa: Option<bool>,
}

impl After {
    /// For an answer of this layer's own. `None` if nothing can come of it.
    pub(super) fn of_own(
        config: &Arc<Config>,
        head: &Parts,
        status: StatusCode,
    ) -> Option<Box<Self>> {
        let fallbacks = &config.fallbacks;
        let leads_on = fallbacks.page(status).is_some()
            || status == StatusCode::NOT_FOUND && fallbacks.spa.is_some();
        leads_on.then(|| Self::new(config, &head.method, &head.uri, &head.headers, true))
    }

    /// For the answer of the service inside, which is as good as this layer's own if it `ends` the
    /// stack. `None` if nothing can come of it.
    pub(super) fn of_inner<B>(
        config: &Arc<Config>,
        request: &mut Request<B>,
        ends: bool,
    ) -> Option<Box<Self>> {
        let fallbacks = &config.fallbacks;
        announce(fallbacks, request.extensions_mut());
        let path = request.uri().path();
        let has_pages = !fallbacks.pages.is_empty();
        let leads_on = !fallbacks.accel.is_empty()
            || !fallbacks.sendfile.is_empty()
            || ends && has_pages
            || (fallbacks.spa.is_some() || fallbacks.intercept && has_pages)
                && config.at.strip(path).is_some();
        leads_on.then(|| {
            Self::new(
                config,
                request.method(),
                request.uri(),
                request.headers(),
                ends,
            )
        })
    }

    fn new(
        config: &Arc<Config>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        is_own: bool,
    ) -> Box<Self> {
        let fallbacks = &config.fallbacks;
        let below = config.at.strip(uri.path());
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let spa = below
            .filter(|_| fallbacks.spa.is_some() && reads)
            .map(|below| is_navigation(method, headers, below));

        let (mut request, ()) = Request::new(()).into_parts();
        request.uri = uri.clone();
        // Whatever the application was asked to do, a file is read.
        if *method == Method::HEAD {
            request.method = Method::HEAD;
        }
        // RFC 9110 §14.2: "GET is the only method for which range handling is defined". And what
        // the conditions of another method were for, the application has done by now.
        let fields: &[HeaderName] = match reads {
            true => &[
                header::ACCEPT_ENCODING,
                header::RANGE,
                header::IF_RANGE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                header::IF_MODIFIED_SINCE,
                header::IF_UNMODIFIED_SINCE,
            ],
            false => &[header::ACCEPT_ENCODING],
        };
        copy(headers, &mut request.headers, fields);
        Box::new(Self {
            config: Arc::clone(config),
            request,
            is_own,
            has_pages: is_own || fallbacks.intercept && below.is_some(),
            spa,
        })
    }

    /// The file that an answer leads to, if it leads to one. What is for this layer alone is taken
    /// out of the answer.
    pub(super) fn leads_to(self: Box<Self>, response: &mut Response<Body>) -> Option<Wanted> {
        let fallbacks = &self.config.fallbacks;
        let status = response.status();
        let named = match self.is_own {
            true => None,
            false => take_named(fallbacks, response.headers_mut()),
        };
        let (file, headers) = if let Some(named) = named {
            // Nothing else of it is sent: who makes the body may stop.
            *response.body_mut() = Body::empty();
            (File::Named(named), mem::take(response.headers_mut()))
        } else {
            let is_missing = status == StatusCode::NOT_FOUND;
            if is_missing && self.spa.is_some() {
                // Other requests for this path get the page.
                let varies = HeaderValue::from_static(navigation::VARY);
                vary(response.headers_mut(), &varies);
            }
            let file = match self.spa {
                Some(true) if is_missing => File::Spa,
                _ if self.has_pages && fallbacks.page(status).is_some() => File::Page,
                _ => return None,
            };
            (file, response.headers().clone())
        };
        Some(Wanted {
            config: self.config,
            request: self.request,
            has_pages: self.has_pages,
            status,
            headers,
            file,
        })
    }
}

/// A file that is to be sent in place of an answer.
#[derive(Debug)]
pub(super) struct Wanted {
    config: Arc<Config>,
    request: Parts,
    has_pages: bool,
    /// Of the answer.
    status: StatusCode,
    headers: HeaderMap,
    file: File,
}

#[derive(Debug)]
enum File {
    /// One that the application named, if it may.
    Named(Option<OnShelf>),
    Spa,
    /// Of the answer's error.
    Page,
}

impl Wanted {
    /// The answer that the file is; `None` if there is none, so that the answer stays what it was.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if it is not to wait.
    pub(super) fn answer(&self, wait: Wait) -> io::Result<Option<Response<Body>>> {
        let file = match &self.file {
            File::Named(named) => Some(self.named(named.as_ref(), wait)?),
            File::Spa => self.spa(wait)?,
            File::Page => None,
        };
        // Of a file there may be an error again, and this one is our own.
        let page = match &file {
            Some(response) => self.page(response.status(), response.headers(), wait)?,
            None if self.has_pages => self.page(self.status, &self.headers, wait)?,
            None => None,
        };
        let answer = match (page, file) {
            (Some(mut page), Some(error)) => {
                *page.extensions_mut() = error.into_parts().0.extensions;
                Some(page)
            }
            (page, file) => page.or(file),
        };
        if let Some(response) = &answer {
            seen::answered(Outcome::Instead, self.request.uri.path(), response);
        }
        Ok(answer)
    }

    /// Whether nothing but the file can be the answer, because the application named it.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.file, File::Named(_))
    }

    fn named(&self, named: Option<&OnShelf>, wait: Wait) -> io::Result<Response<Body>> {
        let file = match named {
            Some(named) => self.sent(named, wait),
            None => Ok(None),
        };
        let mut response = match file {
            Ok(Some(response)) => response,
            Ok(None) => plain(StatusCode::NOT_FOUND),
            Err(error) => or_wait(error, wait).map(|error| failed(None, error))?,
        };
        copy(&self.headers, response.headers_mut(), &[header::SET_COOKIE]);
        // Other than nginx: who may see the file may depend on these.
        for varies in self.headers.get_all(header::VARY) {
            vary(response.headers_mut(), varies);
        }
        Ok(response)
    }

    fn sent(&self, named: &OnShelf, wait: Wait) -> io::Result<Option<Response<Body>>> {
        let Some(located) = self.find(named.shelf, &named.name, wait)? else {
            let file = named.name.display();
            tracing::warn!(%file, "the application names a file that is not there");
            return Ok(None);
        };
        let mut representation = choose(&self.config, located, &self.request.headers, wait)?;
        // As nginx does: what the application says of these counts.
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_DISPOSITION,
            header::CACHE_CONTROL,
            header::EXPIRES,
        ] {
            if self.headers.contains_key(&name) {
                representation.headers.remove(&name);
                copy(&self.headers, &mut representation.headers, &[name]);
            }
        }
        answer(Cow::Owned(representation), &self.request, wait).map(Some)
    }

    fn spa(&self, wait: Wait) -> io::Result<Option<Response<Body>>> {
        let Some(name) = &self.config.fallbacks.spa else {
            return Ok(None);
        };
        let response = self.find(PUBLIC, name, wait).and_then(|located| {
            let Some(located) = located else {
                tracing::warn!(file = %name.display(), "the page of the application is not there");
                return Ok(None);
            };
            let mut representation = choose(&self.config, located, &self.request.headers, wait)?;
            let varies = HeaderValue::from_static(navigation::VARY);
            vary(&mut representation.headers, &varies);
            answer(Cow::Owned(representation), &self.request, wait).map(Some)
        });
        response.or_else(|error| {
            or_wait(error, wait)
                .map(|error| failed(None, error))
                .map(Some)
        })
    }

    /// The page of an error in the place of its body. An error without a page, or with one that
    /// cannot be read, stays what it is.
    fn page(
        &self,
        status: StatusCode,
        error: &HeaderMap,
        wait: Wait,
    ) -> io::Result<Option<Response<Body>>> {
        let Some(name) = self.config.fallbacks.page(status) else {
            return Ok(None);
        };
        let page = self.find(PUBLIC, name, wait).and_then(|located| {
            let Some(located) = located else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let representation = choose(&self.config, located, &self.request.headers, wait)?;
            let headers = with_content_of(&representation.headers, error);
            let method = &self.request.method;
            let mut page = whole(Cow::Owned(representation), status, method, wait)?;
            *page.headers_mut() = headers;
            Ok(Some(page))
        });
        page.or_else(|error| {
            let error = or_wait(error, wait)?;
            tracing::warn!(file = %name.display(), %error, "no page for an error");
            Ok(None)
        })
    }

    fn find(&self, shelf: usize, name: &Path, wait: Wait) -> io::Result<Option<Located<'_>>> {
        find_fixed(&self.config, shelf, name.to_owned(), wait)
    }
}

/// The fields of an error, with a page for its content.
fn with_content_of(page: &HeaderMap, error: &HeaderMap) -> HeaderMap {
    let mut headers = error.clone();
    // Of the page's validators none come with it: they would be taken for those of what is missing.
    for name in [
        header::ACCEPT_RANGES,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_TYPE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("repr-digest"),
    ] {
        headers.remove(name);
    }
    let of_content = [
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::X_CONTENT_TYPE_OPTIONS,
    ];
    copy(page, &mut headers, &of_content);
    for varies in page.get_all(header::VARY) {
        vary(&mut headers, varies);
    }
    headers
}

/// Adds all lines of these fields.
fn copy(from: &HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        for value in from.get_all(name) {
            to.append(name, value.clone());
        }
    }
}

/// The error, unless it is that one would have to wait: then that is one.
fn or_wait(error: io::Error, wait: Wait) -> io::Result<io::Error> {
    match wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock {
        true => Err(error),
        false => Ok(error),
    }
}
