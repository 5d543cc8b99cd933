//! Whether a server is well: by what its requests show (passive), and by asking it (active).
//!
//! [`Ejection`] and [`HealthCheck`] are what you can say. [`Health`] is what is known of one server:
//! a state machine to which each outcome is told with the time at which it happened.
//!
//! ```text
//!              falls bad probes                      first failure
//!        ┌────────────────────▶ Down            ┌──────────────────┐
//!        │                       │              ▼                  │
//!    Up ◀┼───────────────────────┘   Ejected ──────────▶ Up, on trial
//!        │  rises good probes         ▲   time is over     │
//!        ├────────────────────────────┘                    │
//!        │  failures in a row, or too many of all          │
//!        └◀────────────────────────────────────────────────┘
//!    Unknown ──▶ Up: first good probe       first success
//! ```
//!
//! Ejections are decided for a whole table, one at a time: [`Ejections`].

mod layer;
mod state;
mod table;
mod watch;
mod window;

pub use self::layer::{Ejection, HealthCheck};
pub(super) use self::{
    layer::Unwell,
    state::{Change, Health, State},
    table::Ejections,
    watch::watch,
};

#[cfg(test)]
mod tests;
