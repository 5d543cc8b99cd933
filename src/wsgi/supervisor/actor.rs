//! The one task that has the workers.

use std::{collections::VecDeque, io, mem, process::ExitStatus, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    super::{
        SpawnError,
        dispatch::Dispatch,
        handle::State as At,
        process,
        worker::{TIMED_OUT, Worker},
    },
    crew::Crew,
    desk::{Back, Row},
    fleet::{Action, Demand, Event, Facts, Fleet, Id, State},
    listener::{Known, Opening, Who},
    memory,
    plan::Plan,
    seen::Seen,
};
use crate::ErrorKind;

/// How often everybody is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How soon after a request began to wait, where there may be more workers for it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Supervisor {
    pub(super) fleet: Fleet,
    pub(super) plan: Plan,
    pub(super) startup_timeout: Duration,
    pub(super) threads: u16,
    pub(super) queue_timeout: Duration,
    /// Whether there may be more workers than there are.
    pub(super) scales: bool,
    pub(super) dispatch: Arc<Dispatch>,
    /// Whether requests are refused, since none would be answered in time.
    pub(super) is_refusing: bool,
    pub(super) known: Arc<Known>,
    pub(super) crew: Crew,
    /// Those who tend the processes. Dropped, they kill them.
    pub(super) processes: JoinSet<(Id, io::Result<ExitStatus>)>,
    pub(super) openings: mpsc::Receiver<Opening>,
    /// Why there is to be a reload.
    pub(super) reload: mpsc::Receiver<&'static str>,
    /// Rung by those who carry requests.
    pub(super) wake: Arc<Notify>,
    pub(super) desk: Back,
    /// Those who wait for a generation that is newer than this one.
    pub(super) waiting: Vec<(u32, oneshot::Sender<Result<(), SpawnError>>)>,
    /// Why not even the first generation came up.
    pub(super) fatal: Option<SpawnError>,
    pub(super) seen: Seen,
    /// What ends with this.
    pub(super) background: JoinSet<()>,
    pub(super) directory: TempDir,
}

impl Supervisor {
    /// Ready when there are no workers any more.
    pub(super) async fn run(mut self) {
        let mut look_at = Instant::now() + LOOK;
        self.feed(Event::Tick);
        while !self.fleet.is_stopped() {
            let due = self.fleet.due().map_or(look_at, |due| due.min(look_at));
            let desk = Arc::clone(&self.desk.0);
            // In this order: what a process has said goes before its end.
            tokio::select! {
                biased;
                Some(opening) = self.openings.recv() => self.opened(opening),
                Some(ended) = self.processes.join_next() => {
                    // A task that was aborted, or has panicked, is no process any more: see `Group`.
                    if let Ok((id, status)) = ended {
                        self.ended(id, status);
                    }
                }
                () = desk.wished() => self.fulfil(),
                Some(why) = self.reload.recv() => {
                    self.seen.reload(why);
                    self.feed(Event::Reload);
                }
                () = self.wake.notified() => {
                    self.attend();
                    if self.scales && self.dispatch.load().waiting > 0 {
                        look_at = look_at.min(Instant::now() + LOOK_AGAIN);
                    }
                }
                () = sleep_until(due) => {
                    if Instant::now() >= look_at {
                        look_at = Instant::now() + self.look();
                    } else {
                        self.feed(Event::Tick);
                    }
                }
            }
            self.refuse_or_not();
            self.show();
        }
        self.end().await;
    }

    /// Nothing is left when those who wait are told.
    async fn end(mut self) {
        self.seen.stopped();
        self.dispatch.close(ErrorKind::Draining);
        self.background.shutdown().await;
        self.processes.shutdown().await;
        if let Err(error) = self.directory.close() {
            tracing::debug!(%error, "the directory of the workers' socket could not be removed");
        }
        if let Some(error) = self.fatal {
            for (_, told) in self.waiting {
                told.send(Err(error.clone())).ok();
            }
        }
    }

