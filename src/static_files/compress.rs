//! Files compressed by this process: each once, in the background, its bytes kept.
//!
//! Who asks for a file that is not compressed yet gets it as it is, and starts the work; nobody
//! waits for it. What comes out is bytes with a strong tag of their own, so that ranges and
//! conditions work as on any file.
//!
//! No zstd: its compressor is C. A `.zst` beside the file is served all the same. And siblings
//! made when the site is built are smaller yet, see [`encode`].

use std::{
    collections::HashSet,
    fmt,
    hash::Hash,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::DefaultLifecycle};
use tokio::{runtime::Handle, task::JoinHandle, time::Instant};

use self::encode::{Encoded, encode};
use super::digest;
use crate::semantics::{conditional::EntityTag, negotiate::Coding};

mod encode;
#[cfg(test)]
mod tests;
mod worth;

pub(super) use self::worth::{is_compressible, is_in_flux};

/// Longer files are not compressed.
const MAX_LENGTH: u64 = 16 << 20;

/// How long a file is left alone that could not be read, or on which the work broke off.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// What an entry takes besides its bytes: key, tag, and its place in the map.
const ENTRY: u64 = 512;

/// For how long no work begins when what came of the last one drove out another's: this many
/// times as long as that took, and no less than a second. Files that do not fit together would
/// else be compressed for ever in turn.
const REST: u32 = 10;
const LEAST_REST: Duration = Duration::from_secs(1);

/// What is known of a file in one coding.
#[derive(Clone, Debug)]
pub(super) enum State {
    Ready(Variant),
    /// It is as good as it is: it hardly shrinks, or is too much for the budget.
    NotWorth,
    /// Nothing yet: [`Compressed::start`] may be called.
    Absent,
}

/// A compressed file.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) bytes: Bytes,
    /// Of these very bytes. One made from the file's tag would stay the same when a later version
    /// of a compressor makes other bytes, and a download that is resumed would mix the two.
    pub(super) etag: EntityTag,
}

/// Files in compressed form, by what identifies one state of a file.
///
/// Dropped, what is under way ends soon.
pub(super) struct Compressed<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    budget: u64,
    max_length: u64,
    at_once: usize,
    done: Cache<K>,
    under_way: Mutex<UnderWay<K>>,
}

type Cache<K> = quick_cache::sync::Cache<(K, Coding), Outcome, Weigh>;

struct UnderWay<K> {
    keys: HashSet<K>,
    /// No work begins before that.
    rest_until: Option<Instant>,
}

