//! Without the feature `metrics` nothing is counted, and this is nothing. What it stands for is said
//! in `metrics.rs`.

use std::time::Duration;

use http::StatusCode;

use super::Outcome;
use crate::ErrorKind;

#[derive(Clone, Debug)]
pub(in crate::wsgi) struct Tally;

#[derive(Debug)]
pub(in crate::wsgi) struct Open;

impl Tally {
    pub(in crate::wsgi) fn new(_: &str) -> Self {
        Self
    }

    pub(super) fn over(&self, _: Outcome, _: Option<StatusCode>, _: Duration, _: u64, _: u64) {}

    pub(super) fn failed(&self, _: ErrorKind) {}

    pub(super) fn waiting(&self) -> Open {
        Open
    }

    pub(super) fn waited(&self, _: Duration) {}

    pub(super) fn busy(&self) -> Open {
        Open
    }
}
