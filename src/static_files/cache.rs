//! What is kept in memory: what paths lead to, with the bytes and the heads of the answers.

use std::{
    collections::HashSet,
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache as Entries, DefaultLifecycle},
};
use tokio::time::Instant;

use super::{
    find::Place,
    representation::Representation,
    seen::Kept,
    source::{Content, Wait},
    turns::{Turn, Turns},
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

/// Of the budget one file may take this part, so that several fit in with all their codings.
const LARGEST_PART: u64 = 8;

impl CacheOptions {
    /// The longest file of which the bytes are kept.
    pub(super) fn longest(&self) -> u64 {
        self.files_up_to.min(self.bytes / LARGEST_PART)
    }
}

/// For how long a file is kept open that nobody asks for. One that was deleted takes its place on
/// the disk until then.
const OPEN_FOR: u64 = 10_000;

/// So many files are kept open: a process may have few descriptors, and needs them for connections.
const OPEN_UP_TO: usize = 256;

/// Paths, and what they lead to, within a budget of bytes; what is asked for least goes first.
///
/// Times are in milliseconds since it was made.
pub(super) struct Cache {
    entries: Entries<Key, Arc<Entry>, Weigh>,
    fresh_for: u64,
    born: Instant,
    turns: Turns,
    /// The paths of files that are kept open, and of some that were.
    open: Mutex<HashSet<Key>>,
    /// When files were last closed that nobody asks for.
    swept: AtomicU64,
}

/// What a path led to, when it was last looked at.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place<Resource>,
    /// When the last look was over.
    checked: AtomicU64,
    /// When somebody asked last, of a file that is open.
    asked: AtomicU64,
    is_open: bool,
    kept: Kept,
}

/// A file that is kept, in all its codings.
#[derive(Debug)]
pub(super) struct Resource {
    /// As it is.
    pub(super) plain: Arc<Representation>,
    /// In the order of this server's preference.
    pub(super) coded: Vec<Arc<Representation>>,
    /// Whether it will be another in a moment, without that the file changes: its tag is that of a
    /// young file, or it is being compressed.
    pub(super) is_passing: bool,
}

impl Resource {
    pub(super) fn representations(&self) -> impl Iterator<Item = &Arc<Representation>> {
        std::iter::once(&self.plain).chain(&self.coded)
    }

    /// What a client asks for.
    pub(super) fn choose(&self, request: &HeaderMap) -> &Representation {
        let codings = self.coded.iter().filter_map(|one| one.coding);
        choose_coding(request, codings)
            .and_then(|coding| self.coded.iter().find(|one| one.coding == Some(coding)))
            .unwrap_or(&self.plain)
    }

    /// Whether the other was made of nothing but this.
    fn is(&self, other: &Self) -> bool {
        let ours = self.representations().map(Arc::as_ptr);
        ours.eq(other.representations().map(Arc::as_ptr))
    }
}

/// A path below the mount, in canonical form.
type Key = String;

#[derive(Clone, Copy, Debug)]
struct Weigh;

impl Weighter<Key, Arc<Entry>> for Weigh {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.kept.weight()
    }
}

