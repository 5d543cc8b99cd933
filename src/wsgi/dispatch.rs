//! Who gets which slot: at once, or in the order of coming.

mod line;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep},
};

use self::line::{Line, Placed, Seat};
pub(super) use self::line::{Load, Number};
use super::slot::{Letter, Slot};
use crate::{Error, ErrorKind};

/// The idle slots of all workers, and the requests that wait for one.
#[derive(Debug)]
pub(super) struct Dispatch {
    line: Mutex<Line<Slot>>,
    patience: Duration,
    /// Those who start workers.
    wake: Arc<Notify>,
}

impl Seat for Slot {
    type Letter = Letter;

    fn next(&mut self) -> Option<Number> {
        self.next_ahead()
    }

    fn worker(&self) -> u32 {
        self.worker().id
    }

    fn threads(&self) -> usize {
        self.worker().threads.into()
    }
}

impl Dispatch {
    /// Lets `queue` requests wait, each for `queue_timeout`; wakes `wake` when one begins to.
    pub(super) fn new(queue: usize, queue_timeout: Duration, wake: Arc<Notify>) -> Self {
        Self {
            line: Mutex::new(Line::new(queue)),
            patience: queue_timeout,
            wake,
        }
    }

    /// A slot for one request, which is to be [given back](Self::give_back) when it is idle. Dropped
    /// before, it closes the connection; its worker then dials again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::QueueFull`], [`ErrorKind::QueueTimeout`], or why it was [closed](Self::close).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place, or hands on the slot.
    pub(super) fn take<L>(&self, letter: L) -> Take<'_, L>
    where
        L: FnOnce() -> Option<Letter>,
    {
        Take {
            dispatch: self,
            letter: Some(letter),
            state: State::New,
        }
    }

    /// The request of the one who waits longest, which is to be sent to this worker behind what it is
    /// at; what the worker then says of it is his. None for one that is to get no more.
    pub(super) fn ahead(&self, worker: u32) -> Option<(Number, Letter)> {
        self.line().ahead(worker)
    }

    /// What was sent ahead will not be answered there.
    pub(super) fn take_back(&self, numbers: impl Iterator<Item = Number>) {
        let wakers = self.line().take_back(numbers);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// A slot is idle again: for the one who waits longest, or for who comes.
    pub(super) fn give_back(&self, mut slot: Slot) {
        slot.ended();
        let placed = self.line().give_back(slot);
        self.place(placed);
    }

    /// A slot has dialled.
    pub(super) fn add(&self, slot: Slot) {
        let placed = self.line().add(slot);
        self.place(placed);
    }

    /// A worker is to get no more requests: its slots are told to stop as soon as they are idle,
    /// and so is what dials.
    pub(super) fn retire(&self, worker: u32) {
        let idle = self.line().retire(worker);
        idle.into_iter().for_each(Slot::stop);
    }

    /// A worker has exited.
    pub(super) fn remove(&self, worker: u32) {
        let idle = self.line().remove(worker);
        drop(idle);
    }

    /// Refuses whoever waits and whoever comes: [`ErrorKind::Draining`],
    /// [`ErrorKind::UpstreamUnavailable`].
    pub(super) fn close(&self, why: ErrorKind) {
        let wakers = self.line().close(why);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// Refuses nobody any more.
    pub(super) fn open(&self) {
        self.line().open();
    }

    pub(super) fn load(&self) -> Load {
        self.line().load(Instant::now())
    }

    fn place(&self, placed: Placed<Slot>) {
        match placed {
            Placed::Idle => {}
            Placed::Handed(waker) => waker.wake(),
            Placed::Stop(slot) => slot.stop(),
            Placed::Stray(slot) => drop(slot),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line<Slot>> {
        // Every state is whole, whoever panicked.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is to get a slot.
#[derive(Debug)]
pub(super) struct Take<'a, L> {
    dispatch: &'a Dispatch,
    /// Writes what may be sent ahead for it, which is for those who wait.
    letter: Option<L>,
    state: State,
}

impl<L> Unpin for Take<'_, L> {}

#[derive(Debug)]
enum State {
    New,
    Waits {
        number: Number,
        sleep: Pin<Box<Sleep>>,
    },
    Over,
}

impl<L: FnOnce() -> Option<Letter>> Future for Take<'_, L> {
    type Output = Result<Slot, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            dispatch,
            letter,
            state,
        } = &mut *self;
        if let State::New = state {
            let mut line = dispatch.line();
            let taken = line.take();
            if let Ok(None) = taken {
                drop(line);
                let letter = letter.take().and_then(|letter| letter());
                let mut line = dispatch.line();
                // One may have become idle meanwhile.
                if let Ok(Some(slot)) = line.take() {
                    drop(line);
                    *state = State::Over;
                    return Poll::Ready(Ok(begin(slot)));
                }
                let entered = line.enter(Instant::now(), cx.waker(), letter);
                drop(line);
                let number = entered?;
                let sleep = Box::pin(sleep(dispatch.patience));
                *state = State::Waits { number, sleep };
                dispatch.wake.notify_one();
            } else {
                drop(line);
                *state = State::Over;
                return Poll::Ready(match taken? {
                    Some(slot) => Ok(begin(slot)),
                    None => Err(ErrorKind::UpstreamUnavailable.into()),
                });
            }
        }
        let State::Waits { number, sleep } = state else {
            return Poll::Pending;
        };
        let told = dispatch.line().look(*number, cx.waker());
        match told {
            Ok(told) => {
                *state = State::Over;
                Poll::Ready(told.map(begin).map_err(Error::from))
            }
            Err(_waker) => {
                ready!(sleep.as_mut().poll(cx));
                // It leaves the line when it is dropped.
                Poll::Ready(Err(ErrorKind::QueueTimeout.into()))
            }
        }
    }
}

fn begin(mut slot: Slot) -> Slot {
    slot.began();
    slot
}

impl<L> Drop for Take<'_, L> {
    fn drop(&mut self) {
        if let State::Waits { number, .. } = self.state {
            let (slot, _waker) = self.dispatch.line().leave(number);
            // A worker that is at this request is of use to nobody else: its connection is closed.
            if let Some(slot) = slot.filter(|slot| !slot.was_sent()) {
                let placed = self.dispatch.line().give_back(slot);
                self.dispatch.place(placed);
            }
        }
    }
}
