//! Who finds no place left to wait in, and who leaves his to another.

use std::{cmp::Reverse, collections::VecDeque, hash::Hash};

use tokio::time::Instant;

use super::{Class, Line, Number, Refusal, Ticket};

impl<K: Clone + Eq + Hash> Line<K> {
    /// Who has to leave for this one, if somebody has to.
    pub(super) fn in_the_way(
        &self,
        ticket: &Ticket<K>,
        now: Instant,
    ) -> Result<Option<Number>, Refusal> {
        if let (Some(per_key), Some(_)) = (&self.rules.per_key, &ticket.key) {
            let classes = self.classes.iter();
            let lanes = classes.filter_map(|class| class.lanes.get(&ticket.key));
            let waiting: usize = lanes.map(VecDeque::len).sum();
            if waiting >= per_key.places {
                // Where none of a key may wait, it may be the limit of all that is used up.
                let refusal = match waiting > 0 || !self.key_has_room(ticket) {
                    true => Refusal::KeyFull,
                    false => Refusal::Full,
                };
                return self.oldest_of_key(ticket, now).map(Some).ok_or(refusal);
            }
        }
        match self.waiting >= self.rules.places {
            true => self.weakest(ticket, now).map(Some).ok_or(Refusal::Full),
            false => Ok(None),
        }
    }

    /// Under overload the newest goes first, also among those of one key: of those who are no more
    /// urgent, whoever has waited longest has to leave.
    fn oldest_of_key(&self, ticket: &Ticket<K>, now: Instant) -> Option<Number> {
        let rank = self.classes[ticket.class].rank;
        let classes = self.classes.iter().filter(|class| class.rank >= rank);
        let first = |class: &Class<K>| class.lanes.get(&ticket.key)?.front().copied();
        let firsts = classes.filter_map(|class| Some((class.rank, Reverse(first(class)?))));
        let (_, Reverse(oldest)) = firsts.max()?;
        self.is_overloaded(now).then_some(oldest)
    }

    /// Who has to leave for this one when no place is left. Of those less urgent, the newest. Of
    /// those as urgent, one of the lane that is longest, if it is longer than the newcomer's will be:
    /// so a few keys do not keep the line from all others. Under overload, whoever has waited
    /// longest in it.
    fn weakest(&self, ticket: &Ticket<K>, now: Instant) -> Option<Number> {
        let own = &self.classes[ticket.class];
        let newest = |class: &Class<K>| {
            class
                .lanes
                .values()
                .filter_map(|lane| lane.back())
                .max()
                .copied()
        };
        let less_urgent = self.classes.iter().filter(|class| class.rank > own.rank);
        let newest = less_urgent.filter_map(|class| Some((class.rank, newest(class)?)));
        if let Some((_, number)) = newest.max() {
            return Some(number);
        }
        let equals = self.classes.iter().filter(|class| class.rank == own.rank);
        let lanes = equals.flat_map(|class| class.lanes.values());
        let longest = lanes.max_by_key(|lane| (lane.len(), Reverse(lane.front())))?;
        let places = own.lanes.get(&ticket.key).map_or(0, VecDeque::len);
        if self.is_overloaded(now) {
            return longest.front().copied();
        }
        longest
            .back()
            .copied()
            .filter(|_| longest.len() > places + 1)
    }

    /// Why one would be turned away, if as many waited as are in beyond the limit, and of his key as
    /// many as it uses beyond its own.
    pub(in crate::concurrency_limit) fn would_refuse(
        &self,
        ticket: &Ticket<K>,
        beyond: usize,
    ) -> Option<Refusal> {
        if let (Some(per_key), Some(key)) = (&self.rules.per_key, &ticket.key) {
            let used = self.keys.get(key).copied().unwrap_or(0);
            if used.saturating_sub(per_key.max) >= per_key.places && !self.key_has_room(ticket) {
                return Some(Refusal::KeyFull);
            }
        }
        let is_full = beyond >= self.rules.places && self.key_has_room(ticket);
        is_full.then_some(Refusal::Full)
    }
}
