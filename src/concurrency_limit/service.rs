use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{
    RejectReason,
    adaptive::Outcome,
    body::{Held, ResponseBody},
    limit::{Admission, Limit, Place, Timed},
};
use crate::call::Call;

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

    #[inline]
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
        let state = match admission {
            Admission::In(permit, timed) => {
                let permit = permit.map(|permit| Held::new(permit, &mut request));
                State::Admitted {
                    call: Call::new(&mut self.inner, request),
                    permit,
                    timed,
                }
            }
            Admission::Waits(place, patience) => State::Queued {
                queued: Box::pin(Queued {
                    place,
                    deadline: sleep(patience),
                    waiting: Some((self.inner.clone(), request)),
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
            call: Call<S, Request<ReqBody>>,
            permit: Option<Held>,
            timed: Option<Timed>,
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

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: http_body::Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    #[inline]
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
                        Ok((permit, timed)) => {
                            let (mut inner, mut request) =
                                waiting.take().expect("a queued request is taken once");
                            let permit = Some(Held::new(permit, &mut request));
                            State::Admitted {
                                call: Call::new(&mut inner, request),
                                permit,
                                timed,
                            }
                        }
                        Err(reason) => State::Rejected {
                            limit: Arc::clone(place.limit()),
                            reason,
                        },
                    };
                    this.state.set(next);
                }
                // ## Admitted => the inner service's answer
                StateProj::Admitted {
                    call,
                    permit,
                    timed,
                } => {
                    let response = ready!(call.poll(cx));
                    let mut permit = permit.take();
                    if let Some(held) = &permit {
                        if let Some(timed) = timed.take() {
                            held.answered(timed, outcome(&response));
                        }
                        if held.ends_with_head() {
                            permit = None;
                        }
                    }
                    let (head, body) = response?.into_parts();
                    let body = ResponseBody::inner(body, permit);
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
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
