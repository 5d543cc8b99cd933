//! What a fleet of workers does, as a pure state machine: events and the time go in, actions come out.
//!
//! A worker is `Starting` until its slots have said hello, `Ready` or `Leaving` while requests go to it,
//! `Draining` when it gets no more of them, and `Killed` when it was not done in time. A fleet that
//! waits before its next boot is in `Backoff`.
//!
//! There is one rule for every kind of replacement: who is to go does not count any more, so that
//! another one is started, and it is let go when there are enough without it. Whoever cannot work
//! (crashed, stuck) goes at once.

mod backoff;
mod fill;
mod member;
mod rules;
mod scaling;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::{backoff::Backoff, member::Member, scaling::Scaling};
pub(in crate::wsgi) use self::{
    member::{Facts, State},
    rules::{Bound, Rules, Why},
    scaling::Demand,
};

pub(in crate::wsgi) type Id = u32;

/// All workers of one container.
#[derive(Debug)]
pub(in crate::wsgi) struct Fleet {
    rules: Rules,
    stage: Stage,
    members: Vec<Member>,
    /// How many there are to be.
    target: usize,
    /// The generation to which requests go; 0 before the first.
    serving: u32,
    /// The one that is to take its place.
    coming: Option<Coming>,
    /// The number of the newest generation.
    newest: u32,
    next: Id,
    backoff: Backoff,
    scaling: Scaling,
    random: fastrand::Rng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Up,
    Stopping,
    Stopped,
}

#[derive(Clone, Copy, Debug)]
struct Coming {
    generation: u32,
    /// Whether another one is to follow: what this one was made of may have changed since.
    again: bool,
}

/// What has happened.
#[derive(Clone, Debug)]
pub(in crate::wsgi) enum Event {
    /// Nothing: it has become later.
    Tick,
    /// A worker's process is there.
    Spawned(Id),
    /// A slot of a worker has said hello.
    Hello(Id),
    /// A worker could not load its application, or there is no process.
    BootFailed(Id),
    /// A process has ended.
    Exited(Id),
    /// A worker was told to end by somebody else.
    Bye(Id),
    /// A request went beyond its deadline.
    TimedOut(Id),
    /// Everybody was looked at.
    Looked(Vec<Facts>, Demand),
    /// There is to be a new generation.
    Reload,
    /// There are to be so many: at least, at most.
    Resize(usize, usize),
    /// There are to be none.
    Shutdown,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::wsgi) enum Action {
    /// Start a process.
    Spawn { id: Id, generation: u32 },
    /// Requests may go to it.
    Admit { id: Id },
    /// No more requests: it is told to stop when it is idle.
    Retire { id: Id, why: Why },
    /// Let it write to the log what its threads are at.
    Dump { id: Id },
    /// It did not come up in time.
    Overdue { id: Id },
    /// SIGKILL to its group.
    Kill { id: Id },
    /// It ended, and nobody had told it to.
    Crashed { id: Id },
    /// It did not come up, and another one will be tried.
    BootFailed { id: Id },
    /// This generation serves.
    Serving { generation: u32 },
    /// This generation will not: this one of it did not come up.
    Broken { generation: u32, id: Id },
    /// There is nobody left.
    Stopped,
}

impl Fleet {
    pub(in crate::wsgi) fn new(rules: Rules, seed: u64) -> Self {
        let mut fleet = Self {
            target: rules.min,
            rules,
            stage: Stage::Up,
            members: Vec::new(),
            serving: 0,
            coming: None,
            newest: 0,
            next: 0,
            backoff: Backoff::default(),
            scaling: Scaling::default(),
            random: fastrand::Rng::with_seed(seed),
        };
        fleet.begin_generation();
        fleet
    }

