//! The codings in which there is a file: as a file beside it, or compressed here.

#[cfg(feature = "compression")]
use std::time::SystemTime;
use std::{
    io,
    time::{Duration, Instant},
};

#[cfg(feature = "compression")]
use bytes::Bytes;
use quick_cache::sync::Cache;

#[cfg(feature = "compression")]
use super::{
    compress::{State, is_in_flux},
    source::Content,
};
use super::{
    find::Located,
    layer::Config,
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

/// What tells a state of a file from others, where the system does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    OnDisk(Identity),
    Tagged(std::path::PathBuf, EntityTag),
}

impl Key {
    fn of(located: &Located<'_>) -> Option<Self> {
        match (&located.file.identity, &located.file.etag) {
            (Some(identity), _) => Some(Self::OnDisk(*identity)),
            (None, Some(etag)) => Some(Self::Tagged(located.name.clone(), etag.clone())),
            (None, None) => None,
        }
    }
}

/// Which files lie beside a file, as it was a moment ago: most often none, which need not be asked
/// of the disk each time.
#[derive(Debug)]
pub(super) struct Siblings {
    known: Cache<Key, (Instant, Vec<Coding>)>,
}

impl Siblings {
    const KNOWN_FOR: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self {
            known: Cache::new(10_000),
        }
    }
}

/// The codings in which a file is offered, in the order of this server's preference.
#[derive(Debug, Default)]
pub(super) struct Offer {
    pub(super) codings: Vec<Coding>,
    /// Whether what a client accepts plays a part at all.
    pub(super) is_negotiated: bool,
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
    let key = Key::of(located);
    let known = &config.memory().siblings.known;
    // What is kept in memory is asked for anew once in a while anyway.
    let remembers = config.cache.is_none();
    if remembers
        && let Some(key) = &key
        && let Some((since, present)) = known.get(key)
        && since.elapsed() < Siblings::KNOWN_FOR
    {
        return Ok(present);
    }
    let mut present = Vec::new();
    for coding in codings {
        if sibling(config, located, *coding, wait)?.is_some() {
            present.push(*coding);
        }
    }
    if remembers && let Some(key) = key {
        known.insert(key, (Instant::now(), present.clone()));
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
    // A file that was changed after it was compressed is not what lies beside it.
    let is_older = match (sibling.modified, located.file.modified) {
        (Some(sibling), Some(original)) => sibling < original,
        _ => false,
    };
    Ok((config.codings.older || !is_older).then_some(sibling))
}

/// The codings that are made here.
#[cfg(feature = "compression")]
const MADE_HERE: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

#[cfg(feature = "compression")]
fn offer_compressed(config: &Config, located: &Located<'_>, media_type: &str, offer: &mut Offer) {
    let Some(store) = &config.memory().compressed else {
        return;
    };
    let Some(key) = Key::of(located).filter(|_| store.takes(media_type, located.file.length))
    else {
        return;
    };
    // Even while it is not yet compressed: a cache must not keep this answer for those that
    // accept less, or more.
    offer.is_negotiated = true;
    let mut is_absent = false;
    for coding in MADE_HERE {
        if offer.codings.contains(&coding) {
            continue;
        }
        match store.get(&key, coding) {
            State::Ready(_) => offer.codings.push(coding),
            State::NotWorth => {}
            State::Absent => is_absent = true,
        }
    }
    if is_absent && !is_in_flux(located.file.modified, SystemTime::now()) {
        let content = located.file.content.clone();
        let (length, identity) = (located.file.length, located.file.identity);
        store.start(&key, &MADE_HERE, move || {
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
            let file = SourceFile::from_bytes(variant.bytes).etag(variant.etag);
            Some(match located.file.modified {
                Some(time) => file.modified(time),
                None => file,
            })
        }
        State::NotWorth | State::Absent => None,
    }
}

#[cfg(not(feature = "compression"))]
fn compressed(_: &Config, _: &Located<'_>, _: Coding) -> Option<SourceFile> {
    None
}
