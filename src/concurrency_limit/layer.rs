//! What you can say to a limit.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, request::Parts};
use tower_layer::Layer;

use super::{
    LimitHandle, Rejection,
    adaptive::LimitAlgorithm,
    class::LimitClass,
    key::LimitKey,
    limit::Limit,
    line::{Overload, PerKey, Rules, Share},
    service::ConcurrencyLimitService,
};

/// Lets a number of requests in at once. See the [module docs](super) for an example.
///
/// Clones, and the services it makes, share one limit. A setter makes a new limit of its own, so
/// set up first, then clone, and ask for a [`handle`](Self::handle).
#[derive(Clone, Debug)]
#[must_use]
pub struct ConcurrencyLimit {
    limit: Arc<Limit>,
}

/// For how long a request counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitUntil {
    /// Until the head of its answer is there: for work that is done by then.
    Head,
    /// Until the body of its answer is over, or the connection that it upgraded. The default.
    #[default]
    Body,
    /// As with `Body`, and for as long as somebody keeps the request's [`Hold`](crate::body::Hold), which each
    /// request then has among its extensions: for work that goes on behind the answer.
    ///
    /// Cost: two allocations for each request.
    Guard,
}

pub(super) type Adaptive = Arc<Mutex<Box<dyn LimitAlgorithm>>>;
pub(super) type Predicate = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
pub(super) type Cost = Arc<dyn Fn(&Parts) -> usize + Send + Sync>;
pub(super) type Answer = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) name: Arc<str>,
    pub(super) max: usize,
    queue: usize,
    queue_timeout: Duration,
    overload: Option<Overload>,
    per_key: Option<usize>,
    key_queue: Option<usize>,
    pub(super) key: Option<LimitKey>,
    pub(super) classes: Vec<LimitClass>,
    pub(super) cost: Option<Cost>,
    pub(super) bypass: Option<Predicate>,
    pub(super) until: LimitUntil,
    pub(super) retry_after: Duration,
    pub(super) retry_jitter: Duration,
    pub(super) answer: Option<Answer>,
    pub(super) is_dry_run: bool,
    pub(super) adaptive: Option<Adaptive>,
}

impl ConcurrencyLimit {
    /// Lets at most `max` requests in at once.
    ///
    /// Worst-case memory is that of `max` running and [`queue`](Self::queue) waiting requests.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[track_caller]
    pub fn new(max: usize) -> Self {
        assert!(
            max > 0,
            "a concurrency limit of zero admits nothing: give at least 1"
        );
        Self::of(Config {
            name: "default".into(),
            max,
            queue: 256,
            queue_timeout: Duration::from_secs(5),
            overload: None,
            per_key: None,
            key_queue: None,
            key: None,
            classes: Vec::new(),
            cost: None,
            bypass: None,
            until: LimitUntil::Body,
            retry_after: Duration::from_secs(1),
            retry_jitter: Duration::from_secs(1),
            answer: None,
            is_dry_run: false,
            adaptive: None,
        })
    }

    /// Finds the limit instead of being told it: `algorithm` hears how long each answer took to its
    /// head, and whether it was an overload (429, 503, 504, an error), and says how much is let in.
    /// Never more than the number given to [`new`](Self::new). By default the limit is that number. See
    /// [`adaptive`](super::adaptive).
    ///
    /// Requests whose client went away are not told. Limits that setters make from clones of this
    /// one share the algorithm: give each its own.
    ///
    /// Cost: two looks at the clock for each request, and a lock at the head of each answer.
    pub fn adaptive(self, algorithm: impl LimitAlgorithm) -> Self {
        let algorithm: Box<dyn LimitAlgorithm> = Box::new(algorithm);
        self.with(|config| config.adaptive = Some(Arc::new(Mutex::new(algorithm))))
    }

    /// What it is called in the log and the metrics. Defaults to `default`.
    pub fn name(self, name: &str) -> Self {
        self.with(|config| config.name = name.into())
    }

