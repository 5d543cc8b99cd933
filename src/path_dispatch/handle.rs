//! A table that is replaced while it is in use.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tower_layer::Layer;

use super::{
    layer::{PathDispatch, Routes},
    service::PathDispatchService,
};

/// The mounts of services that run, and a layer that makes such services: see
/// [`PathDispatch::into_handle`].
///
/// A request goes by the table that was there when it came. What it has begun on another one it
/// ends there; the services that are mounted no more are dropped with the last of their requests.
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use http_body_util::BodyExt;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_gateway::{Body, PathDispatch, path_dispatch::Place};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let say = |text: &'static str| {
///     service_fn(move |_: Request<Body>| {
///         std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(text))))
///     })
/// };
/// let handle = PathDispatch::new().mount("/api", say("one"))?.into_handle();
/// let app = handle.layer(say("the rest"));
/// let ask = async || {
///     let request = Request::get("/api").body(Body::empty())?;
///     let response = app.clone().oneshot(request).await?;
///     Ok::<_, tower_gateway::BoxError>(response.into_body().collect().await?.to_bytes())
/// };
/// assert_eq!(ask().await?, "one");
///
/// handle.replace(PathDispatch::new().mount("/api", say("two"))?);
/// assert_eq!(ask().await?, "two");
///
/// handle.update(|mounts| mounts.unmount(&Place::prefix("/api")))?;
/// assert_eq!(ask().await?, "the rest");
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct Handle<B> {
    live: Arc<Live<B>>,
}

pub(super) struct Live<B> {
    pub(super) routes: ArcSwap<Routes<B>>,
    /// Held while the table is changed: of two changes at once none is lost.
    changing: Mutex<()>,
}

impl<B> Handle<B> {
    pub(super) fn new(routes: Arc<Routes<B>>) -> Self {
        Self {
            live: Arc::new(Live {
                routes: ArcSwap::new(routes),
                changing: Mutex::new(()),
            }),
        }
    }

    /// Puts another table in the place of this one, at once and as a whole: its mounts, and what is
    /// said of paths, methods and panics.
    pub fn replace(&self, table: PathDispatch<B>) {
        let changing = self.changing();
        let old = self.store(table);
        // What is dropped with it may change the table as well.
        drop(changing);
        drop(old);
    }

    /// Changes the table: what `change` makes of a copy of it takes its place. Other changes wait
    /// until it returns, requests do not. `change` itself may not change the table by another way: it
    /// would wait for itself.
    ///
    /// Cost: a copy of the table, which is not one of the services.
    ///
    /// # Errors
    ///
    /// That of `change`; then the table stays as it is.
    pub fn update<E>(
        &self,
        change: impl FnOnce(PathDispatch<B>) -> Result<PathDispatch<B>, E>,
    ) -> Result<(), E> {
        let changing = self.changing();
        let old = self.store(change(self.current())?);
        drop(changing);
        drop(old);
        Ok(())
    }

    /// The table as it is now. Changes of it change nothing here.
    pub fn current(&self) -> PathDispatch<B> {
        PathDispatch::from_routes(self.live.routes.load_full())
    }

    /// What was there before.
    fn store(&self, table: PathDispatch<B>) -> Arc<Routes<B>> {
        let routes = table.into_routes();
        tracing::info!(mounts = routes.mounts.len(), "the mounts were replaced");
        self.live.routes.swap(routes)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // A change that panicked has changed nothing.
        self.live
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S, B> Layer<S> for Handle<B> {
    type Service = PathDispatchService<S, B>;

    fn layer(&self, inner: S) -> Self::Service {
        PathDispatchService::live(inner, Arc::clone(&self.live))
    }
}

impl<B> Clone for Handle<B> {
    fn clone(&self) -> Self {
        Self {
            live: Arc::clone(&self.live),
        }
    }
}

impl<B> fmt::Debug for Handle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.live.fmt(f)
    }
}

impl<B> fmt::Debug for Live<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.routes.load()).finish()
    }
}
