//! What has to outlive the response: for upgraded connections.

use std::{any::Any, fmt, sync::Arc};

/// Something that is to be kept for as long as a request is worked on: an extension of requests
/// that may become a tunnel.
///
/// A request is over when its body is over, and layers know that from the response body. A
/// connection that was upgraded (WebSocket) goes on after its response: whoever carries it takes
/// a clone of this out of the request, and drops it when the connection ends. `ConcurrencyLimit`
/// puts its permit there, and `GatewayProxy` holds it.
///
/// ```
/// use std::sync::Arc;
/// use tower_gateway::body::Hold;
///
/// let permit = Arc::new(());
/// let hold = Hold::new(Arc::clone(&permit));
/// assert_eq!(Arc::strong_count(&permit), 2);
///
/// drop(hold.and("something of an outer layer"));
/// assert_eq!(Arc::strong_count(&permit), 1);
/// ```
#[derive(Clone)]
pub struct Hold {
    /// Never looked at: what counts is when it is dropped.
    _held: Arc<dyn Any + Send + Sync>,
}

impl Hold {
    /// Holds `thing` until the last clone is dropped.
    #[must_use]
    pub fn new(thing: impl Any + Send + Sync) -> Self {
        Self {
            _held: Arc::new(thing),
        }
    }

    /// Holds `thing` as well.
    #[must_use]
    pub fn and(self, thing: impl Any + Send + Sync) -> Self {
        Self::new((self, thing))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}
