//! One HTTP/1.1 connection to an upstream.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll},
};

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::Upstream;
pub(in crate::gateway_proxy) use super::socket::Socket;
use crate::Body;

/// A connection that is driven by whoever holds it: first the future that waits for the answer,
/// then the body of the answer.
///
/// There is no task of its own. So a request costs no trip between tasks, and what is dropped is
/// closed: a client that goes away, an answer that is not wanted to its end, a panic.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Connection {
    sender: SendRequest<Body>,
    driver: Driver,
    socket: Socket,
    /// How many requests it was given.
    requests: u64,
}

#[derive(Debug)]
struct Driver {
    /// `None` when hyper is done with it.
    running: Option<Box<http1::Connection<TokioIo<Socket>, Body>>>,
    /// What was read beyond the last answer: the first bytes of a tunnel.
    unread: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Failure {
    pub(in crate::gateway_proxy) error: hyper::Error,
    /// The request, if not a byte of it was written.
    pub(in crate::gateway_proxy) untaken: Option<Box<Request<Body>>>,
    /// Whether a byte of the answer came.
    pub(in crate::gateway_proxy) was_heard: bool,
}

impl Connection {
    /// Connects. `max_head` is how many bytes the head of an answer may have.
    pub(in crate::gateway_proxy) async fn open(
        upstream: &Upstream,
        max_head: usize,
    ) -> io::Result<Self> {
        let socket = Socket::connect(upstream).await?;
        let (sender, driver) = http1::Builder::new()
            .max_header_size(max_head)
            .handshake(TokioIo::new(socket.clone()))
            .await
            .map_err(io::Error::other)?;
        Ok(Self {
            sender,
            driver: Driver {
                running: Some(Box::new(driver)),
                unread: Bytes::new(),
            },
            socket,
            requests: 0,
        })
    }

    /// Whether it has served a request before, so that the upstream may have closed it since.
    pub(in crate::gateway_proxy) fn was_used(&self) -> bool {
        self.requests > 0
    }

    /// Whether another request may be sent: the last one is written and answered to the end, in
    /// this order, and nobody said `close`.
    ///
    /// An upstream that answers before it has the whole request (401, 413) may close the
    /// connection without having said so, and with a reset, since there is something it did not
    /// read. What is sent before that arrives is lost.
    pub(in crate::gateway_proxy) fn is_idle(&self) -> bool {
        self.driver.running.is_some() && self.sender.is_ready() && !self.socket.was_answered_early()
    }

    /// Whether an idle connection is still one.
    pub(in crate::gateway_proxy) fn is_alive(&self) -> bool {
        self.is_idle() && self.socket.is_silent()
    }

    /// Sends a request and waits for the head of the answer, or until `give_up` is ready.
    ///
    /// Dropped before its end, it leaves a connection that is good for nothing.
    pub(in crate::gateway_proxy) async fn send(
        &mut self,
        request: Request<Body>,
        mut give_up: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Option<Result<Response<Incoming>, Failure>> {
        self.requests += 1;
        self.socket.expect_answer();
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|cx| {
            let _ = self.driver.poll(cx);
            match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => give_up(cx).map(|()| None),
            }
        });
        Some(answer.await?.map_err(|mut failure| Failure {
            untaken: failure.take_message().map(Box::new),
            was_heard: self.socket.was_heard(),
            error: failure.into_error(),
        }))
    }

    /// Reads and writes what can be read and written now. It wakes the task when there is more.
    pub(in crate::gateway_proxy) fn drive(&mut self, cx: &mut Context<'_>) {
        let _ = self.driver.poll(cx);
    }

    /// The stream below, after an answer 101, and what was read of it already.
    pub(in crate::gateway_proxy) async fn into_stream(mut self) -> (Socket, Bytes) {
        poll_fn(|cx| self.driver.poll(cx)).await;
        self.socket.become_tunnel();
        (self.socket, self.driver.unread)
    }
}

impl Driver {
    /// Ready when hyper is done with the connection. Errors are not returned: they reach the
    /// waiting request, or the body of the answer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.running else {
            return Poll::Ready(());
        };
        if running.poll_without_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        // Taken apart at once: only then a request that was not begun is given back, and a body
        // that is not whole is told so.
        if let Some(done) = self.running.take() {
            self.unread = done.into_parts().read_buf;
        }
        Poll::Ready(())
    }
}
