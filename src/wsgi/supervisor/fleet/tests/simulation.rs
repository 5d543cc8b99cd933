//! A world of processes around a fleet, in which anything may happen at any time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens from outside.
#[derive(Clone, Debug)]
enum Happens {
    /// So many milliseconds pass.
    Time(u64),
    Crash(usize),
    TimesOut(usize),
    Bye(usize),
    Reload,
    Resize(usize, usize),
    /// Everybody has had so many requests more; so many wait.
    Work(u64, bool),
}

/// How the next process that is started behaves.
#[derive(Clone, Copy, Debug)]
struct Nature {
    boot: Duration,
    comes_up: bool,
    /// How long it takes to stop when it is told to.
    stop: Duration,
}

#[derive(Debug)]
struct Process {
    nature: Nature,
    boots_until: Option<Instant>,
    is_admitted: bool,
    retired: Option<Instant>,
    ends: Option<Instant>,
    requests: u64,
}

struct World {
    fleet: Fleet,
    now: Instant,
    processes: BTreeMap<Id, Process>,
    natures: Vec<Nature>,
    spawned: Vec<Instant>,
    /// The most that there were to be, ever.
    max: usize,
    has_served: bool,
    has_stopped: bool,
}

/// How long the kernel takes to end what was killed.
const DYING: Duration = Duration::from_millis(10);

impl World {
    fn new(rules: Rules, natures: Vec<Nature>) -> Self {
        let mut world = Self {
            max: rules.max,
            fleet: Fleet::new(rules, 7),
            now: Instant::now(),
            processes: BTreeMap::new(),
            natures,
            spawned: Vec::new(),
            has_served: false,
            has_stopped: false,
        };
        world.feed(Event::Tick);
        world
    }

    fn feed(&mut self, event: Event) {
        let actions = self.fleet.on(event, self.now);
        for action in actions {
            self.act(&action);
        }
        let most = 2 * self.max + (self.max / 4).max(1);
        assert!(
            self.processes.len() <= most,
            "{} processes",
            self.processes.len()
        );
        let due = self.fleet.due();
        assert!(
            due.is_none_or(|due| due > self.now),
            "a tick has left what was due"
        );
    }

    fn act(&mut self, action: &Action) {
        assert!(!self.has_stopped, "{action:?} after the end");
        match *action {
            Spawn { id, .. } => {
                let nature = self.natures[self.spawned.len() % self.natures.len()];
                self.spawned.push(self.now);
                let process = Process {
                    nature,
                    boots_until: Some(self.now + nature.boot),
                    is_admitted: false,
                    retired: None,
                    ends: None,
                    requests: 0,
                };
                assert!(self.processes.insert(id, process).is_none(), "{id} twice");
                self.feed(Event::Spawned(id));
            }
            Admit { id } => {
                let process = self.processes.get_mut(&id).unwrap();
                assert!(process.boots_until.is_none() && process.retired.is_none());
                assert!(!process.is_admitted);
                process.is_admitted = true;
            }
            Retire { id, .. } => {
                let now = self.now;
                let process = self.processes.get_mut(&id).unwrap();
                assert!(process.retired.is_none(), "{id} was retired before");
                process.retired = Some(now);
                let end = now + process.nature.stop;
                process.ends = Some(process.ends.map_or(end, |ends| ends.min(end)));
            }
            Kill { id } => {
                let end = self.now + DYING;
                // It may have ended before anybody noticed.
                if let Some(process) = self.processes.get_mut(&id) {
                    process.boots_until = None;
                    process.retired.get_or_insert(self.now);
                    process.ends = Some(process.ends.map_or(end, |ends| ends.min(end)));
                }
            }
            Serving { .. } => self.has_served = true,
            Stopped => self.has_stopped = true,
            Dump { .. } | Overdue { .. } | Crashed { .. } | BootFailed { .. } | Broken { .. } => {}
        }
    }

