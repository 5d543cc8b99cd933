//! From a path to the names under which a file may lie.

use std::{
    borrow::Cow,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::semantics::path::decode;

/// What a path below the mount names.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Relative to the root; empty for the root itself.
    pub(super) name: PathBuf,
    /// Whether a slash stands behind it: then it is a directory's index file, and never a file.
    pub(super) has_slash: bool,
}

impl Target {
    /// `None` if no file can have this path, whatever the disk says. `below` is in canonical form.
    pub(super) fn of(below: &str, dotfiles: bool) -> Option<Self> {
        // An encoded slash, if the policy lets one pass, is a byte of its segment; no file has
        // such a name.
        if below.contains("%2F") {
            return None;
        }
        // The canonical form never escapes a dot.
        let is_hidden = |segment: &str| segment.starts_with('.') && segment != ".well-known";
        if !dotfiles && below.split('/').any(is_hidden) {
            return None;
        }
        let has_slash = below.ends_with('/');
        let below = below.strip_prefix('/').unwrap_or(below);
        let name = file_name(decode(below.strip_suffix('/').unwrap_or(below)))?;
        Some(Self { name, has_slash })
    }
}

/// The bytes of a path as a name of this system's.
#[cfg(unix)]
pub(super) fn file_name(bytes: Cow<'_, [u8]>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;

    Some(OsString::from_vec(bytes.into_owned()).into())
}

#[cfg(not(unix))]
pub(super) fn file_name(bytes: Cow<'_, [u8]>) -> Option<PathBuf> {
    String::from_utf8(bytes.into_owned()).ok().map(Into::into)
}

/// A name to try: a pattern of `StaticFiles::try_files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Always the same file.
    Fixed(PathBuf),
    /// The path, with something around it.
    Around { before: String, after: String },
}

/// What stands for the path in a pattern.
const PATH: &str = "{path}";

impl Attempt {
    /// The path as it is.
    pub(super) fn path() -> Self {
        Self::Around {
            before: String::new(),
            after: String::new(),
        }
    }

    /// The path with an extension.
    pub(super) fn with_extension(extension: &str) -> Self {
        Self::Around {
            before: String::new(),
            after: format!(".{extension}"),
        }
    }

    /// # Errors
    ///
    /// What is wrong with the pattern, in words.
    pub(super) fn read(pattern: &str) -> Result<Self, &'static str> {
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        if pattern
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err("has an empty segment, or one of dots");
        }
        if pattern.contains(['\0', '\\']) {
            return Err("has a NUL or a backslash");
        }
        let (before, after) = match pattern.split_once(PATH) {
            None => (pattern, None),
            Some((_, after)) if after.contains(PATH) => return Err("names {path} twice"),
            Some((before, after)) => (before, Some(after)),
        };
        // "{uri}", most likely.
        if before.contains(['{', '}']) || after.is_some_and(|after| after.contains(['{', '}'])) {
            return Err("has a brace that is not of {path}");
        }
        Ok(match after {
            None => Self::Fixed(before.into()),
            Some(after) => Self::Around {
                before: before.to_owned(),
                after: after.to_owned(),
            },
        })
    }

    /// Whether it asks for the very path, so that a directory there counts.
    pub(super) fn is_path(&self) -> bool {
        matches!(self, Self::Around { before, after } if before.is_empty() && after.is_empty())
    }

    /// The name to try for a path; `None` if the two make no name.
    pub(super) fn name<'a>(&'a self, target: &'a Target) -> Option<Cow<'a, Path>> {
        match self {
            Self::Fixed(name) => Some(Cow::Borrowed(name)),
            Self::Around { .. } if self.is_path() => Some(Cow::Borrowed(&target.name)),
            Self::Around { before, after } => {
                // "/about/" is no "/about.html" (nor "/pages/about"), and "/" is no ".html".
                let is_bare = target.has_slash || target.name.as_os_str().is_empty();
                if is_bare && !after.starts_with('/') {
                    return None;
                }
                let mut name = OsString::from(before);
                name.push(&target.name);
                // Of the root itself there is no segment between the two.
                let ends_segment = target.name.as_os_str().is_empty()
                    && (before.is_empty() || before.ends_with('/'));
                let after = match ends_segment {
                    true => after.strip_prefix('/').unwrap_or(after),
                    false => after,
                };
                name.push(after);
                Some(Cow::Owned(name.into()))
            }
        }
    }
}
