//! Whatever has happened: what has to follow, so that there are as many workers as there are to be.

use tokio::time::Instant;

use super::{Action, Coming, Fleet, Stage, State, Why, after, drain, kill, member::Member};

/// How long a fleet that stops waits for processes that were sent SIGKILL. What the kernel does not
/// let go of then (a file system that hangs) is nothing to wait for.
pub(super) const UNKILLABLE: std::time::Duration = std::time::Duration::from_secs(5);

impl Fleet {
    /// To be called after each event.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.end_what_is_due(now, out);
        match self.stage {
            Stage::Up => {
                self.switch(now, out);
                self.shrink(now, out);
                self.prove(now);
                self.recycle_the_old(now);
                self.let_leave(now, out);
                self.fill(now, out);
            }
            Stage::Stopping => {
                self.members.retain(|member| match member.state {
                    State::Killed { since } => now < since + UNKILLABLE,
                    _ => true,
                });
                if self.members.is_empty() {
                    self.stage = Stage::Stopped;
                    out.push(Action::Stopped);
                }
            }
            Stage::Stopped => {}
        }
    }

    // ## (Starting | Draining) => Killed

    fn end_what_is_due(&mut self, now: Instant, out: &mut Vec<Action>) {
        for at in 0..self.members.len() {
            let member = &self.members[at];
            if member.due(&self.rules).is_none_or(|due| now < due) {
                continue;
            }
            let id = member.id;
            if member.is_starting() {
                out.push(Action::Overdue { id });
                self.boot_failed(id, now, out);
            } else {
                kill(&mut self.members[at], now, out);
            }
        }
    }

    /// Puts the coming generation in the place of the one that serves, when it is whole.
    fn switch(&mut self, now: Instant, out: &mut Vec<Action>) {
        // Replacements are let in as they come.
        self.admit(self.serving, out);
        let Some(Coming { generation, again }) = self.coming else {
            return;
        };
        let came = self.members.iter();
        let came = came.filter(|member| member.generation == generation && member.is_ready());
        if came.count() < self.target {
            // Better a part of the new one than nobody.
            if self.serving > 0 && !self.old_ones_serve(generation) {
                self.admit(generation, out);
            }
            return;
        }
        self.admit(generation, out);
        let until = after(now, self.rules.graceful_timeout);
        for member in &mut self.members {
            if member.generation != generation {
                match member.state {
                    State::Starting { .. } => kill(member, now, out),
                    _ => drain(member, until, Why::Reload, out),
                }
            }
        }
        self.serving = generation;
        self.coming = None;
        self.backoff.reset();
        out.push(Action::Serving { generation });
        if again {
            self.begin_generation();
        }
    }

    /// One of the coming generation did not come up, so that none of it is to serve.
    pub(super) fn give_up_what_comes(&mut self, now: Instant, out: &mut Vec<Action>) {
        let Some(Coming { generation, again }) = self.coming.take() else {
            return;
        };
        // Those of it that came up may be all there is.
        let keeps = self.serving > 0 && !self.old_ones_serve(generation);
        if keeps {
            self.serving = generation;
            self.backoff.failed(now);
        }
        for member in &mut self.members {
            let is_new = member.generation == generation;
            let is_of_use = match keeps {
                true => is_new && !member.is_starting(),
                false => !is_new,
            };
            if !is_of_use && (is_new || member.is_starting()) {
                kill(member, now, out);
            }
        }
        if self.serving == 0 {
            self.shutdown(now, out);
        } else if again {
            self.begin_generation();
        }
    }

    fn old_ones_serve(&self, generation: u32) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.generation != generation && member.serves())
    }

    fn admit(&mut self, generation: u32, out: &mut Vec<Action>) {
        for member in &mut self.members {
            let is_new = member.is_ready() && !member.is_admitted;
            if member.generation == generation && is_new {
                member.is_admitted = true;
                out.push(Action::Admit { id: member.id });
            }
        }
    }

    /// Sees whether boots work again.
    fn prove(&mut self, now: Instant) {
        for member in &self.members {
            if let State::Ready { since } = member.state {
                self.backoff.is_ready(since, now);
            }
        }
        if self.needs_no_proof() && self.backoff.until().is_some_and(|until| now >= until) {
            self.backoff.reset();
        }
    }

    /// Whether boots failed, and nobody is missing any more: the one that did not come up was to
    /// replace, or to help, and has become one too many. No boot is going to show that boots work, and
    /// nobody would be recycled until one did.
    pub(super) fn needs_no_proof(&self) -> bool {
        self.coming.is_none()
            && self.backoff.is_failing()
            && self.counted(self.serving).count() >= self.target
            && !self
                .counted(self.serving)
                .any(|member| self.is_tried(member))
    }

    /// Whether it is yet to show that boots work again.
    fn is_tried(&self, member: &Member) -> bool {
        match member.state {
            State::Starting { .. } => true,
            State::Ready { since } => self.backoff.is_on_probation(since),
            _ => false,
        }
    }

    // ## Ready => Leaving

    fn recycle_the_old(&mut self, now: Instant) {
        for at in 0..self.members.len() {
            let is_old = self.members[at].expires().is_some_and(|date| now >= date);
            if is_old
                && self.may_recycle()
                && let State::Ready { since } = self.members[at].state
            {
                let why = Why::MaxLifetime;
                self.members[at].state = State::Leaving { since, why };
            }
        }
    }

    /// Whether one more may be replaced that works. Not while there are too few, nor as long as
    /// those before it are there.
    pub(super) fn may_recycle(&self) -> bool {
        let recycled = self.members.iter().filter(|member| member.is_recycled());
        let serving = self.members.iter().filter(|member| member.serves());
        self.stage == Stage::Up
            && self.coming.is_none()
            && !self.backoff.is_failing()
            && recycled.count() < self.rules.recycled_at_once(self.target)
            && serving.count() >= self.target
    }

    // ## (Starting | Ready) => (Killed | Draining)

    /// Lets go of those that are too many, of the generation that serves and of the one that comes: of
    /// those that do not serve yet first, and of the youngest, since an older one has more in its caches.
    fn shrink(&mut self, now: Instant, out: &mut Vec<Action>) {
        for generation in [self.serving, self.boots_of()] {
            while self.counted(generation).count() > self.target {
                self.let_go_one(generation, now, out);
            }
        }
    }

    fn let_go_one(&mut self, generation: u32, now: Instant, out: &mut Vec<Action>) {
        let until = after(now, self.rules.graceful_timeout);
        let members = self.members.iter_mut();
        let members = members.filter(|member| member.generation == generation && member.counts());
        match members.max_by_key(|member| (member.is_starting(), member.id)) {
            Some(member) if member.is_starting() => kill(member, now, out),
            Some(member) => drain(member, until, Why::Surplus, out),
            None => {}
        }
    }

    /// Those of a generation that are there to stay.
    fn counted(&self, generation: u32) -> impl Iterator<Item = &Member> {
        let members = self.members.iter();
        members.filter(move |member| member.generation == generation && member.counts())
    }

    // ## Leaving => Draining

    fn let_leave(&mut self, now: Instant, out: &mut Vec<Action>) {
        let until = after(now, self.rules.graceful_timeout);
        let serving = self.members.iter().filter(|member| member.serves()).count();
        let mut too_many = serving.saturating_sub(self.target);
        for member in &mut self.members {
            if too_many > 0
                && let State::Leaving { why, .. } = member.state
            {
                drain(member, until, why, out);
                too_many -= 1;
            }
        }
    }

    /// The generation of which workers are started.
    fn boots_of(&self) -> u32 {
        self.coming.map_or(self.serving, |coming| coming.generation)
    }

    /// Whether there is to be one more, as soon as the back-off allows it.
    pub(super) fn is_short(&self) -> bool {
        let generation = self.boots_of();
        // One at a time then, and the next when it has lived for a while.
        let is_failing = self.coming.is_none() && self.backoff.is_failing();
        let is_tried = || self.counted(generation).any(|member| self.is_tried(member));
        let booting = self.counted(generation);
        let booting = booting.filter(|member| member.is_starting()).count();
        let at_once = match self.coming {
            Some(_) if self.serving > 0 => self.rules.boots_of_a_reload(),
            _ => self.rules.boots,
        };
        self.stage == Stage::Up
            && self.counted(generation).count() < self.target
            && self.members.len() < self.rules.most_processes()
            && booting < at_once
            && !(is_failing && is_tried())
    }

    // ## Backoff => Starting

    /// Starts those that are missing.
    fn fill(&mut self, now: Instant, out: &mut Vec<Action>) {
        let is_time = |until: Option<Instant>| until.is_none_or(|until| now >= until);
        while self.is_short() && (self.coming.is_some() || is_time(self.backoff.until())) {
            self.next += 1;
            let id = self.next;
            let generation = self.boots_of();
            let rules = &self.rules;
            let random = &mut self.random;
            let max_requests = rules
                .max_requests
                .map(|bound| bound.limit.saturating_add(random.u64(..=bound.jitter)));
            let max_lifetime = rules.max_lifetime.map(|bound| {
                bound
                    .limit
                    .saturating_add(bound.jitter.mul_f64(random.f64()))
            });
            self.members.push(Member {
                id,
                generation,
                state: State::Starting { until: None },
                slots: 0,
                is_admitted: false,
                stuck: None,
                busy: 0,
                max_requests,
                max_lifetime,
            });
            out.push(Action::Spawn { id, generation });
        }
    }
}
