use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    body::{Held, ResponseBody},
    layer::{Limit, Permit},
};
use crate::{Error, ErrorKind};

/// A service behind a limit. See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimitService<S> {
    inner: S,
    limit: Arc<Limit>,
}

impl<S> ConcurrencyLimitService<S> {
    pub(super) fn new(inner: S, limit: Arc<Limit>) -> Self {
        Self { inner, limit }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ConcurrencyLimitService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: http_body::Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    /// Always ready: who has to wait, waits in the response future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let state = if let Some(permit) = self.limit.try_enter() {
            if self.limit.note_free_entry() {
                tracing::info!("the overload is over");
            }
            State::admitted(self.inner.clone(), request, permit)
        } else if let Some(place) = self.limit.try_queue() {
            State::Queued {
                turn: Box::pin(Arc::clone(&self.limit).enter()),
                deadline: Box::pin(sleep(self.limit.config.queue_timeout)),
                _place: place,
                waiting: Some((self.inner.clone(), request)),
            }
        } else {
            State::Rejected {
                kind: ErrorKind::QueueFull,
            }
        };
        ResponseFuture {
            state,
            limit: Arc::clone(&self.limit),
        }
    }
}

pin_project! {
    /// The response of a service behind a limit.
    ///
    /// Dropped, it leaves the queue, or gives back its permit.
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
        limit: Arc<Limit>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Queued {
            turn: Pin<Box<dyn Future<Output = Option<Permit>> + Send>>,
            deadline: Pin<Box<Sleep>>,
            // In the queue, until the turn has come.
            _place: Permit,
            waiting: Option<(S, Request<ReqBody>)>,
        },
        Admitted {
            #[pin]
            response: Oneshot<S, Request<ReqBody>>,
            permit: Option<Held>,
        },
        Rejected { kind: ErrorKind },
    }
}

impl<S, ReqBody> State<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn admitted(inner: S, mut request: Request<ReqBody>, permit: Permit) -> Self {
        let permit = if may_upgrade(&request) {
            Held::share(permit, request.extensions_mut())
        } else {
            Held::Alone { _permit: permit }
        };
        Self::Admitted {
            response: Oneshot::new(inner, request),
            permit: Some(permit),
        }
    }
}

/// Whether the connection of this request may outlive its response.
///
/// RFC 9110 §7.8: an upgrade is asked for by an Upgrade field, in HTTP/1.1 only; a CONNECT
/// becomes a tunnel in any version (§9.3.6, and RFC 8441 for WebSocket over HTTP/2).
fn may_upgrade<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT
        || request.version() == Version::HTTP_11 && request.headers().contains_key(header::UPGRADE)
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: http_body::Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Queued => (Admitted | Rejected)
                StateProj::Queued {
                    turn,
                    deadline,
                    waiting,
                    ..
                } => {
                    let next = if let Poll::Ready(Some(permit)) = turn.as_mut().poll(cx) {
                        let (inner, request) =
                            waiting.take().expect("a queued request is taken once");
                        State::admitted(inner, request, permit)
                    } else {
                        ready!(deadline.as_mut().poll(cx));
                        State::Rejected {
                            kind: ErrorKind::QueueTimeout,
                        }
                    };
                    this.state.set(next);
                }
                // ## Admitted => the inner service's answer
                StateProj::Admitted { response, permit } => {
                    let response = ready!(response.poll(cx));
                    let permit = permit.take().expect("polled after completion");
                    return Poll::Ready(
                        response
                            .map(|response| response.map(|body| ResponseBody::inner(body, permit))),
                    );
                }
                // ## Rejected => an answer of our own
                StateProj::Rejected { kind } => {
                    return Poll::Ready(Ok(rejection(this.limit, *kind)));
                }
            }
        }
    }
}

fn rejection<B>(limit: &Limit, kind: ErrorKind) -> Response<ResponseBody<B>> {
    let error = Error::new(kind);
    if limit.note_rejection() {
        tracing::warn!(reason = %error, "overloaded: requests are turned away");
    } else {
        tracing::debug!(reason = %error, "turned a request away");
    }
    let status = error.status();
    let text = status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(ResponseBody::answer(text));
    *response.status_mut() = status;
    response.headers_mut().extend([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::RETRY_AFTER, HeaderValue::from(whole_seconds(limit))),
    ]);
    response.extensions_mut().insert(error);
    response
}

/// RFC 9110 §10.2.3: "Retry-After = HTTP-date / delay-seconds", whole seconds.
fn whole_seconds(limit: &Limit) -> u64 {
    let delay = limit.config.retry_after;
    delay
        .as_secs()
        .saturating_add(u64::from(delay.subsec_nanos() > 0))
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
