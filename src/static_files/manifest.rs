//! What a build wrote down about its files: which of them have a hash in the name.
//!
//! * Django, `staticfiles.json` (`ManifestFilesMixin` in `contrib/staticfiles/storage.py`):
//!   `{"paths": {"css/base.css": "css/base.27e20196a850.css"}, "version": "1.1", "hash": "…"}`.
//! * Vite, `.vite/manifest.json` ("Backend Integration" in its guide; `ManifestChunk` in
//!   `plugins/manifest.ts`): `{"src/main.js": {"file": "assets/main-BG8BsC3m.js", "src": …,
//!   "name": "main", "css": ["assets/main-DpprsC9T.css"], "assets": […]}}`.
//! * webpack-manifest-plugin, and others after it: `{"main.js": "/static/js/main.8f3b1c2d.js"}`;
//!   Create React App's `asset-manifest.json` has that under `files`.

use std::{
    collections::HashSet,
    error, fmt,
    path::{Component, Path},
};

use serde_json::{Map, Value};

use super::hashed::{has_token, is_hashed, split};
use crate::semantics::mount::Prefix;

/// The manifest of 50,000 files is less than half of it.
pub(super) const MAX_LENGTH: usize = 16 << 20;

/// The names with a hash, of one build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Below the root, with `/` between segments.
    hashed: HashSet<Box<str>>,
}

impl Manifest {
    /// Reads the manifest at `location`, below the root of files that appear at `mount`.
    ///
    /// Names in it count from its own directory (Vite's from the one around `.vite`); those that
    /// begin with a slash or a host are URLs, and count from `mount`.
    pub(super) fn read(
        location: &Path,
        mount: &Prefix,
        text: &[u8],
    ) -> Result<Self, ManifestError> {
        if text.len() > MAX_LENGTH {
            return Err(ManifestError::TooLong(text.len()));
        }
        let Value::Object(top) = serde_json::from_slice(text).map_err(ManifestError::NotJson)?
        else {
            return Err(ManifestError::UnknownFormat);
        };
        let mut build = Build {
            directory: directory(location).ok_or(ManifestError::Location)?,
            mount,
            hashed: HashSet::new(),
            plain: HashSet::new(),
        };
        match (top.get("paths"), top.get("files")) {
            (Some(Value::Object(paths)), _) => {
                let version = top.get("version").and_then(Value::as_str);
                // As Django: "if version in ("1.0", "1.1")".
                if !matches!(version, Some("1.0" | "1.1")) {
                    let version = version.unwrap_or("without one").to_owned();
                    return Err(ManifestError::UnknownVersion(version));
                }
                build.add_django(paths);
            }
            (_, Some(Value::Object(files))) => build.add_flat(files)?,
            _ if is_vite(&top) => build.add_vite(&top),
            _ => build.add_flat(&top)?,
        }
        let Build { hashed, plain, .. } = build;
        Ok(Self {
            hashed: &hashed - &plain,
        })
    }

    /// Whether the file of this name, below the root, has a hash of its content in the name.
    pub(super) fn contains(&self, name: &Path) -> bool {
        match name.to_str() {
            Some(name) if cfg!(windows) => self.hashed.contains(&*name.replace('\\', "/")),
            Some(name) => self.hashed.contains(name),
            None => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hashed.len()
    }
}

/// A manifest while it is read.
struct Build<'a> {
    /// Where relative names count from: empty, or with a slash behind it.
    directory: String,
    mount: &'a Prefix,
    hashed: HashSet<Box<str>>,
    /// What some entry knows to have no hash, whatever it looks like to another.
    plain: HashSet<Box<str>>,
}

