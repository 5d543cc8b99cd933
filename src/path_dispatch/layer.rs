use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    pattern::{MountError, Pattern, Table},
    service::{Mounted, PathDispatchService},
};
use crate::{BoxError, MountPoint, PathPolicy};

/// Sends each path to the service that is mounted there, the rest to the inner service.
/// See the [module docs](super) for an example.
///
/// `B` is the type of the request bodies. It is found out from the services and from where the
/// stack is used, and need not be written.
#[must_use]
pub struct PathDispatch<B> {
    routes: Arc<Routes<B>>,
}

/// What every service that the layer makes shares.
pub(super) struct Routes<B> {
    patterns: Vec<Pattern>,
    /// At the same places as the patterns.
    pub(super) mounts: Vec<Mount<B>>,
    pub(super) table: Table,
    pub(super) paths: PathPolicy,
}

pub(super) struct Mount<B> {
    /// What is stripped: the prefix, or nothing.
    strip: bool,
    pub(super) service: Arc<dyn Mounted<B>>,
}

impl<B> PathDispatch<B> {
    /// Nothing mounted: every request goes to the inner service.
    pub fn new() -> Self {
        Self {
            routes: Arc::new(Routes {
                patterns: Vec::new(),
                mounts: Vec::new(),
                table: Table::default(),
                paths: PathPolicy::new(),
            }),
        }
    }

    /// Mounts a service at `prefix` and all that is below, and strips the prefix from what it
    /// sees. `/` mounts it everywhere.
    ///
    /// Cost: each request through a mount allocates its future, once more its path, and its
    /// [`MountPoint`](crate::MountPoint).
    ///
    /// # Errors
    ///
    /// If `prefix` is not a canonical path, or something is mounted there.
    pub fn mount<S, R>(self, prefix: &str, service: S) -> Result<Self, MountError>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        B: Send + 'static,
    {
        self.with(
            prefix,
            Pattern::prefix(prefix)?,
            Mount {
                strip: true,
                service: Arc::new(service),
            },
        )
    }

    /// Mounts a service at `prefix` and all that is below, and lets it see the whole path: for
    /// an application that routes `/admin/…` itself.
    ///
    /// Cost: each request through a mount allocates its future.
    ///
    /// # Errors
    ///
    /// If `prefix` is not a canonical path, or something is mounted there.
    pub fn mount_unstripped<S, R>(self, prefix: &str, service: S) -> Result<Self, MountError>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        B: Send + 'static,
    {
        self.with(
            prefix,
            Pattern::prefix(prefix)?,
            Mount {
                strip: false,
                service: Arc::new(service),
            },
        )
    }

    /// Mounts a service at `path` and nothing below it: `/health` is not `/health/`. It sees
    /// the whole path. It may stand where a prefix stands too, and goes before it.
    ///
    /// Cost: each request through a mount allocates its future.
    ///
    /// # Errors
    ///
    /// If `path` is not a canonical path, or something is mounted exactly there.
    pub fn mount_exact<S, R>(self, path: &str, service: S) -> Result<Self, MountError>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        B: Send + 'static,
    {
        self.with(
            path,
            Pattern::exact(path)?,
            Mount {
                strip: false,
                service: Arc::new(service),
            },
        )
    }

    /// How paths are read. Defaults to [`PathPolicy::new`].
    pub fn paths(mut self, policy: PathPolicy) -> Self {
        self.routes_mut().paths = policy;
        self
    }

    fn with(
        mut self,
        written: &str,
        pattern: Pattern,
        mount: Mount<B>,
    ) -> Result<Self, MountError> {
        let routes = self.routes_mut();
        if let Some(taken) = routes.patterns.iter().find(|other| **other == pattern) {
            return Err(MountError::taken(written, taken));
        }
        routes.table.insert(&pattern, routes.patterns.len())?;
        routes.patterns.push(pattern);
        routes.mounts.push(mount);
        Ok(self)
    }

    fn routes_mut(&mut self) -> &mut Routes<B> {
        Arc::make_mut(&mut self.routes)
    }
}

impl<B> Routes<B> {
    /// Strips the prefix of the mount at `place` from the path, which it matches.
    pub(super) fn strip(&self, place: usize, request: &mut Request<B>) -> Option<()> {
        match &self.patterns[place] {
            Pattern::Prefix(prefix) if self.mounts[place].strip => {
                let below = prefix.strip(request.uri().path())?.len();
                MountPoint::enter(request, below)
            }
            _ => Some(()),
        }
    }
}

impl<S, B> Layer<S> for PathDispatch<B> {
    type Service = PathDispatchService<S, B>;

    fn layer(&self, inner: S) -> Self::Service {
        PathDispatchService::new(inner, Arc::clone(&self.routes))
    }
}

impl<B> Default for PathDispatch<B> {
    fn default() -> Self {
        Self::new()
    }
}

// Derived, these would ask the same of `B`.

impl<B> Clone for PathDispatch<B> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
        }
    }
}

impl<B> Clone for Routes<B> {
    fn clone(&self) -> Self {
        Self {
            patterns: self.patterns.clone(),
            mounts: self.mounts.clone(),
            table: self.table.clone(),
            paths: self.paths,
        }
    }
}

impl<B> Clone for Mount<B> {
    fn clone(&self) -> Self {
        Self {
            strip: self.strip,
            service: Arc::clone(&self.service),
        }
    }
}

impl<B> fmt::Debug for PathDispatch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.routes.fmt(f)
    }
}

impl<B> fmt::Debug for Routes<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathDispatch")
            .field("mounts", &self.patterns)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}
