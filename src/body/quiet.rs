//! A limit on how long something may be quiet.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep, sleep_until};

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

    /// Another limit, from the next poll on.
    pub(crate) fn limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.running = false;
    }

    /// Ready when it was quiet for too long, if that counts, or at a moment.
    pub(crate) fn poll_until(
        &mut self,
        moment: Option<Instant>,
        counts: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(moment) = moment else {
            return match counts {
                true => self.poll(cx),
                false => Poll::Pending,
            };
        };
        if counts && self.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(moment)));
        if !counts || sleep.deadline() > moment {
            self.running &= counts;
            sleep.as_mut().reset(moment);
        }
        sleep.as_mut().poll(cx)
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
            sleep.as_mut().reset(after(limit));
            self.running = true;
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(feature = "http2")]
impl Quiet {
    /// It was heard of `since`: the limit counts from there.
    pub(crate) fn restart_from(&mut self, since: Instant) {
        if let (Some(sleep), Some(end)) = (&mut self.sleep, since.checked_add(self.limit)) {
            sleep.as_mut().reset(end);
            self.running = true;
        }
    }
}

/// A limit beyond what an `Instant` can say is none, for as long as anybody will wait.
fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit)
        .unwrap_or_else(|| now + Duration::from_secs(60 * 60 * 24 * 365 * 30))
}
