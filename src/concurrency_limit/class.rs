//! Requests that are more urgent than others.

use std::{fmt, sync::Arc};

use http::request::Parts;

/// Some of the requests, and how urgent they are: see
/// [`ConcurrencyLimit::class`](super::ConcurrencyLimit::class).
///
/// ```
/// use tower_gateway::concurrency_limit::LimitClass;
///
/// let checkout = LimitClass::new("checkout", |parts| parts.uri.path().starts_with("/checkout"))
///     .priority(10)
///     .reserve(8);
/// # let _ = checkout;
/// ```
#[derive(Clone)]
#[must_use]
pub struct LimitClass {
    pub(super) name: Arc<str>,
    pub(super) priority: i32,
    pub(super) reserve: usize,
    pub(super) is_one: Arc<dyn Fn(&Parts) -> bool + Send + Sync>,
}

impl LimitClass {
    /// The requests for which `is_one` is true. A request belongs to the first class, in the order
    /// in which they were given, that takes it; if none does, to the class of all others, which is
    /// called `default` and has priority 0.
    ///
    /// The name is for the snapshot, the log and the metrics.
    pub fn new<F>(name: &str, is_one: F) -> Self
    where
        F: Fn(&Parts) -> bool + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            priority: 0,
            reserve: 0,
            is_one: Arc::new(is_one),
        }
    }

    /// How urgent it is. Defaults to 0.
    ///
    /// Of those who wait, the most urgent go first; when the queue is full, one who is less urgent
    /// leaves his place to one who is more. Classes that are as urgent as each other take turns. So what is less urgent may wait for as long as there is
    /// something more urgent: give it a share of its own with [`reserve`](Self::reserve).
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How much of the limit is kept for it. Defaults to 0.
    ///
    /// That much stays free for it even while nobody uses it, so all classes together never use
    /// more than the limit. Beyond it, it takes part in what is kept for nobody. If the limit is made
    /// smaller than all that is kept, each class keeps its part.
    pub fn reserve(mut self, permits: usize) -> Self {
        self.reserve = permits;
        self
    }
}

impl fmt::Debug for LimitClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitClass")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .field("reserve", &self.reserve)
            .finish_non_exhaustive()
    }
}