    /// Lets time pass, and whatever happens in it by itself.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let processes = self.processes.iter();
            let own = processes
                .flat_map(|(id, process)| [(process.boots_until, *id), (process.ends, *id)]);
            let own = own.filter_map(|(date, id)| Some((date?, Some(id))));
            let tick = self.fleet.due().map(|due| (due, None));
            let next = own.chain(tick).min().filter(|(date, _)| *date <= end);
            let Some((date, id)) = next else {
                break;
            };
            self.now = self.now.max(date);
            match id {
                Some(id) => self.goes_on(id),
                None => self.feed(Event::Tick),
            }
        }
        self.now = end;
        self.feed(Event::Tick);
        for (id, process) in &self.processes {
            let late = process.retired.map(|since| since + GRACEFUL + DYING);
            assert!(
                late.is_none_or(|late| self.now <= late),
                "{id} is still there"
            );
        }
    }

    fn goes_on(&mut self, id: Id) {
        let now = self.now;
        let process = self.processes.get_mut(&id).unwrap();
        if process.ends.is_some_and(|ends| ends <= now) {
            self.processes.remove(&id);
            self.feed(Event::Exited(id));
        } else if process.nature.comes_up {
            process.boots_until = None;
            self.feed(Event::Hello(id));
        } else {
            process.boots_until = None;
            process.ends = Some(now + DYING);
            self.feed(Event::BootFailed(id));
        }
    }

    fn happens(&mut self, what: &Happens) {
        let nth = |which: usize| {
            let ids: Vec<_> = self.processes.keys().copied().collect();
            ids.get(which % ids.len().max(1)).copied()
        };
        match *what {
            Happens::Time(ms) => self.pass(Duration::from_millis(ms)),
            Happens::Crash(which) => {
                if let Some(id) = nth(which) {
                    self.processes.remove(&id);
                    self.feed(Event::Exited(id));
                }
            }
            Happens::TimesOut(which) => {
                if let Some(id) = nth(which) {
                    self.feed(Event::TimedOut(id));
                }
            }
            Happens::Bye(which) => {
                if let Some(id) = nth(which) {
                    self.feed(Event::Bye(id));
                }
            }
            Happens::Reload => self.feed(Event::Reload),
            Happens::Resize(min, more) => {
                self.max = self.max.max(min + more);
                self.feed(Event::Resize(min, min + more));
            }
            Happens::Work(requests, waits) => {
                for process in self.processes.values_mut() {
                    process.requests += requests;
                }
                let facts = self.processes.iter().map(|(id, process)| Facts {
                    id: *id,
                    requests: process.requests,
                    ..Facts::default()
                });
                let demand = Demand {
                    idle: usize::from(!waits),
                    busy: 0,
                    oldest_wait: waits.then_some(Duration::from_secs(1)),
                };
                let facts = facts.collect();
                self.feed(Event::Looked(facts, demand));
            }
        }
    }

    fn serving(&self) -> usize {
        let processes = self.processes.values();
        processes
            .filter(|process| process.is_admitted && process.retired.is_none())
            .count()
    }
}

fn nature(comes_up: impl Strategy<Value = bool>) -> impl Strategy<Value = Nature> {
    (1..90_u64, comes_up, 0..50_u64).prop_map(|(boot, comes_up, stop)| Nature {
        boot: Duration::from_secs(boot),
        comes_up,
        stop: Duration::from_secs(stop),
    })
}

/// What is in the order of things.
fn ordinary() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..40_000_u64).prop_map(Happens::Time),
        1 => Just(Happens::Reload),
        3 => (0..150_u64, any::<bool>()).prop_map(|(n, waits)| Happens::Work(n, waits)),
    ]
}

fn anything() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => ordinary(),
        2 => any::<usize>().prop_map(Happens::Crash),
        1 => any::<usize>().prop_map(Happens::TimesOut),
        1 => any::<usize>().prop_map(Happens::Bye),
        1 => (0..5_usize, 0..4_usize).prop_map(|(min, more)| Happens::Resize(min, more)),
    ]
}

