//! What a request takes while the application is not busy.

use std::time::Duration;

use super::{Outcome, Sample, window::Mean};

pub(super) const DEFAULT_RECHECK: Duration = Duration::from_secs(10);
/// Latencies vary: a mean of so many is right to a tenth, where they vary as much as their mean.
const LEAST_QUIET: usize = 100;
/// Of the requests that begin together, the short ones end first. After two rounds, and over
/// sixteen, that makes little of a difference.
const SETTLING: usize = 8;
const ROUNDS: usize = 16;
/// If half as many requests take less than this share of the time, more than half of them waited;
/// perhaps still do.
const HELPED: f64 = 0.75;
/// Two measurements with such a ratio are two of the same, and their mean is better than either.
const SAME: std::ops::Range<f64> = 0.67..1.5;
/// The application got faster if it is faster busy than it was at rest by this much.
const FASTER: f64 = 0.8;
/// A probe takes at most one part in so many of the time; one that is in a hurry, of so many.
const SHARE: u32 = 30;
const HURRIED_SHARE: u32 = 10;
/// But a probe that nobody came to was long, and cost nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The mean latency of requests that were admitted while at most half of the limit was in use.
///
/// In a busy hour there are none. Then, from time to time, the limit is halved for as long as it
/// takes to see enough of them: a probe. A long-term average of all requests would take a lasting
/// overload for the usual state.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    /// After so long without a measurement, there is a probe.
    pub(super) recheck: Duration,
    /// In seconds.
    latency: Option<f64>,
    /// The limit when it was measured.
    limit: usize,
    /// The requests of the next measurement.
    quiet: Mean,
    /// How many requests come before they are counted.
    settling: usize,
    probe: Option<Probe>,
    /// Until the next one: short at first, and doubled until it is `recheck`.
    pause: Duration,
    /// When the next probe is due, and when it may be, if there is a reason.
    due: Duration,
    may: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    /// With the first request, for the first one.
    began: Option<Duration>,
    /// How many are let in.
    level: usize,
    /// How long a request took with twice as many, in seconds.
    before: Option<f64>,
}

impl Baseline {
    /// It begins with a probe, of as many requests as the limit has at first.
    pub(super) fn new(recheck: Duration, limit: usize) -> Self {
        Self {
            recheck,
            latency: None,
            limit,
            quiet: Mean::default(),
            settling: limit,
            probe: Some(Probe {
                began: None,
                level: limit,
                before: None,
            }),
            pause: recheck / 8,
            due: Duration::ZERO,
            may: Duration::ZERO,
        }
    }

    /// The limit for the time of a probe, if there is one.
    pub(super) fn probe(&self) -> Option<usize> {
        self.probe.map(|probe| probe.level)
    }

    /// In seconds. Before the first measurement, `busy`: nothing seems to wait.
    pub(super) fn latency(&self, busy: f64) -> f64 {
        self.latency.unwrap_or(busy)
    }

    /// Hears of a request, and ends the probe when it has heard enough.
    pub(super) fn add(&mut self, sample: &Sample, limit: usize, least: usize) {
        let level = self.probe().unwrap_or(limit / 2).max(1);
        if sample.in_flight > level || sample.outcome != Outcome::Success {
            return;
        }
        if let Some(probe) = &mut self.probe {
            probe.began.get_or_insert(sample.at);
        }
        if self.settling > 0 {
            self.settling -= 1;
            return;
        }
        self.quiet.add(sample.latency);
        let first = self.probe.is_some_and(|probe| probe.before.is_none());
        let rounds = if first { 2 } else { ROUNDS };
        let wanted = level.saturating_mul(rounds).max(if first {
            10
        } else {
            LEAST_QUIET
        });
        if (self.quiet.count as usize) < wanted {
            return;
        }
        let Some(latency) = self.quiet.get() else {
            return;
        };
        self.quiet = Mean::default();
        #[cfg(test)] if std::env::var("TRACE").is_ok() { println!("{:?} measured {latency} probe {:?} old {:?}", sample.at, self.probe, self.latency); }
        let old = self.latency.filter(|old| SAME.contains(&(latency / old)));
        self.latency = Some(old.map_or(latency, |old| (old + latency) / 2.0));
        self.pause = match old {
            Some(_) => self.pause.saturating_mul(2).min(self.recheck),
            None => self.recheck / 8,
        };
        let mut cost = Duration::ZERO;
        if let Some(probe) = &mut self.probe {
            let helped = probe.before.is_none_or(|before| latency < before * HELPED);
            if helped && level > least {
                probe.level = (level / 2).max(least);
                probe.before = Some(latency);
                self.settling = SETTLING * probe.level;
                return;
            }
            cost = sample.at.saturating_sub(probe.began.unwrap_or(sample.at));
        }
        self.probe = None;
        self.limit = limit;
        let pause = |share: u32| cost.saturating_mul(share).min(LONGEST_PAUSE);
        let settled = if self.pause < self.recheck { HURRIED_SHARE } else { SHARE };
        self.due = sample.at.saturating_add(pause(settled).max(self.pause));
        self.may = sample.at.saturating_add(pause(HURRIED_SHARE));
    }

    /// Begins a probe if the baseline is old or in doubt: a request took `busy` seconds.
    pub(super) fn probe_if_due(&mut self, now: Duration, busy: f64, limit: usize, least: usize) -> bool {
        let in_doubt = limit < self.limit / 2
            || limit / 2 > self.limit
            || self.latency.is_some_and(|latency| busy < latency * FASTER);
        let due = if in_doubt { self.may } else { self.due };
        if now < due {
            return false;
        }
        let level = (limit / 2).max(least).min(limit);
        self.probe = Some(Probe {
            began: Some(now),
            level,
            before: Some(busy),
        });
        self.quiet = Mean::default();
        self.settling = SETTLING * level;
        true
    }
}
