//! What each algorithm makes of an application whose best concurrency it is not told.

use std::time::Duration;

use super::{
    super::{Aimd, Gradient2, LimitAlgorithm, Vegas},
    simulation::{App, Fixed, Run, Times, simulate},
};

fn best_fixed(run: Run) -> (usize, f64) {
    let most = ((run.app.workers * 1.3) as usize + 4) * if run.body > 0.0 {3} else {1};
    let run = Run { seconds: (600.0 * run.app.service).max(3.0), ..run };
    let mut best = (0, 0.0);
    for limit in 1..=most {
        let goodput = simulate(run, &mut Fixed(limit)).goodput(1);
        if goodput > best.1 {
            best = (limit, goodput);
        }
    }
    best
}

#[test]
fn explore() {
    let base = App::default();
    let apps = [
        ("const", base),
        ("exp", App { times: Times::Exponential, ..base }),
        ("two", App { times: Times::TwoKinds, ..base }),
        ("n4", App { workers: 4.0, service: 0.1, ..base }),
        ("n4exp", App { workers: 4.0, service: 0.1, times: Times::Exponential, ..base }),
        ("n128", App { workers: 128.0, times: Times::Exponential, ..base }),
        ("flat", App { thrash: 0.0, times: Times::Exponential, ..base }),
        ("slow", App { service: 1.0, times: Times::Exponential, ..base }),
        ("refuses", App { refuses_from: 40, times: Times::Exponential, ..base }),
        ("refuses8", App { workers:8.0, refuses_from: 8, times: Times::Exponential, ..base }),
    ];
    for (name, app) in apps { if std::env::var("ONLY").is_ok_and(|o| o != name) { continue; }
        for body in [0.0, 2.0] {
        let run = Run { body: body * app.service, ..Run::overload(app, 6000.0 * app.service) };
        let seconds = (run.seconds as usize) / 2;
        let best = best_fixed(run);
        println!("{name} {body}: best {best:?} of {}", app.capacity());
        let slow = Duration::from_secs_f64(app.service * match app.times {Times::Constant => 1.3, Times::Exponential => 3.0, Times::TwoKinds => 7.0 });
        let limits: [(&str, Box<dyn LimitAlgorithm>); 3] = [
            ("aimd", Box::new(Aimd::new().slow(slow))),
            ("vegas", Box::new(Vegas::new())),
            ("gradient2", Box::new(Gradient2::new())),
        ];
        for (what, mut limit) in limits {
            let mut seen = simulate(run, &mut *limit);
            println!("   {what:10} all {:.3} late {:.3} p99 {:.1} band {:?} {:?}", seen.goodput(0) / best.1, seen.goodput(seconds)/best.1, seen.percentile(0.99)/app.service, seen.band(5), seen.band(seconds));
            if std::env::var("TRACE").is_ok_and(|v| v == format!("{name}-{what}")) {
                println!("{:?}", seen.limits);
            }
        }
        }
    }
}
