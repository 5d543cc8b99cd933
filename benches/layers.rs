//! What each layer adds to a request, in time and in allocations, over a service that does nothing.
//!
//! ```text
//! cargo bench --bench layers               all cases
//! cargo bench --bench layers -- path       those with "path" in their name
//! cargo bench --bench layers -- --quick    few rounds: enough for the allocations
//! cargo bench --bench layers -- --turns=10000 nothing
//!                                          so many turns of the case of this name, and no report:
//!                                          for `valgrind --tool=callgrind`, whose counts do not
//!                                          depend on what else the machine does
//! ```
//!
//! Each case answers one request per turn, is checked before it is measured, and is measured in
//! rounds that alternate with those of the others; the quickest counts, as what else the machine does
//! makes a round slower and never quicker. The request is made anew
//! each turn, for a path as long as those of the cases, which costs what the case "nothing" costs.
//! What is left on the side of a layer is that a turn moves its future, which is as large as the
//! layer makes it. Allocations are counted in turns of their own: counting them takes time.
//!
//! A case of this crate states how many allocations a request costs, on the thread that it runs on.
//! More than that is an error, and the exit code is 1. Time is printed, never asserted: the
//! machine may be shared. The budget is what it should be on a machine that is not.

#[path = "layers/cases.rs"]
mod cases;

use std::{pin::Pin, process::ExitCode, time::Instant};

use tokio::runtime::{Builder, Runtime};

/// One thing to measure.
struct Case {
    name: &'static str,
    /// Whether a turn has the request and the service of "nothing" in it.
    whole: bool,
    /// What is being promised of a layer of this crate; `None` for those of others.
    promise: Option<Promise>,
    turns: Turns,
}

/// What a request costs at most.
#[derive(Clone, Copy)]
struct Promise {
    allocations: u64,
    nanoseconds: Option<f64>,
}

/// So many turns, one after the other, as one future.
type Turns = Box<dyn FnMut(u32) -> Pin<Box<dyn Future<Output = ()>>>>;

impl Case {
    /// `turn` makes a request, and takes its answer to the end.
    fn new<F, Fut>(name: &'static str, turn: F) -> Self
    where
        F: Fn() -> Fut + Clone + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let turns = move |count| -> Pin<Box<dyn Future<Output = ()>>> {
            let turn = turn.clone();
            Box::pin(async move {
                for _ in 0..count {
                    turn().await;
                }
            })
        };
        Self {
            name,
            whole: true,
            promise: None,
            turns: Box::new(turns),
        }
    }

    /// `turn` is a call, without a request and a service.
    fn call<F, Fut>(name: &'static str, turn: F) -> Self
    where
        F: Fn() -> Fut + Clone + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        Self {
            whole: false,
            ..Self::new(name, turn)
        }
    }

    fn promises(self, allocations: u64) -> Self {
        self.promise(allocations, None)
    }

    fn promises_within(self, nanoseconds: u32, allocations: u64) -> Self {
        self.promise(allocations, Some(nanoseconds.into()))
    }

    fn promise(self, allocations: u64, nanoseconds: Option<f64>) -> Self {
        Self {
            promise: Some(Promise {
                allocations,
                nanoseconds,
            }),
            ..self
        }
    }
}

/// What was measured of a case.
struct Measured {
    case: Case,
    /// Turns of one round.
    turns: u32,
    /// Nanoseconds per turn of each round.
    rounds: Vec<f64>,
    allocations: f64,
}

impl Measured {
    fn new(runtime: &Runtime, mut case: Case, round: f64) -> Self {
        // The first turns fill pools and caches, and find out how long a turn takes.
        let mut turns = 4;
        let turns = loop {
            let took = time(runtime, &mut case, turns);
            if took > round * 1e9 / 10.0 {
                break ((f64::from(turns) * round * 1e9 / took) as u32).max(1);
            }
            turns *= 4;
        };
        let counted = turns.min(1000);
        let future = (case.turns)(counted);
        let info = allocation_counter::measure(|| runtime.block_on(future));
        Self {
            case,
            turns,
            rounds: Vec::new(),
            allocations: info.count_total as f64 / f64::from(counted),
        }
    }

    fn round(&mut self, runtime: &Runtime) {
        let took = time(runtime, &mut self.case, self.turns);
        self.rounds.push(took / f64::from(self.turns));
    }

    fn quickest(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// A background task (a timer, the driver of a connection) may allocate once in a while.
    fn keeps_its_promise(&self) -> bool {
        self.case
            .promise
            .is_none_or(|promise| self.allocations < promise.allocations as f64 + 0.5)
    }
}

/// Nanoseconds of so many turns.
fn time(runtime: &Runtime, case: &mut Case, turns: u32) -> f64 {
    let future = (case.turns)(turns);
    let start = Instant::now();
    allocation_counter::opt_out(|| runtime.block_on(future));
    start.elapsed().as_secs_f64() * 1e9
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    // `cargo bench` adds `--bench`.
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    // Short ones: some of many run without a pause.
    let (rounds, round) = if quick { (15, 0.004) } else { (300, 0.01) };

    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let root = tempfile::tempdir().expect("a temporary folder");
    let turns = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("--turns="));
    if let Some(turns) = turns {
        let turns = turns.parse().expect("a number of turns");
        let mut cases = cases::all(root.path()).into_iter();
        let case = cases.find(|case| filter.is_some_and(|name| case.name == name));
        time(&runtime, &mut case.expect("the name of a case"), turns);
        return ExitCode::SUCCESS;
    }
    let mut measured: Vec<Measured> = cases::all(root.path())
        .into_iter()
        .filter(|case| case.name == "nothing" || filter.is_none_or(|f| case.name.contains(&**f)))
        .map(|case| Measured::new(&runtime, case, round))
        .collect();
    for _ in 0..rounds {
        for case in &mut measured {
            case.round(&runtime);
        }
    }
    report(&measured)
}

fn report(measured: &[Measured]) -> ExitCode {
    let nothing = measured[0].quickest();
    println!(
        "{:44} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "", "ns", "added ns", "of budget", "allocs", "stated"
    );
    let mut broken = 0;
    for case in measured {
        let took = case.quickest();
        let added = took - if case.case.whole { nothing } else { 0.0 };
        let promise = case.case.promise;
        let budget = promise.and_then(|promise| promise.nanoseconds);
        println!(
            "{:44} {took:9.0} {added:9.0} {:>9} {:9.1} {:>7} {}",
            case.case.name,
            budget.map_or(String::new(), |budget| format!(
                "{:.0} %",
                added / budget * 100.0
            )),
            case.allocations,
            promise.map_or(String::new(), |promise| promise.allocations.to_string()),
            if case.keeps_its_promise() {
                ""
            } else {
                "TOO MANY"
            },
        );
        broken += usize::from(!case.keeps_its_promise());
    }
    if broken > 0 {
        println!(
            "{broken} of {} cases allocate more than is stated",
            measured.len()
        );
        return ExitCode::FAILURE;
    }
    println!(
        "{} cases, none allocates more than is stated",
        measured.len()
    );
    ExitCode::SUCCESS
}
