//! What is known of one worker, by those who send it requests and by those who started it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use tokio::{sync::Notify, time::Instant};

/// A request went beyond its deadline.
pub(super) const TIMED_OUT: u8 = 1;
/// The connection of a slot ended, and nobody here had closed it.
pub(super) const LOST_SLOT: u8 = 2;

/// One process.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: u32,
    pub(super) pid: u32,
    pub(super) generation: u32,
    pub(super) threads: u16,
    pub(super) started: Instant,
    requests: AtomicU64,
    busy: AtomicU32,
    /// What those who started it are to look after.
    wants: AtomicU8,
    /// Wakes them.
    wake: Arc<Notify>,
}

impl Worker {
    pub(super) fn new(id: u32, pid: u32, generation: u32, threads: u16, wake: Arc<Notify>) -> Self {
        Self {
            id,
            pid,
            generation,
            threads,
            started: Instant::now(),
            requests: AtomicU64::new(0),
            busy: AtomicU32::new(0),
            wants: AtomicU8::new(0),
            wake,
        }
    }

    /// A slot of it works on a request.
    pub(super) fn began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// It does so no more: it is idle, or its connection is closed.
    pub(super) fn ended(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many requests it was sent.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// On how many it works, as far as the gateway waits for them.
    pub(super) fn busy(&self) -> u32 {
        self.busy.load(Ordering::Relaxed)
    }

    /// A request went beyond its deadline.
    pub(super) fn timed_out(&self) {
        self.want(TIMED_OUT);
    }

    /// The connection of a slot ended, and nobody here had closed it: the worker dials again, or
    /// it has exited.
    pub(super) fn lost_slot(&self) {
        self.want(LOST_SLOT);
    }

    /// What happened since this was asked last: [`TIMED_OUT`], [`LOST_SLOT`].
    pub(super) fn take_wants(&self) -> u8 {
        self.wants.swap(0, Ordering::AcqRel)
    }

    fn want(&self, bit: u8) {
        self.wants.fetch_or(bit, Ordering::AcqRel);
        self.wake.notify_one();
    }
}
