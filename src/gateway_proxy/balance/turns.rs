//! In turn: smooth weighted round robin, and least busy first.

use std::sync::{Mutex, PoisonError};

use super::balancer::{Candidate, One, Round};

/// How long each server of a group has been waiting for its turn.
///
/// The lock is held for one look at each server.
pub(super) type Turns = Mutex<Box<[i64]>>;

/// The server whose turn it is.
pub(super) fn next<C, U>(round: &Round<'_, C, U>, turns: &Turns) -> Option<usize>
where
    C: Candidate,
    U: Fn(usize) -> bool,
{
    take_turns(round.each(), turns)
}

/// The server with the fewest requests for its share; equals in turn.
pub(super) fn least_busy<C, U>(round: &Round<'_, C, U>, turns: &Turns) -> Option<usize>
where
    C: Candidate,
    U: Fn(usize) -> bool,
{
    let mut least: Option<(Busy, One<'_>)> = None;
    let mut equals = false;
    for one in round.each() {
        let busy = Busy::of(&one);
        match &least {
            Some((other, _)) if busy.is_less_than(*other) => equals = false,
            Some((other, _)) if other.is_less_than(busy) => continue,
            Some(_) => {
                equals = true;
                continue;
            }
            None => {}
        }
        least = Some((busy, one));
    }
    let (busy, one) = least?;
    if !equals {
        return Some(one.place);
    }
    let still_least = |one: &One<'_>| !busy.is_less_than(Busy::of(one));
    // Requests begin and end meanwhile; if no server is as idle as before, the one found first is
    // as good as any.
    take_turns(round.each().filter(still_least), turns).or(Some(one.place))
}

/// nginx's smooth weighted round robin: each that could be asked is owed its share, the one that
/// is owed most is asked and pays the sum of all shares. Shares 5, 1, 1 give `a a b a c a a`.
///
/// What is owed stays within the sum of shares, both ways.
fn take_turns<'a>(ones: impl Iterator<Item = One<'a>>, turns: &Turns) -> Option<usize> {
    // What is owed is right after every step of the loop, so a panic inside has broken nothing.
    let mut owed = turns.lock().unwrap_or_else(PoisonError::into_inner);
    let mut total = 0_i64;
    let mut most: Option<(One<'a>, i64)> = None;
    for one in ones {
        let share = i64::try_from(one.share).unwrap_or(i64::MAX);
        total = total.saturating_add(share);
        let Some(own) = owed.get_mut(one.slot) else {
            continue;
        };
        *own = own.saturating_add(share);
        if most.as_ref().is_none_or(|(_, other)| *own > *other) {
            most = Some((one, *own));
        }
    }
    let (one, _) = most?;
    if let Some(own) = owed.get_mut(one.slot) {
        *own = own.saturating_sub(total);
    }
    Some(one.place)
}

/// Requests for a share, as a fraction.
#[derive(Clone, Copy)]
struct Busy {
    requests: u128,
    share: u128,
}

impl Busy {
    fn of(one: &One<'_>) -> Self {
        Self {
            requests: one.load.in_flight() as u128,
            share: u128::from(one.share),
        }
    }

    fn is_less_than(self, other: Self) -> bool {
        self.requests * other.share < other.requests * self.share
    }
}
