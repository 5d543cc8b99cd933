//! One request, from what the client sent to what the client gets.

use std::{error::Error as _, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::time::Instant;

use super::{
    content::Content,
    layer::Shared,
    request::Head,
    response::{self, ResponseBody},
    tries::{Tries, Unanswered},
    upgrade,
    upstream::Address,
};
use crate::{Body, BoxError, Error, Fault, body::answer};

/// Passes a request on. Dropped before its end, it closes the connection that it has taken.
pub(super) async fn forward<B>(shared: Arc<Shared>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let version = request.version();
    match try_forward(&shared, request).await {
        Ok(response) => response,
        Err(Unanswered { error, upstream }) => {
            tell(upstream.as_ref(), &error);
            answer::refuse_body(error, version)
        }
    }
}

async fn try_forward<B>(shared: &Shared, request: Request<B>) -> Result<Response<Body>, Unanswered>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let config = &shared.config;
    let (parts, body) = request.into_parts();
    let (mut head, upgrade) = Head::prepare(config, parts)?;
    let spool = &config.spool;
    let mut content = if body.is_end_stream() {
        Content::Empty
    } else if config.streams(head.path()) {
        Content::Streamed(Body::new(spool.guard(body)?))
    } else {
        Content::Spooled(spool.collect(body).await?)
    };
    head.frame(&content);

    let deadline = config.total_timeout;
    let deadline = deadline.and_then(|total| Instant::now().checked_add(total));
    let tries = Tries::new(shared, &mut head, &mut content, upgrade.is_some(), deadline);
    let answered = tries.answer().await?;

    let server = answered.work.server();
    let by = |error| Unanswered::by(&server, error);
    let (mut parts, ()) = answered.head.into_parts();
    let protocol = response::prepare(&mut parts);
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let limits = upgrade::Limits {
            idle: config.upgrade_idle_timeout,
            lifetime: config.upgrade_lifetime,
        };
        let (headers, lease) = (&mut parts.headers, answered.lease);
        upgrade::accept(upgrade, protocol, headers, lease, limits, &shared.tunnels).map_err(by)?;
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let read_timeout = config.read_timeout;
    let body = ResponseBody::new(answered.call, answered.lease, answered.work, read_timeout);
    let body = match http_body::Body::is_end_stream(&body) {
        true => Body::empty(),
        false => Body::new(body),
    };
    Ok(Response::from_parts(parts, body))
}

/// Tells the operator; never what the request held.
fn tell(upstream: Option<&Address>, error: &Error) {
    let upstream = upstream.map(tracing::field::display);
    let cause = error.source().map(tracing::field::display);
    match error.fault() {
        Fault::Client => tracing::debug!(upstream, reason = %error, cause, "refused a request"),
        _ => tracing::warn!(upstream, reason = %error, cause, "a request got no answer"),
    }
}
