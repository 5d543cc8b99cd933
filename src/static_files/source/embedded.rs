//! Files that are a part of the program.

use std::{
    borrow::Cow, collections::BTreeSet, ffi::OsStr, fmt, io, marker::PhantomData, path::Path,
};

use bytes::Bytes;
use rust_embed::Embed;

use super::{Found, MemoryFiles, Source, SourceFile, Wait, memory::key};
use crate::static_files::{
    digest,
    listing::{DirEntry, Listed, is_shown},
};

/// The files that [rust-embed] puts into the program: a [`Source`].
///
/// The crate `rust-embed` 8 must be a dependency of your own as well, for its derive macro.
///
/// ```
/// use rust_embed::Embed;
/// use tower::ServiceExt;
/// use tower_gateway::{StaticFiles, static_files::EmbeddedFiles};
///
/// #[derive(Embed)]
/// #[folder = "examples/site"]
/// struct Site;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let files = StaticFiles::from_source(EmbeddedFiles::<Site>::new());
/// let response = files.oneshot(http::Request::get("/").body(())?).await?;
/// assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
///
/// In a release build they are sent from where the program has them, without a copy, and without
/// a wait. A debug build reads them from the disk for each request, on the blocking pool, so that
/// an edit is seen at once; a name is looked for among all that the folder has, so that what is
/// served is the same in both, and that takes as long as walking the folder does. rust-embed's
/// feature `debug-embed` makes debug builds like release builds.
///
/// (Of the crates that do this, rust-embed also hashes at compile time, so that a tag costs
/// nothing, and has the mode for development; `include_dir` has neither.)
///
/// The entity tag of a file is the hash of its bytes. There is no `Last-Modified`: the times of a
/// build are those of a checkout, or one for all (`SOURCE_DATE_EPOCH`), and would have a client
/// keep an old file for a new one.
///
/// [rust-embed]: https://docs.rs/rust-embed/8
#[must_use]
pub struct EmbeddedFiles<E> {
    /// `None` if they are read from the disk.
    carried: Option<MemoryFiles>,
    of: PhantomData<fn() -> E>,
}

impl<E> EmbeddedFiles<E>
where
    E: Embed,
{
    /// All that `E` has.
    pub fn new() -> Self {
        // What rust-embed decompresses (its feature `compression`) is not borrowed either, and
        // is decompressed only once here.
        let is_carried = !cfg!(debug_assertions)
            || E::iter()
                .next()
                .and_then(|name| E::get(&name))
                .is_some_and(|file| matches!(file.data, Cow::Borrowed(_)));
        Self {
            carried: is_carried.then(Self::carried),
            of: PhantomData,
        }
    }

    fn carried() -> MemoryFiles {
        let mut files = MemoryFiles::new();
        for name in E::iter() {
            if let Some(file) = E::get(&name) {
                files.put(&name, bytes(file.data), file.metadata.sha256_hash(), None);
            }
        }
        files
    }
}

impl<E> Source for EmbeddedFiles<E>
where
    E: Embed + 'static,
{
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        match &self.carried {
            Some(files) => files.open(name, wait),
            None if wait == Wait::Never => Err(io::ErrorKind::WouldBlock.into()),
            None => Ok(key(name).map_or(Found::Nothing, |name| open_on_disk::<E>(&name))),
        }
    }

    fn list(&self, directory: &Path, limit: usize, dotfiles: bool) -> io::Result<Option<Listed>> {
        match &self.carried {
            Some(files) => files.list(directory, limit, dotfiles),
            None => {
                Ok(key(directory)
                    .and_then(|directory| list_on_disk::<E>(&directory, limit, dotfiles)))
            }
        }
    }
}

/// rust-embed opens more names than it lists: other spellings, links, a FIFO.
fn open_on_disk<E: Embed>(name: &str) -> Found {
    let mut is_directory = name.is_empty();
    for listed in E::iter() {
        let relative = listed.strip_prefix('/').unwrap_or(&listed);
        match relative.strip_prefix(name) {
            Some("") => {
                return match E::get(&listed) {
                    Some(file) => Found::File(
                        SourceFile::from_bytes(bytes(file.data))
                            .etag(digest::tag(&file.metadata.sha256_hash())),
                    ),
                    // Gone in between.
                    None => Found::Nothing,
                };
            }
            Some(rest) => is_directory |= rest.starts_with('/'),
            None => {}
        }
    }
    match is_directory {
        true => Found::Directory,
        false => Found::Nothing,
    }
}

/// What one folder has of all that are listed.
fn list_on_disk<E: Embed>(directory: &str, limit: usize, dotfiles: bool) -> Option<Listed> {
    let below = match directory {
        "" => String::new(),
        directory => format!("{directory}/"),
    };
    let mut listed = Listed::default();
    let mut seen = BTreeSet::new();
    for name in E::iter() {
        let relative = name.strip_prefix('/').unwrap_or(&name);
        let Some(rest) = relative.strip_prefix(&below) else {
            continue;
        };
        let (child, is_directory) = match rest.split_once('/') {
            Some((child, _)) => (child, true),
            None => (rest, false),
        };
        if !seen.insert((child.to_owned(), is_directory)) {
            continue;
        }
        if seen.len() > limit {
            listed.truncated = true;
            break;
        }
        if !is_shown(OsStr::new(child), dotfiles) {
            continue;
        }
        if is_directory {
            listed.entries.push(DirEntry::directory(child, None));
        } else if let Some(file) = E::get(&name) {
            let length = file.data.len() as u64;
            listed.entries.push(DirEntry::file(child, length, None));
        }
    }
    (directory.is_empty() || !seen.is_empty()).then_some(listed)
}

fn bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    }
}

impl<E> Default for EmbeddedFiles<E>
where
    E: Embed,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for EmbeddedFiles<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedFiles")
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}
