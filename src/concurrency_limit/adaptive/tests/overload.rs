//! What each algorithm makes of an application whose best concurrency it is not told.

use std::time::Duration;

use super::{
    super::{Aimd, Gradient2, LimitAlgorithm, Vegas},
    simulation::{App, Fixed, Run, Times, simulate},
};

/// The days of which each result is the mean.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;

/// The best of all fixed limits, and its goodput.
fn best_fixed(run: Run) -> (usize, f64) {
    let app = run.then.unwrap_or(run.app);
    let run = Run {
        app,
        then: None,
        seconds: (app.service * 600.0).max(4.0),
        ..run
    };
    let workers = app.workers as usize;
    (1..=workers * 3 / 2 + 4)
        // Of many, not each makes a difference.
        .step_by((workers / 32).max(1))
        .map(|limit| (limit, simulate(run, &mut Fixed(limit)).goodput(1)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Each algorithm with its defaults; `Aimd` with a latency that the application should keep.
fn each(slow: f64) -> [(&'static str, Box<dyn LimitAlgorithm>); 3] {
    [
        (
            "Aimd",
            Box::new(Aimd::new().slow(Duration::from_secs_f64(slow))),
        ),
        ("Vegas", Box::new(Vegas::new())),
        ("Gradient2", Box::new(Gradient2::new())),
    ]
}

/// Three times too much for an application: at least nine tenths of what the best fixed limit
/// does, a limit within `band`, and a latency of the slowest hundredth below `slowest` times
/// what a request takes alone.
fn overload(app: App, slow: f64, band: [usize; 2], slowest: f64) {
    let run = Run::overload(app, (app.service * 4000.0).max(30.0));
    let half = run.seconds as usize / 2;
    let (best, goodput) = best_fixed(run);
    for which in 0..3 {
        let (mut whole, mut settled, mut name) = (Vec::new(), Vec::new(), "");
        for seed in SEEDS {
            let mut limit;
            (name, limit) = each(slow * app.service).into_iter().nth(which).unwrap();
            let mut seen = simulate(Run { seed, ..run }, &mut *limit);
            whole.push(seen.goodput(0) / goodput);
            settled.push(seen.goodput(half) / goodput);
            let (low, high) = seen.band(half);
            let p99 = seen.percentile(half, 0.99) / app.service;
            println!("{name}: within {low} and {high}, p99 {p99:.1} times the service");
            assert!(band[0] <= low && high <= band[1], "{name}: {low} to {high}");
            assert!(p99 <= slowest, "{name}: {p99}");
        }
        let (whole, settled) = (mean(&whole), mean(&settled));
        println!("{name}: {settled:.3} of the best ({best}), with its first time {whole:.3}");
        assert!(settled >= 0.9, "{name}: {settled}");
        // From the first request on, when nothing is known.
        assert!(whole >= 0.7, "{name}: {whole}");
    }
}

#[test]
fn three_times_too_much_of_the_same() {
    overload(App::default(), 1.3, [32, 40], 1.5);
}

#[test]
fn three_times_too_much_of_uneven_requests() {
    // Of these alone, one in a hundred takes 4.6 times the mean.
    let app = App {
        times: Times::Exponential,
        ..App::default()
    };
    overload(app, 3.0, [28, 42], 6.5);
}

#[test]
fn three_times_too_much_of_two_kinds() {
    // One in ten takes 5.5 times the mean.
    let app = App {
        times: Times::TwoKinds,
        ..App::default()
    };
    overload(app, 7.0, [27, 46], 9.0);
}

#[test]
fn three_times_too_much_for_four_workers() {
    let app = App {
        workers: 4.0,
        service: 0.1,
        times: Times::Exponential,
        ..App::default()
    };
    overload(app, 3.0, [4, 8], 9.0);
}

#[test]
fn three_times_too_much_for_a_hundred_and_more() {
    let app = App {
        workers: 128.0,
        times: Times::Exponential,
        ..App::default()
    };
    overload(app, 3.0, [95, 155], 6.5);
}

#[test]
fn three_times_too_much_where_more_is_no_less() {
    let app = App {
        thrash: 0.0,
        times: Times::Exponential,
        ..App::default()
    };
    overload(app, 3.0, [30, 46], 6.5);
}

#[test]
fn three_times_too_much_for_who_says_so() {
    // Answers 503 in no time from 40 on.
    let app = App {
        refuses_from: 40,
        ..App::default()
    };
    overload(app, 100.0, [32, 46], 2.0);
}

#[test]
fn three_times_too_much_with_bodies_that_slow_clients_draw_out() {
    // Two permits of three are held by bodies.
    let app = App::default();
    let body = 2.0 * app.service;
    let run = Run {
        body,
        ..Run::overload(app, 60.0)
    };
    let goodput = app.capacity();
    for (name, mut limit) in each(1.5 * app.service) {
        let seen = simulate(run, &mut *limit);
        let settled = seen.goodput(30) / goodput;
        println!("{name}: {settled:.3} of the capacity, {:?}", seen.band(30));
        assert!(settled >= 0.83, "{name}: {settled}");
        assert!(seen.band(30).0 >= 75, "{name}: {:?}", seen.band(30));
    }
}

/// What an application becomes at half time, and what the last quarter is like.
fn change(then: App, slow: f64, algorithms: &[usize]) {
    let app = App {
        times: Times::Exponential,
        ..App::default()
    };
    let run = Run {
        then: Some(then),
        ..Run::overload(app, 60.0)
    };
    let (best, goodput) = best_fixed(run);
    for which in algorithms {
        let (mut after, mut name) = (Vec::new(), "");
        for seed in SEEDS {
            let mut limit;
            (name, limit) = each(slow).into_iter().nth(*which).unwrap();
            let seen = simulate(Run { seed, ..run }, &mut *limit);
            after.push(seen.goodput(45) / goodput);
            let seconds = &seen.good[29..45];
            println!("{name}: within {:?}; {seconds:?}", seen.band(45));
        }
        let after = mean(&after);
        println!("{name}: {after:.3} of the best ({best})");
        assert!(after >= 0.9, "{name}: {after}");
    }
}

#[test]
fn workers_are_lost_and_found() {
    let app = App {
        times: Times::Exponential,
        ..App::default()
    };
    for workers in [8.0, 64.0] {
        change(App { workers, ..app }, 0.030, &[0, 1, 2]);
    }
}

#[test]
fn requests_become_slower_and_faster() {
    let app = App {
        times: Times::Exponential,
        ..App::default()
    };
    for service in [0.030, 0.004] {
        // `Aimd` was told a latency, and that is no longer right.
        let then = App { service, ..app };
        change(then, 0.030, &[1, 2]);
    }
}

#[test]
fn a_quiet_day_raises_nothing() {
    let app = App {
        times: Times::Exponential,
        ..App::default()
    };
    let run = Run {
        arrivals: 0.3 * app.capacity(),
        ..Run::overload(app, 60.0)
    };
    for (name, mut limit) in each(0.030) {
        let seen = simulate(run, &mut *limit);
        let highest = *seen.limits.iter().max().unwrap();
        println!("{name}: {highest}, in use {}", seen.most_in_use);
        assert!(highest <= 2 * seen.most_in_use + 4, "{name}: {highest}");
        assert!(highest <= 50, "{name}: {highest}");
        assert!(seen.goodput(1) > 0.98 * run.arrivals, "{name}");
    }
}

#[test]
fn who_leaves_changes_nothing() {
    let app = App {
        times: Times::Exponential,
        ..App::default()
    };
    let stays = Run {
        deadline: 4.0 * app.service,
        ..Run::overload(app, 30.0)
    };
    let leaves = Run {
        leaves: true,
        ..stays
    };
    // Not `Aimd`, to which only those are slow that are too slow for the client as well.
    for which in [1, 2] {
        let settles = |run: Run| {
            let (name, mut limit) = each(0.030).into_iter().nth(which).unwrap();
            let seen = simulate(run, &mut *limit);
            let (low, high) = seen.band(15);
            println!(
                "{name}: {low} to {high}, {:.0} per second",
                seen.goodput(15)
            );
            low.midpoint(high)
        };
        let (with, without) = (settles(leaves), settles(stays));
        assert!(with.abs_diff(without) <= 5, "{which}: {with}, {without}");
    }
}
