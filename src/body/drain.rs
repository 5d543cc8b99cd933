//! That the server stops, told to those who carry a connection beyond its response.

use std::{fmt, future, time::Duration};

use tokio::{sync::watch, time::Instant};

/// Tells when draining begins: an extension of requests that may become a tunnel.
///
/// A server that stops waits for the requests that run. A connection that was upgraded (WebSocket)
/// has no end that it could wait for: whoever carries it takes this out of the request, and ends
/// it in the way of its protocol when [`begun`](Drain::begun) is ready. `serve` puts it there, and
/// `GatewayProxy` sends Close frames at its word. For other servers, it is made by a [`Drainer`].
///
/// ```
/// use std::time::Duration;
/// use tower_gateway::body::Drainer;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let drainer = Drainer::new();
/// let mut drain = drainer.subscribe();
/// assert_eq!(drainer.subscribed(), 1);
///
/// drainer.begin(Duration::from_secs(10));
/// assert!(drain.begun().await <= Duration::from_secs(10));
///
/// drop(drain);
/// drainer.done().await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Drain {
    until: watch::Receiver<Option<Instant>>,
    /// What was said last.
    told: Option<Instant>,
}

/// Says that draining begins, to each [`Drain`] that it gave out, and sees when they are gone.
///
/// What is opened after the time is up is not meant.
#[derive(Default)]
pub struct Drainer {
    until: watch::Sender<Option<Instant>>,
}

impl Drain {
    /// Waits until draining has begun, and returns the time that is left for it; never ready if
    /// nobody can say so any more.
    ///
    /// Asked again, it waits for another time limit.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is lost.
    pub async fn begun(&mut self) -> Duration {
        loop {
            let until = *self.until.borrow_and_update();
            if let Some(end) = until.filter(|_| until != self.told) {
                self.told = until;
                return end.saturating_duration_since(Instant::now());
            }
            if self.until.changed().await.is_err() {
                future::pending::<()>().await;
            }
        }
    }
}

impl Drainer {
    /// Draining has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more to be told. It is told at once if draining has begun and the time is not up.
    #[must_use]
    pub fn subscribe(&self) -> Drain {
        let until = self.until.subscribe();
        let told = until.borrow().filter(|end| *end <= Instant::now());
        Drain { until, told }
    }

    /// Draining begins, and is to be over within this time. It may be said again, with another
    /// time.
    pub fn begin(&self, within: Duration) {
        const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        let end = Instant::now() + within.min(YEARS);
        self.until.send_replace(Some(end));
    }

    /// How many of those it gave out, and of their clones, are not dropped.
    #[must_use]
    pub fn subscribed(&self) -> usize {
        self.until.receiver_count()
    }

    /// Waits until all are dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is lost.
    pub async fn done(&self) {
        self.until.closed().await;
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}

impl fmt::Debug for Drainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drainer")
            .field("subscribed", &self.subscribed())
            .finish_non_exhaustive()
    }
}
