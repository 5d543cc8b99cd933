//! By key: rendezvous hashing with bounded load.

use super::{
    balancer::{Candidate, One, Round, as_float},
    stable::mix,
};

/// The server that is nearest to the key and not above its bound.
///
/// Rendezvous hashing (Thaler and Ravishankar): every server has a score for the key, and the
/// highest wins. A server that leaves gives up its keys and no others; weights are exact; and it
/// needs no ring in memory, only a look at each server, of which a table has few.
///
/// Bounded load (Mirrokni, Thorup, Zadimoghaddam): a server has at most `bound` times its share
/// of the requests that run, this one counted, rounded up. Keys beyond go to the next highest
/// score that has room.
pub(super) fn nearest<C, U>(round: &Round<'_, C, U>, key: u64, bound: f64) -> Option<usize>
where
    C: Candidate,
    U: Fn(usize) -> bool,
{
    let (mut requests, mut shares) = (1.0, 0.0);
    for one in round.each() {
        requests += as_float(one.load.in_flight() as u64);
        shares += as_float(one.share);
    }
    let has_room = |one: &One<'_>| {
        let most = (bound * requests * as_float(one.share) / shares).ceil();
        as_float(one.load.in_flight() as u64) < most
    };
    let highest = |best: Option<(f64, usize)>, one: One<'_>| {
        let score = score(key, &one);
        match best {
            Some((other, _)) if other >= score => best,
            _ => Some((score, one.place)),
        }
    };
    // Someone is below the mean, so someone has room, unless requests begin while we count.
    let (_, place) = round
        .each()
        .filter(has_room)
        .fold(None, highest)
        .or_else(|| round.each().fold(None, highest))?;
    Some(place)
}

/// The logarithmic method: of scores `share / -ln(u)`, with `u` even in (0, 1), each server's is
/// the highest as often as its share is of all.
fn score(key: u64, one: &One<'_>) -> f64 {
    // 52 bits and a half: exact in a float, and neither 0 nor 1.
    let even = (as_float(mix(key, one.id) >> 12) + 0.5) / as_float(1 << 52);
    as_float(one.share) / -even.ln()
}
