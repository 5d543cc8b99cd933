use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    handle::Handle,
    mounted::Mounted,
    pattern::{MountError, Path, Pattern, Reason},
    place::Place,
    seen::Tally,
    service::{NotFound, PathDispatchService},
    table::Table,
};
use crate::{BoxError, PathPolicy};

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
    pub(super) mounts: Vec<Mount<B>>,
    /// Of the mounts by their places in the list.
    pub(super) table: Table,
    pub(super) paths: PathPolicy,
    pub(super) catches_panics: bool,
    pub(super) passes_other_methods: bool,
    /// Of the inner service.
    pub(super) tally: Arc<Tally>,
}

pub(super) struct Mount<B> {
    pub(super) place: Place,
    pattern: Pattern,
    pub(super) service: Arc<dyn Mounted<B>>,
    pub(super) tally: Arc<Tally>,
}

impl<B> PathDispatch<B> {
    /// Nothing mounted: every request goes to the inner service.
    pub fn new() -> Self {
        Self {
            routes: Arc::new(Routes {
                mounts: Vec::new(),
                table: Table::default(),
                paths: PathPolicy::new(),
                catches_panics: false,
                passes_other_methods: false,
                tally: Arc::default(),
            }),
        }
    }

    /// Mounts a service at `prefix` and all that is below, and strips the prefix from what it
    /// sees. `/` mounts it everywhere.
    ///
    /// Cost: each request through a mount allocates its future, its path once more, and its
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
        self.mount_at(Place::prefix(prefix), service)
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
        self.mount_at(Place::prefix(prefix).unstripped(), service)
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
        self.mount_at(Place::exact(path), service)
    }

    /// Mounts a service at a [`Place`]: a prefix or an exact path, of one host or for one method,
    /// if need be.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// use http::{Method, Request, Response};
    /// use tower::service_fn;
    /// use tower_gateway::{Body, PathDispatch, path_dispatch::Place};
    ///
    /// # let [admin, upload] = [service_fn(async |_: Request<Body>| {
    /// #     Ok::<_, Infallible>(Response::new(Body::empty()))
    /// # }); 2];
    /// let dispatch = PathDispatch::new()
    ///     .mount_at(Place::prefix("/").host("admin.example.org"), admin)?
    ///     .mount_at(Place::exact("/upload").method(Method::POST), upload)?;
    ///
    /// let twice = dispatch.mount_at(Place::exact("/upload").method(Method::POST), upload);
    /// assert_eq!(
    ///     twice.unwrap_err().to_string(),
    ///     r#"cannot mount at "POST /upload": "POST /upload" is mounted already"#
    /// );
    /// # Ok::<(), tower_gateway::path_dispatch::MountError>(())
    /// ```
    ///
    /// Cost: that of [`mount`](PathDispatch::mount) if the prefix is stripped, else that of
    /// [`mount_unstripped`](PathDispatch::mount_unstripped).
    ///
    /// # Errors
    ///
    /// If its path is not canonical, if its host is none, or if something is mounted that is for
    /// the same requests.
    pub fn mount_at<S, R>(mut self, place: Place, service: S) -> Result<Self, MountError>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        B: Send + 'static,
    {
        let pattern = Pattern::of(&place)?;
        let routes = self.routes_mut();
        let number = routes.mounts.len();
        if let Err(other) = routes.table.insert(&pattern, number) {
            return Err(MountError::taken(&place, &routes.mounts[other].place));
        }
        routes.mounts.push(Mount {
            place,
            pattern,
            service: Arc::new(service),
            tally: Arc::default(),
        });
        Ok(self)
    }

    /// Takes out what is mounted at a place: at this path, exact or not, of this host, and for
    /// these methods. How it is mounted there does not matter. For [`Handle::update`].
    ///
    /// Cost: the table is made anew.
    ///
    /// # Errors
    ///
    /// If nothing is mounted there.
    pub fn unmount(mut self, place: &Place) -> Result<Self, MountError> {
        let pattern = Pattern::of(place)?;
        let routes = self.routes_mut();
        let mut mounts = routes.mounts.iter();
        let Some(gone) = mounts.position(|mount| mount.pattern == pattern) else {
            return Err(MountError::new(place, Reason::NotThere));
        };
        routes.mounts.remove(gone);
        routes.table = Table::default();
        for (number, mount) in routes.mounts.iter().enumerate() {
            // They got on with each other before.
            let inserted = routes.table.insert(&mount.pattern, number);
            debug_assert!(inserted.is_ok(), "{} is mounted twice", mount.place);
        }
        Ok(self)
    }

    /// Where something is mounted, in the order of mounting.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.routes.mounts.iter().map(|mount| &mount.place)
    }

    /// How paths are read. Defaults to [`PathPolicy::new`].
    pub fn paths(mut self, policy: PathPolicy) -> Self {
        self.routes_mut().paths = policy;
        self
    }

    /// Whether a panic of a mounted service, before the head of its answer is there, is answered
    /// with 500 and logged. Defaults to `false`: it goes on to whoever runs the request, which for
    /// hyper ends the connection.
    ///
    /// The inner service is not meant, nor are bodies: those that are being sent are beyond an
    /// answer. A panic that aborts is an end of its own.
    pub fn catch_panics(mut self, catch: bool) -> Self {
        self.routes_mut().catches_panics = catch;
        self
    }

    /// Whether a request for a path that has mounts for other methods only goes to the inner
    /// service. Defaults to `false`: it is answered with 405, and `Allow` names the methods.
    ///
    /// For a site that moves one method of an endpoint at a time.
    pub fn pass_other_methods(mut self, pass: bool) -> Self {
        self.routes_mut().passes_other_methods = pass;
        self
    }

    /// A service by itself: what no mount matches is answered with 404.
    #[must_use]
    pub fn into_service(self) -> PathDispatchService<NotFound, B> {
        self.layer(NotFound::new())
    }

    /// A layer whose mounts can be replaced while its services run.
    ///
    /// Cost: each request looks where the table is, some ten nanoseconds.
    #[must_use]
    pub fn into_handle(self) -> Handle<B> {
        Handle::new(self.routes)
    }

    pub(super) fn from_routes(routes: Arc<Routes<B>>) -> Self {
        Self { routes }
    }

    pub(super) fn into_routes(self) -> Arc<Routes<B>> {
        self.routes
    }

    fn routes_mut(&mut self) -> &mut Routes<B> {
        Arc::make_mut(&mut self.routes)
    }
}

