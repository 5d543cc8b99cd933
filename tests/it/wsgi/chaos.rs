//! Under load: workers are killed, recycled, and replaced by new code, and only what cannot be
//! helped fails.
//!
//! Two seconds each; `TOWER_GATEWAY_CHAOS_SECONDS` has them go on for longer.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{net::TcpStream, task::JoinSet, time::interval};
use tower_gateway::{
    WsgiContainer,
    wsgi::{Builder, Handle, WorkerState},
};

use crate::support::{
    process::say,
    server::{TestServer, spawn},
};

/// Says which process and which version answers, and what was posted. Some answers take their
/// time, and some come in pieces.
const APPLICATION: &str = r#"
import os, time
from version import VERSION

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    number = int(environ["QUERY_STRING"])
    said = b"%d %d %s" % (os.getpid(), VERSION, body)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if number % 5 == 0:
        time.sleep(0.002)
    if number % 3 == 0:
        return (said[at:at + 7] for at in range(0, len(said), 7))
    return [said]
"#;

const CLIENTS: u64 = 12;

fn seconds() -> Duration {
    let seconds = std::env::var("TOWER_GATEWAY_CHAOS_SECONDS");
    Duration::from_secs(seconds.map_or(2, |seconds| seconds.parse().unwrap()))
}

/// A container, a server in front of it, and the folder with the code.
struct Stage {
    handle: Handle,
    server: TestServer,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new(options: impl FnOnce(Builder) -> Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.py"), APPLICATION).unwrap();
        write_version(folder.path(), 1);
        let builder = WsgiContainer::new("app").directory(folder.path());
        let builder = builder.env("PYTHONDONTWRITEBYTECODE", "1");
        let builder = builder.workers(3).prefetch(4);
        let container = options(builder).spawn().await.unwrap();
        Self {
            handle: container.handle(),
            server: spawn(container).await,
            folder,
        }
    }

    /// Pids of the workers that answer requests.
    fn ready(&self) -> Vec<u32> {
        let workers = self.handle.status().workers;
        let ready = workers
            .iter()
            .filter(|worker| worker.state == WorkerState::Ready);
        ready.map(|worker| worker.pid).collect()
    }
}

fn write_version(folder: &Path, version: u64) {
    // Whole or not at all: a worker may import it at this moment.
    let new = folder.join("version.new");
    std::fs::write(&new, format!("VERSION = {version}\n")).unwrap();
    std::fs::rename(new, folder.join("version.py")).unwrap();
}

/// What came of the load.
#[derive(Debug, Default)]
struct Outcome {
    right: AtomicU64,
    /// 502, or an answer that was broken off after its head.
    lost: AtomicU64,
    /// The newest version that has answered.
    version: AtomicU64,
    pids: std::sync::Mutex<HashSet<u32>>,
}

/// Clients that are busy until they are told to stop.
struct Load {
    outcome: Arc<Outcome>,
    is_over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(addr: SocketAddr) -> Self {
        let outcome = Arc::new(Outcome::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (outcome, is_over) = (Arc::clone(&outcome), Arc::clone(&is_over));
            clients.spawn(async move {
                let mut connection = connect(addr).await;
                let mut number = client;
                while !is_over.load(Relaxed) {
                    if !outcome.ask(&mut connection, number).await {
                        connection = connect(addr).await;
                    }
                    number += CLIENTS;
                }
            });
        }
        Self {
            outcome,
            is_over,
            clients,
        }
    }

    async fn stop(self) -> Arc<Outcome> {
        self.is_over.store(true, Relaxed);
        self.clients.join_all().await;
        self.outcome
    }
}

