//! One request, from what the client sent to what the client gets.

use std::{error::Error as _, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use tokio::time::Instant;

#[cfg(feature = "http2")]
use super::response::stream::StreamBody;
use super::{
    content::Content,
    layer::Shared,
    request::{self, Head},
    response::{self, ResponseBody},
    tries::{Answered, Source, Tries, Unanswered},
    upgrade,
    upstream::Address,
};
use crate::{Body, BoxError, Error, ErrorKind, Fault, body::answer, semantics::max_forwards};

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
            let is_disallowed = error.kind() == ErrorKind::MethodNotAllowed;
            let mut response = answer::refuse_body(error, version);
            if is_disallowed {
                // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a
                // 405 response".
                let headers = response.headers_mut();
                headers.insert(header::ALLOW, max_forwards::ALLOW);
            }
            response
        }
    }
}

async fn try_forward<B>(shared: &Shared, request: Request<B>) -> Result<Response<Body>, Unanswered>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let config = &shared.config;
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = request::answer_here(&mut parts)? {
        return Ok(answer);
    }
    let (mut head, mut upgrade) = Head::prepare(config, parts)?;
    let spool = &config.spool;
    let mut content = if body.is_end_stream() {
        Content::Empty
    } else if config.streams(head.path()) || head.is_grpc() || shared.table.speaks_http2() {
        Content::Streamed(Body::new(spool.guard(body)?))
    } else {
        Content::Spooled(spool.collect(body).await?)
    };
    head.frame(&content);

    let deadline = config.total_timeout;
    let deadline = deadline.and_then(|total| Instant::now().checked_add(total));
    let tries = Tries::new(shared, &mut head, &mut content, upgrade.is_some(), deadline);
    let mut answered = tries.answer().await?;

    let server = answered.work.server();
    let by = |error: Error| Unanswered::by(&server, error);
    let (mut parts, ()) = std::mem::take(&mut answered.head).into_parts();
    let protocol = response::prepare(&mut parts, config.via.as_ref());
    if let Some(cookie) = answered.session_cookie.take() {
        parts.headers.append(header::SET_COOKIE, cookie);
    }
    if parts.status != StatusCode::SWITCHING_PROTOCOLS
        && let Some(extended) = upgrade.as_mut().and_then(|wish| wish.extended.take())
    {
        extended.declined(&parts).map_err(by)?;
    }
    let Answered {
        source, turn, work, ..
    } = answered;
    let call = match source {
        Source::Call(call) => call,
        #[cfg(feature = "http2")]
        Source::Stream(stream) => {
            let body = StreamBody::new(stream, turn, work, config.read_timeout, deadline);
            return Ok(Response::from_parts(parts, Body::new(body)));
        }
    };
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let limits = upgrade::Limits {
            idle: config.upgrade_idle_timeout,
            lifetime: config.upgrade_lifetime,
        };
        let held = (turn, work);
        let tunnels = &shared.tunnels;
        upgrade::accept(upgrade, protocol, &mut parts, call, held, limits, tunnels).map_err(by)?;
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let body = ResponseBody::new(call, turn, work, config.read_timeout);
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
