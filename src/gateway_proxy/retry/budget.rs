//! The tries that follow are a share of those that come first.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;

use super::Retries;

/// How many seconds are counted together.
const SECONDS: usize = 10;

/// Counts requests and retries of the latest ten seconds, this one included.
///
/// A first try costs two atomic operations. A retry takes a lock, so that no two of them are let
/// through for the same credit.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Budget {
    ratio: f64,
    minimum: f64,
    began: Instant,
    requests: [Slot; SECONDS],
    retries: Mutex<[(u32, u32); SECONDS]>,
}

/// The requests of one second: in the upper half which second it is, in the lower half how many.
#[derive(Debug, Default)]
struct Slot(AtomicU64);

impl Budget {
    pub(in crate::gateway_proxy) fn new(config: &Retries, now: Instant) -> Self {
        Self {
            ratio: config.budget,
            minimum: f64::from(config.min_per_second) * SECONDS as f64,
            began: now,
            requests: Default::default(),
            retries: Mutex::default(),
        }
    }

    /// A request is tried for the first time.
    pub(in crate::gateway_proxy) fn deposit(&self, now: Instant) {
        let second = self.second(now);
        self.requests[index(second)].add(second);
    }

    /// Whether there may be one more retry, which is then counted.
    pub(in crate::gateway_proxy) fn withdraw(&self, now: Instant) -> bool {
        let second = self.second(now);
        let requests: u64 = self.requests.iter().map(|slot| slot.count(second)).sum();
        let mut slots = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = slots.iter().filter(|(of, _)| is_recent(*of, second));
        let retries: u64 = counted.map(|(_, count)| u64::from(*count)).sum();
        if (retries + 1) as f64 > self.ratio * requests as f64 + self.minimum {
            return false;
        }
        let (of, count) = &mut slots[index(second)];
        // A thread that is late by a whole round counts in the newer second.
        if *of < second {
            (*of, *count) = (second, 0);
        }
        *count = count.saturating_add(1);
        true
    }

    /// The number of the running second. It stands still after 136 years.
    fn second(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

impl Slot {
    fn add(&self, second: u32) {
        let mut seen = self.0.load(Ordering::Relaxed);
        while unpack(seen).0 < second {
            // The slot is of an earlier round.
            let fresh = pack(second, 1);
            match self
                .0
                .compare_exchange_weak(seen, fresh, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        // Four thousand million requests in a second would be needed to spill over.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, second: u32) -> u64 {
        let (of, count) = unpack(self.0.load(Ordering::Relaxed));
        match is_recent(of, second) {
            true => u64::from(count),
            false => 0,
        }
    }
}

fn index(second: u32) -> usize {
    second as usize % SECONDS
}

/// Whether the second `of` is one of the latest, seen from `second` (or, by a thread that is a
/// little late, after it).
fn is_recent(of: u32, second: u32) -> bool {
    second.saturating_sub(of) < SECONDS as u32
}

fn pack(second: u32, count: u32) -> u64 {
    u64::from(second) << 32 | u64::from(count)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}
