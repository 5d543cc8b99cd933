//! What is known of one worker, by those who send it requests and by those who started it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use tokio::{sync::Notify, time::Instant};

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
    /// One for each thread.
    places: Mutex<Vec<Place>>,
    /// Whether a request went beyond its deadline, and those who started it have not heard of it.
    is_late: AtomicBool,
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
            places: Mutex::new(vec![Place::default(); threads.into()]),
            is_late: AtomicBool::new(false),
            wake,
        }
    }

    /// It was sent a request, the answer to which is waited for.
    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A slot of it that was idle works.
    pub(super) fn began(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// It does so no more: it is idle, or its connection is closed.
    pub(super) fn ended(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Its slot of this number has a connection.
    pub(super) fn dialled(&self, slot: u16) {
        if let Some(place) = self.places().get_mut(usize::from(slot)) {
            place.connections += 1;
            place.gone = None;
        }
    }

    /// It has one less: this end let go of it, or that one.
    pub(super) fn hung_up(&self, slot: u16, was_lost: bool) {
        if let Some(place) = self.places().get_mut(usize::from(slot)) {
            // That it is dialled again may be known before that it was lost.
            place.connections = place.connections.saturating_sub(1);
            if place.connections == 0 {
                place.gone = Some((Instant::now(), was_lost));
            }
        }
    }

    /// Since when a thread is without a connection: one that was lost, if `was_lost`, else one that was closed here.
    pub(super) fn gone(&self, was_lost: bool) -> Option<Instant> {
        let places = self.places();
        let gone = places.iter().filter_map(|place| place.gone);
        let gone = gone.filter(|(_, how)| *how == was_lost);
        gone.map(|(since, _)| since).min()
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        // Every state is whole, whoever panicked.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.is_late.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether one did since this was asked last.
    pub(super) fn take_timed_out(&self) -> bool {
        self.is_late.swap(false, Ordering::AcqRel)
    }
}

/// What is known of one thread.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    connections: u32,
    /// Since when it has had none, and whether it was the worker who let go of it.
    gone: Option<(Instant, bool)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_a_connection_is_missed_until_it_dials_again() {
        let worker = Worker::new(1, 2, 1, 2, Arc::default());
        // Those that have not dialled yet are not.
        assert_eq!((worker.gone(true), worker.gone(false)), (None, None));
        worker.dialled(0);
        worker.dialled(1);
        worker.hung_up(0, true);
        worker.hung_up(1, false);
        assert!(worker.gone(true).is_some());
        assert!(worker.gone(false).is_some());
        worker.dialled(0);
        assert!(worker.gone(true).is_none());
        assert!(worker.gone(false).is_some());

        // The end of the old connection is seen after the beginning of the new one.
        worker.dialled(0);
        worker.hung_up(0, true);
        assert!(worker.gone(true).is_none());
        // What it does not have is nothing.
        worker.hung_up(7, true);
        assert!(worker.gone(true).is_none());
    }
}
