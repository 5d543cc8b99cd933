//! Preloading: a process that has imported the application, and of which workers are forked.
//!
//! Its children are not this process's own, so it says what becomes of them. They share its tether
//! and its output, and outlive it if it comes to that; then their ends are seen in another way.

mod fork;
mod link;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tokio::time::Instant;

use self::link::Link;
pub(super) use self::{
    fork::Fork,
    link::{Said, Saying},
};
use super::{
    super::{
        SpawnError,
        process::{self, Process},
        worker::Worker,
    },
    actor::{Supervisor, Whose},
    crew::Body,
    fleet::{Event, Id, State, after},
    listener::Who,
};

/// How long a template may take to tell that a child has ended that it was told to kill.
const DEAF: Duration = Duration::from_secs(5);

/// The templates there are: that of the generation that serves, maybe one of the next, and those of earlier
/// ones whose children are still at work.
#[derive(Debug, Default)]
pub(super) struct Templates {
    all: BTreeMap<u32, Template>,
    next: u32,
}

#[derive(Debug)]
struct Template {
    generation: u32,
    process: Process,
    /// When it is given up, as long as it has not said that it can fork.
    until: Option<Instant>,
    link: Option<Link>,
    /// Those that are to be forked as soon as it can.
    waiting: VecDeque<Id>,
    /// Those that it was told to fork, and has said nothing of yet.
    asked: Vec<Id>,
    /// Whether it is to fork no more.
    is_stopped: bool,
    failure: Option<SpawnError>,
}

impl Templates {
    /// When one is given up.
    pub(super) fn due(&self) -> Option<Instant> {
        self.all
            .values()
            .filter_map(|template| template.until)
            .min()
    }

    fn of(&mut self, generation: u32) -> Option<&mut Template> {
        let mut all = self.all.values_mut();
        all.find(|template| template.generation == generation && !template.is_stopped)
    }

    /// Lets those that are of no other generation end when their children have.
    pub(super) fn keep_only(&mut self, generations: [u32; 2]) {
        for template in self.all.values_mut() {
            if !generations.contains(&template.generation) && !template.is_stopped {
                template.is_stopped = true;
                match &template.link {
                    Some(link) => link.stop(),
                    None => template.process.kill(),
                }
            }
        }
    }

    /// This one is not to be forked any more.
    pub(super) fn forget(&mut self, id: Id) {
        for template in self.all.values_mut() {
            template.waiting.retain(|waiting| *waiting != id);
        }
    }

    /// The template that was told to fork this one, and has said nothing of it, is of no use.
    pub(super) fn give_up_asked(&mut self, id: Id) {
        let mut all = self.all.values_mut();
        if let Some(template) = all.find(|template| template.asked.contains(&id)) {
            template.is_stopped = true;
            template.process.kill();
        }
    }

    /// Sends a signal to a child of a template, if that is there to do it.
    pub(super) fn signal(&self, fork: &Fork, signal: Signal) {
        let template = self.all.get(&fork.template);
        let link = template.and_then(|template| template.link.as_ref());
        if link.is_none_or(|link| link.signal(fork.pid, signal).is_err()) {
            fork.signal(signal);
        }
    }
}

impl Supervisor {
    /// Has a worker forked by the template of its generation, which is started if need be.
    pub(super) fn fork(&mut self, id: Id, generation: u32) -> Option<Event> {
        self.crew.entry(id).or_default();
        if self.templates.of(generation).is_none()
            && let Err(error) = self.start_template(generation)
        {
            let failure = SpawnError::interpreter(&self.plan.python, error);
            self.crew.entry(id).or_default().failure = Some(failure);
            return Some(Event::BootFailed(id));
        }
        let template = self.templates.of(generation)?;
        match &template.link {
            None => {
                template.waiting.push_back(id);
                None
            }
            Some(link) => match link.fork(id) {
                Ok(()) => {
                    template.asked.push(id);
                    Some(Event::Spawned(id))
                }
                // It is ending, or is of no use: what its end is will be told in its place.
                Err(error) => {
                    tracing::debug!(%error, "a template does not listen");
                    template.is_stopped = true;
                    template.process.kill();
                    template.waiting.push_back(id);
                    None
                }
            },
        }
    }

