//! What a place means, and why something cannot be mounted there.

use std::{error, fmt};

use http::Method;

use super::place::Place;
use crate::semantics::{
    host,
    mount::{InvalidPrefix, Prefix},
    path::{EncodedSlash, PathPolicy, match_key},
};

/// Which requests belong to a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) host: Host,
    pub(super) path: Path,
    /// None are all.
    pub(super) methods: Vec<Method>,
}

/// Names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Any,
    Exact(String),
    /// All below this one.
    Below(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// This path alone, as a match key.
    Exact(String),
    /// Every path below.
    Prefix(Prefix),
}

impl Pattern {
    pub(super) fn of(place: &Place) -> Result<Self, MountError> {
        let invalid = |reason| MountError::new(place, reason);
        let prefix: Prefix = place
            .path
            .parse()
            .map_err(|error| invalid(Reason::Path(error)))?;
        let path = match place.is_exact {
            true if place.redirects_to_slash => return Err(invalid(Reason::SlashOfExact)),
            true => Path::exact(&place.path),
            false => Path::Prefix(prefix),
        };
        let host = match &place.host {
            None => Host::Any,
            Some(host) => Host::of(host).ok_or_else(|| invalid(Reason::Host(host.clone())))?,
        };
        // In whatever order, and however often, they were said.
        let mut methods = place.methods.clone();
        methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        methods.dedup();
        Ok(Self {
            host,
            path,
            methods,
        })
    }
}

impl Path {
    /// Of what parses as a prefix, which has the same grammar, but forgets a last slash.
    fn exact(path: &str) -> Self {
        let policy = PathPolicy::new().encoded_slash(EncodedSlash::Keep);
        let path = policy
            .read(if path.is_empty() { "/" } else { path })
            .unwrap_or_default();
        Self::Exact(match_key(&path).into_owned())
    }
}

impl Host {
    fn of(text: &str) -> Option<Self> {
        let (name, is_wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_name = name.len() <= LONGEST_NAME && name.split('.').all(is_label);
        let is_address = || name.starts_with('[') && host::is_host(name.as_bytes());
        match is_wildcard {
            true => is_name.then_some(Self::Below(name)),
            false => (is_name || is_address() && name.ends_with(']')).then_some(Self::Exact(name)),
        }
    }
}

/// RFC 1035 §3.1: "the total length of a domain name is restricted to 255 octets or less", which
/// are 253 as text.
pub(super) const LONGEST_NAME: usize = 253;

/// Why something cannot be mounted where it was meant to be.
#[derive(Debug)]
pub struct MountError {
    /// As it was written.
    place: String,
    reason: Reason,
}

#[derive(Debug)]
pub(super) enum Reason {
    Path(InvalidPrefix),
    Host(String),
    SlashOfExact,
    Taken { by: String },
    NotThere,
}

impl MountError {
    pub(super) fn new(place: &Place, reason: Reason) -> Self {
        Self {
            place: place.to_string(),
            reason,
        }
    }

    pub(super) fn taken(place: &Place, by: &Place) -> Self {
        Self::new(place, Reason::Taken { by: by.to_string() })
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.reason {
            Reason::Path(error) => error.fmt(f),
            Reason::Host(host) => write!(f, "cannot mount at {place:?}: {host:?} is not a host"),
            Reason::SlashOfExact => write!(
                f,
                "cannot mount at {place:?}: only a prefix can be redirected to its slash"
            ),
            Reason::Taken { by } => {
                write!(f, "cannot mount at {place:?}: {by:?} is mounted already")
            }
            Reason::NotThere => write!(f, "cannot unmount {place:?}: it is not mounted"),
        }
    }
}

impl error::Error for MountError {}
