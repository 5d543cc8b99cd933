//! An application with a hidden best concurrency, three times as many requests as it can do, and
//! a limit in between. Events on a virtual clock; the same numbers every time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use super::super::{LimitAlgorithm, Outcome, Sample};

/// An application that works on all requests at once, each as fast as the others.
///
/// With up to `workers` requests it is not slowed down by them. Beyond, it does as many per second
/// as with `workers`, less what switching between them costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct App {
    pub workers: f64,
    /// Seconds that a request takes alone.
    pub service: f64,
    pub times: Times,
    /// With twice the workers' number of requests it does `1 / (1 + thrash)` of its best.
    pub thrash: f64,
    /// It answers 503 at once to whoever comes when it has so many.
    pub refuses_from: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Times {
    Constant,
    /// As uneven as chance: a standard deviation of one mean.
    Exponential,
    /// One of ten takes 5.5 times the mean, the others half of it.
    TwoKinds,
}

impl Default for App {
    fn default() -> Self {
        Self {
            workers: 32.0,
            service: 0.010,
            times: Times::Constant,
            thrash: 0.5,
            refuses_from: usize::MAX,
        }
    }
}

impl App {
    /// Requests per second, at best.
    pub(super) fn capacity(&self) -> f64 {
        self.workers / self.service
    }

    /// Seconds of work that each of `running` requests gets done in a second.
    fn speed(&self, running: usize) -> f64 {
        let crowd = running as f64 / self.workers;
        if crowd <= 1.0 {
            1.0
        } else {
            1.0 / crowd / (1.0 + self.thrash * (crowd - 1.0))
        }
    }
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub app: App,
    /// What the application becomes at half time.
    pub then: Option<App>,
    /// Requests per second.
    pub arrivals: f64,
    pub seconds: f64,
    /// Seconds after which an answer is of no use to the client.
    pub deadline: f64,
    /// Whether the client leaves then; its request is cancelled, and not told.
    pub leaves: bool,
    /// Places in the line before the limit, first come, first served.
    pub line: usize,
    /// Seconds that a body takes on average, which holds a permit and makes no work.
    pub body: f64,
    /// Another one is another day.
    pub seed: u64,
}

impl Run {
    /// Three times what the application can do, for a while, with a deadline of ten times what a
    /// request takes.
    pub(super) fn overload(app: App, seconds: f64) -> Self {
        Self {
            app,
            then: None,
            arrivals: 3.0 * app.capacity(),
            seconds,
            deadline: 10.0 * app.service,
            leaves: false,
            line: 0,
            body: 0.0,
            seed: 1,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Answers within the deadline: in each second, and of them all.
    pub good: Vec<u32>,
    /// Seconds from admission to the answer, and when that was.
    latencies: Vec<(f64, f64)>,
    /// The limit at the end of each twentieth of a second.
    pub limits: Vec<usize>,
    pub most_in_use: usize,
}

impl Seen {
    /// Good answers per second, from second `from` on.
    pub(super) fn goodput(&self, from: usize) -> f64 {
        let counted = &self.good[from..];
        f64::from(counted.iter().sum::<u32>()) / counted.len() as f64
    }

    /// The latency from second `from` on that such a share of the answers is below.
    pub(super) fn percentile(&mut self, from: usize, share: f64) -> f64 {
        self.latencies.retain(|(_, at)| *at >= from as f64);
        self.latencies.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.latencies[((self.latencies.len() - 1) as f64 * share) as usize].0
    }

    /// The limits that eight of ten moments from second `from` on are between.
    pub(super) fn band(&self, from: usize) -> (usize, usize) {
        let mut limits = self.limits[from * 20..].to_vec();
        limits.sort_unstable();
        let at = |share: f64| limits[((limits.len() - 1) as f64 * share) as usize];
        (at(0.1), at(0.9))
    }
}

/// A fixed limit.
#[derive(Debug)]
pub(super) struct Fixed(pub usize);

impl LimitAlgorithm for Fixed {
    fn limit(&self) -> usize {
        self.0
    }

    fn observe(&mut self, _: &Sample) -> usize {
        self.0
    }
}

#[derive(Clone, Copy, Debug)]
struct Running {
    arrived: f64,
    admitted: f64,
    in_flight: usize,
}

struct World<'a> {
    run: Run,
    app: App,
    limit: &'a mut dyn LimitAlgorithm,
    chance: Chance,
    now: f64,
    /// How much work each request that was here from the beginning would have had done.
    progress: f64,
    /// By the progress at which they end, in units of 2^-40 seconds.
    running: BinaryHeap<Reverse<(u64, usize)>>,
    requests: Vec<Option<Running>>,
    free: Vec<usize>,
    line: VecDeque<f64>,
    /// Who leaves next, in order of admission.
    leaving: VecDeque<(f64, usize, f64)>,
    /// When bodies end, in units of 2^-40 seconds.
    bodies: BinaryHeap<Reverse<u64>>,
    in_use: usize,
    seen: Seen,
}

const TICKS: f64 = (1u64 << 40) as f64;

/// Runs `limit` before an application.
pub(super) fn simulate(run: Run, limit: &mut dyn LimitAlgorithm) -> Seen {
    let mut world = World {
        run,
        app: run.app,
        limit,
        chance: Chance(run.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)),
        now: 0.0,
        progress: 0.0,
        running: BinaryHeap::new(),
        requests: Vec::new(),
        free: Vec::new(),
        line: VecDeque::new(),
        leaving: VecDeque::new(),
        bodies: BinaryHeap::new(),
        in_use: 0,
        seen: Seen {
            good: vec![0; run.seconds as usize],
            ..Seen::default()
        },
    };
    world.go();
    world.seen
}

