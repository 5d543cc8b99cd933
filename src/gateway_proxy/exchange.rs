//! One request, from what the client sent to what the client gets.

use std::{
    error::Error as _,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use tokio::time::Instant;

#[cfg(feature = "http2")]
use super::response::stream::StreamBody;
use super::{
    answer::accel,
    content::Content,
    layer::Shared,
    request::{self, Head},
    response::{self, ResponseBody},
    seen::Seen,
    tries::{Answered, Source, Tries, Unanswered},
    upgrade::Switch,
    upstream::Address,
};
use crate::{
    Body, BoxError, Error, ErrorKind, Fault,
    body::{
        answer,
        buffer::{self, Buffering, ReadAhead},
    },
    semantics::{max_forwards, send_file::SendsFiles},
};

/// Passes a request on. Dropped before its end, it closes the connection that it has taken.
//
// This future is made for every request: what is rare on its way is in a box of its own, so that it
// is small. (An `async fn` would hold its arguments twice.)
#[allow(clippy::manual_async_fn)]
pub(super) fn forward<B>(
    shared: Arc<Shared>,
    request: Request<B>,
    mut seen: Seen,
) -> impl Future<Output = Response<Body>> + Send
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async move {
        let version = request.version();
        let pages = shared.config.error_answers.as_ref();
        let pages = pages.map(|pages| Box::new((pages, pages.note(&request))));
        match try_forward(&shared, request, &mut seen).await {
            Ok(response) => match pages {
                Some(pages) => pages.0.replace(&pages.1, response),
                None => response,
            },
            Err(Unanswered { error, upstream }) => {
                tell(upstream.as_ref(), &error);
                let kind = error.kind();
                let response = refusal(error, version);
                let response = match pages {
                    Some(pages) => pages.0.refuse(&pages.1, response),
                    None => response,
                };
                seen.failed(kind, response.status());
                response
            }
        }
    }
}

fn refusal(error: Error, version: Version) -> Response<Body> {
    let is_disallowed = error.kind() == ErrorKind::MethodNotAllowed;
    let mut response = answer::refuse_body(error, version);
    if is_disallowed {
        // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405
        // response".
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, max_forwards::ALLOW);
    }
    response
}

async fn try_forward<B>(
    shared: &Arc<Shared>,
    request: Request<B>,
    seen: &mut Seen,
) -> Result<Response<Body>, Unanswered>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let config = &*shared.config;
    let version = request.version();
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = request::answer_here(&mut parts)? {
        seen.answered_here(answer.status());
        return Ok(answer);
    }
    let sends_files = SendsFiles::of(&parts.extensions);
    let (mut head, mut upgrade) = Head::prepare(config, parts, seen)?;
    let spool = &config.spool;
    let is_streamed = config.streams(head.path()) || shared.table.speaks_http2();
    let mut content = if body.is_end_stream() {
        Content::Empty
    } else if is_streamed {
        Content::Streamed(seen.streamed(spool.guard(body)?))
    } else {
        let spooled = Box::pin(spool.collect(body)).await?;
        seen.collected(spooled.len());
        Content::Spooled(spooled)
    };
    head.frame(&content);

    let deadline = config.total_timeout;
    let deadline = deadline.and_then(|total| Instant::now().checked_add(total));
    let is_upgrade = upgrade.is_some();
    let tries = Tries::new(shared, &mut head, &mut content, is_upgrade, deadline, seen);
    let Answered {
        head: answer,
        session_cookie,
        // Bindings are dropped from the last to the first: the connection before the turn.
        work,
        turn,
        source,
        credit,
    } = tries.answer().await?;

    let server = work.server();
    let by = |error: Error| Unanswered::by(&server, error);
    let (mut parts, ()) = answer.into_parts();
    let protocol = response::prepare(&mut parts, config.via.as_ref());
    let headers = &mut parts.headers;
    let said = accel::take_fields(headers, config.accel_fields);
    accel::take_named_files(headers, sends_files, config.named_files);
    let is_read_ahead = config.buffering.is_for(headers, said);
    let own_host = config
        .sends_own_host()
        .then(|| head.headers().get(header::HOST));
    config
        .rewrites
        .apply(headers, own_host.flatten(), &head.client().prefix);
    config.response_headers.apply(headers);
    if let Some(cookie) = session_cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        #[cfg_attr(not(feature = "http2"), allow(clippy::infallible_destructuring_match))]
        let call = match source {
            Source::Call(call) => call,
            #[cfg(feature = "http2")]
            Source::Stream(..) => {
                let reason = "HTTP/2 knows no 101";
                return Err(by(
                    Error::new(ErrorKind::UpstreamProtocol).with_source(reason)
                ));
            }
        };
        let switch = Switch::agreed(upgrade, protocol, &call).map_err(by)?;
        switch.tell(&mut parts).map_err(by)?;
        seen.tunnel(parts.status);
        switch.carry(call, (turn, work), shared, seen.take());
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    if let Some(extended) = upgrade.as_mut().and_then(|wish| wish.extended.take()) {
        extended.declined(&parts).map_err(by)?;
    }
    let reading = Reading {
        buffering: is_read_ahead.then_some(&config.buffering),
        // Clients of HTTP/2 say themselves when the first byte is asked for.
        may_never_ask: version >= Version::HTTP_2,
    };
    seen.heard(parts.status);
    let mut rest = Some((source, turn, work, credit, seen.take()));
    let body = poll_fn(|cx| {
        let rest = rest.take();
        let (source, turn, work, credit, seen) =
            rest.expect("it is polled once: it is ready at once");
        Poll::Ready(match source {
            Source::Call(call) => {
                let body = ResponseBody::new(call, turn, work, credit, config.read_timeout);
                reading.of(body, seen, cx)
            }
            #[cfg(feature = "http2")]
            Source::Stream(stream, activity) => {
                let limit = config.read_timeout;
                let body = StreamBody::new(stream, activity, (turn, work), credit, limit, deadline);
                reading.of(body, seen, cx)
            }
        })
    });
    let body = body.await;
    Ok(Response::from_parts(parts, body))
}

/// How the body of an answer is read.
struct Reading<'a> {
    buffering: Option<&'a Buffering>,
    may_never_ask: bool,
}

impl Reading<'_> {
    fn of<B>(&self, body: B, seen: Seen, cx: &mut Context<'_>) -> Body
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + Unpin + 'static,
    {
        match self.buffering {
            _ if body.is_end_stream() => {
                seen.complete(0);
                Body::empty()
            }
            None => seen.body(body),
            Some(buffering) => match buffer::read_ahead(body, buffering, self.may_never_ask, cx) {
                ReadAhead::Whole(bytes) => {
                    seen.complete(bytes.len() as u64);
                    Body::from(bytes)
                }
                ReadAhead::Rest(rest) => seen.body(rest),
            },
        }
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
