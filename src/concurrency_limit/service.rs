use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    RejectReason,
    adaptive::Outcome,
    body::{Held, ResponseBody},
    layer::LimitUntil,
    limit::{Admission, Limit, Permit, Place},
};

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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // A request is large, and each time that it is moved can be measured.
        let admission = match self.limit.config.looks_at_requests() {
            false => self.limit.admit(None),
            true => {
                let (parts, body) = request.into_parts();
                let admission = self.limit.admit(Some(&parts));
                request = Request::from_parts(parts, body);
                admission
            }
        };
        let inner = || self.inner.clone();
        let state = match admission {
            Admission::In(permit) => State::admitted(inner(), request, permit),
            Admission::Past => State::Admitted {
                response: Oneshot::new(inner(), request),
                permit: None,
            },
            Admission::Waits(place, patience) => State::Queued {
                queued: Box::pin(Queued {
                    place,
                    deadline: sleep(patience),
                    waiting: Some((inner(), request)),
                }),
            },
            Admission::Rejected(reason) => State::Rejected {
                limit: Arc::clone(&self.limit),
                reason,
            },
        };
        ResponseFuture { state }
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
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // Who waits can afford a box, so that nobody else moves what it is made of.
        Queued { queued: Pin<Box<Queued<S, ReqBody>>> },
        Admitted {
            #[pin]
            response: Oneshot<S, Request<ReqBody>>,
            permit: Option<Held>,
        },
        Rejected { limit: Arc<Limit>, reason: RejectReason },
    }
}

pin_project! {
    #[project = QueuedProj]
    struct Queued<S, ReqBody> {
        place: Place,
        #[pin]
        deadline: Sleep,
        waiting: Option<(S, Request<ReqBody>)>,
    }
}

impl<S, ReqBody> State<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    #[inline]
    fn admitted(inner: S, mut request: Request<ReqBody>, permit: Permit) -> Self {
        let is_shared = match permit.until() {
            LimitUntil::Head => false,
            LimitUntil::Body => may_upgrade(&request),
            LimitUntil::Guard => true,
        };
        let permit = match is_shared {
            true => Held::share(permit, request.extensions_mut()),
            false => Held::Alone { permit },
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
                StateProj::Queued { queued } => {
                    let QueuedProj {
                        place,
                        deadline,
                        waiting,
                    } = queued.as_mut().project();
                    let turn = match place.poll(cx) {
                        Poll::Ready(turn) => turn,
                        Poll::Pending => {
                            ready!(deadline.poll(cx));
                            place.give_up()
                        }
                    };
                    let next = match turn {
                        Ok(permit) => {
                            let (inner, request) =
                                waiting.take().expect("a queued request is taken once");
                            State::admitted(inner, request, permit)
                        }
                        Err(reason) => State::Rejected {
                            limit: Arc::clone(place.limit()),
                            reason,
                        },
                    };
                    this.state.set(next);
                }
                // ## Admitted => the inner service's answer
                StateProj::Admitted { response, permit } => {
                    let response = ready!(response.poll(cx));
                    let permit = permit.take();
                    if let Some(permit) = &permit {
                        permit.answered(outcome(&response));
                    }
                    let permit = permit.filter(|permit| !permit.ends_with_head());
                    return Poll::Ready(
                        response
                            .map(|response| response.map(|body| ResponseBody::inner(body, permit))),
                    );
                }
                // ## Rejected => an answer of our own
                StateProj::Rejected { limit, reason } => {
                    let response = limit.refusal(*reason);
                    return Poll::Ready(Ok(response.map(ResponseBody::answer)));
                }
            }
        }
    }
}

/// Whether the inner service says that it is too much for it.
fn outcome<B, E>(response: &Result<Response<B>, E>) -> Outcome {
    match response.as_ref().map(Response::status) {
        Err(_)
        | Ok(
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
        ) => Outcome::Overload,
        Ok(_) => Outcome::Success,
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