    /// How many requests may wait for their turn, first come, first served. Zero: none waits.
    /// Defaults to 256.
    ///
    /// A waiting request costs its head, a timer, and its place in the line. Waiting takes a tokio
    /// runtime with time enabled; without one, a full limit panics.
    pub fn queue(self, length: usize) -> Self {
        self.with(|config| config.queue = length)
    }

    /// How long a request may wait for its turn. Defaults to 5 seconds.
    ///
    /// Longer than a client's patience is work for nobody.
    pub fn queue_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.queue_timeout = timeout)
    }

    /// Lets the newest go first once there has been somebody in the queue for `after` without a
    /// pause, and lets nobody who comes then wait longer than `patience`. When the queue is full, of those
    /// whose key has most in it who has waited longest leaves his place to the newcomer; when it is
    /// [that of his key](Self::key_queue) which is full, of those of his key. By default the order is always
    /// that of coming.
    ///
    /// For clients that go away: in an overload that lasts, first come, first served means that
    /// everybody is served too late. Facebook's values for services behind services are 100 ms and
    /// 5 ms (Maurer, "Fail at Scale", ACM Queue 13(8), 2015, after CoDel); for browsers, a `patience` of
    /// a second is little enough.
    pub fn newest_first_after(self, after: Duration, patience: Duration) -> Self {
        self.with(|config| config.overload = Some(Overload { after, patience }))
    }

    /// Lets at most `max` requests of one key in at once, beside the limit for all: of one client,
    /// for one. By default nothing is counted by key.
    ///
    /// One who finds his own share used up waits, as long as no more than
    /// [`key_queue`](Self::key_queue) of his key do; those of other keys go past him. Keys that wait take
    /// turns, however many requests each of them has. When the queue is full of those who have
    /// several places, the newest of the one with most leaves his to one who has fewer. Turned away
    /// for his key, one gets 429. What [costs](Self::cost) more than `max` goes in as the only one
    /// of its key.
    ///
    /// Cost: each request takes a lock twice, and its key is looked up in a table, in which there are those keys that
    /// have a request in here right now: never more than the limit and the queue are long. Who joins the
    /// queue or leaves it, and who goes out while others wait for what he had, also looks at each key that
    /// waits, under the lock, some hundred nanoseconds for each: at most at as many as the queue is long.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[track_caller]
    pub fn per_key(self, max: usize, key: LimitKey) -> Self {
        assert!(
            max > 0,
            "a limit of zero for each key admits nothing: give at least 1"
        );
        self.with(|config| {
            config.per_key = Some(max);
            config.key = Some(key);
        })
    }

    /// How many requests of one key may wait. Defaults to a quarter of the queue, so that nobody has
    /// it to himself, and at least 1 if there is a queue.
    pub fn key_queue(self, length: usize) -> Self {
        self.with(|config| config.key_queue = Some(length))
    }

    /// Tells some of the requests apart: how urgent they are, and how much is kept for them. None by
    /// default; may be given more than once, and all requests that no class takes are a class too.
    ///
    /// Cost: each request takes a lock twice.
    ///
    /// # Panics
    ///
    /// If what is kept for all classes together is more than the limit.
    #[track_caller]
    pub fn class(self, class: LimitClass) -> Self {
        let limit = self.with(|config| config.classes.push(class));
        let config = &limit.limit.config;
        let reserved = config.classes.iter().map(|class| class.reserve);
        let reserved = reserved.fold(0usize, usize::saturating_add);
        assert!(
            reserved <= config.max,
            "{reserved} of a limit of {} are reserved: reserve less",
            config.max
        );
        limit
    }

    /// How much of the limit a request takes. Defaults to 1 for each; 0 counts as 1, and what takes
    /// more than it can ever have (the limit, without what is kept for other
    /// [classes](Self::class)) takes all of that, and goes in when it is free.
    ///
    /// What it takes is settled when it goes in: a limit that grows while it is there (by
    /// [`resize`](LimitHandle::resize), or [found](Self::adaptive)) grows for those who come after it.
    pub fn cost<F>(self, cost: F) -> Self
    where
        F: Fn(&Parts) -> usize + Send + Sync + 'static,
    {
        self.with(|config| config.cost = Some(Arc::new(cost)))
    }

    /// Lets those requests past for which this is true, and does not count them: health checks, CORS
    /// preflights. None by default.
    pub fn bypass<F>(self, is_exempt: F) -> Self
    where
        F: Fn(&Parts) -> bool + Send + Sync + 'static,
    {
        self.with(|config| config.bypass = Some(Arc::new(is_exempt)))
    }

    /// For how long a request counts. Defaults to [`LimitUntil::Body`].
    pub fn until(self, until: LimitUntil) -> Self {
        self.with(|config| config.until = until)
    }

    /// What `Retry-After` tells those who were turned away, rounded up to seconds. Defaults to
    /// 1 second.
    pub fn retry_after(self, delay: Duration) -> Self {
        self.with(|config| config.retry_after = delay)
    }

    /// How much longer, by chance, `Retry-After` tells some of them to wait, so that they do not all
    /// come again together. In whole seconds; defaults to 1 second: half of them are told 1, half 2.
    pub fn retry_jitter(self, jitter: Duration) -> Self {
        self.with(|config| config.retry_jitter = jitter)
    }

    /// The answer to those who are turned away, in place of a short text. `Cache-Control: no-store`
    /// and `Retry-After` are added where they are missing, and the reason as an extension.
    pub fn answer<F>(self, answer: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.with(|config| config.answer = Some(Arc::new(answer)))
    }

    /// Turns nobody away, but counts and tells who would have been, or would have had to wait: to
    /// find the right limit. Defaults to `false`; [`LimitHandle::set_dry_run`] changes it at run time.
    ///
    /// Those who are in beyond the limit stand for those who would wait. A [drain](LimitHandle::drain) turns
    /// requests away in a dry run too.
    pub fn dry_run(self, is_dry_run: bool) -> Self {
        self.with(|config| config.is_dry_run = is_dry_run)
    }

    /// What is done with the limit while it is in use.
    #[must_use]
    pub fn handle(&self) -> LimitHandle {
        LimitHandle::new(Arc::clone(&self.limit))
    }

    /// How much of the limit is in use right now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.limit.gate.in_use()
    }

    /// How many requests wait right now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.limit.gate.waiting()
    }

    fn with(self, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.limit.config.clone();
        set(&mut config);
        Self::of(config)
    }

    fn of(config: Config) -> Self {
        Self {
            limit: Arc::new(Limit::new(config)),
        }
    }
}

