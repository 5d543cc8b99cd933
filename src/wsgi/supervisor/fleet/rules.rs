//! What a fleet is to be.

use std::time::Duration;

/// A limit, and how much more some get, by chance, so that not all reach it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wsgi) struct Bound<T> {
    pub(in crate::wsgi) limit: T,
    pub(in crate::wsgi) jitter: T,
}

#[derive(Clone, Debug)]
pub(in crate::wsgi) struct Rules {
    /// How many workers there are at least.
    pub(in crate::wsgi) min: usize,
    /// How many, at most, there are to be.
    pub(in crate::wsgi) max: usize,
    /// How many slots each has.
    pub(in crate::wsgi) threads: u16,
    /// How many boot at once.
    pub(in crate::wsgi) boots: usize,
    pub(in crate::wsgi) startup_timeout: Duration,
    pub(in crate::wsgi) graceful_timeout: Duration,
    /// How long a request may take.
    pub(in crate::wsgi) request_timeout: Duration,
    pub(in crate::wsgi) max_requests: Option<Bound<u64>>,
    pub(in crate::wsgi) max_lifetime: Option<Bound<Duration>>,
    /// In bytes.
    pub(in crate::wsgi) max_memory: Option<u64>,
}

/// What a worker of which a thread is stuck has time for when no other of its threads has work: for
/// writing to the log what it is at.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// So many of a new generation boot at once: the old one has work to do on the same machine.
const BOOTS_OF_A_RELOAD: usize = 2;

impl Rules {
    pub(super) fn last_words(&self) -> Duration {
        LAST_WORDS.min(self.graceful_timeout)
    }

    pub(super) fn boots_of_a_reload(&self) -> usize {
        BOOTS_OF_A_RELOAD.min(self.boots)
    }

    /// How many processes there are at most, those that are on their way out among them: two
    /// generations, and those that are recycled.
    pub(super) fn most_processes(&self) -> usize {
        self.max
            .saturating_mul(2)
            .saturating_add(self.recycled_at_once(self.max))
    }

    /// How many are recycled at a time: a quarter, and at least one.
    pub(super) fn recycled_at_once(&self, target: usize) -> usize {
        (target / 4).max(1)
    }
}

/// Why a worker is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::wsgi) enum Why {
    MaxRequests,
    MaxLifetime,
    MaxMemory,
    /// There is a new generation.
    Reload,
    /// There are more than there are to be.
    Surplus,
    TimedOut,
    LostSlot,
    /// Somebody sent it SIGTERM.
    Asked,
    Shutdown,
}

impl Why {
    /// Its name, for labels and fields.
    pub(in crate::wsgi) fn name(self) -> &'static str {
        match self {
            Self::MaxRequests => "max_requests",
            Self::MaxLifetime => "max_lifetime",
            Self::MaxMemory => "max_memory",
            Self::Reload => "reload",
            Self::Surplus => "surplus",
            Self::TimedOut => "timed_out",
            Self::LostSlot => "lost_slot",
            Self::Asked => "asked",
            Self::Shutdown => "shutdown",
        }
    }

    /// Whether it is well, and only has worked enough.
    pub(in crate::wsgi) fn is_recycling(self) -> bool {
        matches!(
            self,
            Self::MaxRequests | Self::MaxLifetime | Self::MaxMemory
        )
    }
}
