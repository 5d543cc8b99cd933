//! How many servers of a table may be out at once.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{Change, Ejection, Health};

/// Decides on ejections, one at a time: two servers that fail in the same moment would each find
/// the other one still there.
#[derive(Debug, Default)]
pub(in crate::gateway_proxy) struct Ejections {
    turn: Mutex<()>,
}

impl Ejections {
    /// A request to `server`, one of `table`, failed. It was sent at `sent`.
    ///
    /// Looks at the whole table, but only when the server has failed often enough.
    pub(in crate::gateway_proxy) fn failed<'a>(
        &self,
        config: &Ejection,
        server: &Health,
        table: impl IntoIterator<Item = &'a Health>,
        sent: Instant,
        now: Instant,
    ) -> Option<Change> {
        if !server.failed(config, sent, now) {
            return None;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut servers, mut out) = (0, 0);
        for other in table {
            servers += 1;
            out += usize::from(!other.is_usable(now));
        }
        if !may_eject(config, servers, out) {
            return None;
        }
        server.eject(config, now).map(Change::Ejected)
    }
}

/// Whether one more server of so many may be ejected, when so many of them are out already.
pub(in crate::gateway_proxy) fn may_eject(config: &Ejection, servers: usize, out: usize) -> bool {
    // A conversion of floats saturates.
    let share = (servers as f64 * config.max_share) as usize;
    // A table that is too small for its share has one to spare, and the last one stays.
    let most = share.max(1).min(servers.saturating_sub(1));
    config.is_on && out < most
}
