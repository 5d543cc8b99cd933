//! A service inside that answers as it is told, and counts; and sources that take their time.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use tower::{Layer, Service};
use tower_gateway::{
    Body, StaticFiles,
    static_files::{Found, MemoryFiles, Source, StaticFilesService, Wait},
};

use super::tree::{Got, Tree, ask, request};

type Answer = dyn Fn(&Request<Body>) -> Response<Body> + Send + Sync;

/// What stands inside.
#[derive(Clone)]
pub struct Inside {
    answer: Arc<Answer>,
    calls: Arc<AtomicUsize>,
}

impl Inside {
    pub fn new(answer: impl Fn(&Request<Body>) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            calls: Arc::default(),
        }
    }

    /// The same answer to everything.
    pub fn says(status: u16, fields: &[(&str, &str)], body: &'static str) -> Self {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::new(move |_| {
            let mut response = Response::builder().status(status);
            for (name, value) in &fields {
                response = response.header(name, value.as_bytes());
            }
            response.body(Body::from(body)).unwrap()
        })
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Asks this, behind files.
    pub async fn behind(
        &self,
        files: &StaticFiles,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Got {
        let service: StaticFilesService<Self> = files.layer(self.clone());
        ask(service, request(method, target, fields)).await
    }
}

impl Service<Request<Body>> for Inside {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok((self.answer)(&request)))
    }
}

/// A file that is old enough for a strong tag.
pub fn write_settled(tree: &Tree, name: &str, content: impl AsRef<[u8]>) {
    let path = tree.write(name, content);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let ago = Duration::from_secs(3600);
    file.set_modified(SystemTime::now() - ago).unwrap();
}

/// Files that one always has to wait for.
#[derive(Debug)]
pub struct Slow(pub MemoryFiles);

impl Source for Slow {
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        match wait {
            Wait::Never => Err(io::ErrorKind::WouldBlock.into()),
            Wait::Blocking => self.0.open(name, wait),
        }
    }
}

/// A source that does what a test says, under every name.
pub struct Does<F>(pub F);

impl<F> fmt::Debug for Does<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Does")
    }
}

impl<F> Source for Does<F>
where
    F: Fn(&Path, Wait) -> io::Result<Found> + Send + Sync + 'static,
{
    fn open(&self, name: &Path, wait: Wait) -> io::Result<Found> {
        (self.0)(name, wait)
    }
}

/// What holds threads up until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn pass(&self) {
        let (open, changed) = &*self.0;
        drop(
            changed
                .wait_while(open.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}
