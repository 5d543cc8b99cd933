//! Processes and what they say.

use std::{io, process::ExitStatus, sync::Arc};

use rustix::process::Signal;

use super::{
    super::{SpawnError, process, worker::Worker},
    actor::{Supervisor, Whose},
    crew::Body,
    fleet::{Event, Id},
    listener::{Opening, Who},
};

impl Supervisor {
    pub(super) fn spawn(&mut self, id: Id, generation: u32) -> Event {
        let entry = self.crew.entry(id).or_default();
        let started = match process::start(&self.plan.launch(id, false)) {
            Ok(started) => started,
            Err(error) => {
                entry.failure = Some(SpawnError::interpreter(&self.plan.python, error));
                return Event::BootFailed(id);
            }
        };
        let (process, tend) = started.tend();
        let whose = Whose::Worker(id);
        self.processes.spawn(async move { (whose, tend.await) });
        let pid = process.pid;
        let wake = Arc::clone(&self.wake);
        let worker = Arc::new(Worker::new(id, pid, generation, self.threads, wake));
        self.seen.started(&worker);
        let who = Who::Worker(Arc::clone(&worker));
        self.known.send_modify(|known| drop(known.insert(pid, who)));
        entry.worker = Some(worker);
        entry.body = Some(Body::Child(process));
        Event::Spawned(id)
    }

    pub(super) fn ended(&mut self, id: Id, status: io::Result<ExitStatus>) {
        self.dispatch.remove(id);
        let Some(entry) = self.crew.get_mut(&id) else {
            return;
        };
        let how = Self::how(status);
        let output = entry.output();
        entry
            .failure
            .get_or_insert_with(|| SpawnError::exited(&self.plan.application, &how, output));
        let worker = entry.worker.clone();
        self.seen.ended(worker.as_deref(), &how);
        if let Some(worker) = worker {
            // Before another process is started, which may get this number.
            self.known
                .send_modify(|known| drop(known.remove(&worker.pid)));
        }
        self.feed(Event::Exited(id));
    }

    pub(super) fn dump(&self, id: Id) {
        match self.crew.get(&id).and_then(|entry| entry.body.as_ref()) {
            Some(Body::Child(process)) => process.dump(),
            Some(Body::Fork(fork)) => self.templates.signal(fork, Signal::USR2),
            None => {}
        }
    }

    pub(super) fn failure(&self, id: Id) -> SpawnError {
        let failure = self.crew.get(&id).and_then(|entry| entry.failure.clone());
        failure.unwrap_or_else(|| {
            SpawnError::exited(&self.plan.application, "was told to end", Vec::new())
        })
    }

    pub(super) fn worker(&self, id: Id) -> Option<Arc<Worker>> {
        self.crew.get(&id)?.worker.clone()
    }

    pub(super) fn opened(&mut self, opening: Opening) {
        match opening {
            Opening::Hello { slot, about } => {
                let id = slot.worker().id;
                let Some(entry) = self.crew.get_mut(&id) else {
                    return;
                };
                entry.about = Some(Arc::new(about));
                let (is_first, slot) = entry.dialled(slot);
                if let Some(slot) = slot {
                    self.dispatch.add(slot);
                }
                if is_first {
                    self.feed(Event::Hello(id));
                }
            }
            Opening::Bye { worker } => self.feed(Event::Bye(worker.id)),
            Opening::No {
                who,
                reason,
                stream,
            } => {
                self.could_not_load(&who, reason);
                drop(stream);
            }
            Opening::Template { id, stream } => self.template_is_ready(id, stream),
        }
    }

    fn could_not_load(&mut self, who: &Who, reason: String) {
        let application = &self.plan.application;
        match who {
            Who::Worker(worker) => {
                if let Some(entry) = self.crew.get_mut(&worker.id) {
                    let output = entry.output();
                    entry.failure = Some(SpawnError::application(application, reason, output));
                }
                self.feed(Event::BootFailed(worker.id));
            }
            Who::Template(number) => {
                let output = self.template_output(*number);
                let failure = SpawnError::application(application, reason, output);
                self.template_failed(*number, failure);
            }
        }
    }

    /// Attends to what those who carry requests have noticed; whether they had.
    pub(super) fn attend(&mut self) -> bool {
        let late = self.crew.iter().filter_map(|(id, entry)| {
            let is_late = entry.worker.as_ref()?.take_timed_out();
            is_late.then_some(*id)
        });
        let late: Vec<_> = late.collect();
        if !late.is_empty() {
            // Whether others of their threads have work decides how long they have.
            self.look();
        }
        for id in &late {
            self.feed(Event::TimedOut(*id));
        }
        !late.is_empty()
    }
}
