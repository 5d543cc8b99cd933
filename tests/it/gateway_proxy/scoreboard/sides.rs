//! Who is asked: this crate as it is by default and when it streams requests, and nginx; each
//! before an upstream that does as a probe says, and writes down what it is sent.

use std::{
    future::{Future, pending},
    pin::Pin,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tower_gateway::{GatewayProxy, serve::serve};

use crate::support::{
    process::{Process, say, tethered},
    raw::PATIENCE,
    upstream::{Conn, Upstream},
    wire::{Address, Client},
};

/// What an upstream does on each of its connections.
pub type Script =
    Arc<dyn Fn(Conn) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static>;

pub fn script<F, Fut>(script: F) -> Script
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |conn| Box::pin(script(conn)))
}

pub struct Side {
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    Ours { streams: bool },
    Nginx(Box<Nginx>),
}

/// A gateway before an upstream, for one probe.
pub struct Stage {
    pub address: Address,
    pub upstream: Arc<Upstream>,
    pub patience: Duration,
    _server: Option<Aborted>,
}

impl Stage {
    pub async fn client(&self) -> Client {
        Client::connect(&self.address, self.patience).await
    }

    /// Whether the upstream has no connection before a second is over.
    pub async fn is_deserted_within_a_second(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        timeout(second, self.upstream.deserted())
            .await
            .map_err(|_late| format!("after a second: {:?}", self.upstream.counts()))
    }
}

struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Side {
    pub fn ours() -> Self {
        Self {
            name: "spooling",
            kind: Kind::Ours { streams: false },
        }
    }

    pub fn ours_streaming() -> Self {
        Self {
            name: "streaming",
            kind: Kind::Ours { streams: true },
        }
    }

    /// `None`, and said so, where there is no nginx; where a whole run is expected, a failure.
    pub async fn nginx() -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            let missing = "NOT COMPARED: what nginx passes on. There is no nginx \
                           (Debian: apt-get install nginx-light)";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            say(format_args!("{missing}"));
            return None;
        }
        Some(Self {
            name: "nginx",
            kind: Kind::Nginx(Box::new(Nginx::start().await)),
        })
    }

    pub fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours { .. })
    }

    pub fn streams(&self) -> bool {
        matches!(self.kind, Kind::Ours { streams: true })
    }

    pub async fn stage(&self, script: Script) -> Stage {
        self.stage_with(script, |proxy| proxy).await
    }

    /// `options` are for ours only.
    pub async fn stage_with(
        &self,
        script: Script,
        options: impl FnOnce(GatewayProxy) -> GatewayProxy,
    ) -> Stage {
        let streams = match &self.kind {
            Kind::Nginx(nginx) => return nginx.stage(script),
            Kind::Ours { streams } => *streams,
        };
        let upstream = Upstream::spawn(move |conn| script(conn)).await;
        let proxy = options(GatewayProxy::to(&upstream.url()).unwrap());
        let proxy = match streams {
            true => proxy.stream_requests(),
            false => proxy,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
        Stage {
            address,
            upstream: Arc::new(upstream),
            patience: PATIENCE,
            _server: Some(Aborted(server)),
        }
    }
}

/// One nginx with one upstream, whose script changes.
struct Nginx {
    socket: std::path::PathBuf,
    upstream: Arc<Upstream>,
    script: watch::Sender<Script>,
    _process: Mutex<Process>,
    _home: tempfile::TempDir,
}

impl Nginx {
    async fn start() -> Self {
        let (sender, receiver) = watch::channel(script(|_| async {}));
        let upstream = Upstream::spawn(move |conn| {
            let mut scripts = receiver.clone();
            async move {
                let script = Arc::clone(&scripts.borrow_and_update());
                // With the next probe the connections of this one end.
                tokio::select! {
                    () = script(conn) => {}
                    _ = scripts.changed() => {}
                }
            }
        })
        .await;

        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("socket");
        // Started by root, its worker would be nobody, who cannot look into a temporary folder.
        let user = match rustix::process::geteuid().is_root() {
            true => "user root;",
            false => "",
        };
        // As its documentation advises for an application behind it.
        let configuration = format!(
            "daemon off; {user} worker_processes 1; pid {home}/pid; error_log stderr notice;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; server_tokens off;
                 client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
                 fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi;
                 scgi_temp_path {home}/scgi;
                 map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
                 upstream application {{ server {upstream}; keepalive 8; }}
                 server {{
                     listen unix:{socket};
                     location / {{
                         proxy_pass http://application;
                         proxy_http_version 1.1;
                         proxy_set_header Host $host;
                         proxy_set_header Upgrade $http_upgrade;
                         proxy_set_header Connection $connection_upgrade;
                         proxy_set_header X-Forwarded-For 127.0.0.1;
                         proxy_set_header X-Forwarded-Proto $scheme;
                         proxy_set_header X-Forwarded-Host $host;
                     }}
                 }}
             }}",
            home = home.path().display(),
            socket = socket.display(),
            upstream = upstream.addr,
        );
        let file = home.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = tethered("nginx");
        command.args(["-e", "stderr", "-c"]).arg(file);
        let mut process = Process::start(command);
        // It listens since before it started its workers.
        process.wait_for("start worker process ");
        Self {
            socket,
            upstream: Arc::new(upstream),
            script: sender,
            _process: Mutex::new(process),
            _home: home,
        }
    }

    fn stage(&self, script: Script) -> Stage {
        self.script.send_replace(script);
        Stage {
            address: Address::Unix(self.socket.clone()),
            upstream: Arc::clone(&self.upstream),
            // It is asked for comparison only.
            patience: Duration::from_secs(1),
            _server: None,
        }
    }
}

/// For ever, without a byte.
pub async fn nothing() {
    pending::<()>().await;
}
