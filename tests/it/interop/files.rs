//! Files over a socket, and what was asked for and answered.

use std::{
    convert::Infallible,
    fs,
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, Request, StatusCode, header};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::{ServiceExt, service_fn};
use tower_gateway::{
    StaticFiles,
    serve::{RequestBody, serve},
};

use crate::support::process::{say, tethered};

/// Ends when it is dropped.
pub(super) struct Files {
    pub(super) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

/// One request, and the head of its answer.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) asked: HeaderMap,
    pub(super) status: StatusCode,
    pub(super) answered: HeaderMap,
}

impl Seen {
    /// How long the body of the answer is.
    pub(super) fn length(&self) -> u64 {
        let length = self.answered.get(header::CONTENT_LENGTH);
        length.map_or(0, |length| length.to_str().unwrap().parse().unwrap())
    }

    pub(super) fn range(&self) -> Option<&str> {
        self.asked.get(header::RANGE)?.to_str().ok()
    }
}

impl Files {
    pub(super) async fn serve(files: StaticFiles) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let app = service_fn(move |request: Request<RequestBody>| {
            let path = request.uri().path().to_owned();
            let asked = request.headers().clone();
            let (files, log) = (files.clone(), Arc::clone(&log));
            async move {
                let response = files.oneshot(request).await?;
                log.lock().unwrap().push(Seen {
                    path,
                    asked,
                    status: response.status(),
                    answered: response.headers().clone(),
                });
                Ok::<_, Infallible>(response)
            }
        });
        let server = tokio::spawn(async { serve(listener, app).await.unwrap() });
        Self { addr, seen, server }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// All requests for `path` so far.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }
}

/// Whether a program is there. Said so if it is not; where a whole run is expected, a failure.
pub(super) fn is_there(program: &str, package: &str, shows: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        let missing = format!(
            "NOT TESTED: {shows}. There is no {program} (Debian: apt-get install {package})"
        );
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        say(format_args!("{missing}"));
    }
    is_there
}

/// Runs a program to its end, in `directory`, beside this runtime; gives its exit code and what
/// it has printed.
pub(super) async fn run(program: &str, arguments: &[&str], directory: &Path) -> (i32, String) {
    let mut command = tethered(program);
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = move || {
        let mut child = command.spawn().unwrap();
        // Its tether, held until it has ended.
        let _stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        (output.status.code().unwrap(), printed)
    };
    tokio::task::spawn_blocking(ran).await.unwrap()
}

/// Bytes that repeat nowhere.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        // The constants of Knuth's MMIX.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Writes a file as if a day ago: of this moment, it would not have a strong validator yet.
pub(super) fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    file.set_modified(yesterday).unwrap();
}

impl Drop for Files {
    fn drop(&mut self) {
        self.server.abort();
    }
}
