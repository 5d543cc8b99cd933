//! How much of a limit is there, and for whom.

use std::hash::Hash;

use super::{Class, Line, Ticket};

impl<K: Clone + Eq + Hash> Line<K> {
    /// How much a request takes: what it asks for, but never more than its class can ever have, or
    /// else it would wait for ever, and all that are behind it as well.
    pub(super) fn price(&self, ticket: &Ticket<K>, limit: usize) -> usize {
        let own = self.kept(&self.classes[ticket.class], limit);
        let most = self.shared(limit) + own;
        ticket.cost.min(most).max(1)
    }

    /// Whether a request's class may have so much more. What is kept for the others stays free for
    /// them, so that all of it together never is more than the limit.
    pub(super) fn class_has_room(&self, ticket: &Ticket<K>, limit: usize, only_kept: bool) -> bool {
        let class = &self.classes[ticket.class];
        let own = self.kept(class, limit).saturating_sub(class.in_use);
        let beyond = self.price(ticket, limit).saturating_sub(own);
        if beyond == 0 || only_kept {
            return beyond == 0;
        }
        let used = self.classes.iter().map(|class| {
            let kept = self.kept(class, limit);
            class.in_use.saturating_sub(kept)
        });
        let used = used.fold(0, usize::saturating_add);
        // Where all is kept for others, there is one at a time in what they leave.
        used == 0 && class.in_use == 0 || used.saturating_add(beyond) <= self.shared(limit)
    }

    /// Whether a key may have so much more. What takes more than that goes in as the only one.
    pub(super) fn key_has_room(&self, ticket: &Ticket<K>) -> bool {
        let (Some(per_key), Some(key)) = (&self.rules.per_key, &ticket.key) else {
            return true;
        };
        let used = self.keys.get(key).copied().unwrap_or(0);
        used == 0 || used.saturating_add(ticket.cost) <= per_key.max
    }

    /// How much is kept for a class. Of a limit that is smaller than all that is kept, each has its
    /// part.
    fn kept(&self, class: &Class<K>, limit: usize) -> usize {
        if self.reserve <= limit {
            return class.reserve;
        }
        let part = class.reserve as u128 * limit as u128 / self.reserve as u128;
        usize::try_from(part).unwrap_or(limit)
    }

    /// How much is kept for classes that do not use it.
    pub(in crate::concurrency_limit) fn kept_and_idle(&self, limit: usize) -> usize {
        let idle = self.classes.iter().map(|class| {
            let kept = self.kept(class, limit);
            kept.saturating_sub(class.in_use)
        });
        idle.fold(0, usize::saturating_add)
    }

    /// How much is kept for nobody.
    fn shared(&self, limit: usize) -> usize {
        let kept = self.classes.iter().map(|class| self.kept(class, limit));
        limit.saturating_sub(kept.sum())
    }
}
