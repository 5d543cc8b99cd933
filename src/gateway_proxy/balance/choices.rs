//! By chance: any server, or the better of two.

use super::balancer::{Candidate, One, Round, as_float};

/// How often a draw may miss before every server is looked at. With all servers alike the first
/// draw hits; with half of them out of use, all of these miss once in 256 times.
const DRAWS: u32 = 8;

/// A server drawn by its share; not the one at `except`.
///
/// A server is drawn with no look at the others, and taken as likely as its share is of the
/// greatest: that is exact, whatever the shares. A few misses later every server is looked at.
pub(super) fn any<'a, C, U>(round: &Round<'a, C, U>, except: Option<usize>) -> Option<One<'a>>
where
    C: Candidate,
    U: Fn(usize) -> bool,
{
    let greatest = round.greatest_share();
    for _ in 0..DRAWS {
        let slot = fastrand::usize(..round.len().max(1));
        if Some(slot) == except {
            continue;
        }
        if let Some(one) = round.get(slot)
            && (one.share >= greatest || fastrand::u64(..greatest) < one.share)
        {
            return Some(one);
        }
    }
    // Each replaces the one before as likely as its share is of all so far.
    let mut total = 0_u64;
    let mut drawn = None;
    for one in round.each().filter(|one| Some(one.slot) != except) {
        total = total.saturating_add(one.share);
        if fastrand::u64(..total) < one.share {
            drawn = Some(one);
        }
    }
    drawn
}

/// Of two that are drawn by their shares, the one that promises to answer sooner; of equals the
/// first, so that equals are asked by their shares.
///
/// The power of two choices (Mitzenmacher): nearly as even as the best of all, at the cost of two
/// looks, and without the herd that runs to the one best server when several gateways look at
/// old numbers.
pub(super) fn better_of_two<C, U>(round: &Round<'_, C, U>) -> Option<usize>
where
    C: Candidate,
    U: Fn(usize) -> bool,
{
    let first = any(round, None)?;
    if round.len() == 1 {
        return Some(first.place);
    }
    let Some(second) = any(round, Some(first.slot)) else {
        return Some(first.place);
    };
    // A server of twice the weight is as crowded with twice the requests. Idle servers are not
    // told apart by weight: that was done in drawing them.
    let mean = (as_float(first.share) + as_float(second.share)) / 2.0;
    let cost = |one: &One<'_>| {
        let crowd = as_float(one.load.in_flight() as u64) * mean / as_float(one.share);
        one.load.cost(crowd, round.now)
    };
    match cost(&second) < cost(&first) {
        true => Some(second.place),
        false => Some(first.place),
    }
}
