//! Answers of one's own to what went wrong.

use std::{fmt, sync::Arc};

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header,
};

use crate::{Body, Error, semantics::hop};

/// What the client gets when a request has no answer of the upstream, or one with a status that is
/// [replaced](ErrorAnswers::intercept).
///
/// ```
/// use http::{HeaderValue, Request, Response, header};
/// use tower::ServiceExt;
/// use tower_gateway::{Body, gateway_proxy::{ErrorAnswers, GatewayProxy}};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let answers = ErrorAnswers::new(|refused| {
///     if !refused.accepts("application/json") {
///         return None; // The line of text that there is anyway.
///     }
///     let text = format!(r#"{{"status": {}}}"#, refused.status().as_u16());
///     let mut response = Response::new(Body::from(text));
///     *response.status_mut() = refused.status();
///     let json = HeaderValue::from_static("application/json");
///     response.headers_mut().insert(header::CONTENT_TYPE, json);
///     Some(response)
/// });
/// let proxy = GatewayProxy::to("http+unix:/nowhere/gunicorn.sock")?.error_answers(answers);
/// let request = Request::get("/")
///     .header("host", "localhost")
///     .header("accept", "application/json")
///     .body(Body::empty())?;
/// let response = proxy.oneshot(request).await?;
/// assert_eq!(response.status(), 502);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// assert_eq!(response.headers()["cache-control"], "no-store");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ErrorAnswers {
    draw: Arc<Draw>,
    intercepted: Vec<StatusCode>,
}

type Draw = dyn Fn(&Refused<'_>) -> Option<Response<Body>> + Send + Sync;

/// What went wrong, and with which request.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    status: StatusCode,
    error: Option<&'a Error>,
    asked: &'a Asked,
}

/// What is kept of a request for the answer to what goes wrong with it.
#[derive(Clone, Debug)]
pub struct Asked {
    method: Method,
    uri: Uri,
    accept: Option<HeaderValue>,
}

impl ErrorAnswers {
    /// Answers with what `draw` makes of what went wrong: a response, or `None` for the short
    /// plain text that there is without this.
    ///
    /// Of the response, everything counts (also its status). It is given `Cache-Control: no-store`
    /// if it says nothing of caching, and the [`Error`] among its extensions; fields of one
    /// connection are taken out. It is called on the runtime, so it must not block. If it panics,
    /// so does the call of the gateway.
    pub fn new<F, R>(draw: F) -> Self
    where
        F: Fn(&Refused<'_>) -> R + Send + Sync + 'static,
        R: Into<Option<Response<Body>>>,
    {
        Self {
            draw: Arc::new(move |refused| draw(refused).into()),
            intercepted: Vec::new(),
        }
    }

    /// Also answers of the upstream itself with these statuses are replaced. Defaults to none.
    /// (nginx: `proxy_intercept_errors` and `error_page`.)
    ///
    /// Fields that do not speak of the replaced content (`Set-Cookie`, `Retry-After`,
    /// `WWW-Authenticate`) are kept where the drawn response does not have them. The body is
    /// dropped unread, which costs the connection to the upstream if it was not there yet.
    ///
    /// # Panics
    ///
    /// If a status is none of an error.
    #[track_caller]
    pub fn intercept(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        for status in statuses {
            assert!(
                is_error(status),
                "{status} is no error; ErrorAnswers::intercept takes statuses of 400 to 599"
            );
            self.intercepted.push(status);
        }
        self
    }

    /// Keeps what is told of a request.
    pub(in crate::gateway_proxy) fn note<B>(&self, request: &Request<B>) -> Asked {
        Asked {
            method: request.method().clone(),
            uri: request.uri().clone(),
            accept: request.headers().get(header::ACCEPT).cloned(),
        }
    }

    /// The answer to an error in place of `plain`, which has the error among its extensions. What is
    /// no error (a redirect to the canonical path) is returned as it is.
    pub(in crate::gateway_proxy) fn refuse(
        &self,
        asked: &Asked,
        plain: Response<Body>,
    ) -> Response<Body> {
        if !is_error(plain.status()) {
            return plain;
        }
        let Some(mut drawn) = self.draw(plain.status(), plain.extensions(), asked) else {
            return plain;
        };
        let (plain, _) = plain.into_parts();
        // That this connection is to be closed was decided elsewhere, and what is allowed as well.
        for name in [header::CONNECTION, header::ALLOW] {
            if let Some(value) = plain.headers.get(&name) {
                drawn.headers_mut().insert(name, value.clone());
            }
        }
        with_extensions(drawn, plain.extensions)
    }

    /// The answer in place of one of the upstream.
    pub(in crate::gateway_proxy) fn replace(
        &self,
        asked: &Asked,
        response: Response<Body>,
    ) -> Response<Body> {
        if !self.intercepted.contains(&response.status()) {
            return response;
        }
        let Some(mut drawn) = self.draw(response.status(), response.extensions(), asked) else {
            return response;
        };
        let (replaced, _) = response.into_parts();
        keep(replaced.headers, drawn.headers_mut());
        with_extensions(drawn, replaced.extensions)
    }

    fn draw(
        &self,
        status: StatusCode,
        extensions: &Extensions,
        asked: &Asked,
    ) -> Option<Response<Body>> {
        let mut drawn = (self.draw)(&Refused {
            status,
            error: extensions.get(),
            asked,
        })?;
        hop::strip_response(drawn.headers_mut());
        drawn
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        Some(drawn)
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn with_extensions(mut response: Response<Body>, mut extensions: Extensions) -> Response<Body> {
    extensions.extend(std::mem::take(response.extensions_mut()));
    *response.extensions_mut() = extensions;
    response
}

/// Keeps what does not speak of the content that is replaced.
fn keep(from: HeaderMap, to: &mut HeaderMap) {
    let mut name = None;
    let mut is_kept = false;
    for (next, value) in from {
        // Of the lines of one name, only the first has it.
        if let Some(next) = next {
            is_kept = !is_about_content(&next) && !to.contains_key(&next);
            name = Some(next);
        }
        if let (true, Some(name)) = (is_kept, &name) {
            to.append(name, value);
        }
    }
}

fn is_about_content(name: &HeaderName) -> bool {
    const FIELDS: [&str; 16] = [
        "accept-ranges",
        "content-digest",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "digest",
        "etag",
        "expires",
        "last-modified",
        "repr-digest",
        "trailer",
    ];
    FIELDS.contains(&name.as_str())
}

impl<'a> Refused<'a> {
    /// The status that the answer would have.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong here; `None` of an answer of the upstream.
    #[must_use]
    pub fn error(&self) -> Option<&'a Error> {
        self.error
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        &self.asked.method
    }

    /// The request's target, as the gateway has received it. A malformed path is here as it came.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        &self.asked.uri
    }

    /// The request's `Accept`, if it has one; the first line of several.
    #[must_use]
    pub fn accept(&self) -> Option<&'a HeaderValue> {
        self.asked.accept.as_ref()
    }

    /// Whether `Accept` names this media type. Wildcards and weights do not count: it is to tell a
    /// program from a browser.
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        self.accept().is_some_and(|accept| {
            hop::tokens(accept).any(|item| {
                let name = item.split(|byte| *byte == b';').next().unwrap_or_default();
                name.trim_ascii()
                    .eq_ignore_ascii_case(media_type.as_bytes())
            })
        })
    }
}

impl fmt::Debug for ErrorAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorAnswers")
            .field("intercepted", &self.intercepted)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
