//! A limit on how long something may be quiet.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs from the first poll that found nothing until [`rest`](Quiet::rest). What is never waited
/// for costs no timer.
///
/// The timer is set once and left alone: when it rings, it is looked whether it was quiet for so
/// long, and if not, it is set to when that will be. So what is heard of often costs no more than
/// a look at the clock.
#[derive(Debug)]
pub(crate) struct Quiet {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Since when it is quiet.
    since: Option<Instant>,
}

impl Quiet {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: None,
            since: None,
        }
    }

    /// Another limit, from the next poll on.
    pub(crate) fn limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.since = None;
    }

    /// Something was heard: the next poll begins anew.
    pub(crate) fn rest(&mut self) {
        self.since = None;
    }

    /// Ready when it was quiet for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = self.end();
        self.poll_at(end, cx)
    }

    /// Ready when it was quiet for too long, if that counts, or at a moment.
    #[cfg(feature = "gateway-proxy")]
    pub(crate) fn poll_until(
        &mut self,
        moment: Option<Instant>,
        counts: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let end = counts.then(|| self.end());
        match (end, moment) {
            (Some(end), Some(moment)) => self.poll_at(end.min(moment), cx),
            (Some(end), None) | (None, Some(end)) => self.poll_at(end, cx),
            (None, None) => Poll::Pending,
        }
    }

    fn end(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        // A limit beyond what an `Instant` can say is none, for as long as anybody will wait.
        since
            .checked_add(self.limit)
            .unwrap_or_else(|| since + Duration::from_secs(60 * 60 * 24 * 365 * 30))
    }

    fn poll_at(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            // It was set to ring for something earlier.
            sleep.as_mut().reset(end);
        }
    }
}

#[cfg(feature = "http2")]
impl Quiet {
    /// It was heard of `since`: the limit counts from there.
    pub(crate) fn restart_from(&mut self, since: Instant) {
        self.since = Some(since);
    }
}
