//! This crate beside what it is measured by: nginx, hyper answering from memory, tower-http,
//! Granian, Gunicorn, uWSGI.
//!
//! ```text
//! cargo bench --bench peers                     all cases, about 5 minutes
//! cargo bench --bench peers -- --case proxy     those with "proxy" in their name
//!   --rounds N       rounds of each case; the median counts (default 5)
//!   --seconds N      seconds of load per side and round (default 2)
//!   --connections N  kept alive by the load generator (default 32)
//!   --baseline NAME  what the last column compares with (default nginx)
//! ```
//!
//! Each side is started here, on a free port, on one core; `wrk` has another one, which it shares with
//! the upstream of the proxies. The sides take turns (A B C A B C …), so that whatever else
//! the machine does meets all of them. Before it is measured, each answer is checked: its status,
//! its length, its first byte. `TCP_NODELAY` is set everywhere.
//!
//! What counts is the processor time per request, user and system, of the side's whole process
//! tree: it says how many requests a machine can serve, and moves less than requests per
//! second when the machine is shared.
//!
//! The proxies stand in front of two upstreams: one that answers from memory at once, and one that
//! works for 10 microseconds first, still far less than an application does. Before the first, a proxy that is
//! slower than the load generator and the upstream together leaves these idle between two
//! requests, and pays for waking their core, which a faster one does not; before the second,
//! nobody sleeps.
//!
//! WSGI servers have one worker, with one thread, on the core of the side, and what stands in front
//! of it counts too. Granian has one more thread, which runs the application.

#[path = "peers/load.rs"]
mod load;
#[path = "peers/process.rs"]
mod process;
#[path = "peers/serve.rs"]
mod serve;
#[path = "peers/side.rs"]
mod side;

use std::{
    error::Error,
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use lexopt::{Arg::Long, ValueExt};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

use self::{
    load::{Expected, Load},
    side::{Missing, Side},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// Something to ask for, and the sides that can answer it.
struct Case {
    name: &'static str,
    path: &'static str,
    expected: Expected,
    sides: &'static [&'static str],
}

const FILES: &[&str] = &[
    "tower-gateway",
    "tower-gateway --cache",
    "hyper-memory",
    "nginx",
    "serve-dir",
];
const PROXIES: &[&str] = &["gateway-proxy", "nginx-proxy", "axum-reverse-proxy"];
const BUSY_PROXIES: &[&str] = &[
    "gateway-proxy busy",
    "nginx-proxy busy",
    "axum-reverse-proxy busy",
];
/// The server of this crate, and hyper without it.
const SERVERS: &[&str] = &["serve-memory", "hyper-memory"];
const HELLO: &[&str] = &[
    "wsgi-container hello",
    "granian hello",
    "nginx+uwsgi hello",
    "nginx+gunicorn hello",
];
const FLASK: &[&str] = &[
    "wsgi-container flask_hello",
    "granian flask_hello",
    "nginx+uwsgi flask_hello",
    "nginx+gunicorn flask_hello",
];
const DJANGO: &[&str] = &[
    "wsgi-container django_hello",
    "granian django_hello",
    "nginx+uwsgi django_hello",
    "nginx+gunicorn django_hello",
];
const SIDES: [&[&str]; 7] = [FILES, PROXIES, BUSY_PROXIES, SERVERS, HELLO, FLASK, DJANGO];

const CASES: &[Case] = &[
    Case::ok("static 1 KiB", "/1k.bin", 1 << 10, FILES),
    Case::ok("static 16 KiB", "/16k.bin", 16 << 10, FILES),
    Case::ok("static 256 KiB", "/256k.bin", 256 << 10, FILES),
    Case::ok("static 10 MiB", "/10m.bin", 10 << 20, FILES),
    Case {
        name: "static 304",
        path: "/1k.bin",
        expected: Expected::NotModified,
        sides: FILES,
    },
    Case {
        name: "static 404",
        path: "/none.bin",
        expected: Expected::NotFound,
        sides: FILES,
    },
    Case::ok("proxy 1 KiB", "/1k.bin", 1 << 10, PROXIES),
    Case::ok("proxy 1 KiB busy", "/1k.bin", 1 << 10, BUSY_PROXIES),
    Case::ok("server 1 KiB", "/1k.bin", 1 << 10, SERVERS),
    Case::ok("wsgi hello", "/1k.bin", 1 << 10, HELLO),
    Case::ok("wsgi Flask", "/1k.bin", 1 << 10, FLASK),
    Case::ok("wsgi Django", "/1k.bin", 1 << 10, DJANGO),
];

impl Case {
    const fn ok(
        name: &'static str,
        path: &'static str,
        length: usize,
        sides: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            path,
            expected: Expected::Ok { length },
            sides,
        }
    }
}

struct Options {
    case: String,
    rounds: usize,
    load: Load,
    baseline: String,
}

