//! The sides, started and ready.

#[path = "wsgi.rs"]
mod wsgi;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    BoxError,
    process::{Core, Process},
    serve,
};

/// One of those that are compared.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    /// What it stands in front of, and what counts as a part of it.
    behind: Option<Process>,
    /// What a proxy stands in front of, and what does not count.
    _upstream: Option<Process>,
}

/// Why a side cannot be measured here, and what helps.
pub(crate) struct Missing(pub(crate) String);

/// How long a side may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// What WSGI servers run: modules of `benches/applications`.
const APPLICATIONS: [&str; 3] = ["hello", "flask_hello", "django_hello"];

impl Side {
    fn new(
        name: &'static str,
        address: SocketAddr,
        process: Process,
        upstream: Option<Process>,
    ) -> Self {
        Self {
            name,
            address,
            process,
            behind: None,
            _upstream: upstream,
        }
    }

    fn with(self, behind: Process) -> Self {
        Self {
            behind: Some(behind),
            ..self
        }
    }

    /// User and system time of all of it.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.cpu() + self.behind.as_ref().map_or(Duration::ZERO, Process::cpu)
    }

    /// Resident memory of all of it, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.process.memory() + self.behind.as_ref().map_or(0, Process::memory)
    }

    pub(crate) async fn start(
        name: &'static str,
        root: &Path,
    ) -> Result<Result<Self, Missing>, BoxError> {
        if let Some((server, application)) = name.split_once(' ')
            && APPLICATIONS.contains(&application)
        {
            return wsgi::start(name, server, application, root).await;
        }
        let (kind, upstream) = match name.strip_suffix(" busy") {
            Some(kind) => (kind, "hyper-busy"),
            None => (name, "hyper-memory"),
        };
        match kind {
            "tower-gateway" => {
                let files = format!("--static=/={}", root.display());
                gateway(name, &[&files], None).await
            }
            "tower-gateway --cache" => {
                let files = format!("--static=/={}", root.display());
                gateway(name, &[&files, "--cache"], None).await
            }
            "gateway-proxy" => {
                let (upstream, at) = this_program(upstream, Core::Load, &[]).await?;
                gateway(name, &[&format!("--proxy=/=http://{at}")], Some(upstream)).await
            }
            "nginx" => {
                let files = format!(
                    "root {}; open_file_cache max=100 inactive=60s;",
                    root.display()
                );
                nginx(name, root, "", &files, None).await
            }
            "nginx-proxy" => {
                let (upstream, at) = this_program(upstream, Core::Load, &[]).await?;
                let pool = format!(
                    "upstream app {{ server {at}; keepalive 64; keepalive_requests 1000000000; }}"
                );
                let pass = "proxy_pass http://app; proxy_http_version 1.1;
                            proxy_set_header Connection ''; proxy_set_header Host $host;
                            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                            proxy_set_header X-Forwarded-Proto $scheme;";
                nginx(name, root, &pool, pass, Some(upstream)).await
            }
            "axum-reverse-proxy" => {
                let (upstream, at) = this_program(upstream, Core::Load, &[]).await?;
                let variables = [(serve::UPSTREAM, format!("http://{at}"))];
                let (process, address) = this_program(kind, Core::Server, &variables).await?;
                Ok(Ok(Self::new(name, address, process, Some(upstream))))
            }
            _ => {
                let variables = [(serve::ROOT, root.display().to_string())];
                let (process, address) = this_program(name, Core::Server, &variables).await?;
                Ok(Ok(Self::new(name, address, process, None)))
            }
        }
    }
}

/// The example `gateway` of this crate, built as its users build it.
async fn gateway(
    name: &'static str,
    flags: &[&str],
    upstream: Option<Process>,
) -> Result<Result<Side, Missing>, BoxError> {
    let program = match build_gateway().await {
        Ok(program) => program.display().to_string(),
        Err(missing) => return Ok(Err(missing)),
    };
    let mut command = vec![&*program, "--listen=127.0.0.1:0", "--runtime-threads=1"];
    command.extend(flags);
    let mut process = Process::start(Core::Server, &command)?;
    let address = listening(&mut process).await?;
    Ok(Ok(Side::new(name, address, process, upstream)))
}

async fn build_gateway() -> Result<PathBuf, Missing> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = [
        "build",
        "--release",
        "--all-features",
        "--example",
        "gateway",
    ];
    eprintln!("building the example `gateway`");
    let built = tokio::process::Command::new(cargo)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .kill_on_drop(true)
        .status()
        .await;
    if !built.is_ok_and(|status| status.success()) {
        return Err(Missing("the example `gateway` does not build".to_owned()));
    }
    // This program is target/PROFILE/deps/peers-….
    let this = std::env::current_exe().ok();
    let target = this.as_deref().and_then(|this| this.ancestors().nth(3));
    let program = target.map(|target| target.join("release/examples/gateway"));
    program
        .filter(|program| program.exists())
        .ok_or_else(|| Missing("the example `gateway` is not where it should be".to_owned()))
}

async fn this_program(
    name: &str,
    core: Core,
    variables: &[(&str, String)],
) -> Result<(Process, SocketAddr), BoxError> {
    let this = std::env::current_exe()?.display().to_string();
    let variables = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let command = ["env".to_owned()].into_iter().chain(variables);
    let command = command.chain([this, "--serve".to_owned(), name.to_owned()]);
    let command: Vec<_> = command.collect();
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    let mut process = Process::start(core, &command)?;
    let address = listening(&mut process).await?;
    Ok((process, address))
}

/// Reads `listening on http://ADDR`.
async fn listening(process: &mut Process) -> Result<SocketAddr, BoxError> {
    let stdout = process.child().stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await??;
    let address = line.trim().strip_prefix("listening on http://");
    Ok(address
        .ok_or("a side did not say where it listens")?
        .parse()?)
}

async fn nginx(
    name: &'static str,
    root: &Path,
    pool: &str,
    location: &str,
    upstream: Option<Process>,
) -> Result<Result<Side, Missing>, BoxError> {
    if Command::new("nginx").arg("-v").output().is_err() {
        return Ok(Err(Missing("apt-get install nginx-light".to_owned())));
    }
    let address = free_address()?;
    // Its configuration ends a path at a space.
    let home = root.join(name.replace(' ', "-"));
    std::fs::create_dir(&home)?;
    // Started by root, its worker would be nobody, who cannot look into a temporary folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let configuration = format!(
        "daemon off; {user} worker_processes 1; pid {home}/pid; error_log stderr error;
         events {{ worker_connections 1024; }}
         http {{
             access_log off; log_not_found off; sendfile on; tcp_nopush on; tcp_nodelay on; etag on;
             keepalive_timeout 75s; keepalive_requests 1000000000;
             client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
             fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi;
             scgi_temp_path {home}/scgi;
             {pool}
             server {{ listen {address}; location / {{ {location} }} }}
         }}",
        home = home.display(),
    );
    let file = home.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let file = file.display().to_string();
    let mut process = Process::start(Core::Server, &["nginx", "-e", "stderr", "-c", &file])?;
    let ready = async {
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = process.child().try_wait()? {
                return Err(io::Error::other(format!("nginx ended with {status}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    timeout(PATIENCE, ready).await??;
    Ok(Ok(Side::new(name, address, process, upstream)))
}

/// An address that nobody listens at; nginx does not tell which one it has taken.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
