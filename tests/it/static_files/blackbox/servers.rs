//! Who is asked: this crate, nginx, and tower-http's `ServeDir`, each with files of its own.

use std::{fs, process::Command, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tower_gateway::{StaticFiles, semantics::negotiate::Coding, serve::serve};
use tower_http::services::ServeDir;

use super::{site::Site, wire::Address};
use crate::support::{
    process::{Process, say, tethered},
    raw::PATIENCE,
    server::{TestServer, spawn},
};

pub struct Server {
    pub name: &'static str,
    pub address: Address,
    pub site: Site,
    /// After this time without a byte, there is no answer.
    pub patience: Duration,
    _running: Running,
}

/// Ends with the server.
#[allow(dead_code)]
enum Running {
    Ours(Aborted),
    ServeDir(TestServer),
    Nginx(Process),
}

struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    pub fn is_ours(&self) -> bool {
        matches!(self._running, Running::Ours(_))
    }

    pub async fn ours() -> Self {
        Self::with("tower-gateway", |files| files).await
    }

    /// With everything from memory that can be, and each time compared with the disk.
    pub async fn ours_cached() -> Self {
        Self::with("tower-gateway with a cache", |files| {
            files.cache(16 << 20).cache_fresh_for(Duration::ZERO)
        })
        .await
    }

    async fn with(name: &'static str, options: fn(StaticFiles) -> StaticFiles) -> Self {
        let site = Site::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let siblings = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
        let files = options(StaticFiles::new(site.root()).precompressed(siblings));
        let server = tokio::spawn(async { serve(listener, files).await.unwrap() });
        Self {
            name,
            address,
            site,
            patience: PATIENCE,
            _running: Running::Ours(Aborted(server)),
        }
    }

    pub async fn serve_dir() -> Self {
        let site = Site::new();
        let files = ServeDir::new(site.root())
            .precompressed_br()
            .precompressed_zstd()
            .precompressed_gzip();
        let server = spawn(files).await;
        Self {
            name: "ServeDir",
            address: Address::Tcp(server.addr),
            site,
            // It is known to wait for a FIFO for ever.
            patience: Duration::from_secs(3),
            _running: Running::ServeDir(server),
        }
    }

    /// `None`, and said so, where there is no nginx; where a whole run is expected, a failure.
    pub async fn nginx() -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            let missing = "NOT COMPARED: what nginx answers. There is no nginx \
                           (Debian: apt-get install nginx-light)";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            say(format_args!("{missing}"));
            return None;
        }
        let site = Site::new();
        let home = site.beside();
        let socket = home.join("socket");
        // Started by root, its worker would be nobody, who cannot look into a temporary folder.
        let user = match rustix::process::geteuid().is_root() {
            true => "user root;",
            false => "",
        };
        let configuration = format!(
            "daemon off; {user} worker_processes 1; pid {home}/pid; error_log stderr notice;
             events {{ worker_connections 64; }}
             http {{
                 include mime.types; default_type application/octet-stream;
                 access_log off; etag on; gzip_static on; gzip_vary on;
                 client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
                 fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi;
                 scgi_temp_path {home}/scgi;
                 server {{ listen unix:{socket}; root {root}; index index.html; }}
             }}",
            home = home.display(),
            socket = socket.display(),
            root = site.root().display(),
        );
        // Its own table of types is found beside the file.
        let types = ["/etc/nginx/mime.types", "/usr/local/etc/nginx/mime.types"];
        let types = types.into_iter().find_map(|path| fs::read(path).ok());
        fs::write(
            home.join("mime.types"),
            types.expect("nginx has a mime.types"),
        )
        .unwrap();
        let file = home.join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = tethered("nginx");
        command.args(["-e", "stderr", "-c"]).arg(file);
        let mut process = Process::start(command);
        // It listens since before it started its workers.
        process.wait_for("start worker process ");
        Some(Self {
            name: "nginx",
            address: Address::Unix(socket),
            site,
            patience: PATIENCE,
            _running: Running::Nginx(process),
        })
    }
}
