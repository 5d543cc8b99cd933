//! When something was last heard of, told from where it happens to where the time runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::body::quiet::Quiet;

/// The last sign of life; `None` while it is not the other side's turn.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<Option<Instant>>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(super) fn heard(&self) {
        self.set(Some(Instant::now()));
    }

    fn set(&self, last: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit on how long there may be no activity.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    quiet: Quiet,
    /// `None`: nothing is heard of until it is over.
    activity: Option<Activity>,
}

impl Patience {
    pub(super) fn new(limit: Duration, activity: Option<Activity>) -> Self {
        Self {
            limit,
            quiet: Quiet::new(limit),
            activity,
        }
    }

    /// Ready when the limit is reached.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.quiet.poll(cx));
            let last = match &self.activity {
                None => return Poll::Ready(()),
                Some(activity) => activity.last().unwrap_or_else(Instant::now),
            };
            if last.elapsed() >= self.limit {
                return Poll::Ready(());
            }
            self.quiet.restart_from(last);
        }
    }
}
