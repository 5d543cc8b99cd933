//! Whose turn must not be taken by those who are less urgent.

use std::{collections::HashSet, hash::Hash};

use super::Ticket;

/// Keys of which somebody more urgent waits. Within one class each key is there once, and nothing has
/// to be remembered.
pub(super) struct Claimed<K>(Option<HashSet<K>>);

impl<K: Clone + Eq + Hash> Claimed<K> {
    pub(super) fn among(classes: usize) -> Self {
        Self((classes > 1).then(HashSet::new))
    }

    pub(super) fn holds(&self, ticket: &Ticket<K>) -> bool {
        match (&self.0, &ticket.key) {
            (Some(keys), Some(key)) => keys.contains(key),
            _ => false,
        }
    }

    pub(super) fn add(&mut self, ticket: &Ticket<K>) {
        if let Some(keys) = &mut self.0 {
            keys.extend(ticket.key.clone());
        }
    }
}
