//! The algorithms: by hand, by chance, and at work.

#![allow(clippy::unwrap_used)] // In a test it is an assertion.

mod overload;
mod properties;
mod simulation;
mod tables;
