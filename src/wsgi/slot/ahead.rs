//! Requests that a worker was sent before their turn.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use crate::wsgi::dispatch::{Dispatch, Number};

/// Who waits for what a worker was sent ahead, in its order.
///
/// Dropped with the connection, it has them wait as before. A worker that is at one request has not
/// begun with the next, but it may have come to the next unheard: that one is then worked on twice,
/// which does no harm to those that may be sent ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    numbers: VecDeque<Number>,
    /// Whether the slot is at, or about to be at, a request that was sent ahead.
    was_sent: bool,
    dispatch: Weak<Dispatch>,
}

impl Ahead {
    pub(super) fn push(&mut self, number: Number, dispatch: &Arc<Dispatch>) {
        if self.dispatch.strong_count() == 0 {
            self.dispatch = Arc::downgrade(dispatch);
        }
        self.numbers.push_back(number);
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The worker goes on with this one.
    pub(super) fn next(&mut self) -> Option<Number> {
        let next = self.numbers.pop_front();
        self.was_sent = next.is_some();
        next
    }

    pub(super) fn was_sent(&self) -> bool {
        self.was_sent
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.numbers.is_empty() {
            return;
        }
        if let Some(dispatch) = self.dispatch.upgrade() {
            dispatch.take_back(self.numbers.drain(..));
        }
    }
}