impl<S> Layer<S> for ConcurrencyLimit {
    type Service = ConcurrencyLimitService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyLimitService::new(inner, Arc::clone(&self.limit))
    }
}

impl Config {
    /// Whether it takes more than the fact that there is a request.
    pub(super) fn looks_at_requests(&self) -> bool {
        self.key.is_some()
            || !self.classes.is_empty()
            || self.cost.is_some()
            || self.bypass.is_some()
    }

    pub(super) fn rules(&self) -> Rules {
        let key_queue = self.queue.div_ceil(4);
        let classes = self.classes.iter().map(|class| Share {
            priority: class.priority,
            reserve: class.reserve,
        });
        Rules {
            places: self.queue,
            patience: self.queue_timeout,
            overload: self.overload,
            per_key: self.per_key.map(|max| PerKey {
                max,
                places: self.key_queue.unwrap_or(key_queue),
            }),
            // The last is that of all other requests.
            classes: classes.chain([Share::default()]).collect(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("max", &self.max)
            .field("queue", &self.queue)
            .field("queue_timeout", &self.queue_timeout)
            .field("per_key", &self.per_key)
            .field("key", &self.key)
            .field("classes", &self.classes)
            .field("until", &self.until)
            .field("adaptive", &self.adaptive)
            .finish_non_exhaustive()
    }
}