impl<B> Mount<B> {
    /// What of a canonical path that belongs to this mount is below it; `None` for an exact path.
    pub(super) fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        match &self.pattern.path {
            Path::Prefix(prefix) => prefix.strip(path),
            Path::Exact(_) => None,
        }
    }
}

impl<S, B> Layer<S> for PathDispatch<B> {
    type Service = PathDispatchService<S, B>;

    fn layer(&self, inner: S) -> Self::Service {
        PathDispatchService::fixed(inner, Arc::clone(&self.routes))
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
            mounts: self.mounts.clone(),
            table: self.table.clone(),
            paths: self.paths,
            catches_panics: self.catches_panics,
            passes_other_methods: self.passes_other_methods,
            tally: Arc::clone(&self.tally),
        }
    }
}

impl<B> Clone for Mount<B> {
    fn clone(&self) -> Self {
        Self {
            place: self.place.clone(),
            pattern: self.pattern.clone(),
            service: Arc::clone(&self.service),
            tally: Arc::clone(&self.tally),
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
            .field("mounts", &Places(&self.mounts))
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

struct Places<'a, B>(&'a [Mount<B>]);

impl<B> fmt::Debug for Places<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.iter().map(|mount| mount.place.to_string());
        f.debug_list().entries(places).finish()
    }
}
