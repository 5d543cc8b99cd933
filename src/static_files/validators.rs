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
    /// Of a file whose time says nothing, the tag is made as by [`Content`](Self::Content): one of
    /// the future, and one before 1990, which no page of the web has. What packs files so that each
    /// run gives the same gives such times to all of them: 1970 (Nix, reproducible images), 1980
    /// (zip), 1985 (npm).
    #[default]
    Modified,
    /// The hash of its content, for replicas that do not keep times. Each state of a file is read
    /// and hashed once, on the blocking pool (on systems other than Unix, which do not tell one
    /// state from another, for each request that no cache answers); files above 64 MiB are treated
    /// as by [`Modified`](Self::Modified).
    Content,
    /// What the file beside it with `.etag` behind the name says (`style.css.etag`), which a build
    /// can write; without one, as by [`Modified`](Self::Modified). It costs one attempt to open.
    ///
    /// A tag of up to 256 bytes, with or without its quotes; a weak one stays weak. It counts
    /// whatever its time is, so the build has to write it anew with each change of the file, and
    /// of what lies [beside it](super::StaticFiles::precompressed) in another coding.
    Sidecar,
    /// None.
    Off,
}

/// The largest file that is hashed for its tag.
const HASHED_UP_TO: u64 = 64 << 20;

/// 1990-01-01. An older time is that of no file that was made for the web, but what a tool gives to
/// every file: 0 or 1 (Nix, reproducible images), 1980 (zip, whose times begin there), 1985-10-26
/// (npm). They stay when the content changes.
const FIRST_WEB_PAGE: Duration = Duration::from_secs(631_152_000);

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
/// RFC 9110 §8.8.3.3: "a strong entity tag for a content-encoded representation has to be distinct
/// from the entity tag of an unencoded representation". So the suffix is behind every tag, whatever
/// that is made of: a source may tell the tag of a whole build for each of its files, and two files
/// of one length may have one time, or one content.
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
    let now = SystemTime::now();
    let time = Time::of(located.file.modified, now);
    let tag = tag(tags, digests, located, &time, now, wait)?;
    // A moment later it may be free to hash the file, or the file is what it was for longer.
    let lacks_tag = tag.is_none() && tags != EntityTags::Off && located.file.length <= HASHED_UP_TO;
    Ok(Stated {
        validators: Validators {
            etag: tag.and_then(|tag| match suffix {
                "" => Some(tag),
                _ => tag.with_suffix(suffix),
            }),
            last_modified: time.last_modified,
        },
        is_settled: time.is_settled && !lacks_tag && !located.file.is_young(now),
    })
}

fn tag(
    tags: EntityTags,
    digests: &Digests<Identity>,
    located: &Located<'_>,
    time: &Time,
    now: SystemTime,
    wait: Wait,
) -> io::Result<Option<EntityTag>> {
    let file = &located.file;
    if let Some(given) = &file.etag {
        return Ok(Some(given.clone()));
    }
    let asked_for = match tags {
        EntityTags::Off => return Ok(None),
        EntityTags::Modified => None,
        EntityTags::Content => hash(digests, file, now, wait)?,
        EntityTags::Sidecar => sidecar(located, wait)?,
    };
    match asked_for.or_else(|| time.tag(file.length)) {
        None => hash(digests, file, now, wait),
        tag => Ok(tag),
    }
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
        // One of the future is that of a clock that was wrong. Neither changes with the content.
        let telling = modified
            .filter(|_| age.is_some())
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
            .filter(|since| *since >= FIRST_WEB_PAGE);
        let last_modified = telling
            .and(modified)
            .and_then(|time| LastModified::new(time, now));
        let is_young = modified.is_some_and(|time| is_within_tick(time, now));
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
    /// RFC 9110 §8.8.1, of weak validators: "This weakness might be due to limitations in how the
    /// value is calculated (e.g., clock resolution)". When a young file has come of age, its tag has
    /// another text too, so that no copy of a draft counts as the final one.
    fn tag(&self, length: u64) -> Option<EntityTag> {
        let time = self.telling?.as_nanos();
        let mut opaque = String::with_capacity(64);
        write!(opaque, "{time:x}-{length:x}").ok()?;
        match self.is_young {
            false => EntityTag::strong(&opaque),
            true => EntityTag::weak(&(opaque + "-young")),
        }
    }
}

/// Whether what was changed at this time may be changed again and have the same time.
pub(super) fn is_within_tick(time: SystemTime, now: SystemTime) -> bool {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let tick = match since {
        Ok(since) if since.subsec_nanos() == 0 => COARSE_TICK,
        _ => TICK,
    };
    now.duration_since(time).is_ok_and(|age| age < tick)
}

/// The hash of the content, if it is not too long, and if not too much is hashed already.
fn hash(
    digests: &Digests<Identity>,
    file: &SourceFile,
    now: SystemTime,
    wait: Wait,
) -> io::Result<Option<EntityTag>> {
    if file.length > HASHED_UP_TO {
        return Ok(None);
    }
    match (&file.content, &file.identity) {
        (Content::Bytes(bytes), _) if file.length <= HASHED_AT_ONCE || wait == Wait::Blocking => {
            Ok(Some(of_bytes(bytes)))
        }
        // What would be remembered of a young file might be said of its next state too.
        (Content::File(_), Some(identity)) if !file.is_young(now) => match digests.get(identity) {
            None if wait == Wait::Blocking => {
                let Some(_leave) = digests.leave() else {
                    return Ok(None);
                };
                let tag = digests.get_or_compute(identity, || of_state(file));
                or_none(tag)
            }
            None => Err(io::ErrorKind::WouldBlock.into()),
            known => Ok(known),
        },
        (Content::File(_), _) if wait == Wait::Blocking => match digests.leave() {
            Some(_leave) => or_none(of_state(file)),
            None => Ok(None),
        },
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The tag of a file's content, if it was the same all the while.
fn of_state(file: &SourceFile) -> io::Result<EntityTag> {
    let tag = match &file.content {
        Content::Bytes(bytes) => of_bytes(bytes),
        Content::File(open) => of_file(open, file.length)?,
    };
    match file.content.identity()? == file.identity {
        true => Ok(tag),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A file that changed while it was hashed has no tag.
fn or_none(tag: io::Result<EntityTag>) -> io::Result<Option<EntityTag>> {
    match tag {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        tag => tag.map(Some),
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
