//! Where handles and the supervisor meet: what is wished, and what there is to see.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    super::{
        SpawnError,
        handle::{State, Status, WorkerState, WorkerStatus},
        worker::Worker,
    },
    listener::About,
    seen::Counts,
};

#[derive(Debug, Default)]
pub(in crate::wsgi) struct Desk {
    wishes: Mutex<Wishes>,
    board: Mutex<Board>,
    /// Wakes the supervisor: there is a wish.
    wake: Notify,
}

/// What the holders of handles wish. Of each kind there is at most one, or one for each who waits.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// At least, at most.
    pub(super) size: Option<(usize, usize)>,
    pub(super) dump: bool,
    pub(super) reloads: Vec<oneshot::Sender<Result<(), SpawnError>>>,
    pub(super) shutdown: bool,
    /// Those who wait for the end. They are told by being dropped.
    pub(super) ends: Vec<oneshot::Sender<()>>,
    /// Nobody is there to fulfil them any more.
    is_closed: bool,
}

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    pub(super) generation: u32,
    pub(super) state: State,
    pub(super) target: usize,
    pub(super) rows: Vec<Row>,
    pub(super) counts: Counts,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) state: WorkerState,
    pub(super) worker: Arc<Worker>,
    pub(super) memory: Option<u64>,
    pub(super) about: Option<Arc<About>>,
}

impl Desk {
    pub(in crate::wsgi) fn status(&self) -> Status {
        let board = lock(&self.board).clone();
        let now = Instant::now();
        let workers = board.rows.into_iter().map(|row| {
            let (worker, about) = (row.worker, row.about);
            WorkerStatus {
                id: worker.id,
                pid: worker.pid,
                generation: worker.generation,
                state: row.state,
                requests: worker.requests(),
                busy: worker.busy(),
                threads: worker.threads,
                memory: row.memory,
                age: now.saturating_duration_since(worker.started),
                gil: about.as_ref().map(|about| about.gil),
                implementation: about.as_ref().map(|about| about.implementation.clone()),
                python: about.map(|about| about.python.clone()),
            }
        });
        Status {
            generation: board.generation,
            state: board.state,
            workers: workers.collect(),
            target: board.target,
            idle: 0,
            busy: 0,
            waiting: 0,
            oldest_wait: None,
            crashes: board.counts.crashes,
            failed_boots: board.counts.failed_boots,
            stuck: board.counts.stuck,
            recycled: board.counts.recycled,
            killed: board.counts.killed,
        }
    }

    pub(in crate::wsgi) fn resize(&self, min: usize, max: usize) {
        self.wish(|wishes| wishes.size = Some((min, max)));
    }

    pub(in crate::wsgi) fn dump(&self) {
        self.wish(|wishes| wishes.dump = true);
    }

    pub(in crate::wsgi) async fn reload(&self) -> Result<(), SpawnError> {
        let (told, outcome) = oneshot::channel();
        self.wish(|wishes| wishes.reloads.push(told));
        let end = outcome.await;
        end.unwrap_or_else(|_nobody| Err(SpawnError::shut_down()))
    }

    pub(in crate::wsgi) async fn shut_down(&self) {
        let (told, end) = oneshot::channel();
        self.wish(|wishes| {
            wishes.shutdown = true;
            wishes.ends.push(told);
        });
        // Nobody says anything: it is dropped.
        end.await.ok();
    }

    /// Whether the end is wished for.
    #[cfg(test)]
    pub(in crate::wsgi) fn is_to_end(&self) -> bool {
        lock(&self.wishes).shutdown
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        let mut wishes = lock(&self.wishes);
        // What is never fulfilled is dropped, and whoever waits for it told so.
        if !wishes.is_closed {
            wish(&mut wishes);
        }
        drop(wishes);
        self.wake.notify_one();
    }

    /// Waits until there is a wish.
    ///
    /// # Cancel safety
    ///
    /// What there is to be told is told at the next call.
    pub(super) async fn wished(&self) {
        self.wake.notified().await;
    }

    /// Lets these wait until nobody is there any more.
    pub(super) fn wait_for_the_end(&self, ends: Vec<oneshot::Sender<()>>) {
        lock(&self.wishes).ends.extend(ends);
    }

    /// What was wished since this was asked last.
    pub(super) fn wishes(&self) -> Wishes {
        mem::take(&mut *lock(&self.wishes))
    }

    /// Shows what there is.
    pub(super) fn show(&self, change: impl FnOnce(&mut Board)) {
        change(&mut lock(&self.board));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in it is whole, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side of those who wish. Dropped, it wishes for the end.
#[derive(Debug)]
pub(in crate::wsgi) struct Front(Arc<Desk>);

/// The side of the one who fulfils. Dropped, nobody does any more.
#[derive(Debug)]
pub(super) struct Back(pub(super) Arc<Desk>);

pub(super) fn desk() -> (Front, Back) {
    let desk = Arc::new(Desk::default());
    (Front(Arc::clone(&desk)), Back(desk))
}

impl Front {
    /// One whose wishes nobody fulfils.
    #[cfg(test)]
    pub(in crate::wsgi) fn alone() -> Self {
        Self(Arc::default())
    }

    /// Where they lie.
    #[cfg(test)]
    pub(in crate::wsgi) fn shared(&self) -> Arc<Desk> {
        Arc::clone(&self.0)
    }

    pub(in crate::wsgi) fn desk(&self) -> &Desk {
        &self.0
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.0.wish(|wishes| wishes.shutdown = true);
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        let mut wishes = lock(&self.0.wishes);
        let left = mem::take(&mut *wishes);
        wishes.is_closed = true;
        drop(wishes);
        drop(left);
        self.0.show(|board| {
            board.state = State::Stopped;
            board.rows.clear();
        });
    }
}
