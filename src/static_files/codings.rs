//! The codings in which there is a file: as a file beside it, or compressed here.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

#[cfg(feature = "compression")]
use bytes::Bytes;
use quick_cache::sync::Cache;

#[cfg(feature = "compression")]
use super::{
    compress::{State, is_in_flux},
    source::Content,
    validators::EntityTags,
};
use super::{
    find::Located,
    layer::{Config, PUBLIC},
    source::{Found, Identity, Source as _, SourceFile, Wait},
    validators::beside,
};
use crate::semantics::{conditional::EntityTag, negotiate::Coding};

/// What one can say about codings.
#[derive(Clone, Debug, Default)]
pub(super) struct Codings {
    /// Which files beside a file count, the best first.
    pub(super) precompressed: Vec<Coding>,
    /// Whether one counts that is older than the file.
    pub(super) older: bool,
    /// How many bytes of what is compressed here are kept.
    #[cfg(feature = "compression")]
    pub(super) compress: Option<u64>,
}

/// What tells a state of a file from every other.
///
/// A source of the user's may tell it by a tag. Two of its files may have the same one (that of a
/// build), so the name counts too; a weak one says that there are states it does not tell apart.
/// That its files change place with those of another source within one state is not expected: what
/// has the same name and the same strong tag has the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    OnDisk(Identity),
    Tagged(PathBuf, EntityTag),
}

impl Key {
    /// `None` if nothing tells it.
    pub(super) fn of(located: &Located<'_>) -> Option<Self> {
        match (&located.file.identity, &located.file.etag) {
            (Some(identity), _) => Some(Self::OnDisk(*identity)),
            (None, Some(etag)) if !etag.is_weak() => {
                Some(Self::Tagged(located.name.clone(), etag.clone()))
            }
            _ => None,
        }
    }
}

/// Which files lie beside a file, as it was a moment ago: most often none, which need not be asked
/// of the disk each time.
///
/// By name, and not by what tells the file itself: two names of one file (links) may have different
/// things beside them.
#[derive(Debug)]
pub(super) struct Siblings {
    known: Cache<PathBuf, (Instant, Vec<Coding>)>,
}

impl Siblings {
    const KNOWN_FOR: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self {
            known: Cache::new(10_000),
        }
    }

    fn get(&self, name: &Path) -> Option<Vec<Coding>> {
        let (since, present) = self.known.get(name)?;
        (since.elapsed() < Self::KNOWN_FOR).then_some(present)
    }
}

/// The codings in which a file is offered, in the order of this server's preference.
#[derive(Debug, Default)]
pub(super) struct Offer {
    pub(super) codings: Vec<Coding>,
    /// Whether what a client accepts plays a part at all.
    pub(super) is_negotiated: bool,
    /// Whether there may be more of them in a moment.
    pub(super) is_growing: bool,
}

/// What is offered of a file at this moment.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else the source's.
pub(super) fn offer(
    config: &Config,
    located: &Located<'_>,
    media_type: &str,
    wait: Wait,
) -> io::Result<Offer> {
    let mut offer = Offer {
        codings: siblings(config, located, wait)?,
        is_negotiated: false,
        is_growing: false,
    };
    offer.is_negotiated = !offer.codings.is_empty();
    offer_compressed(config, located, media_type, &mut offer);
    Ok(offer)
}

/// The file in a coding; `None` if there is none any more.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else the source's.
pub(super) fn variant(
    config: &Config,
    located: &Located<'_>,
    coding: Coding,
    wait: Wait,
) -> io::Result<Option<SourceFile>> {
    if config.codings.precompressed.contains(&coding)
        && let Some(file) = sibling(config, located, coding, wait)?
    {
        return Ok(Some(file));
    }
    Ok(compressed(config, located, coding))
}

/// Which codings lie beside a file.
fn siblings(config: &Config, located: &Located<'_>, wait: Wait) -> io::Result<Vec<Coding>> {
    let codings = &config.codings.precompressed;
    if codings.is_empty() {
        return Ok(Vec::new());
    }
    // What the cache keeps is asked for anew once in a while anyway; and of the files that the
    // service inside names, most are asked for once.
    let remembers = config.cache.is_none() && located.shelf == PUBLIC;
    let siblings = &config.memory().siblings;
    if remembers && let Some(present) = siblings.get(&located.name) {
        return Ok(present);
    }
    let mut present = Vec::new();
    for coding in codings {
        if sibling(config, located, *coding, wait)?.is_some() {
            present.push(*coding);
        }
    }
    if remembers {
        let now = (Instant::now(), present.clone());
        siblings.known.insert(located.name.clone(), now);
    }
    Ok(present)
}

