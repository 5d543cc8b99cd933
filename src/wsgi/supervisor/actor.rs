//! The one task that has the workers.

use std::{collections::VecDeque, io, process::ExitStatus, sync::Arc, time::Duration};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    super::{SpawnError, dispatch::Dispatch},
    crew::{Body, Crew},
    desk::Back,
    fleet::{Action, Event, Fleet, Id},
    listener::{Known, Opening},
    plan::Plan,
    seen::Seen,
    template::{Saying, Templates},
};
use crate::ErrorKind;

/// How often everybody is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How soon after a request began to wait, where there may be more workers for it.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long templates have to end when there are no workers any more.
const TEMPLATES: Duration = Duration::from_secs(1);

/// Whose end it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Worker(Id),
    Template(u32),
}

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
    pub(super) processes: JoinSet<(Whose, io::Result<ExitStatus>)>,
    pub(super) openings: mpsc::Receiver<Opening>,
    /// Whether workers are forked.
    pub(super) preload: bool,
    pub(super) templates: Templates,
    pub(super) sayings: mpsc::Receiver<Saying>,
    pub(super) said: mpsc::Sender<Saying>,
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
            let due = [self.fleet.due(), self.templates.due()];
            let due = due.into_iter().flatten().fold(look_at, Instant::min);
            let desk = Arc::clone(&self.desk.0);
            // In this order: what a process has said goes before its end.
            tokio::select! {
                biased;
                Some(opening) = self.openings.recv() => self.opened(opening),
                Some(saying) = self.sayings.recv() => self.said(saying),
                Some(ended) = self.processes.join_next() => match ended {
                    Ok((Whose::Worker(id), status)) => self.ended(id, status),
                    Ok((Whose::Template(number), status)) => {
                        self.template_ended(number, &Self::how(status));
                    }
                    // Nobody aborts them but the end, and nothing in them panics.
                    Err(_) => {}
                },
                () = desk.wished() => self.fulfil(),
                Some(why) = self.reload.recv() => {
                    self.seen.reload(why);
                    self.feed(Event::Reload);
                }
                () = self.wake.notified() => {
                    if self.scales && self.dispatch.load().waiting > 0 {
                        look_at = look_at.min(Instant::now() + LOOK_AGAIN);
                    }
                    // This is rung by every request that has to wait: as little as can be.
                    if !self.attend() {
                        continue;
                    }
                }
                Some(_over) = self.background.join_next() => {}
                () = sleep_until(due) => {
                    if Instant::now() >= look_at {
                        look_at = Instant::now() + self.look();
                    } else {
                        self.give_up_late_templates(Instant::now());
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
        self.templates.keep_only([0; 2]);
        self.background.shutdown().await;
        // Templates end when their children have.
        let ends = async { while self.processes.join_next().await.is_some() {} };
        timeout(TEMPLATES, ends).await.ok();
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
    pub(super) fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let gone = match event {
                Event::Exited(id) => Some(id),
                _ => None,
            };
            for action in self.fleet.on(event, Instant::now()) {
                events.extend(self.act(&action));
            }
            if let Some(id) = gone {
                self.crew.remove(&id);
            }
        }
    }

    /// What follows, if something does at once.
    fn act(&mut self, action: &Action) -> Option<Event> {
        match *action {
            Action::Spawn { id, generation } if self.preload => return self.fork(id, generation),
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
                self.templates.give_up_asked(id);
                let (timeout, application) = (self.startup_timeout, &self.plan.application);
                if let Some(entry) = self.crew.get_mut(&id) {
                    let error = SpawnError::timeout(application, timeout, entry.output());
                    entry.failure.get_or_insert(error);
                }
            }
            Action::Kill { id } => {
                self.dispatch.retire(id);
                if let Some(entry) = self.crew.get_mut(&id) {
                    self.seen
                        .killed(entry.worker.as_deref(), entry.is_retired());
                    entry.retire();
                    match &entry.body {
                        Some(Body::Child(process)) => process.kill(),
                        Some(Body::Fork(fork)) => self.templates.signal(fork, Signal::KILL),
                        // There is nobody whose end could be seen.
                        None => {
                            self.templates.forget(id);
                            self.dispatch.remove(id);
                            return Some(Event::Exited(id));
                        }
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
                self.templates.keep_only([generation, self.fleet.newest()]);
                self.tell(generation, &Ok(()));
            }
            Action::Broken { generation, id } => {
                let failure = self.failure(id);
                self.seen.broken(generation, &failure);
                // The newest is the one that is broken, if no other one is to follow.
                let next = match self.fleet.is_reloading() {
                    true => self.fleet.newest(),
                    false => self.fleet.generation(),
                };
                self.templates.keep_only([self.fleet.generation(), next]);
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
}