/// What came of the work on a file.
#[derive(Clone, Debug)]
enum Outcome {
    Variant(Variant),
    NotWorth,
    Failed(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Weigh;

impl<K> Weighter<(K, Coding), Outcome> for Weigh {
    fn weight(&self, _: &(K, Coding), outcome: &Outcome) -> u64 {
        match outcome {
            Outcome::Variant(variant) => ENTRY + variant.bytes.len() as u64,
            Outcome::NotWorth | Outcome::Failed(_) => ENTRY,
        }
    }
}

impl<K> Compressed<K>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
{
    /// Keeps up to this many bytes, and forgets what is asked for least.
    ///
    /// Besides, the work takes for each file at once: its bytes, those that come out, and the
    /// tables of the brotli compressor, which are 10 MiB for a file of 4 KB, 40 MiB for one of
    /// 300 KB, and 65 MiB for the longest.
    pub(super) fn new(budget: u64) -> Self {
        // Half of the processors, since the work takes all that it gets; and two are enough to
        // bring a site's files into memory within its first minute.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self::with(budget, MAX_LENGTH, (processors / 2).clamp(1, 2))
    }

    /// The same, for files up to `max_length`, `at_once` of them at once.
    pub(super) fn with(budget: u64, max_length: u64, at_once: usize) -> Self {
        const USUAL: u64 = 16 << 10;

        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(budget / USUAL).unwrap_or(usize::MAX))
            .weight_capacity(budget)
            // The budget is that of one shard: with several, an entry larger than one's part of
            // it could never be kept.
            .shards(1)
            .build()
            .expect("both capacities are set");
        let done = Cache::with_options(
            options,
            Weigh,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        Self {
            shared: Arc::new(Shared {
                budget,
                max_length,
                at_once,
                done,
                under_way: Mutex::new(UnderWay {
                    keys: HashSet::new(),
                    rest_until: None,
                }),
            }),
        }
    }

    /// Whether a file of this type and length is compressed at all.
    pub(super) fn takes(&self, media_type: &str, length: u64) -> bool {
        length <= self.shared.max_length && is_compressible(media_type, length)
    }

    /// What is known of this file in this coding. Waits for nothing.
    pub(super) fn get(&self, key: &K, coding: Coding) -> State {
        if coding == Coding::Zstd {
            return State::NotWorth;
        }
        match self.shared.done.get(&(key.clone(), coding)) {
            Some(Outcome::Variant(variant)) => State::Ready(variant),
            Some(Outcome::NotWorth) => State::NotWorth,
            Some(Outcome::Failed(_)) | None => State::Absent,
        }
    }

    /// Has the blocking pool compress a file in those of `codings` that are absent, in this order.
    /// `load` gives its bytes, and must fail if they are not (or no longer) those of `key`.
    ///
    /// `None`, and nothing begins, if the file is being worked on, if there is nothing to do for
    /// it, if it failed a short while ago, or if enough is under way: there is no queue, a later
    /// request asks again. Nobody need await the handle.
    pub(super) fn start(
        &self,
        key: &K,
        codings: &[Coding],
        load: impl FnOnce() -> io::Result<Bytes> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        let runtime = Handle::try_current().ok()?;
        let now = Instant::now();
        let mut under_way = self.shared.under_way();
        if under_way.keys.len() >= self.shared.at_once
            || under_way.rest_until.is_some_and(|until| now < until)
            || under_way.keys.contains(key)
        {
            return None;
        }
        // Asked with the lock held: what ended a moment ago is known here.
        let unfinished: Vec<_> = codings
            .iter()
            .copied()
            .filter(|coding| self.shared.is_open(key, *coding, now))
            .collect();
        if unfinished.is_empty() {
            return None;
        }
        under_way.keys.insert(key.clone());
        drop(under_way);

        let over = Arc::new(AtomicBool::new(false));
        let work = Work {
            shared: Arc::downgrade(&self.shared),
            key: key.clone(),
            unfinished,
            over: Arc::clone(&over),
            began: now,
            crowded: false,
        };
        let working = runtime.spawn_blocking(move || work.run(load));
        // A runtime that shuts down waits for its blocking pool, but drops its tasks before: this
        // one tells the work of it.
        let over = SetOnDrop(over);
        Some(runtime.spawn(async move {
            let _over = over;
            // That it panicked is known where the work is dropped.
            let _ = working.await;
        }))
    }
}

impl<K> Shared<K>
where
    K: Hash + Eq + Clone,
{
    fn under_way(&self) -> MutexGuard<'_, UnderWay<K>> {
        // Nothing panics between two changes of it.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is work to do on a file.
    fn is_open(&self, key: &K, coding: Coding, now: Instant) -> bool {
        coding != Coding::Zstd
            && match self.done.get(&(key.clone(), coding)) {
                Some(Outcome::Variant(_) | Outcome::NotWorth) => false,
                Some(Outcome::Failed(when)) => now.duration_since(when) >= RETRY_AFTER,
                None => true,
            }
    }

    /// Keeps what came of a file; `true` if something else had to go.
    fn keep(&self, key: &K, coding: Coding, outcome: Outcome) -> bool {
        let key = (key.clone(), coding);
        let is_crowded = self.done.weight() + Weigh.weight(&key, &outcome) > self.budget;
        self.done.insert(key, outcome);
        is_crowded
    }

    /// The longest result that is of use for a file of this length.
    fn at_most(&self, length: usize) -> usize {
        // The store refuses what takes nearly all of it.
        let room = (self.budget - self.budget / 16).saturating_sub(ENTRY);
        worth::at_most(length).min(usize::try_from(room).unwrap_or(usize::MAX))
    }
}

/// The work on one file. Dropped, however it ends, it lets others begin.
struct Work<K>
where
    K: Hash + Eq + Clone,
{
    /// Not held, so that a store nobody uses any more is gone.
    shared: Weak<Shared<K>>,
    key: K,
    unfinished: Vec<Coding>,
    /// The runtime shuts down.
    over: Arc<AtomicBool>,
    began: Instant,
    /// What came out took the place of something else.
    crowded: bool,
}

impl<K> Work<K>
where
    K: Hash + Eq + Clone,
{
    fn run(mut self, load: impl FnOnce() -> io::Result<Bytes>) {
        if self.is_over() {
            return;
        }
        let content = match load() {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(%error, "could not read a file to compress it");
                return;
            }
        };
        while let Some(&coding) = self.unfinished.first() {
            let Some(at_most) = self.with_shared(|shared| shared.at_most(content.len())) else {
                return;
            };
            let outcome = match encode(&content, coding, at_most, || self.is_over()) {
                Encoded::Bytes(bytes) => {
                    let (from, to) = (content.len(), bytes.len());
                    tracing::debug!(?coding, from, to, "compressed a file");
                    let etag = digest::of_bytes(&bytes);
                    Outcome::Variant(Variant { bytes, etag })
                }
                Encoded::TooLong => Outcome::NotWorth,
                Encoded::Cancelled => return,
            };
            self.finish(coding, outcome);
        }
    }

    fn finish(&mut self, coding: Coding, outcome: Outcome) {
        let crowded = self.with_shared(|shared| shared.keep(&self.key, coding, outcome));
        self.crowded |= crowded.unwrap_or_default();
        self.unfinished.retain(|unfinished| *unfinished != coding);
    }

    /// Whether nobody wants the result any more.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.shared.strong_count() == 0
    }

    fn with_shared<T>(&self, f: impl FnOnce(&Shared<K>) -> T) -> Option<T> {
        self.shared.upgrade().map(|shared| f(&shared))
    }
}

impl<K> Drop for Work<K>
where
    K: Hash + Eq + Clone,
{
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let now = Instant::now();
        if !self.is_over() {
            if thread::panicking() {
                tracing::warn!("the work of compressing a file panicked");
            }
            for coding in mem::take(&mut self.unfinished) {
                self.crowded |= shared.keep(&self.key, coding, Outcome::Failed(now));
            }
        }
        let mut under_way = shared.under_way();
        under_way.keys.remove(&self.key);
        if self.crowded {
            let rest = (now.duration_since(self.began) * REST).max(LEAST_REST);
            under_way.rest_until = Some(now + rest);
        }
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<K> Clone for Compressed<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K> fmt::Debug for Compressed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed")
            .field("budget", &self.shared.budget)
            .finish_non_exhaustive()
    }
}
