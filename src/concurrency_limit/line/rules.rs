//! What the line is held to, and what those who come ask for.

use std::time::Duration;

/// The numbers of those who wait are given out in the order of coming.
pub(in crate::concurrency_limit) type Number = u64;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::concurrency_limit) struct Ticket<K> {
    /// How much of the limit it takes.
    pub(in crate::concurrency_limit) cost: usize,
    /// Its class: a place in [`Rules::classes`].
    pub(in crate::concurrency_limit) class: usize,
    /// Whose it is, if that counts.
    pub(in crate::concurrency_limit) key: Option<K>,
}

/// What the line is held to.
#[derive(Clone, Debug)]
pub(in crate::concurrency_limit) struct Rules {
    /// How many may wait.
    pub(in crate::concurrency_limit) places: usize,
    pub(in crate::concurrency_limit) patience: Duration,
    pub(in crate::concurrency_limit) overload: Option<Overload>,
    pub(in crate::concurrency_limit) per_key: Option<PerKey>,
    pub(in crate::concurrency_limit) classes: Vec<Share>,
}

/// What belongs to a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::concurrency_limit) struct Share {
    /// The higher, the more urgent.
    pub(in crate::concurrency_limit) priority: i32,
    /// How much of the limit is kept free for it.
    pub(in crate::concurrency_limit) reserve: usize,
}

/// When the newest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::concurrency_limit) struct Overload {
    /// After so long without a moment in which nobody waited.
    pub(in crate::concurrency_limit) after: Duration,
    /// How long one waits then.
    pub(in crate::concurrency_limit) patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::concurrency_limit) struct PerKey {
    pub(in crate::concurrency_limit) max: usize,
    /// How many of one key may wait.
    pub(in crate::concurrency_limit) places: usize,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::concurrency_limit) enum Refusal {
    /// No place was left.
    Full,
    /// No place was left for those of this key.
    KeyFull,
    /// It had to leave its place to one who goes before it.
    Displaced,
}
