//! Without the feature `metrics` nothing is told, and this is nothing. What it stands for is said in
//! `metrics.rs`.

use std::sync::Arc;

use tokio::time::Instant;

use super::Outcome;

#[derive(Debug)]
pub(super) struct Numbers;

#[derive(Debug)]
pub(in crate::concurrency_limit) struct Waiting;

impl Numbers {
    pub(super) fn new(_: &Arc<str>, _: usize) -> Self {
        Self
    }

    pub(super) fn decided(&self, _: Outcome) {}

    pub(super) fn entered(&self, _: usize) {}

    pub(super) fn left(&self, _: usize) {}

    pub(super) fn waits(&self, _: Instant) -> Waiting {
        Waiting
    }

    pub(super) fn resized(&self, _: impl Fn() -> usize) {}
}
