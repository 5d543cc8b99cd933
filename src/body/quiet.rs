//! A limit on how long something may be quiet.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Runs from the first poll that found nothing until [`rest`](Quiet::rest). What is never waited
/// for costs no timer.
#[derive(Debug)]
pub(crate) struct Quiet {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Quiet {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: None,
            running: false,
        }
    }

    /// Something was heard: the next poll begins anew.
    pub(crate) fn rest(&mut self) {
        self.running = false;
    }

    /// Ready when it was quiet for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.running {
            // A limit beyond what an `Instant` can say is none.
            if let Some(end) = Instant::now().checked_add(limit) {
                sleep.as_mut().reset(end);
            }
            self.running = true;
        }
        sleep.as_mut().poll(cx)
    }

    /// It was heard of `since`: the limit counts from there.
    pub(crate) fn restart_from(&mut self, since: Instant) {
        if let (Some(sleep), Some(end)) = (&mut self.sleep, since.checked_add(self.limit)) {
            sleep.as_mut().reset(end);
            self.running = true;
        }
    }
}