fn simulated(min: usize, more: usize) -> Rules {
    Rules {
        max: min + more,
        boots: 2,
        max_requests: Some(Bound {
            limit: 100,
            jitter: 20,
        }),
        max_lifetime: Some(Bound {
            limit: Duration::from_secs(300),
            jitter: Duration::from_secs(30),
        }),
        ..rules(min)
    }
}

/// So long that whatever was begun is over: a back-off, a boot of the slowest, a second one.
const LONG: Duration = Duration::from_secs(3600);

proptest! {
    #[test]
    fn whatever_happens_the_fleet_is_whole_again_and_ends(
        (min, more) in (1..5_usize, 0..4_usize),
        natures in prop::collection::vec(nature(prop::bool::weighted(0.8)), 1..20),
        events in prop::collection::vec(anything(), 0..60),
    ) {
        let mut world = World::new(simulated(min, more), natures);
        for event in &events {
            world.happens(event);
        }
        // From now on everything works.
        world.natures = vec![Nature {
            boot: Duration::from_secs(5),
            comes_up: true,
            stop: Duration::from_secs(1),
        }];
        if !world.fleet.is_stopping() {
            // Those that are there may still be of another nature. Lifetimes see to it that they go.
            world.pass(LONG);
        }
        if !world.fleet.is_stopping() {
            let (target, least, most) = world.fleet.size();
            prop_assert!((least..=most).contains(&target));
            prop_assert!(world.serving() >= target, "{} of {target}", world.serving());
            prop_assert!(!world.fleet.is_backing_off());
            prop_assert!(!world.fleet.is_reloading());
            world.feed(Event::Shutdown);
        }
        world.pass(GRACEFUL + 2 * DYING);
        prop_assert!(world.has_stopped);
        prop_assert!(world.processes.is_empty());
    }

    #[test]
    fn recycling_and_reloading_never_leave_fewer_than_there_are_to_be(
        (min, more) in (1..5_usize, 0..4_usize),
        natures in prop::collection::vec(nature(prop::bool::weighted(0.7)), 1..20),
        events in prop::collection::vec(ordinary(), 0..60),
    ) {
        let healthy = Nature {
            boot: Duration::from_secs(1),
            comes_up: true,
            stop: Duration::from_secs(5),
        };
        let mut world = World::new(simulated(min, more), vec![healthy]);
        world.pass(Duration::from_secs(20));
        prop_assert!(world.has_served);
        world.natures = natures;
        for event in &events {
            world.happens(event);
            prop_assert!(world.serving() >= min, "{} of {min} after {event:?}", world.serving());
        }
    }
}

#[test]
fn a_crash_loop_comes_down_to_one_boot_in_half_a_minute() {
    for (comes_up, life) in [(false, 0), (true, 500)] {
        let healthy = Nature {
            boot: Duration::from_secs(1),
            comes_up: true,
            stop: Duration::ZERO,
        };
        let mut world = World::new(rules(4), vec![healthy]);
        world.pass(Duration::from_secs(10));
        world.natures = vec![Nature {
            boot: Duration::from_millis(200),
            comes_up,
            ..healthy
        }];
        let ids: Vec<_> = world.processes.keys().copied().collect();
        for id in ids {
            world.processes.remove(&id);
            world.feed(Event::Exited(id));
        }
        let start = world.now;
        while world.now < start + LONG {
            world.pass(Duration::from_millis(100));
            // Whoever came up lives for that long.
            let (now, life) = (world.now, Duration::from_millis(life));
            let processes = world.processes.values_mut();
            for process in processes.filter(|process| process.is_admitted) {
                process.ends.get_or_insert(now + life);
            }
        }
        let settled = start + Duration::from_secs(300);
        let boots = world.spawned.iter().filter(|boot| **boot > settled).count();
        let most = (LONG - Duration::from_secs(300)).as_secs() / 30;
        assert!(
            boots as u64 <= most + 1,
            "{boots} boots, comes up: {comes_up}"
        );
        assert!(
            boots as u64 >= most / 2,
            "{boots} boots, comes up: {comes_up}"
        );
    }
}
