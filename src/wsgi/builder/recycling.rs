//! When a worker has worked enough.

use std::time::Duration;

use super::{Builder, Processes};
use crate::wsgi::supervisor::fleet::Bound;

impl Builder {
    /// Replaces a worker after so many requests: for applications that leak. By default none is.
    ///
    /// Its replacement is ready before it gets no more requests, and at most a quarter of the workers
    /// (at least one) are replaced at a time, so no request waits for it or is lost by it. Until then it works on: it
    /// is no exact number. Cost: each boot, and the memory of one process more meanwhile.
    ///
    /// Gunicorn's `max_requests`, uWSGI's `max-requests`.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_requests(mut self, requests: u64) -> Self {
        assert!(
            requests > 0,
            "a worker that is replaced after zero requests answers nothing: give at least 1, \
             or leave it out"
        );
        self.processes.max_requests = Some(requests);
        self
    }

    /// How many requests more than [`max_requests`](Self::max_requests) some workers get, by chance, so that
    /// they are not all replaced together. Defaults to a tenth of it; without it this is nothing.
    ///
    /// Gunicorn's `max_requests_jitter`, uWSGI's `max-requests-delta`.
    pub fn max_requests_jitter(mut self, requests: u64) -> Self {
        self.processes.max_requests_jitter = Some(requests);
        self
    }

    /// Replaces a worker when it has been ready for so long, as [`max_requests`](Self::max_requests) does. By
    /// default none is.
    ///
    /// uWSGI's `max-worker-lifetime`.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        assert!(
            !lifetime.is_zero(),
            "a worker that lives for no time answers nothing: give a lifetime of minutes, \
             or leave it out"
        );
        self.processes.max_lifetime = Some(lifetime);
        self
    }

    /// How much longer than [`max_lifetime`](Self::max_lifetime) some workers live, by chance. Defaults to a tenth of it;
    /// without it this is nothing.
    ///
    /// uWSGI's `max-worker-lifetime-delta`.
    pub fn max_lifetime_jitter(mut self, lifetime: Duration) -> Self {
        self.processes.max_lifetime_jitter = Some(lifetime);
        self
    }

    /// Replaces a worker that occupies so many bytes of memory (resident, shared pages included), as
    /// [`max_requests`](Self::max_requests) does. By default none is.
    ///
    /// Each process is looked at once a second, on Linux; elsewhere it is not known, and this does nothing. A
    /// limit below what the freshly booted application occupies replaces workers for ever.
    ///
    /// uWSGI's `reload-on-rss` (which is in megabytes).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_memory(mut self, bytes: u64) -> Self {
        assert!(
            bytes > 0,
            "no worker fits into zero bytes: give a number of bytes (512 << 20), or leave it out"
        );
        self.processes.max_memory = Some(bytes);
        self
    }
}

impl Processes {
    pub(in crate::wsgi) fn requests_bound(&self) -> Option<Bound<u64>> {
        let limit = self.max_requests?;
        let jitter = self.max_requests_jitter.unwrap_or(limit / 10);
        Some(Bound { limit, jitter })
    }

    pub(in crate::wsgi) fn lifetime_bound(&self) -> Option<Bound<Duration>> {
        let limit = self.max_lifetime?;
        let jitter = self.max_lifetime_jitter.unwrap_or(limit / 10);
        Some(Bound { limit, jitter })
    }
}
