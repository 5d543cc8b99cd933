//! Where something is mounted, as a user says it.

use std::fmt;

use http::Method;

/// Where something is mounted, and how: for [`PathDispatch::mount_at`](super::PathDispatch::mount_at).
///
/// ```
/// use http::Method;
/// use tower_gateway::path_dispatch::Place;
///
/// let place = Place::prefix("/api").host("*.example.org").method(Method::GET);
///
/// assert_eq!(place.to_string(), "GET *.example.org/api");
/// ```
///
/// What is said here is checked where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Place {
    pub(super) path: String,
    pub(super) is_exact: bool,
    pub(super) host: Option<String>,
    /// None are all.
    pub(super) methods: Vec<Method>,
    pub(super) strips: bool,
    pub(super) redirects_to_slash: bool,
    pub(super) rewrites_redirects: bool,
}

impl Place {
    /// A path and all that is below, in whole segments: `/api` is `/api`, `/api/` and `/api/x`, not
    /// `/apix`. `/` is every path. The prefix is stripped from what the service sees.
    pub fn prefix(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            is_exact: false,
            host: None,
            methods: Vec::new(),
            strips: true,
            redirects_to_slash: false,
            rewrites_redirects: false,
        }
    }

    /// A path and nothing below it: `/health` is not `/health/`. The service sees the whole path.
    pub fn exact(path: impl Into<String>) -> Self {
        Self {
            is_exact: true,
            strips: false,
            ..Self::prefix(path)
        }
    }

    /// At this host alone: a name (`example.org`), an address (`192.0.2.1`, `[::1]`), or all names
    /// below one (`*.example.org`, which is `a.example.org` and `a.b.example.org`, and not
    /// `example.org`). Without a port: it matches on each. Case does not matter. Defaults to every
    /// host.
    ///
    /// The host is the one that the request names as RFC 9112 §3.2 says. A request that names more
    /// than one is refused: 400.
    ///
    /// Cost: once a mount has a host, each request is looked up in the mounts of its host, of each
    /// wildcard above it, and of every host, until one matches.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// For requests with this method, and others that are named by this setter. Where `GET` is
    /// mounted and `HEAD` is not, `HEAD` goes there too. Defaults to every method.
    ///
    /// A path that has mounts for other methods only is answered with 405: see [which
    /// one](super#which-one).
    pub fn method(mut self, method: Method) -> Self {
        if !self.methods.contains(&method) {
            self.methods.push(method);
        }
        self
    }

    /// Leaves the path whole: for an application that routes `/admin/…` itself.
    pub fn unstripped(mut self) -> Self {
        self.strips = false;
        self
    }

    /// Sends a request for the prefix itself to the same with a slash behind it: 308, and the query
    /// stays. By default both reach the service, which sees `/` of both; but a relative link in the
    /// page at `/docs` leads out of `/docs`.
    pub fn redirect_to_slash(mut self) -> Self {
        self.redirects_to_slash = true;
        self
    }

    /// Puts what was stripped before a path in the `Location` of the service's answers, unless it
    /// is there already: for a service that does not know where it is mounted, and sends clients
    /// to `/login` where it means `/app/login`.
    ///
    /// What is not a path that begins with one slash stays: a relative reference leads to the right
    /// place by itself, and one with a host may mean another one. Defaults to `Location` as it is.
    ///
    /// Cost: one more copy of the prefix.
    pub fn rewrite_redirects(mut self) -> Self {
        self.rewrites_redirects = true;
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, method) in self.methods.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{method}")?;
        }
        if !self.methods.is_empty() {
            f.write_str(" ")?;
        }
        f.write_str(self.host.as_deref().unwrap_or_default())?;
        f.write_str(if self.path.is_empty() {
            "/"
        } else {
            &self.path
        })
    }
}
