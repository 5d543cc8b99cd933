//! Files in memory.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    fmt, io,
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Content, Found, Source, SourceFile, Wait};
use crate::{
    semantics::conditional::EntityTag,
    static_files::{
        digest,
        listing::{DirEntry, Listed, is_shown},
    },
};

/// Files in memory, by their names: a [`Source`] that never waits.
///
/// ```
/// use tower::ServiceExt;
/// use tower_gateway::{StaticFiles, static_files::MemoryFiles};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let files = MemoryFiles::from_iter([
///     ("index.html", "<!doctype html><title>Hello</title>"),
///     ("css/style.css", "body { color: teal }"),
/// ]);
/// let files = StaticFiles::from_source(files).at("/static");
///
/// let request = http::Request::get("/static/css/style.css").body(())?;
/// let response = files.oneshot(request).await?;
/// assert_eq!(response.headers()["content-type"], "text/css; charset=utf-8");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
///
/// The entity tag of each is the hash of its bytes, computed when it is put in (at most a few
/// milliseconds for a MiB). Names are UTF-8, relative, and separated by `/`; the
/// directories are those that the names have. A name that no path has (empty, with an empty
/// segment, `.`, or `..`) is never found.
///
/// Clones share everything, and what is put into one later is not in the others. To change what is
/// served while it is, wrap it in a [`Source`] that holds the one of the moment:
///
/// ```
/// use std::{io, path::Path, sync::{Arc, RwLock}};
/// use tower_gateway::static_files::{Found, MemoryFiles, Source, Wait};
///
/// #[derive(Clone, Debug, Default)]
/// struct Current(Arc<RwLock<MemoryFiles>>);
///
/// impl Current {
///     fn replace(&self, files: MemoryFiles) {
///         *self.0.write().expect("nobody panics with the lock") = files;
///     }
/// }
///
/// impl Source for Current {
///     fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
///         // Held for as long as a look into a map takes.
///         self.0.read().expect("nobody panics with the lock").open(name, wait)
///     }
/// }
///
/// let current = Current::default();
/// let served = current.clone();
/// assert!(matches!(served.open("a.txt".as_ref(), Wait::Never)?, Found::Nothing));
/// current.replace(MemoryFiles::new().file("a.txt", "content"));
/// assert!(matches!(served.open("a.txt".as_ref(), Wait::Never)?, Found::File(_)));
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct MemoryFiles {
    tree: Arc<Tree>,
}

/// A name may be in both: then it is a file without a slash behind it, and a directory with one.
#[derive(Clone, Default)]
struct Tree {
    files: HashMap<Box<str>, MemoryFile>,
    /// What is in each, by its name there.
    directories: HashMap<Box<str>, BTreeSet<Box<str>>>,
}

#[derive(Clone)]
struct MemoryFile {
    bytes: Bytes,
    etag: EntityTag,
    modified: Option<SystemTime>,
}

impl MemoryFiles {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts one in, in the place of one that has the name. A slash before the name does not count.
    pub fn file(mut self, name: impl AsRef<str>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes).into();
        self.put(name.as_ref(), bytes, sha256, None);
        self
    }

    /// The same, for a file that was last changed at this time, which becomes `Last-Modified`.
    pub fn file_modified(
        mut self,
        name: impl AsRef<str>,
        bytes: impl Into<Bytes>,
        modified: SystemTime,
    ) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes).into();
        self.put(name.as_ref(), bytes, sha256, Some(modified));
        self
    }

    /// Puts in a file whose hash is known.
    pub(super) fn put(
        &mut self,
        name: &str,
        bytes: Bytes,
        sha256: [u8; 32],
        modified: Option<SystemTime>,
    ) {
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return;
        }
        let tree = Arc::make_mut(&mut self.tree);
        let mut rest = name;
        while !rest.is_empty() {
            let (directory, child) = rest.rsplit_once('/').unwrap_or(("", rest));
            let children = tree.directories.entry(directory.into()).or_default();
            children.insert(child.into());
            rest = directory;
        }
        let file = MemoryFile {
            etag: digest::tag(&sha256),
            bytes,
            modified,
        };
        tree.files.insert(name.into(), file);
    }
}

impl<N, B> FromIterator<(N, B)> for MemoryFiles
where
    N: AsRef<str>,
    B: Into<Bytes>,
{
    fn from_iter<I>(files: I) -> Self
    where
        I: IntoIterator<Item = (N, B)>,
    {
        files
            .into_iter()
            .fold(Self::new(), |all, (name, bytes)| all.file(name, bytes))
    }
}

impl Source for MemoryFiles {
    fn open(&self, name: &Path, _: Wait) -> io::Result<Found> {
        let Some(name) = key(name) else {
            return Ok(Found::Nothing);
        };
        if let Some(file) = self.tree.files.get(&*name) {
            return Ok(Found::File(file.open()));
        }
        // The root is one even with nothing in it.
        match name.is_empty() || self.tree.directories.contains_key(&*name) {
            true => Ok(Found::Directory),
            false => Ok(Found::Nothing),
        }
    }

    fn list(&self, directory: &Path, limit: usize, dotfiles: bool) -> io::Result<Option<Listed>> {
        let Some(directory) = key(directory) else {
            return Ok(None);
        };
        let Some(children) = self.tree.directories.get(&*directory) else {
            return Ok(directory.is_empty().then(Listed::default));
        };
        let mut listed = Listed {
            entries: Vec::new(),
            truncated: children.len() > limit,
        };
        for child in children.iter().take(limit) {
            if !is_shown(OsStr::new(&**child), dotfiles) {
                continue;
            }
            let name = match directory.is_empty() {
                true => child.to_string(),
                false => format!("{directory}/{child}"),
            };
            if self.tree.directories.contains_key(name.as_str()) {
                listed.entries.push(DirEntry::directory(&**child, None));
            }
            if let Some(file) = self.tree.files.get(name.as_str()) {
                let length = file.bytes.len() as u64;
                let entry = DirEntry::file(&**child, length, file.modified);
                listed.entries.push(entry);
            }
        }
        Ok(Some(listed))
    }
}

impl MemoryFile {
    fn open(&self) -> SourceFile {
        SourceFile {
            length: self.bytes.len() as u64,
            content: Content::Bytes(self.bytes.clone()),
            modified: self.modified,
            // There is no place on a disk that could tell it from others; its tag does.
            identity: None,
            etag: Some(self.etag.clone()),
        }
    }
}

/// A name as names are here; `None` if none is.
pub(super) fn key(name: &Path) -> Option<Cow<'_, str>> {
    let name = name.to_str()?;
    match cfg!(windows) && name.contains('\\') {
        true => Some(Cow::Owned(name.replace('\\', "/"))),
        false => Some(Cow::Borrowed(name)),
    }
}

impl fmt::Debug for MemoryFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFiles")
            .field("files", &self.tree.files.len())
            .finish_non_exhaustive()
    }
}
