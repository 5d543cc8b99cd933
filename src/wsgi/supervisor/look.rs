//! Looking at everybody, and showing what there is.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::handle::{State as At, WorkerState},
    actor::{LOOK, LOOK_AGAIN, Supervisor},
    desk::Row,
    fleet::{Demand, Event, Facts, State},
    memory,
};
use crate::ErrorKind;

impl Supervisor {
    /// Looks at everybody; how soon to look again.
    pub(super) fn look(&mut self) -> Duration {
        self.give_up_deaf_templates(Instant::now());
        let mut facts = Vec::new();
        for (id, entry) in &mut self.crew {
            if let Some(worker) = &entry.worker {
                entry.memory = memory::resident(worker.pid);
                facts.push(Facts {
                    id: *id,
                    requests: worker.requests(),
                    busy: worker.busy(),
                    memory: entry.memory,
                    lost: worker.gone(true),
                    abandoned: worker.gone(false),
                });
            }
        }
        let load = self.dispatch.load();
        let demand = Demand {
            idle: load.idle,
            busy: load.busy,
            oldest_wait: load.oldest_wait,
        };
        self.feed(Event::Looked(facts, demand));
        match self.scales && load.waiting > 0 {
            true => LOOK_AGAIN,
            false => LOOK,
        }
    }

    /// Refuses requests while the next worker will come too late for them.
    pub(super) fn refuse_or_not(&mut self) {
        let now = Instant::now();
        let pause = self.fleet.retry_in(now);
        let is_hopeless = pause > self.queue_timeout && !self.fleet.serves();
        if is_hopeless != self.is_refusing && !self.fleet.is_stopping() {
            self.is_refusing = is_hopeless;
            match is_hopeless {
                true => self.dispatch.close(ErrorKind::UpstreamUnavailable),
                false => self.dispatch.open(),
            }
        }
    }

    pub(super) fn show(&mut self) {
        let fleet = &self.fleet;
        let rows = fleet.states().filter_map(|(id, _, state)| {
            let entry = self.crew.get(&id)?;
            Some(Row {
                state: state.into(),
                worker: entry.worker.clone()?,
                memory: entry.memory,
                about: entry.about.clone(),
            })
        });
        let rows: Vec<_> = rows.collect();
        let state = if fleet.is_stopped() {
            At::Stopped
        } else if fleet.is_stopping() {
            At::Draining
        } else if fleet.generation() == 0 {
            At::Starting
        } else if fleet.is_reloading() {
            At::Reloading
        } else if fleet.is_backing_off() {
            At::Backoff
        } else {
            At::Serving
        };
        self.seen.workers(&rows);
        let (generation, (target, ..)) = (fleet.generation(), fleet.size());
        let counts = self.seen.counts();
        self.desk.0.show(|board| {
            board.generation = generation;
            board.state = state;
            board.target = target;
            board.rows = rows;
            board.counts = counts;
        });
    }
}

impl From<State> for WorkerState {
    fn from(state: State) -> Self {
        match state {
            State::Starting { .. } => Self::Starting,
            State::Ready { .. } => Self::Ready,
            State::Leaving { .. } => Self::Leaving,
            State::Draining { .. } => Self::Draining,
            State::Killed { .. } => Self::Killed,
        }
    }
}
