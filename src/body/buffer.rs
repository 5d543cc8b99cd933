//! Answers read ahead of a slow client, so that what made them is free.
//!
//! Most answers are there at once, and are read to their end before a byte is sent: the connection
//! goes back to the pool, and nothing else happens. For those that are not, a task looks in on the
//! client every 10 milliseconds. A client that waits for the upstream is served by it directly, as if
//! there was no buffer: no byte is delayed. One that has had something to take all that time, and
//! took less than 256 KiB of it, is the slower of the two, and the task reads on in its place: into
//! memory, then into a temporary file, and then it lets the upstream wait. A client that has caught
//! up is served directly again.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{runtime::Handle, task::AbortHandle};
use tracing::Instrument;

pub use self::buffering::Buffering;
use self::{
    source::Source,
    store::{Room, Write, Written},
};
use crate::{Error, ErrorKind};

mod buffering;
mod pump;
mod source;
mod store;
#[cfg(test)]
mod tests;

/// How often a client is looked in on.
///
/// Longer than a server is busy with what it took before, and short beside the time for which a
/// worker would be held.
const LOOK: Duration = Duration::from_millis(10);

/// How many bytes a client takes in that time that is not slow: 25 MB a second. A server that has
/// a client which takes all it is given, and is busy with others, is not to write files.
const PACE: u64 = 256 << 10;

/// What an upstream's body has to be.
pub(crate) trait Answer:
    http_body::Body<Data = Bytes, Error = Error> + Send + Unpin + 'static
{
}

impl<B> Answer for B where B: http_body::Body<Data = Bytes, Error = Error> + Send + Unpin + 'static {}

/// Reads what is there of an answer's body, and gives back a body that reads the rest ahead of
/// its client. Waits for nothing.
///
/// A body that is there as a whole becomes plain bytes, and `inner` is dropped. `may_never_ask` is
/// for clients that decide themselves when the first byte is asked for (those of HTTP/2): the
/// answer is then read ahead even if it never is.
pub(crate) fn read_ahead<B: Answer>(
    mut inner: B,
    buffering: &Buffering,
    may_never_ask: bool,
    cx: &mut Context<'_>,
) -> ReadAhead<B> {
    // Most answers are one piece that came with their head.
    let first = Pin::new(&mut inner).poll_frame(cx);
    let first = match first {
        Poll::Ready(Some(Ok(frame))) if inner.is_end_stream() => match frame.into_data() {
            Ok(data) => return ReadAhead::Whole(data),
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        },
        first => first,
    };
    let mut source = Source::new(inner, buffering);
    if source.take_in(first).is_ready() {
        source.fill(cx);
    }
    match source.whole() {
        Some(bytes) => ReadAhead::Whole(bytes),
        None => {
            let mut body = Buffered::new(source);
            if may_never_ask {
                body.watch();
            }
            ReadAhead::Rest(body)
        }
    }
}

/// An answer's body, when what was there of it was read.
// It is in a box at once, if it is not over.
#[allow(clippy::large_enum_variant)]
pub(crate) enum ReadAhead<B: Answer> {
    Whole(Bytes),
    Rest(Buffered<B>),
}

/// A body that is read ahead of its client.
///
/// Dropped, it closes what it reads from, and ends the task that reads.
pub(crate) struct Buffered<B: Answer> {
    state: State<B>,
}

// It is in one box as a whole; another inside would be one more for each answer.
#[allow(clippy::large_enum_variant)]
enum State<B: Answer> {
    /// So far, whoever asked had what there was.
    Alone(Source<B>),
    /// A task looks in on it.
    Watched {
        shared: Arc<Mutex<Shared<B>>>,
        task: AbortHandle,
    },
    /// Between the two.
    Moving,
}

/// What the client and the task have in common.
struct Shared<B> {
    source: Source<B>,
    driver: Driver,
    /// How many bytes the client has taken.
    taken: u64,
    /// Whether the client was told to wait for the upstream, which then wakes it.
    is_waiting: bool,
    /// Whether it was so since it was last looked in on.
    has_waited: bool,
    client: Option<Waker>,
    task: Option<Waker>,
}

/// Who asks the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Client,
    Task,
}

/// What the task has to do.
enum Step {
    /// The client asks the upstream again.
    HandedBack,
    Write(Write),
    Over,
}

/// Every state is whole, whoever panicked.
fn lock<B>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

impl<B: Answer> Buffered<B> {
    fn new(source: Source<B>) -> Self {
        Self {
            state: State::Alone(source),
        }
    }

