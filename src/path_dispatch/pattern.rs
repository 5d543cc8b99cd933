//! The grammar of mounts, which of them a path belongs to, and why two cannot be.

use std::{collections::HashMap, error, fmt};

use crate::semantics::{
    mount::{InvalidPrefix, Prefix},
    path::{EncodedSlash, PathPolicy, match_key},
};

/// Where something is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    /// This path alone, as a match key.
    Exact(String),
    /// Every path below.
    Prefix(Prefix),
}

impl Pattern {
    pub(super) fn exact(path: &str) -> Result<Self, MountError> {
        // A prefix has the same grammar, and says what is wrong; but it forgets a last slash.
        path.parse::<Prefix>()
            .map_err(|error| MountError::invalid(path, error))?;
        let policy = PathPolicy::new().encoded_slash(EncodedSlash::Keep);
        let path = policy
            .read(if path.is_empty() { "/" } else { path })
            .unwrap_or_default();
        Ok(Self::Exact(match_key(&path).into_owned()))
    }

    pub(super) fn prefix(path: &str) -> Result<Self, MountError> {
        path.parse()
            .map(Self::Prefix)
            .map_err(|error| MountError::invalid(path, error))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => path.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

/// Which mount a path belongs to: exact before prefix, long before short.
///
/// The cost of a look-up grows with the length of the path, hardly with the number of mounts.
#[derive(Clone, Default)]
pub(super) struct Table {
    exact: HashMap<String, usize>,
    prefixes: matchit::Router<usize>,
    root: Option<usize>,
}

impl Table {
    /// Leads `pattern` to `place`. Nothing may be mounted there.
    pub(super) fn insert(&mut self, pattern: &Pattern, place: usize) -> Result<(), MountError> {
        match pattern {
            Pattern::Exact(path) => {
                self.exact.insert(path.clone(), place);
            }
            Pattern::Prefix(prefix) if prefix.as_str().is_empty() => self.root = Some(place),
            // A match key holds no brace, so none of it is a parameter to matchit.
            Pattern::Prefix(prefix) => {
                for route in ["", "/", "/{*below}"] {
                    self.prefixes
                        .insert(format!("{prefix}{route}"), place)
                        .map_err(|error| MountError::engine(pattern, error))?;
                }
            }
        }
        Ok(())
    }

    /// The place of the pattern that matches `path`, a canonical path.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let key = match_key(path);
        if let Some(place) = self.exact.get(&*key) {
            return Some(*place);
        }
        match self.prefixes.at(&key) {
            Ok(found) => Some(*found.value),
            Err(_) if key.starts_with('/') => self.root,
            // "*", or an authority: not a path.
            Err(_) => None,
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// Why something cannot be mounted where it was meant to be.
#[derive(Debug)]
pub struct MountError {
    /// As it was written.
    path: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Invalid(InvalidPrefix),
    Taken { by: String },
    Engine(matchit::InsertError),
}

impl MountError {
    fn invalid(path: &str, error: InvalidPrefix) -> Self {
        Self {
            path: path.to_owned(),
            reason: Reason::Invalid(error),
        }
    }

    fn engine(pattern: &Pattern, error: matchit::InsertError) -> Self {
        Self {
            path: pattern.to_string(),
            reason: Reason::Engine(error),
        }
    }

    pub(super) fn taken(path: &str, by: &Pattern) -> Self {
        Self {
            path: path.to_owned(),
            reason: Reason::Taken { by: by.to_string() },
        }
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Invalid(error) => error.fmt(f),
            Reason::Taken { by } => {
                write!(
                    f,
                    "cannot mount at {:?}: {by:?} is mounted already",
                    self.path
                )
            }
            Reason::Engine(_) => write!(f, "cannot mount at {:?}", self.path),
        }
    }
}

impl error::Error for MountError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.reason {
            Reason::Engine(error) => Some(error),
            Reason::Invalid(_) | Reason::Taken { .. } => None,
        }
    }
}