    fn start_template(&mut self, generation: u32) -> io::Result<()> {
        let started = process::start(&self.plan.launch(0, true))?;
        let (process, tend) = started.tend();
        self.templates.next += 1;
        let number = self.templates.next;
        let whose = Whose::Template(number);
        self.processes.spawn(async move { (whose, tend.await) });
        self.seen.template(process.pid, generation);
        let who = Who::Template(number);
        let pid = process.pid;
        self.known.send_modify(|known| drop(known.insert(pid, who)));
        let template = Template {
            generation,
            process,
            until: Some(after(Instant::now(), self.startup_timeout)),
            link: None,
            waiting: VecDeque::new(),
            asked: Vec::new(),
            is_stopped: false,
            failure: None,
        };
        self.templates.all.insert(number, template);
        Ok(())
    }

    /// It has imported the application.
    pub(super) fn template_is_ready(&mut self, number: u32, stream: tokio::net::UnixStream) {
        let Some(template) = self.templates.all.get_mut(&number) else {
            return;
        };
        let (link, reading) = link::new(number, stream, self.said.clone());
        self.background.spawn(reading);
        template.until = None;
        let generation = template.generation;
        if template.is_stopped {
            link.stop();
        }
        template.link = Some(link);
        for id in std::mem::take(&mut template.waiting) {
            if let Some(event) = self.fork(id, generation) {
                self.feed(event);
            }
        }
    }

    /// It could not.
    pub(super) fn template_failed(&mut self, number: u32, failure: SpawnError) {
        if let Some(template) = self.templates.all.get_mut(&number) {
            template.failure = Some(failure);
            self.give_up_template(number);
        }
    }

    pub(super) fn template_output(&self, number: u32) -> Vec<String> {
        let template = self.templates.all.get(&number);
        template
            .map(|template| template.process.tail.lines())
            .unwrap_or_default()
    }