impl Build<'_> {
    /// The original name, and the stored one: `save_manifest` writes each file that was hashed.
    /// A storage whose `file_hash` is `None` writes the same name twice.
    fn add_django(&mut self, paths: &Map<String, Value>) {
        for (original, stored) in paths {
            if let Some(stored) = stored.as_str().filter(|stored| stored != original)
                && let Some(name) = self.below_root(stored)
            {
                self.hashed.insert(name);
            }
        }
    }

    fn add_vite(&mut self, chunks: &Map<String, Value>) {
        for (key, chunk) in chunks {
            let text = |field| chunk.get(field).and_then(Value::as_str);
            if let Some(file) = text("file") {
                self.add(file, &[Some(key), text("src"), text("name")]);
            }
            for field in ["css", "assets"] {
                let list = chunk.get(field);
                let one = list.into_iter();
                let several = list.and_then(Value::as_array).into_iter().flatten();
                for file in one.chain(several).filter_map(Value::as_str) {
                    self.add(file, &[]);
                }
            }
        }
    }

    fn add_flat(&mut self, files: &Map<String, Value>) -> Result<(), ManifestError> {
        // Others (webpack-assets-manifest) have their `entrypoints` between the names.
        if !files.is_empty() && !files.values().any(Value::is_string) {
            return Err(ManifestError::UnknownFormat);
        }
        for (original, stored) in files {
            if let Some(stored) = stored.as_str() {
                let path = stored.split(['?', '#']).next().unwrap_or_default();
                self.add(path, &[Some(original)]);
            }
        }
        Ok(())
    }

    /// Bundlers list files without a hash as well, such as `main.js` for `src/main.ts`.
    fn add(&mut self, stored: &str, originals: &[Option<&str>]) {
        let Some(name) = self.below_root(stored) else {
            return;
        };
        let keeps_its_name = originals
            .iter()
            .flatten()
            .any(|original| stem(original) == stem(&name));
        // webpack lists a chunk that has no name of its own under the stored one.
        let is_in_name = if keeps_its_name {
            is_hashed(Path::new(&*name))
        } else {
            has_token(file_name(&name))
        };
        if is_in_name {
            self.hashed.insert(name);
        } else {
            self.plain.insert(name);
        }
    }

    /// `None` for what is not below the root, or not a plain path.
    fn below_root(&self, stored: &str) -> Option<Box<str>> {
        let name = match url_path(stored) {
            Some(path) => self.mount.strip(path)?.trim_start_matches('/').to_owned(),
            None => {
                let relative = stored.strip_prefix("./").unwrap_or(stored);
                format!("{}{relative}", self.directory)
            }
        };
        let is_plain = |segment| !matches!(segment, "" | "." | "..");
        (name.split('/').all(is_plain) && !name.contains(['\\', '\0'])).then(|| name.into())
    }
}

/// The directory that relative names count from, with a slash behind it.
fn directory(location: &Path) -> Option<String> {
    let mut directory = location.parent()?;
    if directory.ends_with(".vite") {
        directory = directory.parent()?;
    }
    let mut prefix = String::new();
    for component in directory.components() {
        let Component::Normal(segment) = component else {
            return None;
        };
        prefix.push_str(segment.to_str()?);
        prefix.push('/');
    }
    Some(prefix)
}

/// The path of `/a/b` and `https://cdn.example/a/b`. A CDN with an address of its own fetches from
/// here by the same path.
fn url_path(stored: &str) -> Option<&str> {
    let behind_scheme = match stored.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => Some(rest),
        _ => stored.strip_prefix("//"),
    };
    match behind_scheme {
        Some(rest) => rest.find('/').map(|path| &rest[path..]),
        None => stored.starts_with('/').then_some(stored),
    }
}

fn is_vite(top: &Map<String, Value>) -> bool {
    !top.is_empty()
        && top
            .values()
            .all(|chunk| chunk.get("file").is_some_and(Value::is_string))
}

fn file_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, file)| file)
}

fn stem(name: &str) -> &str {
    let file = file_name(name);
    split(file).map_or(file, |(stem, _)| stem)
}

/// Why a manifest says nothing.
#[derive(Debug)]
pub(super) enum ManifestError {
    TooLong(usize),
    NotJson(serde_json::Error),
    UnknownFormat,
    UnknownVersion(String),
    Location,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(
                    f,
                    "the manifest has {length} bytes, and {MAX_LENGTH} are read at most"
                )
            }
            Self::NotJson(_) => f.write_str("the manifest is not JSON"),
            Self::UnknownFormat => f.write_str(
                "the manifest is none of Django's staticfiles.json, Vite's .vite/manifest.json, \
                 and webpack's manifest.json or asset-manifest.json",
            ),
            Self::UnknownVersion(version) => {
                write!(
                    f,
                    "the manifest is Django's, of a version not known: {version}"
                )
            }
            Self::Location => f.write_str("the manifest is not in a directory below the root"),
        }
    }
}

impl error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NotJson(source) => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
