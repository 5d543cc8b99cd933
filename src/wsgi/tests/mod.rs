//! The data path beside workers that do as a test says: also what none in Python would do.
#![allow(clippy::unwrap_used)] // In a test it is an assertion.

mod ahead;
mod answers;
mod clients;
mod endings;
mod faults;
mod files;
mod identity;
mod queue;
mod requests;
mod storm;
mod streaming;
mod support;
