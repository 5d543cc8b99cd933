//! Whether a request that failed is sent once more.
//!
//! [`Retries`] is what you can say; [`decide`] is all of the rules, as one function; [`Budget`] keeps
//! the tries that follow a share of those that come first.

mod budget;
mod decide;
mod layer;

pub use self::layer::Retries;
pub(super) use self::{
    budget::Budget,
    decide::{Attempt, Verdict, decide},
};

#[cfg(test)]
mod tests;
