//! HTTP/2 streams whose client does not take what is for them.
//!
//! A connection that goes on is no sign that each of its streams does: a client may open no
//! window for one, answer every PING, and so keep what its response holds (a permit, a connection
//! to an upstream) for ever. hyper runs each stream as a task, and the task is watched here.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::{
    task_local,
    time::{Instant, Sleep, sleep_until},
};

use super::watch::{Running, after};

/// What a client has to take within the time limit, on average. A body's frames may be larger,
/// and how much of one has left is not to be seen.
const PIECE: usize = 16 << 10;

task_local! {
    /// Set while a stream's task is polled.
    static POLLED: Polled;
}

/// What is to be known of a stream from inside its poll.
struct Polled {
    turn: Cell<Turn>,
    /// The request that is becoming a tunnel.
    tunnel: RefCell<Option<Running>>,
}

/// Whose turn it is on a stream.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The service's, or its body's.
    Ours,
    /// The client's: to take the last two frames, of so many bytes. hyper asks for one ahead.
    Client {
        frames: [usize; 2],
        /// Not waited for yet.
        is_new: bool,
    },
}

/// The body of a response was asked for a frame, and gave so many bytes.
pub(super) fn asked(given: Poll<usize>) {
    // Elsewhere it is HTTP/1.1, where the connection is watched.
    let _elsewhere = POLLED.try_with(|Polled { turn, .. }| {
        let before = match turn.get() {
            Turn::Ours => 0,
            Turn::Client { frames, .. } => frames[1],
        };
        turn.set(match given {
            Poll::Pending => Turn::Ours,
            Poll::Ready(length) => Turn::Client {
                frames: [before, length],
                is_new: true,
            },
        });
    });
}

/// The response of this stream may make it one of bytes (RFC 9113 §8.5). Then its request goes on
/// for as long as they are carried: hyper spawns a task for that before it lets go of the response.
pub(super) fn becomes_a_tunnel(running: &Running) {
    // Elsewhere it is HTTP/1.1, where the stream of an upgraded connection leaves the server.
    let _elsewhere = POLLED.try_with(|polled| polled.tunnel.replace(Some(running.clone())));
}

/// Runs the streams of HTTP/2 connections, and resets those whose client is late.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) send_timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let tunnel = POLLED.try_with(|polled| polled.tunnel.take());
        tokio::spawn(Stream {
            task,
            turn: Turn::Ours,
            send_timeout: self.send_timeout,
            timer: None,
            _tunnel: tunnel.ok().flatten(),
        });
    }
}

pin_project! {
    struct Stream<F> {
        #[pin]
        task: F,
        turn: Turn,
        send_timeout: Duration,
        // Made when the client is waited for.
        timer: Option<Pin<Box<Sleep>>>,
        // The request that this task carries on.
        _tunnel: Option<Running>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let scope = Polled {
            turn: Cell::new(*this.turn),
            tunnel: RefCell::default(),
        };
        let (polled, turn) = POLLED.sync_scope(scope, || {
            (this.task.poll(cx), POLLED.with(|polled| polled.turn.get()))
        });
        *this.turn = turn;
        let Turn::Client { frames, is_new } = turn else {
            return polled;
        };
        if polled.is_ready() {
            return polled;
        }
        let start = || {
            let pieces = (frames[0] + frames[1]).div_ceil(PIECE).max(1);
            let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
            after(Instant::now(), this.send_timeout.saturating_mul(pieces))
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(start())));
        if is_new {
            timer.as_mut().reset(start());
            *this.turn = Turn::Client {
                frames,
                is_new: false,
            };
        }
        // Dropped before its end, the task resets its stream.
        timer.as_mut().poll(cx).map(|()| {
            tracing::debug!("reset an HTTP/2 stream: the client is late with taking its response");
        })
    }
}