async fn connect(addr: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Outcome {
    /// Whether the connection can be used again.
    async fn ask(&self, connection: &mut SendRequest<Full<Bytes>>, number: u64) -> bool {
        // Those without a body may be sent ahead of their turn.
        let (method, times) = match number % 2 {
            0 => (Method::GET, 0),
            _ => (Method::POST, 1 + usize::try_from(number % 7).unwrap()),
        };
        let posted = format!("request {number}").repeat(times);
        let request = Request::builder()
            .method(method)
            .uri(format!("/?{number}"))
            .header("host", "localhost")
            .body(Full::from(posted.clone()))
            .unwrap();
        if connection.ready().await.is_err() {
            return false;
        }
        let response = connection.send_request(request).await;
        let response = response.expect("every request gets an answer");
        let status = response.status();
        let Ok(body) = response.into_body().collect().await else {
            self.lost.fetch_add(1, Relaxed);
            return false;
        };
        if status == 502 {
            self.lost.fetch_add(1, Relaxed);
            return true;
        }
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert_eq!(status, 200, "{body}");
        let mut words = body.splitn(3, ' ');
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let (pid, version) = (number(), number());
        assert_eq!(words.next(), Some(&*posted));
        self.pids
            .lock()
            .unwrap()
            .insert(u32::try_from(pid).unwrap());
        self.version.fetch_max(version, Relaxed);
        self.right.fetch_add(1, Relaxed);
        true
    }

    fn pids(&self) -> usize {
        self.pids.lock().unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_killed_workers_only_what_ran_in_them_fails() {
    let stage = Stage::new(|builder| builder).await;
    let load = Load::start(stage.server.addr);
    let mut kills = 0;
    let mut beat = interval(Duration::from_millis(100));
    let began = Instant::now();
    while began.elapsed() < seconds() {
        beat.tick().await;
        // One at least goes on: with none, requests wait for a new one, and that is another test.
        let ready = stage.ready();
        if ready.len() < 2 {
            continue;
        }
        let pid = ready[any_of(ready.len())];
        let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        // It may have ended since.
        if kill_process(pid, Signal::KILL).is_ok() {
            kills += 1;
        }
    }
    let outcome = load.stop().await;
    let (right, lost) = (outcome.right.load(Relaxed), outcome.lost.load(Relaxed));
    say(format_args!(
        "{kills} workers killed: {right} requests answered, {lost} lost"
    ));
    // A worker has one thread, which works on one request.
    assert!(
        lost <= kills,
        "{lost} of {right} were lost by {kills} kills"
    );
    assert!(kills >= 3 && right > 20 * kills, "{right}, {kills}");
    assert!(stage.handle.status().crashes >= kills - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_lose_nothing() {
    let stage = Stage::new(|builder| builder).await;
    let load = Load::start(stage.server.addr);
    let mut reloads = 0;
    let mut beat = interval(Duration::from_secs(1));
    let began = Instant::now();
    while began.elapsed() < seconds() || reloads < 2 {
        beat.tick().await;
        reloads += 1;
        write_version(stage.folder.path(), 1 + reloads);
        stage.handle.reload().await.unwrap();
        // What is asked from now on is answered by the new code.
        let outcome = Outcome::default();
        let mut connection = connect(stage.server.addr).await;
        assert!(outcome.ask(&mut connection, 1).await);
        assert_eq!(outcome.version.load(Relaxed), 1 + reloads);
    }
    // A broken one changes nothing.
    std::fs::write(stage.folder.path().join("app.py"), "import nowhere").unwrap();
    let error = stage.handle.reload().await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    let outcome = load.stop().await;
    let (right, lost) = (outcome.right.load(Relaxed), outcome.lost.load(Relaxed));
    say(format_args!(
        "{reloads} reloads: {right} requests answered, {lost} lost"
    ));
    assert_eq!(lost, 0);
    assert!(right > 100 && outcome.version.load(Relaxed) == 1 + reloads);
    let workers = usize::try_from(3 * (1 + reloads)).unwrap();
    assert!(outcome.pids() <= workers, "{} of {workers}", outcome.pids());
}

#[tokio::test(flavor = "multi_thread")]
async fn recycling_loses_nothing() {
    let options = |builder: Builder| builder.max_requests(100).max_requests_jitter(50);
    let stage = Stage::new(options).await;
    let load = Load::start(stage.server.addr);
    let began = Instant::now();
    let mut beat = interval(Duration::from_millis(10));
    while began.elapsed() < seconds() || stage.handle.status().recycled < 5 {
        beat.tick().await;
        // While one is replaced, the others work.
        assert!(!stage.ready().is_empty());
    }
    let outcome = load.stop().await;
    let (right, lost) = (outcome.right.load(Relaxed), outcome.lost.load(Relaxed));
    let recycled = stage.handle.status().recycled;
    say(format_args!(
        "{recycled} workers recycled: {right} requests answered, {lost} lost"
    ));
    assert_eq!(lost, 0);
    assert!(outcome.pids() >= 5);
}

/// Chance enough for a choice of victims.
fn any_of(length: usize) -> usize {
    use std::hash::{BuildHasher, RandomState};

    usize::try_from(RandomState::new().hash_one(0) % length as u64).unwrap()
}
