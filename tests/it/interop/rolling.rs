//! Applications that are restarted one after the other, while requests come.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::timeout};
use tower_gateway::GatewayProxy;

use super::Gateway;
use crate::support::{
    process::{Process, say},
    python,
    raw::{PATIENCE, read_answer},
};

/// A Gunicorn on a port that it keeps.
struct App {
    process: Process,
    address: SocketAddr,
    options: &'static [&'static str],
}

impl App {
    fn start(options: &'static [&'static str]) -> Self {
        // Free now, and nobody else's: ports are handed out in turn.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        Self {
            process: Self::run(address, options),
            address,
            options,
        }
    }

    fn run(address: SocketAddr, options: &[&str]) -> Process {
        let mut command = python::command("gunicorn", &python::applications());
        command
            .args(["flask_app:app", "--no-control-socket"])
            .args(["--graceful-timeout", "5", "--bind"])
            .arg(address.to_string())
            .args(options);
        let mut process = Process::start(command);
        process.wait_for("Booting worker");
        process
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As `systemctl restart` does it.
    fn restart(&mut self) {
        self.process.terminate();
        self.process.wait();
        self.process = Self::run(self.address, self.options);
    }
}

/// What the clients have seen.
#[derive(Default)]
struct Tally {
    is_over: AtomicBool,
    answered: AtomicUsize,
}

impl Tally {
    async fn reaches(&self, count: usize) {
        let reaches = async {
            while self.answered.load(Ordering::Relaxed) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, reaches).await.expect("requests go on");
    }
}

/// Requests, one after the other, until it is over; what went wrong.
async fn client(gateway: SocketAddr, number: usize, tally: Arc<Tally>) -> Vec<String> {
    let mut failed = Vec::new();
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    for count in 0.. {
        if tally.is_over.load(Ordering::Relaxed) {
            break;
        }
        // Idempotent ones, with a body and without.
        let (method, body) = match count % 3 {
            0 => ("PUT", "a body"),
            _ => ("GET", ""),
        };
        let length = body.len();
        let request = format!(
            "{method} /echo?client={number}&count={count} HTTP/1.1\r\nHost: a\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream, false).await;
        let its_own = format!("client={number}&count={count}");
        if answer.status != 200 || !answer.complete || !answer.text().contains(&its_own) {
            failed.push(format!("{method} {its_own}: {answer:?}"));
            stream = TcpStream::connect(gateway).await.unwrap();
        }
        tally.answered.fetch_add(1, Ordering::Relaxed);
    }
    failed
}

async fn restarts_in_turn(options: &'static [&'static str]) {
    let mut apps = [App::start(options), App::start(options)];
    let urls = apps.each_ref().map(App::url);
    let proxy = GatewayProxy::to_all([urls[0].as_str(), urls[1].as_str()]).unwrap();
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;

    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for number in 0..8 {
        clients.spawn(client(gateway.addr, number, Arc::clone(&tally)));
    }
    let start = Instant::now();
    tally.reaches(100).await;
    for _ in 0..3 {
        for app in &mut apps {
            tokio::task::block_in_place(|| app.restart());
            // The one that is there again has its share before the other one goes.
            let now = tally.answered.load(Ordering::Relaxed);
            tally.reaches(now + 300).await;
        }
    }
    tally.is_over.store(true, Ordering::Relaxed);
    let failed: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let answered = tally.answered.load(Ordering::Relaxed);
    say(format_args!(
        "6 restarts in {:.1} s, {answered} requests, {} failed ({})",
        start.elapsed().as_secs_f64(),
        failed.len(),
        options.join(" "),
    ));
    assert!(failed.is_empty(), "{}", failed[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_of_sync_workers_costs_no_request() {
    restarts_in_turn(&["--worker-class", "sync", "--workers", "2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_of_threads_that_keep_connections_costs_no_request() {
    restarts_in_turn(&["--worker-class", "gthread", "--threads", "4"]).await;
}
