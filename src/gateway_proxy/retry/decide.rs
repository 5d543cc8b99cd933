//! The rules.

use std::time::Duration;

use tokio::time::Instant;

use super::{Budget, Retries};
use crate::{
    ErrorKind,
    gateway_proxy::outcome::{Failed, Outcome},
};

/// One request, after a try that may not have been the last.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway_proxy) struct Attempt {
    /// Tries so far, from 1. What [`Verdict::Renew`] led to is none of its own.
    pub(in crate::gateway_proxy) tries: u32,
    /// Whether [`Verdict::Renew`] was given before.
    pub(in crate::gateway_proxy) was_renewed: bool,
    /// Whether the method is idempotent.
    pub(in crate::gateway_proxy) is_idempotent: bool,
    /// Whether all of the request can be sent from its beginning: it has no body, or a spooled one,
    /// or a streamed one of which nothing was taken.
    pub(in crate::gateway_proxy) is_replayable: bool,
    pub(in crate::gateway_proxy) outcome: Outcome,
    /// Whether there is a server that this request was not sent to yet, and that may be used.
    pub(in crate::gateway_proxy) others_left: bool,
    /// What is left of the time for the whole request; `Duration::MAX` if that is not limited.
    pub(in crate::gateway_proxy) remaining: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Verdict {
    /// The client gets what there is: the answer, or an error.
    Answer,
    /// At once to the same server, on a connection that nobody has used.
    Renew,
    /// One more try after this time, at a server that was not tried yet, or at the same one.
    Retry { after: Duration, elsewhere: bool },
}

/// How a try that may be followed by another one is accounted for.
enum Claim {
    /// No server had any work with it.
    Free,
    /// As [`Free`](Claim::Free), but not worth another try at the same server.
    FreeElsewhere,
    /// It takes of the budget.
    Paid,
}

/// What comes after a try. Takes from the budget what it grants.
pub(in crate::gateway_proxy) fn decide(
    config: &Retries,
    budget: &Budget,
    attempt: &Attempt,
    now: Instant,
) -> Verdict {
    // What was taken of a stream is gone. (RFC 9110 §9.2.2 speaks of methods; this is a matter of
    // what there is to send.)
    if !attempt.is_replayable || attempt.remaining.is_zero() {
        return Verdict::Answer;
    }
    if may_renew(config, attempt) {
        return Verdict::Renew;
    }
    if attempt.tries >= config.tries {
        return Verdict::Answer;
    }
    let Some(claim) = claim(config, attempt) else {
        return Verdict::Answer;
    };
    let elsewhere = attempt.others_left;
    if matches!(claim, Claim::FreeElsewhere) && !elsewhere {
        return Verdict::Answer;
    }
    let Some(after) = pause(config, attempt) else {
        return Verdict::Answer;
    };
    // A try that could not even begin in time helps nobody.
    if after >= attempt.remaining {
        return Verdict::Answer;
    }
    // The last condition, since it takes what it asks for.
    if matches!(claim, Claim::Paid) && !budget.withdraw(now) {
        return Verdict::Answer;
    }
    Verdict::Retry { after, elsewhere }
}

/// RFC 9112 §9.3.1: "Connections can be closed at any time, with or without intention.
/// Implementations ought to anticipate the need to recover from asynchronous close events. The
/// conditions under which a client can automatically retry a sequence of outstanding requests are
/// defined in Section 9.2.2 of [HTTP]."
fn may_renew(config: &Retries, attempt: &Attempt) -> bool {
    match attempt.outcome {
        Outcome::Failed(failed) if failed.is_stale() => {
            !attempt.was_renewed && is_safe_to_repeat(config, attempt, failed)
        }
        _ => false,
    }
}

/// Whether the rules allow another try after this one, and at what price.
fn claim(config: &Retries, attempt: &Attempt) -> Option<Claim> {
    match attempt.outcome {
        Outcome::Answered { status, .. } => {
            let is_idempotent = attempt.is_idempotent || config.non_idempotent;
            (is_idempotent && config.statuses.contains(status)).then_some(Claim::Paid)
        }
        Outcome::Failed(failed) => match failed.kind {
            // "A client SHOULD NOT automatically retry a request with a non-idempotent method
            // unless it has [...] some means to detect that the original request was never
            // applied." There was no connection to send it on.
            ErrorKind::UpstreamConnect => Some(Claim::Free),
            // The time for one more wait of that length is better spent at another server.
            ErrorKind::UpstreamConnectTimeout => Some(Claim::FreeElsewhere),
            ErrorKind::UpstreamReset => {
                is_safe_to_repeat(config, attempt, failed).then_some(Claim::Paid)
            }
            ErrorKind::UpstreamTimeout if config.on_timeout => {
                is_safe_to_repeat(config, attempt, failed).then_some(Claim::Paid)
            }
            // No connection came free: waiting once more makes the queue no shorter. What is not
            // HTTP will not become HTTP. And all that is not the upstream's fault.
            _ => None,
        },
    }
}

/// RFC 9110 §9.2.2: "Idempotent methods are distinguished because the request can be repeated
/// automatically if a communication failure occurs before the client is able to read the server's
/// response." And: "A proxy MUST NOT automatically retry non-idempotent requests."
fn is_safe_to_repeat(config: &Retries, attempt: &Attempt, failed: Failed) -> bool {
    attempt.is_idempotent || config.non_idempotent || !failed.bytes_taken
}

/// How long to wait; `None` if the server asks for more than is granted.
fn pause(config: &Retries, attempt: &Attempt) -> Option<Duration> {
    let backoff = match attempt.others_left {
        true => Duration::ZERO,
        false => backoff(config, attempt.tries, fastrand::f64()),
    };
    match attempt.outcome {
        // RFC 9110 §10.2.3: "When sent with a 503 (Service Unavailable) response, Retry-After
        // indicates how long the service is expected to be unavailable to the client." The service:
        // so the other servers are not asked before that either.
        Outcome::Answered {
            retry_after: Some(wait),
            ..
        } => (wait <= config.max_retry_after).then(|| wait.max(backoff)),
        _ => Some(backoff),
    }
}

/// The pause after so many tries: `chance`, in 0.0..1.0, of what has doubled with each of them.
pub(super) fn backoff(config: &Retries, tries: u32, chance: f64) -> Duration {
    let doublings = tries.saturating_sub(1).min(31);
    let longest = config.backoff.saturating_mul(1 << doublings);
    let longest = longest.min(config.max_backoff);
    Duration::try_from_secs_f64(longest.as_secs_f64() * chance).unwrap_or(longest)
}
