//! What tells one state of a file from another: `ETag` and `Last-Modified`.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    digest::{Digests, LONGEST_SIDECAR, of_bytes, of_file, parse_sidecar},
    find::Located,
    source::{Content, Found, Identity, Source as _, SourceFile, Wait},
};
use crate::semantics::conditional::{EntityTag, LastModified, Validators};

/// What the `ETag` of a file is made of.
///
/// A tag that the [`Source`](super::Source) itself gave counts before all of this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntityTags {
    /// Its size and its modification time, to the nanosecond. It costs nothing, and replicas that
    /// keep times agree.
    ///
    /// Of a file whose time says nothing, the tag is made as by [`Content`](Self::Content): the
    /// first two seconds of 1970 (Nix, reproducible images), before 1970, and the future.
    #[default]
    Modified,
    /// The hash of its content, for replicas that do not keep times. Each state of a file is read
    /// and hashed once, on the blocking pool; files above 64 MiB are treated as by
    /// [`Modified`](Self::Modified).
    Content,
    /// What the file beside it with `.etag` behind the name says (`style.css.etag`), which a build
    /// can write; without one, as by [`Modified`](Self::Modified). It costs one attempt to open.
    Sidecar,
    /// None.
    Off,
}

/// The largest file that is hashed for its tag.
const HASHED_UP_TO: u64 = 64 << 20;

/// As much of a file in memory is hashed on a thread of the runtime.
const HASHED_AT_ONCE: u64 = 64 << 10;

/// A file may change again within a tick of the clock that gave it its time; the kernel's has up
/// to 10 ms, and a file system that knows no fractions has two seconds (FAT).
const TICK: Duration = Duration::from_millis(20);
const COARSE_TICK: Duration = Duration::from_secs(2);

/// Validators, and whether they stay what they are while the file does.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    pub(super) validators: Validators,
    /// `false`: a moment later they will be others.
    pub(super) is_settled: bool,
}

/// The validators of a file that is sent as it is; `suffix` tells one coding from another.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait and something has to be read; else the source's.
pub(super) fn validators(
    tags: EntityTags,
    digests: &Digests<Identity>,
    located: &Located<'_>,
    suffix: &str,
    wait: Wait,
) -> io::Result<Stated> {
    let file = &located.file;
    let time = Time::of(file.modified, SystemTime::now());
    let given = match (&file.etag, tags) {
        (Some(etag), _) => Some(etag.clone()),
        (None, EntityTags::Off) => {
            return Ok(Stated {
                validators: Validators {
                    etag: None,
                    last_modified: time.last_modified,
                },
                is_settled: time.is_settled,
            });
        }
        (None, EntityTags::Content) => hash(digests, file, wait)?,
        (None, EntityTags::Sidecar) => sidecar(located, wait)?,
        (None, EntityTags::Modified) => None,
    };
    let etag = match given {
        Some(etag) if suffix.is_empty() => Some(etag),
        Some(etag) => etag.with_suffix(suffix),
        None => match time.tag(file.length, suffix) {
            Some(etag) => Some(etag),
            None => hash(digests, file, wait)?.and_then(|etag| etag.with_suffix(suffix)),
        },
    };
    Ok(Stated {
        validators: Validators {
            etag,
            last_modified: time.last_modified,
        },
        is_settled: time.is_settled,
    })
}

/// What the time of a file is good for.
struct Time {
    /// Since 1970; `None` if it says nothing about the content.
    telling: Option<Duration>,
    /// It may change within the tick in which it was changed.
    is_young: bool,
    last_modified: Option<LastModified>,
    is_settled: bool,
}

impl Time {
    fn of(modified: Option<SystemTime>, now: SystemTime) -> Self {
        let age = modified.and_then(|time| now.duration_since(time).ok());
        // Times of the first two seconds are what package builders (Nix, reproducible images) give
        // to every file; an older one is an accident, and one of the future a clock that was
        // wrong. All stay when the content changes.
        let telling = modified
            .filter(|_| age.is_some())
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
            .filter(|since| *since >= Duration::from_secs(2));
        let tick = match telling {
            Some(since) if since.subsec_nanos() == 0 => COARSE_TICK,
            _ => TICK,
        };
        let last_modified = telling
            .and(modified)
            .and_then(|time| LastModified::new(time, now));
        let is_young = age.is_some_and(|age| age < tick);
        Self {
            telling,
            is_young,
            is_settled: match modified {
                // A time of the future will be one of the past.
                Some(_) if age.is_none() => false,
                _ => !is_young && last_modified.is_none_or(|date| date.is_strong()),
            },
            last_modified,
        }
    }

    /// No inode: it differs between replicas of one file.
    ///
    /// RFC 9110 §8.8.3.3: "a strong entity tag for a content-encoded representation has to be
    /// distinct from the entity tag of an unencoded representation". §8.8.1, of weak validators:
    /// "This weakness might be due to limitations in how the value is calculated (e.g., clock
    /// resolution)". When a young file has come of age, its tag has another text too, so that no
    /// copy of a draft counts as the final one.
    fn tag(&self, length: u64, suffix: &str) -> Option<EntityTag> {
        let time = self.telling?.as_nanos();
        let mut opaque = String::with_capacity(64);
        write!(opaque, "{time:x}-{length:x}{suffix}").ok()?;
        match self.is_young {
            false => EntityTag::strong(&opaque),
            true => EntityTag::weak(&(opaque + "-young")),
        }
    }
}

/// The hash of the content, if it is not too long.
fn hash(
    digests: &Digests<Identity>,
    file: &SourceFile,
    wait: Wait,
) -> io::Result<Option<EntityTag>> {
    if file.length > HASHED_UP_TO {
        return Ok(None);
    }
    match (&file.content, &file.identity) {
        (Content::Bytes(bytes), _) if file.length <= HASHED_AT_ONCE || wait == Wait::Blocking => {
            Ok(Some(of_bytes(bytes)))
        }
        (Content::File(open), Some(identity)) => match digests.get(identity) {
            None if wait == Wait::Blocking => digests
                .get_or_compute(identity, || of_file(open, file.length))
                .map(Some),
            None => Err(io::ErrorKind::WouldBlock.into()),
            known => Ok(known),
        },
        (Content::File(open), None) if wait == Wait::Blocking => {
            of_file(open, file.length).map(Some)
        }
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// What the file beside it says, if there is one.
fn sidecar(located: &Located<'_>, wait: Wait) -> io::Result<Option<EntityTag>> {
    let name = beside(&located.name, "etag");
    let Found::File(sidecar) = located.source.open(&name, wait)? else {
        return Ok(None);
    };
    let length = usize::try_from(sidecar.length).unwrap_or(usize::MAX);
    if length > LONGEST_SIDECAR {
        return Ok(None);
    }
    Ok(parse_sidecar(&sidecar.content.read(0, length, wait)?))
}

/// The name of the file that lies beside another: with an extension more.
pub(super) fn beside(name: &Path, extension: &str) -> PathBuf {
    let mut beside = name.as_os_str().to_owned();
    beside.push(".");
    beside.push(extension);
    beside.into()
}
