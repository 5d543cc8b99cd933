//! Whether a server is well: by what its requests show (passive), and by asking it (active).
//!
//! [`Ejection`] and [`HealthCheck`] are what you can say. [`Health`] is what is known of one server:
//! a state machine to which each outcome is told with the time at which it happened.
//!
//! - `Unknown` → `Up`: the first good probe.
//! - `Up` → `Down`: `falls` bad probes in a row; so does `Unknown`.
//! - `Down` → `Up`: `rises` good probes in a row.
//! - `Up` → `Ejected`: failures in a row, or too many of all; on trial, the first one.
//! - `Ejected` → `Up`, on trial: its time is over, or the first time `rises` good probes.
//! - `Up`, on trial → `Up`: the first success.
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
