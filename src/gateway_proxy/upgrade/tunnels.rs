//! The tunnels that are open, and how they are told to end.

use std::time::Duration;

use tokio::time::timeout;

use crate::body::{Drain, Drainer};

/// The tunnels of one proxy: counted, and told when to end. It holds nothing for each but a place
/// in a count.
#[derive(Debug, Default)]
pub(in crate::gateway_proxy) struct Tunnels(Drainer);

impl Tunnels {
    /// One more; it is open until what is returned is dropped.
    pub(super) fn open(&self) -> Drain {
        self.0.subscribe()
    }

    /// How many are open.
    pub(in crate::gateway_proxy) fn count(&self) -> usize {
        self.0.subscribed()
    }

    /// Tells those that are open, and those that open in the meantime, to end within this time,
    /// and waits for it. How many did not, and were cut off.
    ///
    /// Dropped, it waits no more; what was told stays told.
    pub(in crate::gateway_proxy) async fn drain(&self, within: Duration) -> usize {
        /// For those who see that their time is up, and go.
        const MOMENT: Duration = Duration::from_secs(1);
        self.0.begin(within);
        if timeout(within, self.0.done()).await.is_ok() {
            return 0;
        }
        let cut = self.count();
        timeout(MOMENT, self.0.done()).await.ok();
        cut
    }
}