    /// Gives up those that take too long.
    pub(super) fn give_up_late_templates(&mut self, now: Instant) {
        let late = self.templates.all.iter();
        let late = late.filter(|(_, template)| template.until.is_some_and(|until| now >= until));
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            let output = self.template_output(number);
            let timeout: Duration = self.startup_timeout;
            let failure = SpawnError::timeout(&self.plan.application, timeout, output);
            self.template_failed(number, failure);
        }
    }

    /// Gives up those that do not tell in time of the end of a child that they were told to kill:
    /// they are stopped (SIGSTOP), or hang. Nobody else has waited for such a child, so its number
    /// is still its own.
    pub(super) fn give_up_deaf_templates(&mut self, now: Instant) {
        let mut deaf = Vec::new();
        for (id, _, state) in self.fleet.states() {
            if let State::Killed { since } = state
                && now >= since + DEAF
                && let Some(entry) = self.crew.get(&id)
                && let Some(Body::Fork(fork)) = &entry.body
                && self.templates.all.contains_key(&fork.template)
            {
                fork.signal(Signal::KILL);
                deaf.push((fork.template, entry.output()));
            }
        }
        for (number, output) in deaf {
            if let Some(template) = self.templates.all.get_mut(&number)
                && template.failure.is_none()
            {
                let how = "has a template that does not do what it is told,";
                let failure = SpawnError::exited(&self.plan.application, how, output);
                self.seen.template_is_deaf(template.process.pid);
                self.template_failed(number, failure);
            }
        }
    }

    /// Whoever waits for it to fork waits in vain.
    fn give_up_template(&mut self, number: u32) {
        let Some(template) = self.templates.all.get_mut(&number) else {
            return;
        };
        template.until = None;
        template.is_stopped = true;
        template.process.kill();
        let failure = template.failure.clone();
        let waiting = std::mem::take(&mut template.waiting);
        let asked = std::mem::take(&mut template.asked);
        for id in waiting.into_iter().chain(asked) {
            if let Some(entry) = self.crew.get_mut(&id) {
                entry.failure = failure.clone();
                self.feed(Event::BootFailed(id));
            }
        }
    }

    /// Its process has ended.
    pub(super) fn template_ended(&mut self, number: u32, how: &str) {
        let output = self.template_output(number);
        let Some(template) = self.templates.all.get_mut(&number) else {
            return;
        };
        let is_expected = template.is_stopped;
        let (pid, generation) = (template.process.pid, template.generation);
        let failure = SpawnError::exited(&self.plan.application, how, output);
        template.failure.get_or_insert(failure);
        self.seen.template_ended(pid, generation, how, is_expected);
        // Before another process is started, which may get this number.
        self.known.send_modify(|known| drop(known.remove(&pid)));
        self.give_up_template(number);
        self.templates.all.remove(&number);
        // Nobody says any more what becomes of its children.
        for (id, entry) in &mut self.crew {
            if let Some(Body::Fork(fork)) = &mut entry.body
                && fork.template == number
            {
                let (whose, end) = (Whose::Worker(*id), fork.orphaned());
                self.processes.spawn(async move { (whose, end.await) });
            }
        }
    }

    /// What a template says of its children.
    pub(super) fn said(&mut self, Saying { template, said }: Saying) {
        if let Said::Forked { id, .. } | Said::NotForked { id, .. } = &said
            && let Some(template) = self.templates.all.get_mut(&template)
        {
            template.asked.retain(|asked| asked != id);
        }
        match said {
            Said::Forked { id, pid } => self.forked(template, id, pid),
            Said::NotForked { id, error } => {
                let failure = io::Error::other(error);
                let failure = SpawnError::io("a worker could not be forked", failure);
                if let Some(entry) = self.crew.get_mut(&id) {
                    entry.failure = Some(failure);
                }
                self.feed(Event::BootFailed(id));
            }
            Said::Ended { pid, status } => {
                let mut crew = self.crew.iter();
                let id = crew.find_map(|(id, entry)| {
                    let worker = entry.worker.as_ref()?;
                    (worker.pid == pid).then_some(*id)
                });
                if let Some(id) = id {
                    self.ended(id, Ok(status));
                }
            }
            Said::Nothing => {
                if let Some(template) = self.templates.all.get_mut(&template) {
                    template.link = None;
                    // One that cannot be told anything is of no more use; its children are told of by their ends.
                    template.process.kill();
                }
            }
        }
    }

    fn forked(&mut self, number: u32, id: Id, pid: u32) {
        let Some(template) = self.templates.all.get(&number) else {
            return;
        };
        let tether = Arc::clone(template.process.tether());
        let tail = Arc::clone(&template.process.tail);
        let fork = Fork::new(pid, number, tether, tail);
        // It may have been given up meanwhile.
        let Some(entry) = self.crew.get_mut(&id).filter(|entry| entry.body.is_none()) else {
            self.templates.signal(&fork, Signal::KILL);
            // Its template may be about to end.
            fork.signal(Signal::KILL);
            return;
        };
        let wake = Arc::clone(&self.wake);
        let generation = template.generation;
        let worker = Arc::new(Worker::new(id, pid, generation, self.threads, wake));
        self.seen.started(&worker);
        let who = Who::Worker(Arc::clone(&worker));
        self.known.send_modify(|known| drop(known.insert(pid, who)));
        entry.worker = Some(worker);
        entry.body = Some(Body::Fork(fork));
    }

    /// What a process's end was, in words.
    pub(super) fn how(status: io::Result<ExitStatus>) -> String {
        match status {
            Ok(status) => process::how(status),
            Err(error) => format!("ended, and was not waited for ({error})"),
        }
    }
}

#[cfg(test)]
mod tests;