impl World<'_> {
    fn go(&mut self) {
        let mut next_arrival = self.chance.exponential() / self.run.arrivals;
        while self.now < self.run.seconds {
            let ends = self.next_end();
            let leaves = self.leaving.front().map_or(f64::INFINITY, |next| next.0);
            let sent = self
                .bodies
                .peek()
                .map_or(f64::INFINITY, |next| next.0 as f64 / TICKS);
            let next = next_arrival
                .min(ends)
                .min(leaves)
                .min(sent)
                .min(self.run.seconds);
            self.pass_to(next);
            if next == ends {
                self.end_first();
            } else if next == leaves {
                self.leave();
            } else if next == sent {
                self.bodies.pop();
                self.in_use -= 1;
                self.next_in_line();
            } else {
                self.arrive();
                next_arrival += self.chance.exponential() / self.run.arrivals;
            }
        }
    }

    fn next_end(&self) -> f64 {
        let Some(Reverse((end, _))) = self.running.peek() else {
            return f64::INFINITY;
        };
        let left = (*end as f64 / TICKS - self.progress).max(0.0);
        self.now + left / self.app.speed(self.running.len())
    }

    fn pass_to(&mut self, next: f64) {
        self.progress += (next - self.now) * self.app.speed(self.running.len());
        self.now = next;
        while (self.seen.limits.len() as f64) < next * 20.0 {
            self.seen.limits.push(self.limit.limit());
        }
        if next > self.run.seconds / 2.0 {
            self.app = self.run.then.unwrap_or(self.app);
        }
    }

    fn arrive(&mut self) {
        if self.in_use < self.limit.limit() {
            self.admit(self.now);
        } else if self.line.len() < self.run.line {
            self.line.push_back(self.now);
        }
    }

    fn admit(&mut self, arrived: f64) {
        self.in_use += 1;
        self.seen.most_in_use = self.seen.most_in_use.max(self.in_use);
        let request = Running {
            arrived,
            admitted: self.now,
            in_flight: self.in_use,
        };
        if self.running.len() >= self.app.refuses_from {
            self.in_use -= 1;
            return self.tell(request, Outcome::Overload);
        }
        let work = self.chance.time(&self.app);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.requests.push(None);
            self.requests.len() - 1
        });
        self.requests[slot] = Some(request);
        let end = ((self.progress + work) * TICKS) as u64;
        self.running.push(Reverse((end, slot)));
        if self.run.leaves {
            let at = arrived + self.run.deadline;
            self.leaving.push_back((at, slot, self.now));
        }
    }

    fn end_first(&mut self) {
        let Reverse((_, slot)) = self.running.pop().unwrap();
        let request = self.over(slot);
        if self.now - request.arrived <= self.run.deadline {
            let second = (self.now as usize).min(self.seen.good.len() - 1);
            self.seen.good[second] += 1;
        }
        self.seen
            .latencies
            .push((self.now - request.admitted, self.now));
        self.tell(request, Outcome::Success);
        if self.run.body > 0.0 {
            let end = self.now + self.chance.exponential() * self.run.body;
            self.bodies.push(Reverse((end * TICKS) as u64));
        } else {
            self.in_use -= 1;
        }
        self.next_in_line();
    }

    /// A client leaves; the work for it ends. Nobody is told.
    fn leave(&mut self) {
        let (_, slot, admitted) = self.leaving.pop_front().unwrap();
        if self.requests[slot].is_some_and(|request| request.admitted == admitted) {
            self.running.retain(|Reverse((_, other))| *other != slot);
            self.over(slot);
            self.in_use -= 1;
            self.next_in_line();
        }
    }

    fn over(&mut self, slot: usize) -> Running {
        self.free.push(slot);
        self.requests[slot].take().unwrap()
    }

    fn next_in_line(&mut self) {
        while self.in_use < self.limit.limit()
            && let Some(arrived) = self.line.pop_front()
        {
            if self.now - arrived < self.run.deadline {
                self.admit(arrived);
            }
        }
    }

    fn tell(&mut self, request: Running, outcome: Outcome) {
        self.limit.observe(&Sample {
            at: Duration::from_secs_f64(self.now),
            latency: Duration::from_secs_f64(self.now - request.admitted),
            weight: 1,
            in_flight: request.in_flight,
            outcome,
        });
    }
}

/// Numbers that look like chance, and are the same every time (xorshift64*).
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    fn time(&mut self, app: &App) -> f64 {
        let times = match app.times {
            Times::Constant => 1.0,
            Times::Exponential => self.exponential(),
            Times::TwoKinds if self.uniform() < 0.1 => 5.5,
            Times::TwoKinds => 0.5,
        };
        times * app.service
    }
}