impl Cache {
    pub(super) fn new(options: CacheOptions) -> Self {
        /// Of what is kept on average; a guess, which only sizes the tables.
        const USUAL: u64 = 16 << 10;

        // A shard has its part of the budget, into which the largest files must fit as well.
        let largest = options.longest().max(1 << 10) * LARGEST_PART;
        let shards = (options.bytes / largest).clamp(1, 64);
        // It is rounded up to a power of two, which would make the parts smaller.
        let shards = 1 << shards.ilog2();
        let built = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(options.bytes / USUAL).unwrap_or(1 << 16))
            .weight_capacity(options.bytes)
            .shards(shards)
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
            turns: Turns::default(),
            open: Mutex::default(),
            swept: AtomicU64::new(0),
        }
    }

    /// What a path leads to, and whether that was known. `load` looks, and may use what is right
    /// of what was known.
    ///
    /// While somebody waits for the disk about a path, the others have what is known of it, however
    /// long that takes.
    ///
    /// # Errors
    ///
    /// Those of `load`, unless something is known that was right a moment ago. But `WouldBlock`, if
    /// it is not to wait: then [`turn`](Self::turn) says who is to.
    pub(super) fn get(
        &self,
        below: &str,
        wait: Wait,
        load: impl FnOnce(Option<&Resource>) -> io::Result<Place<Resource>>,
    ) -> io::Result<(Arc<Entry>, bool)> {
        let now = self.now();
        self.close_idle(now);
        let Some(entry) = self.entries.get(below) else {
            return Ok((self.keep(below, load(None)?), false));
        };
        if entry.is_open {
            entry.asked.store(now, Ordering::Relaxed);
        }
        let is_looked_at =
            || wait == Wait::Never && self.fresh_for > 0 && self.turns.is_taken(below);
        if self.is_fresh(&entry, now) || is_looked_at() {
            return Ok((entry, true));
        }
        let known = match &entry.place {
            Place::File(resource) => Some(resource),
            _ => None,
        };
        match load(known) {
            Ok(place) if entry.leads_to(&place) => {
                entry.checked.store(self.now(), Ordering::Relaxed);
                Ok((entry, true))
            }
            Ok(place) => Ok((self.keep(below, place), false)),
            Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(path = below, %error, "could not look at a file again");
                entry.checked.store(self.now(), Ordering::Relaxed);
                Ok((entry, true))
            }
        }
    }

    /// Who is to wait for the disk, after [`get`](Self::get) would have.
    pub(super) fn turn(&self, below: &str) -> Turn {
        let is_known = |entry: Arc<Entry>| self.is_fresh(&entry, self.now());
        // Each request is to look for itself; or it was not looking that had to wait, but reading.
        if self.fresh_for == 0 || self.entries.peek(below).is_some_and(is_known) {
            return Turn::Free;
        }
        self.turns.take(below)
    }

    fn is_fresh(&self, entry: &Entry, now: u64) -> bool {
        /// For how long what is passing is taken for what it was, however long other things are.
        const PASSING: u64 = 1000;

        let fresh_for = match &entry.place {
            Place::File(resource) if resource.is_passing => self.fresh_for.min(PASSING),
            _ => self.fresh_for,
        };
        now.saturating_sub(entry.checked.load(Ordering::Relaxed)) < fresh_for
    }

    /// Keeps what was found. Its age counts from now: those who waited are to have it, however
    /// long the look took.
    fn keep(&self, below: &str, place: Place<Resource>) -> Arc<Entry> {
        let now = self.now();
        let entry = Arc::new(Entry::new(below, place, now));
        self.entries.insert(Key::from(below), Arc::clone(&entry));
        if entry.is_open {
            self.keep_open(below, now);
        }
        entry
    }

    /// Remembers that a file is open, or forgets it, if too many are.
    fn keep_open(&self, below: &str, now: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(below) {
            return;
        }
        if open.len() >= OPEN_UP_TO {
            self.sweep(&mut open, now);
        }
        if open.len() < OPEN_UP_TO {
            open.insert(Key::from(below));
        } else {
            self.entries.remove_if(below, |entry| entry.is_open);
        }
    }

    /// Forgets files that are open, and that nobody asks for, once in a while.
    fn close_idle(&self, now: u64) {
        let swept = self.swept.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(swept) >= OPEN_FOR
            && self
                .swept
                .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_due {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            self.sweep(&mut open, now);
        }
    }

    fn sweep(&self, open: &mut HashSet<Key>, now: u64) {
        let is_idle = |entry: &Arc<Entry>| {
            now.saturating_sub(entry.asked.load(Ordering::Relaxed)) >= OPEN_FOR
        };
        open.retain(|path| {
            self.entries
                .remove_if(path, |entry| entry.is_open && is_idle(entry));
            self.entries.peek(path).is_some_and(|entry| entry.is_open)
        });
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Entry {
    fn new(below: &str, place: Place<Resource>, now: u64) -> Self {
        /// Of an entry without a file, and its place in the tables.
        const ENTRY: u64 = 256;

        let (weight, is_open) = match &place {
            Place::File(resource) => {
                let representations = resource.representations();
                let weight: u64 = representations.map(|one| one.weight()).sum();
                let is_open = |one: &Arc<Representation>| matches!(one.content, Content::File(_));
                (weight, resource.representations().any(is_open))
            }
            _ => (0, false),
        };
        Self {
            place,
            checked: AtomicU64::new(now),
            asked: AtomicU64::new(now),
            is_open,
            kept: Kept::new(ENTRY + below.len() as u64 + weight),
        }
    }

    /// Whether nothing has changed.
    fn leads_to(&self, place: &Place<Resource>) -> bool {
        match (&self.place, place) {
            (Place::File(known), Place::File(found)) => known.is(found),
            (Place::Listing(known), Place::Listing(found)) => known == found,
            (Place::Redirect, Place::Redirect) | (Place::Nothing, Place::Nothing) => true,
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
