//! Where a service is mounted: prefixes on segment boundaries, and what was stripped.
//!
//! ```
//! use tower_gateway::semantics::mount::Prefix;
//!
//! let prefix: Prefix = "/static".parse()?;
//!
//! assert_eq!(prefix.strip("/static/style.css"), Some("/style.css"));
//! assert_eq!(prefix.strip("/static"), Some(""));
//! assert_eq!(prefix.strip("/statics"), None);
//!
//! assert!("static".parse::<Prefix>().is_err());
//! # Ok::<(), tower_gateway::semantics::mount::InvalidPrefix>(())
//! ```

use std::{borrow::Cow, error, fmt, str::FromStr};

use http::{Extensions, Uri};

use crate::semantics::path::{EncodedSlash, PathError, PathPolicy, match_key};

/// The path at which something is mounted: absolute, canonical, without a trailing slash.
///
/// It matches on segment boundaries (`/api` is a prefix of `/api` and `/api/x`, not of `/apix`),
/// and case matters. The root is written `/` or empty, and matches every path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The match key; empty for the root.
    key: String,
}

impl Prefix {
    /// The prefix of every path.
    #[must_use]
    pub fn root() -> Self {
        Self { key: String::new() }
    }

    /// What of a canonical `path` is below this prefix: empty, or beginning with a slash.
    /// `None` if the path is not below it.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let below = path
            .strip_prefix(self.key.as_str())
            .filter(|below| below.starts_with('/') || below.is_empty() && path.starts_with('/'));
        if below.is_some() {
            return below;
        }
        let Cow::Owned(key) = match_key(path) else {
            return None;
        };
        self.strip(&key)?;
        // Keys differ from paths within segments, never in their number.
        let slashes = self.key.bytes().filter(|byte| *byte == b'/').count();
        match path.match_indices('/').nth(slashes) {
            Some((at, _)) => Some(&path[at..]),
            None => Some(""),
        }
    }

    /// The prefix as text; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = |reason| InvalidPrefix {
            text: text.to_owned(),
            reason,
        };
        if text.contains(['?', '#']) {
            return Err(invalid("a prefix is a path, without a query or a fragment"));
        }
        let path = if text.is_empty() { "/" } else { text };
        // What a request's path may hold by another layer's policy may be mounted too.
        let policy = PathPolicy::new().encoded_slash(EncodedSlash::Keep);
        match policy.read(path) {
            Ok(Cow::Borrowed(path)) => {
                let path = path.strip_suffix('/').unwrap_or(path);
                Ok(Self {
                    key: match_key(path).into_owned(),
                })
            }
            Ok(Cow::Owned(_)) => Err(invalid("write it in its canonical form")),
            Err(PathError::NotAbsolute) => Err(invalid("a prefix begins with a slash")),
            Err(_) => Err(invalid("it is not a path")),
        }
    }
}

impl TryFrom<&str> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: &str) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.key.is_empty() { "/" } else { &self.key })
    }
}

/// A mount prefix that no canonical path can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPrefix {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot be a mount prefix: {}",
            self.text, self.reason
        )
    }
}

impl error::Error for InvalidPrefix {}

/// What a service needs to know of the place where it is mounted: an extension of the request.
///
/// `PathDispatch` puts it there when it strips a prefix, and adds to it when mounts are nested.
/// WSGI calls the prefix `SCRIPT_NAME`, proxies call it `X-Forwarded-Prefix`.
#[derive(Clone, Debug)]
pub struct MountPoint {
    /// The URI with which the request came to the mount.
    before: Uri,
    /// Where in its path begins what is below the mount. Of a path that is shorter by now, a router
    /// inside has stripped the rest.
    below: usize,
    /// Seldom there, and larger than the rest.
    outside: Option<Box<Outside>>,
}

/// What was stripped before a request came to a mount.
#[derive(Clone, Debug)]
struct Outside {
    /// All that was stripped, with what the mount itself stripped.
    prefix: String,
    original_uri: Uri,
}

