//! What a server is doing, and how soon it answers.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::balancer::Candidate;

/// How fast an answer is forgotten: it counts for about a third when it is this old.
const DECAY: Duration = Duration::from_secs(10);

/// A faster server than this is not faster. Were an estimate to fade to nothing, one of two idle
/// servers would seem a million times faster than the other, and a burst would run it over.
const FLOOR: f32 = 0.001;

/// What a server is taken to need that has a request and has not answered any yet.
const UNKNOWN: f32 = 1.0;

/// The longest that a server can be told to rest: it may say `Retry-After: 31536000` by mistake.
const LONGEST_PENALTY: Duration = Duration::from_secs(300);

/// The whole of a server's weight: see [`Load::warmth`].
pub(super) const WARM: u64 = 1000;

/// The load of one server, shared by all who send it requests. All of it is atomics, each of
/// which stands for itself: nothing else is published by them, so relaxed order is enough.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Load {
    /// What the times below are counted from.
    epoch: Instant,
    in_flight: AtomicUsize,
    /// An [`Estimate`], or [`Estimate::NONE`].
    estimate: AtomicU64,
    /// Milliseconds of the epoch.
    penalized_until: AtomicU64,
    /// Milliseconds of the epoch.
    started_at: AtomicU64,
}

impl Load {
    /// Of a server that is added now.
    pub(in crate::gateway_proxy) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            in_flight: AtomicUsize::new(0),
            estimate: AtomicU64::new(Estimate::NONE),
            penalized_until: AtomicU64::new(0),
            started_at: AtomicU64::new(0),
        }
    }

    /// How many requests the server has. See [`InFlight`].
    pub(in crate::gateway_proxy) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// The head of an answer has come, `rtt` after its request was begun to be sent. Or a request
    /// was given up after that long: an answer would have come later still, and a server that
    /// hangs must not look as good as its last answer.
    pub(in crate::gateway_proxy) fn observe(&self, rtt: Duration, now: Instant) {
        let next = Estimate {
            seconds: rtt.as_secs_f32(),
            at: self.tick(now),
        };
        let is_peak = |packed| {
            let known = Estimate::unpack(packed).map(|known| known.faded(next.at));
            known.is_none_or(|seconds| seconds <= next.seconds)
        };
        // An error is an estimate that stays.
        let _stays = self.estimate.fetch_update(Relaxed, Relaxed, |packed| {
            is_peak(packed).then(|| next.pack())
        });
    }

    /// The server failed, or wants to be left alone for a time: until then it is as if every
    /// answer came that much later. At most five minutes; a longer penalty stands.
    pub(in crate::gateway_proxy) fn penalize(&self, now: Instant, time: Duration) {
        let until = self.millis(now + time.min(LONGEST_PENALTY));
        self.penalized_until.fetch_max(until, Relaxed);
    }

    /// The server was gone and is here again: it starts slowly, and with a clean slate.
    pub(in crate::gateway_proxy) fn came_back(&self, now: Instant) {
        self.started_at.store(self.millis(now), Relaxed);
        self.penalized_until.store(0, Relaxed);
        self.estimate.store(Estimate::NONE, Relaxed);
    }

    /// The estimated time to the head of an answer: of all answers the slowest, each taken for less
    /// the older it is. Zero for a server that has not answered yet.
    pub(in crate::gateway_proxy) fn latency(&self, now: Instant) -> Duration {
        let seconds = self.estimated(now).unwrap_or(0.0);
        Duration::try_from_secs_f32(seconds).unwrap_or(Duration::MAX)
    }

    /// For how much longer the server is to be spared.
    pub(in crate::gateway_proxy) fn penalty(&self, now: Instant) -> Duration {
        let until = self.penalized_until.load(Relaxed);
        Duration::from_millis(until.saturating_sub(self.millis(now)))
    }

    /// How long an answer would take, of a server that works on one request after the other and
    /// has `crowd` requests before this one.
    pub(super) fn cost(&self, crowd: f64, now: Instant) -> f64 {
        let latency = match self.estimated(now) {
            Some(seconds) => seconds.max(FLOOR),
            // Nobody knows: one request may find out.
            None if crowd == 0.0 => 0.0,
            None => UNKNOWN,
        };
        (f64::from(latency) + self.penalty(now).as_secs_f64()) * (1.0 + crowd)
    }

    /// How much of its weight the server has by now, in thousandths: from a tenth to the whole.
    pub(super) fn warmth(&self, slow_start: Duration, now: Instant) -> u64 {
        // Saturates: an age that does not fit is older than any start.
        let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
        if whole == 0 {
            return WARM;
        }
        let age = self
            .millis(now)
            .saturating_sub(self.started_at.load(Relaxed));
        if age >= whole {
            return WARM;
        }
        let grown = u128::from(WARM - WARM / 10) * u128::from(age) / u128::from(whole);
        WARM / 10 + u64::try_from(grown).unwrap_or(WARM)
    }

    fn estimated(&self, now: Instant) -> Option<f32> {
        let estimate = Estimate::unpack(self.estimate.load(Relaxed))?;
        Some(estimate.faded(self.tick(now)))
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds in the room there is beside the seconds. They come round after 50 days.
    fn tick(&self, now: Instant) -> u32 {
        self.millis(now) as u32
    }
}

/// The slowest answer, all taken by their age, and when it came.
///
/// This is the peak EWMA of Finagle, which it reads and writes at every choice: there too a
/// slower answer replaces the estimate, and what is left of it fades. Kept as the answer it
/// comes from, an estimate need not be written to fade, and a faster answer writes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) seconds: f32,
    pub(super) at: u32,
}

impl Estimate {
    /// No estimate looks like this: its seconds would not be a number.
    pub(super) const NONE: u64 = u64::MAX;

    pub(super) fn unpack(packed: u64) -> Option<Self> {
        let [a, b, c, d, at @ ..] = packed.to_be_bytes();
        (packed != Self::NONE).then(|| Self {
            seconds: f32::from_be_bytes([a, b, c, d]),
            at: u32::from_be_bytes(at),
        })
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.seconds.to_bits()) << 32 | u64::from(self.at)
    }

    /// What is left of it: a slow server of which nothing is heard is given another try.
    pub(super) fn faded(self, at: u32) -> f32 {
        // Clocks that were read on two threads may be seen in either order, though not by a minute.
        const SKEW: u32 = 60_000;
        let millis = at.wrapping_sub(self.at);
        let millis = if millis > u32::MAX - SKEW { 0 } else { millis };
        let age = Duration::from_millis(u64::from(millis));
        self.seconds * (-age.as_secs_f32() / DECAY.as_secs_f32()).exp()
    }
}

/// A server (or an `Arc` of it) that has one more request, for as long as this is there.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct InFlight<C: Candidate>(C);

impl<C: Candidate> InFlight<C> {
    pub(in crate::gateway_proxy) fn start(server: C) -> Self {
        server.load().in_flight.fetch_add(1, Relaxed);
        Self(server)
    }
}

impl<C: Candidate> Deref for InFlight<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C: Candidate> Drop for InFlight<C> {
    fn drop(&mut self) {
        self.0.load().in_flight.fetch_sub(1, Relaxed);
    }
}
