//! One request, from what the client sent to what the client gets.

use std::{error::Error as _, future::poll_fn, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};

use tokio::time::Instant;

use super::{
    layer::Shared,
    pool::{Lease, Need},
    request::{Content, Head},
    response::{self, ResponseBody},
    server::Server,
    upgrade,
    upstream::{Address, Call, Failure, Outgoing, Patience},
};
use crate::{Body, BoxError, Error, ErrorKind, Fault, body::answer};

/// How long a body waits to be asked for. RFC 9110 §10.1.1: a client that waits for a 100 "SHOULD
/// NOT wait for an indefinite period before sending the content", since there are servers that
/// never say so.
const CONTINUE: Duration = Duration::from_secs(1);

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

/// Why a request has no answer, and who was asked last.
struct Unanswered {
    error: Error,
    upstream: Option<Address>,
}

impl<E: Into<Error>> From<E> for Unanswered {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            upstream: None,
        }
    }
}

impl Unanswered {
    fn by(server: &Server) -> impl FnOnce(Error) -> Self {
        |error| Self {
            error,
            upstream: Some(server.address().clone()),
        }
    }
}

async fn try_forward<B>(shared: &Shared, request: Request<B>) -> Result<Response<Body>, Unanswered>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let (mut head, upgrade) = Head::prepare(&shared.config, parts)?;
    let spool = &shared.config.spool;
    let mut content = if body.is_end_stream() {
        Content::Empty
    } else if shared.config.streams(head.path()) {
        Content::Streamed(Body::new(spool.guard(body)?))
    } else {
        Content::Spooled(spool.collect(body).await?)
    };
    head.frame(&content);

    let deadline = shared.config.total_timeout;
    let deadline = deadline.and_then(|total| Instant::now().checked_add(total));
    let answered = exchange(shared, &mut head, &mut content, upgrade.is_some(), deadline).await?;
    let (mut parts, ()) = answered.head.into_parts();
    let protocol = response::prepare(&mut parts);
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let idle_timeout = shared.config.upgrade_idle_timeout;
        let lease = answered.lease;
        upgrade::accept(upgrade, protocol, &mut parts.headers, lease, idle_timeout)?;
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let body = ResponseBody::new(answered.call, answered.lease, shared.config.read_timeout);
    let body = match http_body::Body::is_end_stream(&body) {
        true => Body::empty(),
        false => Body::new(body),
    };
    Ok(Response::from_parts(parts, body))
}

/// The head of an answer, and where the rest of it comes from.
struct Answered {
    head: Response<()>,
    call: Call,
    lease: Lease,
}

/// Sends the request, and once more if the connection was a kept one that the upstream has closed
/// in the meantime.
async fn exchange(
    shared: &Shared,
    head: &mut Head,
    content: &mut Content,
    is_upgrade: bool,
    deadline: Option<Instant>,
) -> Result<Answered, Unanswered> {
    // RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests." So they
    // are not sent where they may have to be.
    let may_repeat = head.method.is_idempotent() && content.is_replayable();
    let need = match (may_repeat || shared.config.reuses_always) && !is_upgrade {
        true => Need::Any,
        false => Need::Fresh,
    };
    let server = {
        let members = shared.table.members();
        let usable = members.pick(|server| !server.is_draining());
        usable
            .cloned()
            .ok_or(Error::new(ErrorKind::UpstreamUnavailable))?
    };
    server.count_request();
    let lease = server.pool().lease(need, deadline).await;
    let lease = lease.map_err(Unanswered::by(&server))?;
    let was_used = lease.connection.was_used();
    let sent = match send(shared, head, content, lease, deadline).await {
        Err((failure, lease)) if was_used && !failure.was_heard && may_repeat => {
            tracing::debug!(upstream = %server.address(), "a kept connection was closed; trying a fresh one");
            let lease = lease.renew(deadline).await;
            let lease = lease.map_err(Unanswered::by(&server))?;
            send(shared, head, content, lease, deadline).await
        }
        sent => sent,
    };
    sent.map_err(|(failure, _)| {
        server.count_failure();
        Unanswered::by(&server)(failure.error)
    })
}

async fn send(
    shared: &Shared,
    head: &mut Head,
    content: &mut Content,
    mut lease: Lease,
    deadline: Option<Instant>,
) -> Result<Answered, (Failure, Lease)> {
    let mut bytes = BytesMut::new();
    head.write(lease.address(), &mut bytes);
    let is_held = head.holds(content);
    let (body, coding) = content.take();
    let request = Outgoing {
        method: head.method.clone(),
        head: bytes,
        body,
        coding,
        is_held,
    };
    let patience = Patience {
        response: shared.config.response_timeout,
        deadline,
        hold: CONTINUE,
    };
    let connection = &mut lease.connection;
    let mut call = Call::new(connection, request, &patience);
    match poll_fn(|cx| call.poll_head(connection, cx)).await {
        Ok(head) => Ok(Answered { head, call, lease }),
        Err(failure) => Err((failure, lease)),
    }
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