impl MountPoint {
    /// The prefix that was stripped from the path, over all nested mounts and (feature `axum`)
    /// the routers outside of them: as the client wrote it, in canonical form, without a trailing
    /// slash.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match &self.outside {
            Some(outside) => &outside.prefix,
            None => &self.before.path()[..self.below],
        }
    }

    /// The request's URI before anything was stripped: as the outermost mount read it, or
    /// (feature `axum`) as the router outside of that received it.
    #[must_use]
    pub fn original_uri(&self) -> &Uri {
        match &self.outside {
            Some(outside) => &outside.original_uri,
            None => &self.before,
        }
    }

    /// The mount point of the request that has these extensions, if it went through a mount.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Strips all but the last `below` bytes from the path of a request: what [`Prefix::strip`]
    /// left of it. The service inside sees that (or `/`), and a mount point that tells the rest.
    ///
    /// The path is copied once, and only if there is something to strip.
    ///
    /// `None`, with nothing changed, if what is left is not a path that begins with one slash: it
    /// would be read as a host where a client is sent to it.
    #[cfg(feature = "path-dispatch")]
    pub(crate) fn enter<B>(request: &mut http::Request<B>, below: usize) -> Option<()> {
        let uri = request.uri();
        let path = uri.path();
        let at = path.len().checked_sub(below)?;
        let (prefix, below) = path.split_at_checked(at)?;
        if below.starts_with("//") || !(below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let stripped = match prefix {
            "" => uri.clone(),
            _ => {
                let target = uri.path_and_query()?.as_str().get(at..)?;
                let target = match below {
                    "" => ["/", target].concat(),
                    _ => target.to_owned(),
                };
                crate::semantics::path::with_path(uri, target)?
            }
        };
        let extensions = request.extensions();
        let original = Self::of(extensions).map(Self::original_uri);
        let outside = original.or_else(|| router_uri(extensions)).map(|original| {
            Box::new(Outside {
                prefix: [&*external_prefix(extensions, path), prefix].concat(),
                original_uri: original.clone(),
            })
        });
        let mount = Self {
            before: std::mem::replace(request.uri_mut(), stripped),
            below: at,
            outside,
        };
        request.extensions_mut().insert(mount);
        Some(())
    }

    /// The path with which the request entered the mount.
    fn entered_with(&self) -> &str {
        match &self.before.path()[self.below..] {
            "" => "/",
            path => path,
        }
    }
}

/// What the client has to put before `path`, a path as a service sees it: the prefixes that
/// `PathDispatch` and (feature `axum`) `Router::nest` stripped before. Empty when nothing was.
///
/// A relative reference made from it keeps the mount, which a redirect needs.
#[must_use]
pub fn external_prefix<'a>(extensions: &'a Extensions, path: &str) -> Cow<'a, str> {
    // What stood outside of the innermost mount is in its prefix already.
    if let Some(mount) = MountPoint::of(extensions) {
        return match stripped(mount.entered_with(), path) {
            None | Some("") => Cow::Borrowed(mount.prefix()),
            Some(inside) => Cow::Owned(format!("{}{inside}", mount.prefix())),
        };
    }
    let router = router_uri(extensions).and_then(|original| {
        let policy = PathPolicy::new().encoded_slash(EncodedSlash::Keep);
        let original = policy.read(original.path()).ok()?;
        stripped(&original, path).map(str::to_owned)
    });
    router.map_or(Cow::Borrowed(""), Cow::Owned)
}

/// What was stripped from `original`, if `path` is what was left of it.
fn stripped<'a>(original: &'a str, path: &str) -> Option<&'a str> {
    // Of a path that is the prefix itself, "/" is left.
    original
        .strip_suffix(path)
        .or_else(|| (path == "/").then_some(original))
}

/// Whether the client named the mount itself, without a slash behind it.
///
/// The service below sees `/` of `/docs` and of `/docs/`; but a relative reference in an answer
/// to the first leads out of the mount.
#[cfg(feature = "static-files")]
pub(crate) fn is_bare_mount(extensions: &Extensions, path: &str) -> bool {
    let original = match MountPoint::of(extensions) {
        Some(mount) => Some(mount.original_uri()),
        None => router_uri(extensions),
    };
    path == "/" && original.is_some_and(|original| !original.path().ends_with('/'))
}

/// The URI that an axum router first saw.
#[cfg(feature = "axum")]
fn router_uri(extensions: &Extensions) -> Option<&Uri> {
    let original = extensions.get::<axum::extract::OriginalUri>()?;
    Some(&original.0)
}

#[cfg(not(feature = "axum"))]
fn router_uri(_: &Extensions) -> Option<&Uri> {
    None
}
