//! What is kept in memory: what paths lead to, with the bytes and the heads of the answers.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::HeaderMap;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache as Entries, DefaultLifecycle, GuardResult},
};

use super::{
    find::Place,
    representation::Representation,
    source::{Content, Wait},
};
use crate::semantics::negotiate::choose_coding;

/// What one can say about the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheOptions {
    pub(super) bytes: u64,
    /// The bytes of longer files are not kept, but they are kept open.
    pub(super) files_up_to: u64,
    /// How old what is kept may be.
    pub(super) fresh_for: Duration,
}

/// For how long a file is kept open that nobody asks for. One that was deleted takes its place on
/// the disk until then.
const OPEN_FOR: Duration = Duration::from_secs(10);

/// Paths, and what they lead to, within a budget of bytes; what is asked for least goes first.
pub(super) struct Cache {
    entries: Entries<Key, Arc<Entry>, Weigh>,
    fresh_for: u64,
    born: Instant,
    /// When files were last closed that nobody asks for.
    swept: AtomicU64,
}

/// What a path led to, when it was last looked at.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place<Resource>,
    /// In milliseconds since the cache was made.
    checked: AtomicU64,
    /// For how long it is taken for what it was, in milliseconds.
    fresh_for: u64,
    weight: u64,
}

/// A file that is kept, in all its codings.
#[derive(Debug)]
pub(super) struct Resource {
    /// As it is.
    pub(super) plain: Representation,
    /// In the order of this server's preference.
    pub(super) coded: Vec<Representation>,
    /// Whether it will be another in a moment, without that the file changes: its tag is that of a
    /// young file, or it is being compressed.
    pub(super) is_passing: bool,
}

impl Resource {
    pub(super) fn representations(&self) -> impl Iterator<Item = &Representation> {
        std::iter::once(&self.plain).chain(&self.coded)
    }

    /// What a client asks for.
    pub(super) fn choose(&self, request: &HeaderMap) -> &Representation {
        let codings = self.coded.iter().filter_map(|one| one.coding);
        choose_coding(request, codings)
            .and_then(|coding| self.coded.iter().find(|one| one.coding == Some(coding)))
            .unwrap_or(&self.plain)
    }
}

/// A path below the mount, in canonical form.
type Key = String;

#[derive(Clone, Copy, Debug)]
struct Weigh;

impl Weighter<Key, Arc<Entry>> for Weigh {
    fn weight(&self, key: &Key, entry: &Arc<Entry>) -> u64 {
        entry.weight + key.len() as u64
    }
}

impl Cache {
    pub(super) fn new(options: CacheOptions) -> Self {
        /// Of what is kept on average; a guess, which only sizes the tables.
        const USUAL: u64 = 16 << 10;
        /// As many of the largest files must fit into a shard, which has its part of the budget.
        const IN_A_SHARD: u64 = 8;

        let largest = options.files_up_to.max(1 << 10) * IN_A_SHARD;
        let shards = (options.bytes / largest).clamp(1, 64);
        let built = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(options.bytes / USUAL).unwrap_or(1 << 16))
            .weight_capacity(options.bytes)
            .shards(usize::try_from(shards).unwrap_or(1))
            .build()
            .expect("both capacities are set");
        Self {
            entries: Entries::with_options(
                built,
                Weigh,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            fresh_for: u64::try_from(options.fresh_for.as_millis()).unwrap_or(u64::MAX),
            born: Instant::now(),
            swept: AtomicU64::new(0),
        }
    }

    /// What a path leads to. `load` looks, and may use what is right of what was known.
    ///
    /// What is too old is looked at again by the first who asks; the others have what is known
    /// meanwhile. Of those who ask first, and may wait, one looks and the others wait for it.
    ///
    /// # Errors
    ///
    /// Those of `load`, unless something is known that was right a moment ago.
    pub(super) fn get(
        &self,
        below: &str,
        wait: Wait,
        load: impl Fn(Option<&Resource>) -> io::Result<Place<Resource>>,
    ) -> io::Result<Arc<Entry>> {
        let now = self.now();
        if let Some(entry) = self.entries.get(below) {
            return self.refreshed(below, entry, now, wait, load);
        }
        if wait == Wait::Never {
            let entry = self.entry(load(None)?, now);
            self.entries.insert(Key::from(below), Arc::clone(&entry));
            return Ok(entry);
        }
        match self.entries.get_value_or_guard(below, None) {
            GuardResult::Value(entry) => Ok(entry),
            GuardResult::Guard(guard) => {
                let entry = self.entry(load(None)?, now);
                // It fails if what is there was removed meanwhile: then it is not kept.
                let _ = guard.insert(Arc::clone(&entry));
                Ok(entry)
            }
            GuardResult::Timeout => Ok(self.entry(load(None)?, now)),
        }
    }

    fn refreshed(
        &self,
        below: &str,
        entry: Arc<Entry>,
        now: u64,
        wait: Wait,
        load: impl Fn(Option<&Resource>) -> io::Result<Place<Resource>>,
    ) -> io::Result<Arc<Entry>> {
        let checked = entry.checked.load(Ordering::Relaxed);
        let is_first = now.saturating_sub(checked) >= entry.fresh_for
            && entry
                .checked
                .compare_exchange(checked, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !is_first {
            return Ok(entry);
        }
        self.close_idle(now);
        let known = match &entry.place {
            Place::File(resource) => Some(resource),
            _ => None,
        };
        match load(known) {
            Ok(place) => {
                let entry = self.entry(place, now);
                self.entries.insert(Key::from(below), Arc::clone(&entry));
                Ok(entry)
            }
            Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {
                // Who may wait is to look.
                entry.checked.store(checked, Ordering::Relaxed);
                Err(error)
            }
            Err(error) => {
                tracing::warn!(path = below, %error, "could not look at a file again");
                Ok(entry)
            }
        }
    }

    fn entry(&self, place: Place<Resource>, now: u64) -> Arc<Entry> {
        /// Of an entry without a file.
        const ENTRY: u64 = 256;

        let weight = match &place {
            Place::File(resource) => {
                ENTRY
                    + resource
                        .representations()
                        .map(Representation::weight)
                        .sum::<u64>()
            }
            _ => ENTRY,
        };
        /// However long others are.
        const PASSING: u64 = 1000;

        let fresh_for = match &place {
            Place::File(resource) if resource.is_passing => self.fresh_for.min(PASSING),
            _ => self.fresh_for,
        };
        Arc::new(Entry {
            place,
            checked: AtomicU64::new(now),
            fresh_for,
            weight,
        })
    }

    /// Forgets files that are open, and that nobody asks for.
    fn close_idle(&self, now: u64) {
        const EVERY: u64 = OPEN_FOR.as_millis() as u64;

        let swept = self.swept.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(swept) >= EVERY
            && self
                .swept
                .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_due {
            self.entries.retain(|_, entry| {
                let idle = now.saturating_sub(entry.checked.load(Ordering::Relaxed));
                idle < EVERY || !entry.is_open()
            });
        }
    }

    /// Milliseconds since it was made.
    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How many entries there are, and what they weigh.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.entries.len(), self.entries.weight())
    }
}

impl Entry {
    fn is_open(&self) -> bool {
        match &self.place {
            Place::File(resource) => resource
                .representations()
                .any(|one| matches!(one.content, Content::File(_))),
            _ => false,
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("entries", &self.entries.len())
            .field("weight", &self.entries.weight())
            .finish_non_exhaustive()
    }
}
