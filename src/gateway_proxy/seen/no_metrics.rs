//! Without the feature `metrics` nothing is counted, and this is nothing. What it stands for is said
//! in `metrics.rs`.

use std::time::Duration;

use http::StatusCode;

use super::Outcome;
use crate::{
    ErrorKind,
    gateway_proxy::{health::Change, upstream::Address},
};

#[derive(Clone, Debug)]
pub(in crate::gateway_proxy) struct Requests;

#[derive(Debug)]
pub(in crate::gateway_proxy) struct Open;

#[derive(Debug)]
pub(in crate::gateway_proxy) struct Tally;

impl Requests {
    pub(in crate::gateway_proxy) fn new() -> Self {
        Self
    }

    pub(super) fn over(&self, _: Outcome, _: Option<StatusCode>, _: Duration, _: u64, _: u64) {}

    pub(super) fn failed(&self, _: ErrorKind) {}

    pub(super) fn dropped(&self, _: u64) {}

    pub(super) fn tunnel(&self) -> Open {
        Open
    }
}

impl Tally {
    pub(in crate::gateway_proxy) fn new(_: &Address) -> Self {
        Self
    }

    pub(in crate::gateway_proxy) fn tried(&self) {}

    pub(in crate::gateway_proxy) fn retried(&self, _: &'static str) {}

    pub(in crate::gateway_proxy) fn failed(&self, _: ErrorKind) {}

    pub(in crate::gateway_proxy) fn changed(&self, _: &Change) {}

    pub(in crate::gateway_proxy) fn answered(&self, _: Duration) {}

    pub(in crate::gateway_proxy) fn waited(&self, _: Duration) {}

    pub(in crate::gateway_proxy) fn connected(&self, _: Duration) {}

    pub(in crate::gateway_proxy) fn in_use(&self) -> Open {
        Open
    }

    pub(in crate::gateway_proxy) fn idle(&self) -> Open {
        Open
    }

    pub(in crate::gateway_proxy) fn waiting(&self) -> Open {
        Open
    }
}
