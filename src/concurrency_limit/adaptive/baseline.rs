//! What a request takes while the application is not busy.

use std::{ops::Range, time::Duration};

use super::{
    Outcome, Sample,
    window::{Mean, Seen},
};

pub(super) const DEFAULT_RECHECK: Duration = Duration::from_secs(10);
/// Latencies vary: a mean of so many is right to a tenth, where they vary as much as their mean.
const LEAST_QUIET: f64 = 100.0;
/// Of the requests that begin together, the short ones end first. After eight rounds of them, and
/// over sixteen, that makes little of a difference.
const SETTLING: f64 = 8.0;
const ROUNDS: f64 = 16.0;
/// If half as many requests take less than this share of the time, many of them waited, and
/// perhaps some still do.
const HELPED: f64 = 0.75;
/// The application got faster if it is faster busy than it was at rest by this much.
const FASTER: f64 = 0.8;
/// Two measurements with such a ratio are two of the same, and their mean is better than either.
const SAME: Range<f64> = 0.67..1.5;
/// Probes take at most one part in so many of the time.
const SHARE: u32 = 30;
/// As long as the baseline is new, one part in so many; and if it is in doubt.
const NEW_SHARE: u32 = 15;
const DOUBT_SHARE: u32 = 4;
/// But a probe that nobody came to was long, and cost nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The mean latency of requests that were admitted while at most half of the limit was in use.
///
/// In a busy hour there are none. Then, from time to time, half of what is in the application is
/// kept out for as long as it takes to measure: a probe. If that helped much, it was full, and the
/// probe goes on with half of the half.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    /// The time between two probes under load.
    pub(super) recheck: Duration,
    /// In seconds.
    latency: Option<f64>,
    /// The limit when it was measured.
    limit: usize,
    /// The requests of the next measurement.
    quiet: Mean,
    probe: Option<Probe>,
    /// The time until the next probe: short at first, and doubled until it is `recheck`.
    pause: Duration,
    /// When the next probe is due, and when it may be, if there is a reason.
    due: Duration,
    may: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    /// With the first request, for the first one.
    began: Option<Duration>,
    /// The limit for its time.
    limit: usize,
    /// How much that leaves in the application.
    inside: f64,
    /// How many requests are to pass before the measurement.
    settling: f64,
    /// How long a request took with twice as much in the application, in seconds.
    before: Option<f64>,
}

impl Baseline {
    /// The first requests, as many at once as the limit is at first, are a probe.
    pub(super) fn new(recheck: Duration, limit: usize) -> Self {
        Self {
            recheck,
            latency: None,
            limit,
            quiet: Mean::default(),
            probe: Some(Probe {
                began: None,
                limit,
                inside: limit as f64,
                settling: limit as f64,
                before: None,
            }),
            pause: recheck / 8,
            due: Duration::ZERO,
            may: Duration::ZERO,
        }
    }

    /// The limit for the time of a probe, if there is one.
    pub(super) fn probe(&self) -> Option<usize> {
        self.probe.map(|probe| probe.limit)
    }

    /// In seconds. Before the first measurement, `busy`: nothing seems to wait.
    pub(super) fn latency(&self, busy: f64) -> f64 {
        self.latency.unwrap_or(busy)
    }

    /// Hears of a request, and ends the probe when it has heard enough.
    pub(super) fn add(&mut self, sample: &Sample, limit: usize, least: usize) {
        let quiet = self.probe().unwrap_or(limit / 2).max(1);
        if sample.in_flight > quiet || sample.outcome != Outcome::Success {
            return;
        }
        let mut wanted = LEAST_QUIET.max(ROUNDS * quiet as f64);
        if let Some(probe) = &mut self.probe {
            probe.began.get_or_insert(sample.at);
            if probe.settling >= 1.0 {
                probe.settling -= 1.0;
                return;
            }
            wanted = probe.wanted();
        }
        self.quiet.add(sample.latency);
        if f64::from(self.quiet.count) < wanted {
            return;
        }
        let latency = std::mem::take(&mut self.quiet).get();
        self.measured(latency.as_secs_f64(), sample.at, limit, least);
    }

    fn measured(&mut self, latency: f64, now: Duration, limit: usize, least: usize) {
        let old = self.latency.filter(|old| SAME.contains(&(latency / old)));
        self.latency = Some(old.map_or(latency, |old| (old + latency) / 2.0));
        if let Some(probe) = &mut self.probe
            && probe.helped(latency)
            && probe.limit > least
        {
            return probe.halve(latency, least);
        }
        let began = self.probe.take().and_then(|probe| probe.began);
        let cost = began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
        let pause = |share| cost.saturating_mul(share).min(LONGEST_PAUSE);
        self.pause = match old {
            Some(_) => self.pause.saturating_mul(2).min(self.recheck),
            None => self.recheck / 8,
        };
        let share = if self.pause < self.recheck {
            NEW_SHARE
        } else {
            SHARE
        };
        self.due = now.saturating_add(pause(share).max(self.pause));
        self.may = now.saturating_add(pause(DOUBT_SHARE));
        self.limit = limit;
    }

    /// Begins a probe, if the baseline is old or in doubt. Says whether it did.
    pub(super) fn probe_if_due(
        &mut self,
        now: Duration,
        seen: &Seen,
        limit: usize,
        least: usize,
    ) -> bool {
        let Some(busy) = seen.busy else {
            // Nobody is kept out, and the quiet requests tell it.
            return false;
        };
        let in_doubt = limit < self.limit / 2
            || limit / 2 > self.limit
            || self.latency.is_some_and(|latency| busy < latency * FASTER);
        if now < if in_doubt { self.may } else { self.due } {
            return false;
        }
        let mut probe = Probe {
            began: Some(now),
            limit,
            inside: seen.inside,
            settling: 0.0,
            before: None,
        };
        probe.halve(busy, least);
        self.probe = Some(probe);
        self.quiet = Mean::default();
        true
    }
}

impl Probe {
    /// How many requests make a measurement. The first one is only what the next is compared with.
    fn wanted(&self) -> f64 {
        match self.before {
            Some(_) => LEAST_QUIET.max(ROUNDS * self.inside),
            None => 2.0 * self.inside,
        }
    }

    fn helped(&self, latency: f64) -> bool {
        self.before.is_none_or(|before| latency < before * HELPED)
    }

    /// Leaves half as much in the application, where a request took `before` seconds.
    fn halve(&mut self, before: f64, least: usize) {
        self.inside /= 2.0;
        // Not half of the limit: bodies that are still sent count as well, and do not end for it.
        self.limit = self.limit.saturating_sub(self.inside as usize).max(least);
        self.settling = SETTLING * self.inside;
        self.before = Some(before);
    }
}