    /// Lets the fleet know, and does what is to be done then.
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.fleet.on(event, Instant::now()) {
                events.extend(self.act(action));
            }
        }
    }

    /// What follows, if something does at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn { id, generation } => return Some(self.spawn(id, generation)),
            Action::Admit { id } => {
                self.seen.ready(self.worker(id).as_deref());
                let slots = self.crew.get_mut(&id).map(|entry| entry.admit());
                for slot in slots.unwrap_or_default() {
                    self.dispatch.add(slot);
                }
            }
            Action::Retire { id, why } => {
                let worker = self.worker(id);
                self.seen.retires(worker.as_deref(), why);
                self.dispatch.retire(id);
                if let Some(entry) = self.crew.get_mut(&id) {
                    entry.retire();
                }
            }
            Action::Dump { id } => self.dump(id),
            Action::Overdue { id } => {
                let (timeout, application) = (self.startup_timeout, &self.plan.application);
                if let Some(entry) = self.crew.get_mut(&id) {
                    let error = SpawnError::timeout(application, timeout, entry.output());
                    entry.failure.get_or_insert(error);
                }
            }
            Action::Kill { id } => {
                let worker = self.worker(id);
                self.seen.killed(worker.as_deref());
                self.dispatch.retire(id);
                if let Some(entry) = self.crew.get_mut(&id) {
                    entry.retire();
                    if let Some(process) = &entry.process {
                        process.kill();
                    }
                }
            }
            // What is known of its end was said when it was seen.
            Action::Crashed { id } => {
                let worker = self.worker(id);
                self.seen.crashed(worker.as_deref());
            }
            Action::BootFailed { id } => {
                let failure = self.failure(id);
                self.seen
                    .boot_failed(id, &failure, self.fleet.retry_in(Instant::now()));
            }
            Action::Serving { generation } => {
                self.seen.serving(generation);
                self.tell(generation, &Ok(()));
            }
            Action::Broken { generation, id } => {
                let failure = self.failure(id);
                self.seen.broken(generation, &failure);
                match self.fleet.generation() {
                    // Told when everything is stopped.
                    0 => self.fatal = Some(failure),
                    _ => self.tell(generation, &Err(failure)),
                }
            }
            Action::Stopped => {}
        }
        None
    }

    // === Processes

    fn spawn(&mut self, id: Id, generation: u32) -> Event {
        let entry = self.crew.entry(id).or_default();
        let started = match process::start(self.plan.launch(id, false)) {
            Ok(started) => started,
            Err(error) => {
                entry.failure = Some(SpawnError::interpreter(&self.plan.python, error));
                return Event::BootFailed(id);
            }
        };
        let (process, tend) = started.tend();
        self.processes.spawn(async move { (id, tend.await) });
        let pid = process.pid;
        let wake = Arc::clone(&self.wake);
        let worker = Arc::new(Worker::new(id, pid, generation, self.threads, wake));
        self.seen.started(&worker);
        let who = Who::Worker(Arc::clone(&worker));
        self.known.send_modify(|known| drop(known.insert(pid, who)));
        entry.worker = Some(worker);
        entry.process = Some(process);
        Event::Spawned(id)
    }

    fn ended(&mut self, id: Id, status: io::Result<ExitStatus>) {
        self.dispatch.remove(id);
        let Some(entry) = self.crew.get_mut(&id) else {
            return;
        };
        let how = match status {
            Ok(status) => process::how(status),
            Err(error) => format!("ended, and was not waited for ({error})"),
        };
        let output = entry.output();
        entry
            .failure
            .get_or_insert_with(|| SpawnError::exited(&self.plan.application, &how, output));
        let worker = entry.worker.clone();
        self.seen.ended(worker.as_deref(), &how);
        self.feed(Event::Exited(id));
        self.crew.remove(&id);
        if let Some(worker) = worker {
            self.known
                .send_modify(|known| drop(known.remove(&worker.pid)));
        }
    }

    fn dump(&self, id: Id) {
        let process = self.crew.get(&id).and_then(|entry| entry.process.as_ref());
        if let Some(process) = process {
            process.dump();
        }
    }

    fn failure(&self, id: Id) -> SpawnError {
        let failure = self.crew.get(&id).and_then(|entry| entry.failure.clone());
        failure.unwrap_or_else(|| {
            SpawnError::exited(&self.plan.application, "was told to end", Vec::new())
        })
    }

    fn worker(&self, id: Id) -> Option<Arc<Worker>> {
        self.crew.get(&id)?.worker.clone()
    }

    // === What workers say

    fn opened(&mut self, opening: Opening) {
        match opening {
            Opening::Hello { slot, about } => {
                let id = slot.worker().id;
                let Some(entry) = self.crew.get_mut(&id) else {
                    return;
                };
                entry.about = Some(about);
                let (is_first, slot) = entry.dialled(slot);
                if let Some(slot) = slot {
                    self.dispatch.add(slot);
                }
                if is_first {
                    self.feed(Event::Hello(id));
                }
            }
            Opening::Bye { worker } => self.feed(Event::Bye(worker.id)),
            Opening::No { id, reason, stream } => {
                if let Some(entry) = self.crew.get_mut(&id) {
                    let output = entry.output();
                    let error = SpawnError::application(&self.plan.application, reason, output);
                    entry.failure = Some(error);
                }
                self.feed(Event::BootFailed(id));
                drop(stream);
            }
            Opening::Template { .. } => {}
        }
    }

    /// Attends to what those who carry requests have noticed.
    fn attend(&mut self) {
        let wants = self.crew.iter().filter_map(|(id, entry)| {
            let wants = entry.worker.as_ref()?.take_wants();
            (wants & TIMED_OUT != 0).then_some(*id)
        });
        for id in wants.collect::<Vec<_>>() {
            self.feed(Event::TimedOut(id));
        }
    }

    // === What is wished

    fn fulfil(&mut self) {
        let wishes = self.desk.0.wishes();
        if let Some((min, max)) = wishes.size {
            let (min, max) = (min.max(1), max.max(min).max(1));
            self.scales = min < max;
            self.seen.resized(min, max);
            self.feed(Event::Resize(min, max));
        }
        if wishes.dump {
            self.crew.keys().for_each(|id| self.dump(*id));
        }
        if !wishes.reloads.is_empty() {
            let newest = self.fleet.newest();
            let reloads = wishes.reloads.into_iter().map(|told| (newest, told));
            self.waiting.extend(reloads);
            self.seen.reload("a handle");
            self.feed(Event::Reload);
        }
        if wishes.shutdown && !self.fleet.is_stopping() {
            self.seen.stops();
            self.dispatch.close(ErrorKind::Draining);
            self.feed(Event::Shutdown);
        }
        self.desk.0.wait_for_the_end(wishes.ends);
    }

    /// Tells those who wait for this generation, or an older one, what became of it.
    fn tell(&mut self, generation: u32, outcome: &Result<(), SpawnError>) {
        for (newer_than, told) in mem::take(&mut self.waiting) {
            if newer_than < generation {
                told.send(outcome.clone()).ok();
            } else {
                self.waiting.push((newer_than, told));
            }
        }
    }

    // === Looking

    /// Looks at everybody; how soon to look again.
    fn look(&mut self) -> Duration {
        let mut facts = Vec::new();
        for (id, entry) in &mut self.crew {
            if let Some(worker) = &entry.worker {
                entry.memory = memory::resident(worker.pid);
                facts.push(Facts {
                    id: *id,
                    requests: worker.requests(),
                    busy: worker.busy(),
                    memory: entry.memory,
                    lost: None,
                    abandoned: None,
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
    fn refuse_or_not(&mut self) {
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

    fn show(&mut self) {
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

impl From<State> for super::super::handle::WorkerState {
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
