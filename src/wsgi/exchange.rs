//! One request, from what the client sent to what the client gets.

use std::{error::Error as _, future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};

use super::{
    body::AnswerBody,
    builder::Requests,
    call::{Answer, Call, Failure, Reached},
    request::{Head, bad_request},
    response::{self, Told},
    seen::Seen,
    service::Shared,
    slot::{Letter, Slot, Unsendable},
    traceback,
    upload::Upload,
    worker::Worker,
};
use crate::{
    Body, BoxError, Error, ErrorKind, Fault,
    body::{
        answer,
        buffer::{self, ReadAhead},
        file::FileBody,
    },
    semantics::send_file::SendsFiles,
};

/// After how many seconds one who was not let in may ask again: the next worker may be free then.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How many slots are tried with a request that none of them has seen the whole of. Those that were
/// closed before are not among them: all threads of a worker that died may be in the way.
const TRIES: u32 = 3;
/// How many of those there may be.
const CLOSED: u32 = 1000;

/// Has a request answered. Dropped before its end, it gives up its place in the queue, or closes the
/// connection of the slot that it has.
// This future is made for every request: what is rare on its way is in a box of its own, so that it
// is small. (An `async fn` would hold its arguments twice.)
#[allow(clippy::manual_async_fn)]
pub(super) fn serve<B>(
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
        match try_serve(&shared, request, &mut seen).await {
            Ok(response) => response,
            Err(error) => {
                tell(&error);
                let kind = error.kind();
                let response = refusal(error, version);
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
        headers.insert(header::ALLOW, crate::semantics::max_forwards::ALLOW);
    }
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

async fn try_serve<B>(
    shared: &Arc<Shared>,
    request: Request<B>,
    seen: &mut Seen,
) -> Result<Response<Body>, Error>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let config = &shared.config;
    let (parts, body) = request.into_parts();
    let (version, sends_files) = (parts.version, SendsFiles::of(&parts.extensions));
    let mut head = Head::prepare(config, parts)?;
    let upload = if body.is_end_stream() {
        head.has_no_body();
        Upload::Inline(Bytes::new())
    } else if config.is_streamed {
        head.has_body(body.size_hint().exact());
        Upload::streamed(seen.streamed(config.spool.guard(body)?))
    } else {
        let spooled = Box::pin(config.spool.collect(body)).await?;
        seen.collected(spooled.len());
        head.has_body(Some(spooled.len()));
        Upload::spooled(&spooled)
    };

    let (mut call, answer) = ask(shared, &head, upload, seen).await?;
    let (answer, file) = match answer {
        Answer::Head(head) => (head, None),
        Answer::File { head, file, body } => (head, Some((file, body))),
        Answer::Exception(text) => {
            tell_exception(call.slot().worker(), &text);
            call.finish(&shared.dispatch, true);
            return Ok(exception(config, &text, seen));
        }
    };
    let response::Head {
        status,
        reason,
        mut headers,
        length,
    } = answer;
    let Told { is_buffered } = response::prepare(&mut headers, sends_files);
    let is_read_ahead = config.buffering.is_for(&headers, is_buffered);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    seen.heard(status);

    // RFC 9110 §6.4.1: "All responses to the HEAD method […] do not include content"; neither do
    // these.
    if head.method == http::Method::HEAD
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
    {
        call.finish(&shared.dispatch, true);
        seen.take().complete(0);
        return Ok(response);
    }
    if let Some((file, (offset, in_file))) = file {
        let length = length.unwrap_or(in_file);
        if length > in_file {
            return Err(Error::new(ErrorKind::Application)
                .with_source("its file is shorter than its Content-Length says"));
        }
        call.finish(&shared.dispatch, true);
        let body = FileBody::new(file, offset, length, Bytes::new());
        *response.body_mut() = seen.take().file(body);
        return Ok(response);
    }
    if let Some(whole) = call.take_whole(length) {
        call.finish(&shared.dispatch, true);
        seen.take().complete(whole.len() as u64);
        *response.body_mut() = Body::from(whole);
        return Ok(response);
    }
    let mut rest = Some((call, seen.take()));
    let body = poll_fn(|cx| {
        let (call, seen) = rest.take().expect("it is ready when it is polled first");
        let body = AnswerBody::new(call, Arc::clone(&shared.dispatch), length);
        if !is_read_ahead {
            return Poll::Ready(seen.body(body));
        }
        // Clients of HTTP/2 say themselves when the first byte is asked for.
        let may_never_ask = version >= Version::HTTP_2;
        Poll::Ready(
            match buffer::read_ahead(body, &config.buffering, may_never_ask, cx) {
                ReadAhead::Whole(bytes) => {
                    seen.complete(bytes.len() as u64);
                    Body::from(bytes)
                }
                ReadAhead::Rest(rest) => seen.body(rest),
            },
        )
    });
    *response.body_mut() = body.await;
    Ok(response)
}

/// Has a slot hear the request, and waits for what it says first.
async fn ask(
    shared: &Shared,
    head: &Head,
    mut upload: Upload,
    seen: &mut Seen,
) -> Result<(Call, Answer), Error> {
    let config = &shared.config;
    let (mut tries, mut closed) = (1, 0);
    loop {
        let may_be_sent_ahead = config.prefetch > 0 && head.is_safe() && upload.is_empty();
        let letter = || match may_be_sent_ahead {
            true => Letter::write(&head.meta(config)),
            false => None,
        };
        let mut slot = seen.wait(shared.dispatch.take(letter)).await?;
        let written = match slot.was_sent() {
            true => Ok(()),
            false => slot.write_request(&head.meta(config), &upload),
        };
        if let Err(unsendable) = written {
            // Not a byte of it was sent.
            shared.dispatch.give_back(slot);
            return Err(match unsendable {
                Unsendable::Nul(nul) => bad_request(nul),
                Unsendable::TooLarge => ErrorKind::RequestHeadTooLarge.into(),
            });
        }
        let call = begin(slot, upload, config, seen);
        let mut call = call.prefetch(config.prefetch, &shared.dispatch);
        match poll_fn(|cx| call.poll_answer(cx)).await {
            Ok(answer) => {
                seen.answered();
                return Ok((call, answer));
            }
            Err(Failure { reached, error })
                if match reached {
                    Reached::Nothing => closed < CLOSED,
                    Reached::NotAll => tries < TRIES,
                    Reached::MaybeAll => false,
                } =>
            {
                match reached {
                    Reached::Nothing => closed += 1,
                    _ => tries += 1,
                }
                let worker = call.slot().worker();
                tracing::debug!(worker = worker.id, reason = %error, "a worker did not see a request, and another is asked");
                upload = call.into_upload();
            }
            Err(failure) => return Err(failure.error),
        }
    }
}

fn begin(slot: Slot, upload: Upload, config: &Requests, seen: &mut Seen) -> Call {
    let busy = seen.sent_to(slot.worker());
    Call::new(slot, upload, config.timeout, busy)
}

/// The application has raised an exception, and did not begin an answer.
fn exception(config: &Requests, text: &[u8], seen: &mut Seen) -> Response<Body> {
    let text = String::from_utf8_lossy(text);
    let page = config.shows_tracebacks.then(|| traceback::page(&text));
    let error = Error::new(ErrorKind::Application).with_source(text);
    let mut response = answer::error(error);
    if let Some(page) = page {
        traceback::show(page, &mut response);
    }
    seen.failed(ErrorKind::Application, response.status());
    response
}

fn tell_exception(worker: &Worker, text: &[u8]) {
    let (worker, pid, text) = (worker.id, worker.pid, String::from_utf8_lossy(text));
    tracing::error!(worker, pid, traceback = %text, "the application raised an exception");
}

/// Tells the operator; never what the request held.
fn tell(error: &Error) {
    let cause = error.source().map(tracing::field::display);
    match error.fault() {
        Fault::Client => tracing::debug!(reason = %error, cause, "refused a request"),
        _ => tracing::warn!(reason = %error, cause, "a request got no answer"),
    }
}
