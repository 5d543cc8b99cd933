//! How long a client is waited for.
//!
//! hyper has a timeout for the head of an HTTP/1.1 request; it does not cover the first bytes,
//! by which the version is told, has no other value for the wait between two requests, and
//! nothing bounds the time a client takes to read. So the connection is watched from both sides: the
//! socket tells of bytes, the service of requests.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) header: Duration,
    pub(super) keep_alive: Duration,
    pub(super) send: Duration,
    pub(super) linger: Duration,
}

/// A point in time. A timeout beyond what an [`Instant`] can say (`Duration::MAX`) is none.
pub(super) fn after(start: Instant, timeout: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(timeout).unwrap_or(start + YEARS)
}

/// What one connection waits for: known to its socket, its requests, and the task that drives it.
#[derive(Debug)]
pub(super) struct Watch {
    timeouts: Timeouts,
    state: Mutex<State>,
    /// Whether the connection is not HTTP any more. Set before its new owner can have it.
    has_switched: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Requests whose response, or whose own body, is not over.
    running: usize,
    /// What is waited for while no request runs.
    waiting: Waiting,
    /// Since when; not known until the alarm looks, which it does after each turn of the
    /// connection. A request that comes and goes within one turn never asks for the time.
    since: Option<Instant>,
    /// Since when the client takes nothing of what is to be written.
    stalled: Option<Instant>,
    http2: bool,
    /// Whether the client may be sending what nobody reads: the rest of a body, or of a head that
    /// is refused, or requests behind the last one.
    unread: bool,
    /// Whether something was written since.
    answered: bool,
    /// Whether what the client still sends is thrown away.
    lingers: bool,
}

/// What a client did not do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Send the head of a request.
    Head,
    /// Begin another request.
    Next,
    /// Take what is written to it.
    Taking,
}

impl Watch {
    pub(super) fn new(timeouts: Timeouts) -> Arc<Self> {
        let state = State {
            running: 0,
            waiting: Waiting::Head,
            since: None,
            stalled: None,
            http2: false,
            unread: true,
            answered: false,
            lingers: false,
        };
        Arc::new(Self {
            timeouts,
            state: Mutex::new(state),
            has_switched: AtomicBool::new(false),
        })
    }

    pub(super) fn speaks_http2(&self) {
        self.state().http2 = true;
    }

    /// A request began. It runs until each clone of what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Running {
        let mut state = self.state();
        state.running += 1;
        state.unread = false;
        state.answered = false;
        drop(state);
        Running(Arc::clone(self))
    }

    /// The client sent something.
    pub(super) fn was_read(&self) {
        let mut state = self.state();
        // Between two requests HTTP/2 has PING and SETTINGS, which are no sign of a next one.
        if state.running == 0 && state.waiting == Waiting::Next && !state.http2 {
            state.wait_for(Waiting::Head);
        }
        // While a body is left unread, this is more of it.
        if state.running == 0 && !state.unread {
            state.unread = true;
            state.answered = false;
        }
    }

    /// Whether an HTTP/1.1 request runs. A tunnel does not: each of its halves ends by itself.
    pub(super) fn is_http1_busy(&self) -> bool {
        let state = self.state();
        state.running > 0 && !state.http2 && !self.has_switched()
    }

    /// The client took something.
    pub(super) fn was_written(&self) {
        let mut state = self.state();
        state.answered = true;
        let was_stalled = state.stalled.take().is_some();
        if was_stalled && state.waiting == Waiting::Next && !state.http2 {
            // The end of a response leaves hyper's buffer after its body is dropped.
            state.since = None;
        }
    }

    /// The client has not taken yet what was written before.
    pub(super) fn cannot_write(&self) {
        self.state().stalled.get_or_insert_with(Instant::now);
    }

    /// The connection is about to be closed. An idle HTTP/2 client has to say that it has
    /// heard of it, and gets the time of a head for that.
    pub(super) fn closes(&self) {
        let mut state = self.state();
        if state.waiting == Waiting::Next {
            state.wait_for(Waiting::Head);
        }
    }

    pub(super) fn has_switched(&self) -> bool {
        self.has_switched.load(Ordering::Relaxed)
    }

    /// Whether the connection speaks HTTP/1.1, whose client may lose its answer to a reset.
    pub(super) fn is_http1(&self) -> bool {
        !self.state().http2 && !self.has_switched()
    }

    /// The client sends what nobody will read.
    pub(super) fn leaves_unread(&self) {
        self.state().unread = true;
    }

    /// For how long what the client still sends is to be thrown away before the connection is
    /// closed; `None` if there is no need for it.
    pub(super) fn linger(&self) -> Option<Duration> {
        let is_http1 = self.is_http1();
        let mut state = self.state();
        let is_needed = state.unread && state.answered && is_http1;
        let lingers = is_needed && !self.timeouts.linger.is_zero();
        state.lingers = lingers;
        lingers.then_some(self.timeouts.linger)
    }

    /// When the client is late, if something is waited for that has no end of its own.
    fn deadline(&self) -> Option<(Instant, Waiting)> {
        let mut state = self.state();
        if let Some(since) = state.stalled {
            return Some((after(since, self.timeouts.send), Waiting::Taking));
        }
        if state.running > 0 || state.lingers {
            return None;
        }
        let timeout = match state.waiting {
            Waiting::Next => self.timeouts.keep_alive,
            _ => self.timeouts.header,
        };
        let since = *state.since.get_or_insert_with(Instant::now);
        Some((after(since, timeout), state.waiting))
    }

    /// Nothing panics while it is locked, and what is in it holds at any moment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait_for(&mut self, what: Waiting) {
        self.waiting = what;
        self.since = None;
    }
}

/// One part of a request that runs.
#[derive(Debug)]
pub(super) struct Running(Arc<Watch>);

impl Running {
    /// The request's body is given up before its end.
    pub(super) fn leaves_body(&self) {
        self.0.leaves_unread();
    }

    /// The connection stops being HTTP after the response that is about to be written.
    pub(super) fn switches(&self) {
        self.0.has_switched.store(true, Ordering::Relaxed);
    }
}

impl Clone for Running {
    fn clone(&self) -> Self {
        self.0.state().running += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running -= 1;
        if state.running == 0 {
            state.wait_for(Waiting::Next);
        }
    }
}

/// The one timer of a connection. It is moved when the deadline comes closer, and otherwise looks
/// again when it fires: a busy connection never touches it.
pub(super) struct Alarm {
    watch: Arc<Watch>,
    timer: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new(watch: &Arc<Watch>) -> Self {
        let timer = Box::pin(sleep_until(after(Instant::now(), watch.timeouts.header)));
        Self {
            watch: Arc::clone(watch),
            timer,
        }
    }

    /// Ready when the client is late. To be polled after the connection, whose state it reads.
    pub(super) async fn late(&mut self) -> Waiting {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Waiting> {
        loop {
            let deadline = self.watch.deadline();
            if let Some((at, _)) = deadline
                && at < self.timer.deadline()
            {
                self.timer.as_mut().reset(at);
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            match deadline {
                Some((at, what)) if at <= now => return Poll::Ready(what),
                Some((at, _)) => self.timer.as_mut().reset(at),
                // A request runs. An HTTP/2 request may end without this task being woken,
                // so look again when, at the earliest, it could matter.
                None => {
                    let Timeouts {
                        header, keep_alive, ..
                    } = self.watch.timeouts;
                    let again = after(now, header.min(keep_alive));
                    self.timer.as_mut().reset(again);
                }
            }
        }
    }
}
