use std::sync::Arc;

use tower_layer::Layer;

use super::service::SpoolRequestsService;
use crate::body::spool::Spool;

/// Takes request bodies in before the inner service is called. See the [module docs](super) for
/// an example.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SpoolRequests {
    spool: Arc<Spool>,
}

impl SpoolRequests {
    /// Collects bodies as `spool` says; its defaults are those of [`Spool::new`].
    pub fn new(spool: Spool) -> Self {
        Self {
            spool: Arc::new(spool),
        }
    }
}

impl<S> Layer<S> for SpoolRequests {
    type Service = SpoolRequestsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SpoolRequestsService::new(inner, Arc::clone(&self.spool))
    }
}