fn sibling(
    config: &Config,
    located: &Located<'_>,
    coding: Coding,
    wait: Wait,
) -> io::Result<Option<SourceFile>> {
    let name = beside(&located.name, coding.extension());
    let Found::File(sibling) = located.source.open(&name, wait)? else {
        return Ok(None);
    };
    // No coding of anything is that short: it is about to be written.
    if sibling.length == 0 {
        return Ok(None);
    }
    // A file that was changed after it was compressed is not what lies beside it.
    let is_older = match (sibling.modified, located.file.modified) {
        (Some(sibling), Some(original)) => is_older(sibling, original),
        _ => false,
    };
    Ok((config.codings.older || !is_older).then_some(sibling))
}

/// Whether what lies beside a file was made of a state of it before.
///
/// Tools that give it the time of the file do so as exactly as they can: `utime` knows whole
/// seconds, and a number of seconds in a double (Python's `os.utime`) is a quarter of a microsecond
/// off by now.
fn is_older(sibling: SystemTime, original: SystemTime) -> bool {
    let is_whole = sibling
        .duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|since| since.subsec_nanos() == 0);
    let exactness = match is_whole {
        true => Duration::from_secs(1),
        false => Duration::from_micros(1),
    };
    original
        .duration_since(sibling)
        .is_ok_and(|lag| lag >= exactness)
}

/// The codings that are made here.
#[cfg(feature = "compression")]
const MADE_HERE: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

#[cfg(feature = "compression")]
fn offer_compressed(config: &Config, located: &Located<'_>, media_type: &str, offer: &mut Offer) {
    let Some(store) = &config.memory().compressed else {
        return;
    };
    if !store.takes(media_type, located.file.length) {
        return;
    }
    let Some(key) = Key::of(located) else {
        return;
    };
    // Even while it is not yet compressed: a cache must not keep this answer for those that
    // accept less, or more.
    offer.is_negotiated = true;
    let mut absent = Vec::new();
    for coding in MADE_HERE {
        if offer.codings.contains(&coding) {
            continue;
        }
        match store.get(&key, coding) {
            State::Ready(_) => offer.codings.push(coding),
            State::NotWorth => {}
            State::Absent => absent.push(coding),
        }
    }
    offer.is_growing = !absent.is_empty();
    let now = SystemTime::now();
    let is_settled = !is_in_flux(located.file.modified, now) && !located.file.is_young(now);
    if !absent.is_empty() && is_settled {
        let content = located.file.content.clone();
        let (length, identity) = (located.file.length, located.file.identity);
        store.start(&key, &absent, move || {
            read_unchanged(&content, length, identity)
        });
    }
}

#[cfg(not(feature = "compression"))]
fn offer_compressed(_: &Config, _: &Located<'_>, _: &str, _: &mut Offer) {}

/// All of a file, if it did not change meanwhile.
#[cfg(feature = "compression")]
fn read_unchanged(content: &Content, length: u64, identity: Option<Identity>) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let bytes = content.read(0, length, Wait::Blocking)?;
    match content.identity()? == identity {
        true => Ok(bytes),
        false => Err(io::Error::other("the file changed while it was read")),
    }
}

#[cfg(feature = "compression")]
fn compressed(config: &Config, located: &Located<'_>, coding: Coding) -> Option<SourceFile> {
    let store = config.memory().compressed.as_ref()?;
    match store.get(&Key::of(located)?, coding) {
        State::Ready(variant) => {
            let mut file = SourceFile::from_bytes(variant.bytes);
            file.modified = located.file.modified;
            file.etag = (config.tags != EntityTags::Off).then_some(variant.etag);
            Some(file)
        }
        State::NotWorth | State::Absent => None,
    }
}

#[cfg(not(feature = "compression"))]
fn compressed(_: &Config, _: &Located<'_>, _: Coding) -> Option<SourceFile> {
    None
}
