//! A tree of files to serve, and short ways to ask for them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::time::timeout;
use tower::{Service, ServiceExt};
use tower_gateway::{Body, BoxError, Error, StaticFiles};

use crate::support::raw::PATIENCE;

/// What must never be served.
pub const SECRET: &str = "SECRET";

/// A temporary directory that holds the root and, beside it, what is not below the root.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir(tree.root()).unwrap();
        fs::create_dir(tree.outside()).unwrap();
        fs::write(tree.outside().join("secret.txt"), SECRET).unwrap();
        tree
    }

    /// With these files in the root.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let tree = Self::new();
        for (name, content) in files {
            tree.write(name, content);
        }
        tree
    }

    pub fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    pub fn outside(&self) -> PathBuf {
        self.0.path().join("outside")
    }

    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The same, last changed this many seconds ago.
    pub fn write_aged(
        &self,
        name: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
        seconds: u64,
    ) -> PathBuf {
        let path = self.write(name, content);
        touch(&path, SystemTime::now() - Duration::from_secs(seconds));
        path
    }

    pub fn files(&self) -> StaticFiles {
        StaticFiles::new(self.root())
    }
}

pub fn touch(path: &Path, modified: SystemTime) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
}

/// Asks until the answer is as it is to be, which is to happen within moments.
pub async fn until<F>(mut ask: impl FnMut() -> F, is_done: impl Fn(&Got) -> bool) -> Got
where
    F: Future<Output = Got>,
{
    let asking = async {
        loop {
            let got = ask().await;
            if is_done(&got) {
                return got;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking)
        .await
        .expect("it never came to that")
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub error: Option<Error>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The names of all header fields, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

pub fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

pub async fn ask<S, B>(service: S, request: Request<Body>) -> Got
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let response = service.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    Got {
        status: head.status.as_u16(),
        headers: head.headers,
        error: head.extensions.get().cloned(),
        body: Body::new(body).collect().await.unwrap().to_bytes(),
    }
}

pub async fn get(files: &StaticFiles, target: &str) -> Got {
    get_with(files, target, &[]).await
}

pub async fn get_with(files: &StaticFiles, target: &str, fields: &[(&str, &str)]) -> Got {
    ask(files.clone(), request("GET", target, fields)).await
}