    /// ## Alone => Watched
    fn watch(&mut self) {
        // Without a runtime there is nobody to read ahead.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Alone(source) => {
                let shared = Arc::new(Mutex::new(Shared::new(source)));
                // What the upstream does then is seen with the request.
                let pump = pump::run(Arc::clone(&shared)).in_current_span();
                let task = runtime.spawn(pump);
                let task = task.abort_handle();
                self.state = State::Watched { shared, task };
            }
            state => self.state = state,
        }
    }
}

impl<B: Answer> http_body::Body for Buffered<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.state {
            State::Alone(source) => {
                let frame = ready!(poll_alone(source, cx));
                // Nobody knows whether the client will ask again.
                if source.inner.is_some() && frame.is_some() {
                    self.watch();
                }
                Poll::Ready(frame)
            }
            State::Watched { shared, .. } => lock(shared).poll_client(cx),
            State::Moving => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Alone(source) => source.is_end_stream(),
            State::Watched { shared, .. } => lock(shared).source.is_end_stream(),
            State::Moving => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Alone(source) => source.size_hint(),
            State::Watched { shared, .. } => lock(shared).source.size_hint(),
            State::Moving => SizeHint::with_exact(0),
        }
    }
}

fn poll_alone<B: Answer>(source: &mut Source<B>, cx: &mut Context<'_>) -> Polled {
    loop {
        if let Some(piece) = ready!(source.poll_stored(cx)) {
            // What follows is read now: it may be the end.
            source.fill(cx);
            return Poll::Ready(Some(piece.map(Frame::data)));
        }
        if let Some(after) = source.after() {
            return Poll::Ready(after);
        }
        ready!(source.poll_inner(cx));
    }
}

impl<B: Answer> Shared<B> {
    fn new(source: Source<B>) -> Self {
        Self {
            source,
            driver: Driver::Client,
            taken: 0,
            is_waiting: false,
            has_waited: false,
            client: None,
            task: None,
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Polled {
        let Poll::Ready(frame) = self.poll_frame(cx) else {
            if self.driver == Driver::Task {
                self.client = Some(cx.waker().clone());
            } else {
                self.is_waiting = true;
                self.has_waited = true;
            }
            return Poll::Pending;
        };
        self.is_waiting = false;
        if let Some(Ok(frame)) = &frame {
            self.taken += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        // There is room again; or it is over; or the client, which may not ask again, is to be
        // looked in on.
        wake(&mut self.task);
        Poll::Ready(frame)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(piece) = ready!(self.source.poll_stored(cx)) {
                return Poll::Ready(Some(piece.map(Frame::data)));
            }
            if let Some(after) = self.source.after() {
                return Poll::Ready(after);
            }
            // ## Task => Client: it has all there was, so nothing comes between it and the rest.
            self.driver = Driver::Client;
            ready!(self.source.poll_inner(cx));
        }
    }

    /// Reads until there is something to do first. The client does not wait for that: if it waits,
    /// then for what is on its way to the file or from it.
    fn poll_task(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if self.source.inner.is_none() {
                return Poll::Ready(Step::Over);
            }
            if self.driver == Driver::Client {
                return Poll::Ready(Step::HandedBack);
            }
            self.task = Some(cx.waker().clone());
            match self.source.store.room() {
                Room::Yes => ready!(self.source.poll_inner(cx)),
                Room::Write(write) => return Poll::Ready(Step::Write(write)),
                Room::No => return Poll::Pending,
            }
        }
    }

    fn written(&mut self, written: Option<Written>) {
        match written {
            Some(written) => self.source.store.written(written),
            None => self.break_off(),
        }
        wake(&mut self.client);
    }

    /// The task ends before the upstream's body does: what was read is all there is.
    fn break_off(&mut self) {
        if self.source.inner.is_some() {
            self.source.store.lose_write();
            let reason = "reading ahead of the client broke off";
            self.source
                .fail(Error::new(ErrorKind::Io).with_source(reason));
        }
        wake(&mut self.client);
    }
}

impl<B: Answer> Drop for Buffered<B> {
    fn drop(&mut self) {
        if let State::Watched { shared, task } = &self.state {
            task.abort();
            let mut shared = lock(shared);
            let (inner, wakers) = (
                shared.source.inner.take(),
                (shared.client.take(), shared.task.take()),
            );
            // It may do anything when it is dropped.
            drop(shared);
            drop((inner, wakers));
        }
    }
}

impl<B: Answer> fmt::Debug for Buffered<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered").finish_non_exhaustive()
    }
}
