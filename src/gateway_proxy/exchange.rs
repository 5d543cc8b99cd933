//! One request, from what the client sent to what the client gets.

use std::{error::Error as _, future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{
    activity::{Activity, Patience},
    layer::Shared,
    pool::{Lease, Need},
    request::{Content, Head},
    response::{self, ResponseBody},
    upgrade,
    upstream::{Upstream, http::Failure},
};
use crate::{Body, BoxError, Error, ErrorKind, Fault, body::answer};

/// Passes a request on. Dropped before its end, it closes the connection that it has taken.
pub(super) async fn forward<B>(shared: Arc<Shared>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let version = request.version();
    match try_forward(&shared, request).await {
        Ok(response) => response,
        Err(error) => {
            tell(shared.pool.upstream(), &error);
            answer::refuse_body(error, version)
        }
    }
}

async fn try_forward<B>(shared: &Shared, request: Request<B>) -> Result<Response<Body>, Error>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let (mut head, upgrade) = Head::prepare(&shared.config, shared.pool.upstream(), parts)?;
    let spool = &shared.config.spool;
    let content = if body.is_end_stream() {
        Content::Empty
    } else if shared.config.streams_requests {
        Content::Streamed(Body::new(spool.guard(body)?))
    } else {
        Content::Spooled(spool.collect(body).await?)
    };
    head.frame(&content);

    let method = head.method.clone();
    let (response, lease) = exchange(shared, head, content, upgrade.is_some()).await?;
    let (mut parts, incoming) = response.into_parts();
    let protocol = response::prepare(&mut parts, &method)?;
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let limits = upgrade::Limits {
            idle: shared.config.upgrade_idle_timeout,
            lifetime: None,
        };
        let tunnels = &shared.tunnels;
        upgrade::accept(upgrade, protocol, &mut parts, lease, limits, tunnels)?;
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    if let Some(extended) = upgrade.and_then(|wish| wish.extended) {
        extended.declined(&parts)?;
    }
    let body = receive(shared, incoming, lease).await;
    Ok(Response::from_parts(parts, body))
}

/// Sends the request, and once more if the connection was a kept one that the upstream has closed
/// in the meantime.
async fn exchange(
    shared: &Shared,
    head: Head,
    mut content: Content,
    is_upgrade: bool,
) -> Result<(Response<Incoming>, Lease), Error> {
    let need = if is_upgrade { Need::Fresh } else { Need::Any };
    let mut lease = shared.pool.lease(need).await?;
    let was_used = lease.connection.was_used();
    // RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests."
    let may_repeat = was_used && head.method.is_idempotent() && content.is_replayable();
    let spare = may_repeat.then(|| head.clone());
    let (body, activity) = content.take();
    let request = head.into_request(body);
    let failure = match send(shared, &mut lease, request, activity.clone()).await? {
        Ok(response) => return Ok((response, lease)),
        Err(failure) => failure,
    };

    let (request, activity) = match (failure, spare) {
        // Nothing of it was sent: any request may be tried again.
        (
            Failure {
                untaken: Some(request),
                ..
            },
            _,
        ) if was_used => (*request, activity),
        (failure, Some(head)) if !failure.was_heard && !failure.error.is_user() => {
            let (body, activity) = content.take();
            (head.into_request(body), activity)
        }
        (failure, _) => return Err(classify(failure)),
    };
    tracing::debug!(upstream = %shared.pool.upstream(), "a kept connection was closed; trying a fresh one");
    let mut lease = lease.renew().await?;
    let response = send(shared, &mut lease, request, activity).await?;
    Ok((response.map_err(classify)?, lease))
}

async fn send(
    shared: &Shared,
    lease: &mut Lease,
    request: Request<Body>,
    activity: Option<Activity>,
) -> Result<Result<Response<Incoming>, Failure>, Error> {
    let mut patience = Patience::new(shared.config.response_timeout, activity);
    lease
        .connection
        .send(request, |cx| patience.poll(cx))
        .await
        .ok_or_else(|| ErrorKind::UpstreamTimeout.into())
}

/// The body of the answer; the connection stays with it until it is over.
async fn receive(shared: &Shared, incoming: Incoming, lease: Lease) -> Body {
    let mut body = ResponseBody::new(incoming, lease, shared.config.read_timeout);
    if body.is_end_stream() {
        poll_fn(|cx| {
            body.finish(cx);
            Poll::Ready(())
        })
        .await;
        return Body::empty();
    }
    Body::new(body)
}

fn classify(failure: Failure) -> Error {
    let Failure {
        error,
        was_heard,
        untaken,
    } = failure;
    // The request's own body broke off, and said why.
    if let Some(error) = response::find::<Error>(&error) {
        return error.clone();
    }
    let kind = if error.is_user() {
        ErrorKind::Io
    } else if error.is_parse() || untaken.is_some() && was_heard {
        ErrorKind::UpstreamProtocol
    } else {
        ErrorKind::UpstreamReset
    };
    Error::new(kind).with_source(error)
}

/// Tells the operator; never what the request held.
fn tell(upstream: &Upstream, error: &Error) {
    let cause = error.source().map(tracing::field::display);
    match error.fault() {
        Fault::Client => tracing::debug!(reason = %error, cause, "refused a request"),
        _ => tracing::warn!(%upstream, reason = %error, cause, "a request got no answer"),
    }
}
