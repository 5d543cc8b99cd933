//! The loop that probes one server.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{self, Instant};

use super::{Change, Health, HealthCheck, Unwell};
use crate::BoxError;

/// Probes a server until it is gone, which is when `health` has nothing more to give.
///
/// `probe` sends [one request](HealthCheck::path) and reads [so much](HealthCheck::wanted_body) of
/// the answer's body; it is dropped where it is when its time is over. `changed` hears of what
/// changed by a probe, and why the probe was bad. Nothing is held while this waits.
///
/// It may be dropped at any time.
pub(in crate::gateway_proxy) async fn watch<H, P, F, C>(
    config: HealthCheck,
    health: H,
    probe: P,
    changed: C,
) where
    H: Fn() -> Option<Arc<Health>>,
    P: Fn() -> F,
    F: Future<Output = Result<(StatusCode, Bytes), BoxError>>,
    C: Fn(Change, Option<&Unwell>),
{
    while health().is_some() {
        let began = Instant::now();
        let result = match time::timeout(config.timeout, probe()).await {
            Ok(Ok((status, body))) => config.judge(status, &body),
            Ok(Err(error)) => Err(Unwell::Failed(error)),
            Err(_elapsed) => Err(Unwell::Timeout),
        };
        let Some(health) = health() else { return };
        let change = health.probe(&config, result.is_ok(), Instant::now());
        drop(health);
        if let Some(change) = change {
            changed(change, result.as_ref().err());
        }
        let pause = jittered(config.interval, fastrand::f64());
        time::sleep(pause.saturating_sub(began.elapsed())).await;
    }
}

/// The interval, and up to a tenth less or more: `chance` is in 0.0..1.0.
fn jittered(interval: Duration, chance: f64) -> Duration {
    let tenth = interval / 10;
    (interval - tenth).saturating_add((tenth * 2).mul_f64(chance))
}

#[cfg(test)]
mod tests;