    /// What is to be done now that this has happened.
    pub(in crate::wsgi) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let out = &mut actions;
        match event {
            Event::Tick => {}
            Event::Spawned(id) => self.spawned(id, now),
            Event::Hello(id) => self.hello(id, now),
            Event::BootFailed(id) => self.boot_failed(id, now, out),
            Event::Exited(id) => self.exited(id, now, out),
            Event::Bye(id) => self.bye(id, now, out),
            Event::TimedOut(id) => self.stuck(id, Why::TimedOut, now, out),
            Event::Looked(facts, demand) => self.looked(&facts, demand, now, out),
            Event::Reload => self.reload(),
            Event::Resize(min, max) => self.resize(min, max),
            Event::Shutdown => self.shutdown(now, out),
        }
        self.settle(now, out);
        actions
    }

    pub(in crate::wsgi) fn is_stopping(&self) -> bool {
        self.stage != Stage::Up
    }

    pub(in crate::wsgi) fn is_stopped(&self) -> bool {
        self.stage == Stage::Stopped
    }

    /// Whether requests go to anybody.
    pub(in crate::wsgi) fn serves(&self) -> bool {
        self.members.iter().any(Member::serves)
    }

    /// How long the next boot has to wait, if it has to.
    pub(in crate::wsgi) fn retry_in(&self, now: Instant) -> Duration {
        let until = self.backoff.until().filter(|_| self.coming.is_none());
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Whether boots fail, and the next one has to wait.
    pub(in crate::wsgi) fn is_backing_off(&self) -> bool {
        self.stage == Stage::Up && self.backoff.is_failing()
    }

    /// Whether a generation is about to take the place of another.
    pub(in crate::wsgi) fn is_reloading(&self) -> bool {
        self.coming.is_some() && self.serving > 0
    }

    /// The generation to which requests go; 0 before the first.
    pub(in crate::wsgi) fn generation(&self) -> u32 {
        self.serving
    }

    /// The number of the newest generation, whatever has become of it.
    pub(in crate::wsgi) fn newest(&self) -> u32 {
        self.newest
    }

    /// How many there are to be right now, and the least and the most.
    pub(in crate::wsgi) fn size(&self) -> (usize, usize, usize) {
        (self.target, self.rules.min, self.rules.max)
    }

    pub(in crate::wsgi) fn states(&self) -> impl Iterator<Item = (Id, u32, State)> {
        let states = self.members.iter();
        states.map(|member| (member.id, member.generation, member.state))
    }

    /// When `Tick` is due, if nothing else happens.
    pub(in crate::wsgi) fn due(&self) -> Option<Instant> {
        let members = self.members.iter();
        let dates = members.flat_map(|member| {
            let expires = self.may_recycle().then(|| member.expires()).flatten();
            let since = member.ready_since();
            let probation = since.filter(|since| self.backoff.is_on_probation(*since));
            let probation = probation.map(|since| since + backoff::PROBATION);
            let unkillable = match (self.stage, member.state) {
                (Stage::Stopping, State::Killed { since }) => Some(since + fill::UNKILLABLE),
                _ => None,
            };
            [member.due(&self.rules), expires, probation, unkillable]
        });
        let waits = self.is_short() || self.needs_no_proof();
        let backoff = waits.then(|| self.backoff.until());
        dates.flatten().chain(backoff.flatten()).min()
    }

    // ## Starting => Starting

    fn spawned(&mut self, id: Id, now: Instant) {
        let until = after(now, self.rules.startup_timeout);
        if let Some(member) = self.member(id)
            && member.state == (State::Starting { until: None })
        {
            member.state = State::Starting { until: Some(until) };
        }
    }

    // ## Starting => (Starting | Ready)

    fn hello(&mut self, id: Id, now: Instant) {
        let threads = self.rules.threads;
        if let Some(member) = self.member(id)
            && member.is_starting()
        {
            member.slots += 1;
            if member.slots >= threads {
                member.state = State::Ready { since: now };
            }
        }
    }

    // ## Starting => Killed

    fn boot_failed(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let Some(member) = self.member(id).filter(|member| member.is_starting()) else {
            return;
        };
        let generation = member.generation;
        kill(member, now, out);
        self.did_not_come_up(id, generation, now, out);
    }

    fn did_not_come_up(&mut self, id: Id, generation: u32, now: Instant, out: &mut Vec<Action>) {
        if self
            .coming
            .is_some_and(|coming| coming.generation == generation)
        {
            out.push(Action::Broken { generation, id });
            self.give_up_what_comes(now, out);
        } else {
            self.backoff.failed(now);
            out.push(Action::BootFailed { id });
        }
    }

    // ## any => gone

    fn exited(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let Some(at) = self.members.iter().position(|member| member.id == id) else {
            return;
        };
        let member = self.members.remove(at);
        match member.state {
            State::Starting { .. } => self.did_not_come_up(id, member.generation, now, out),
            // It had come up, and was not to be seen yet: as good as if it had not.
            State::Ready { .. } if !member.is_admitted => {
                self.did_not_come_up(id, member.generation, now, out);
            }
            State::Ready { since } | State::Leaving { since, .. } => {
                if now < since + backoff::PROBATION {
                    self.backoff.failed(now);
                }
                out.push(Action::Crashed { id });
            }
            State::Draining { .. } | State::Killed { .. } => {}
        }
    }

    // ## (Ready | Leaving) => Draining

    fn bye(&mut self, id: Id, now: Instant, out: &mut Vec<Action>) {
        let until = after(now, self.rules.graceful_timeout);
        let Some(member) = self.member(id) else {
            return;
        };
        match member.state {
            State::Starting { .. } => self.boot_failed(id, now, out),
            _ => drain(member, until, Why::Asked, out),
        }
    }

    fn stuck(&mut self, id: Id, why: Why, now: Instant, out: &mut Vec<Action>) {
        let until = after(now, self.rules.graceful_timeout);
        let Some(member) = self.member(id).filter(|member| !member.is_starting()) else {
            return;
        };
        if member.stuck.is_none() && !member.is_killed() {
            member.stuck = Some(now);
            out.push(Action::Dump { id });
            drain(member, until, why, out);
        }
    }

    // ## Ready => Leaving, and what else is seen only by looking

    fn looked(&mut self, facts: &[Facts], demand: Demand, now: Instant, out: &mut Vec<Action>) {
        for facts in facts {
            let rules = self.rules.clone();
            let may_recycle = self.may_recycle();
            let Some(member) = self.member(facts.id) else {
                continue;
            };
            member.busy = facts.busy;
            if member.has_lost_a_slot(facts, &rules, now) {
                self.stuck(facts.id, Why::LostSlot, now, out);
            } else if may_recycle
                && let State::Ready { since } = member.state
                && let Some(why) = member.has_worked_enough(facts, &rules)
            {
                member.state = State::Leaving { since, why };
            }
        }
        if self.stage == Stage::Up && self.coming.is_none() {
            let bounds = (self.rules.min, self.rules.max);
            let threads = self.rules.threads.into();
            self.target = self.scaling.look(demand, self.target, threads, bounds, now);
        }
    }

    fn reload(&mut self) {
        if self.stage != Stage::Up {
            return;
        }
        match &mut self.coming {
            Some(coming) => coming.again = true,
            None => self.begin_generation(),
        }
    }

    fn resize(&mut self, min: usize, max: usize) {
        self.rules.min = min.max(1);
        self.rules.max = max.max(self.rules.min);
        self.target = self.target.clamp(self.rules.min, self.rules.max);
    }

    // ## any => (Draining | Killed)

    fn shutdown(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.stage != Stage::Up {
            return;
        }
        self.stage = Stage::Stopping;
        self.coming = None;
        let until = after(now, self.rules.graceful_timeout);
        for member in &mut self.members {
            match member.state {
                State::Starting { .. } => kill(member, now, out),
                _ => drain(member, until, Why::Shutdown, out),
            }
        }
    }

    fn begin_generation(&mut self) {
        self.newest += 1;
        self.coming = Some(Coming {
            generation: self.newest,
            again: false,
        });
    }

    fn member(&mut self, id: Id) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }
}

/// A point in time. A timeout beyond what an [`Instant`] can say (`Duration::MAX`) is none.
pub(super) fn after(start: Instant, timeout: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start.checked_add(timeout).unwrap_or(start + YEARS)
}

/// No more requests go to it, if any did.
fn drain(member: &mut Member, until: Instant, why: Why, out: &mut Vec<Action>) {
    if let State::Ready { .. } | State::Leaving { .. } = member.state {
        member.state = State::Draining { until, why };
        out.push(Action::Retire { id: member.id, why });
    }
}

/// It has had its time, or was never of use.
fn kill(member: &mut Member, now: Instant, out: &mut Vec<Action>) {
    if !member.is_killed() {
        member.state = State::Killed { since: now };
        out.push(Action::Kill { id: member.id });
    }
}