/// What one round of load came to.
#[derive(Clone, Copy, Debug)]
struct Round {
    requests_per_second: f64,
    p99: Duration,
    /// Microseconds of the side's processor time per request.
    cpu: f64,
    /// Resident memory of the side's process tree, in bytes.
    memory: u64,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async {
        match options(lexopt::Parser::from_env())? {
            Task::Serve(what) => serve::run(&what).await,
            // Whatever was started is a local of `measure`, and ends when that is dropped.
            Task::Measure(options) => tokio::select! {
                biased;
                () = told_to_stop() => Err("interrupted".into()),
                outcome = measure(&options) => outcome,
            },
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C or SIGTERM.
async fn told_to_stop() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = ctrl_c() => {}
        },
        Err(_) => {
            ctrl_c().await.ok();
        }
    }
}

enum Task {
    Measure(Options),
    /// This program is some of the peers as well.
    Serve(String),
}

fn options(mut arguments: lexopt::Parser) -> Result<Task, BoxError> {
    let mut options = Options {
        case: String::new(),
        rounds: 5,
        load: Load {
            seconds: 2,
            connections: 32,
        },
        baseline: "nginx".to_owned(),
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("case") => options.case = arguments.value()?.string()?,
            Long("rounds") => options.rounds = arguments.value()?.parse()?,
            Long("seconds") => options.load.seconds = arguments.value()?.parse()?,
            Long("connections") => options.load.connections = arguments.value()?.parse()?,
            Long("baseline") => options.baseline = arguments.value()?.string()?,
            // From `cargo bench`.
            Long("bench") => {}
            Long("serve") => return Ok(Task::Serve(arguments.value()?.string()?)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.rounds == 0 || options.load.seconds == 0 {
        return Err("--rounds and --seconds are at least 1".into());
    }
    Ok(Task::Measure(options))
}

async fn measure(options: &Options) -> Result<(), BoxError> {
    let root = tempfile::Builder::new().prefix("peers-").tempdir()?;
    files(root.path())?;
    load::check_tools()?;
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.name.contains(&options.case))
        .collect();
    if cases.is_empty() {
        return Err(format!("no case has {:?} in its name", options.case).into());
    }
    let wanted = |side: &str| cases.iter().any(|case| case.sides.contains(&side));
    let mut sides = Vec::new();
    let mut missing = Vec::new();
    for name in SIDES.concat() {
        if wanted(name) && sides.iter().all(|side: &Side| side.name != name) {
            match Side::start(name, root.path()).await? {
                Ok(side) => sides.push(side),
                Err(Missing(why)) => missing.push(format!("{name} is missing: {why}")),
            }
        }
    }
    for case in &cases {
        let sides: Vec<&Side> = sides
            .iter()
            .filter(|side| case.sides.contains(&side.name))
            .collect();
        measure_case(case, &sides, options).await?;
    }
    for line in &missing {
        println!("!! {line}");
    }
    Ok(())
}

/// What is asked for; the same bytes that [`serve`] has in memory.
fn files(root: &Path) -> Result<(), BoxError> {
    for case in CASES {
        if let Expected::Ok { length } = case.expected {
            std::fs::write(root.join(&case.path[1..]), serve::content(length))?;
        }
    }
    Ok(())
}

async fn measure_case(case: &Case, sides: &[&Side], options: &Options) -> Result<(), BoxError> {
    if sides.is_empty() {
        return Ok(());
    }
    let mut rounds = vec![Vec::new(); sides.len()];
    let mut requests = Vec::new();
    for side in sides {
        requests.push(load::check(side, case.path, case.expected).await?);
    }
    for round in 0..options.rounds {
        for (index, side) in sides.iter().enumerate() {
            progress(&format!(
                "{}: round {} of {}: {}",
                case.name,
                round + 1,
                options.rounds,
                side.name
            ));
            rounds[index].push(options.load.run(side, &requests[index]).await?);
        }
    }
    progress("");
    let position = |name: &str| sides.iter().position(|side| side.name.contains(name));
    let baseline = position(&options.baseline)
        .or_else(|| position("hyper-memory"))
        .unwrap_or(0);
    println!(
        "\n{:26} {:>11} {:>10} {:>12} {:>9}   × CPU of {}",
        case.name, "requests/s", "p99", "CPU µs/req", "RSS MiB", sides[baseline].name
    );
    for (index, side) in sides.iter().enumerate() {
        let median = |value: fn(&Round) -> f64| median(rounds[index].iter().map(value));
        // Round by round, so that a slow minute of the machine counts on both sides.
        let pairs = rounds[index].iter().zip(&rounds[baseline]);
        let ratio = self::median(pairs.map(|(ours, theirs)| ours.cpu / theirs.cpu));
        println!(
            "{:26} {:11.0} {:>10.1?} {:12.1} {:9.1}   {ratio:.2}",
            side.name,
            median(|round| round.requests_per_second),
            Duration::from_secs_f64(median(|round| round.p99.as_secs_f64())),
            median(|round| round.cpu),
            median(|round| round.memory as f64) / f64::from(1 << 20),
        );
    }
    Ok(())
}

/// The line that is being worked on, for those who watch.
fn progress(line: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r{line:70}\r");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
