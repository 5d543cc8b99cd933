//! WSGI servers with one worker, and the same small applications in each.

use std::path::{Path, PathBuf};

use tokio::{
    net::{TcpStream, UnixStream},
    time::{sleep, timeout},
};

use super::{Missing, PATIENCE, Side, free_address, gateway, nginx};
use crate::{
    BoxError,
    process::{Core, Process},
};

/// Where `hello.py` and its like are.
const APPLICATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/applications");

/// Starts `SERVER APPLICATION`, as in `granian hello`.
pub(super) async fn start(
    name: &'static str,
    server: &str,
    application: &str,
    root: &Path,
) -> Result<Result<Side, Missing>, BoxError> {
    let Some(bin) = environment() else {
        let why = "no Python environment: `cargo test --all-features` makes one under target/";
        return Ok(Err(Missing(why.to_owned())));
    };
    let program = |name: &str| bin.join(name).display().to_string();
    let target = format!("{application}:application");
    match server {
        "wsgi-container" => {
            let python = format!("--python={}", program("python"));
            let wsgi = format!("--wsgi=/={target}");
            let directory = format!("--wsgi-dir={APPLICATIONS}");
            let flags = [&*wsgi, &*directory, &*python, "--workers=1"];
            gateway(name, &flags, None).await
        }
        "granian" => {
            let address = free_address()?;
            let (host, port) = (address.ip().to_string(), address.port().to_string());
            let process = Process::start(
                Core::Server,
                &[
                    &program("granian"),
                    "--interface=wsgi",
                    "--http=1",
                    "--no-ws",
                    "--workers=1",
                    "--runtime-threads=1",
                    "--blocking-threads=1",
                    "--log-level=error",
                    "--working-dir",
                    APPLICATIONS,
                    "--host",
                    &host,
                    "--port",
                    &port,
                    &target,
                ],
            )?;
            let listens = async || TcpStream::connect(address).await.is_ok();
            until(listens).await?;
            Ok(Ok(Side::new(name, address, process, None)))
        }
        "nginx+gunicorn" => {
            let socket = root.join(format!("gunicorn-{application}"));
            let bind = format!("--bind=unix:{}", socket.display());
            let command = [
                &*program("gunicorn"),
                "--no-control-socket",
                "--chdir",
                APPLICATIONS,
                "--workers=1",
                &bind,
                &target,
            ];
            let behind = Process::start(Core::Server, &command)?;
            until(async || UnixStream::connect(&socket).await.is_ok()).await?;
            let pass = format!(
                "proxy_pass http://unix:{}; proxy_set_header Host $host;
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                 proxy_set_header X-Forwarded-Proto $scheme;",
                socket.display()
            );
            let side = nginx(name, root, "", &pass, None).await?;
            Ok(side.map(|side| side.with(behind)))
        }
        _ => {
            let socket = root.join(format!("uwsgi-{application}"));
            let socket_flag = socket.display().to_string();
            let command = [
                &*program("uwsgi"),
                "--master",
                "--processes=1",
                "--die-on-term",
                "--need-app",
                "--disable-logging",
                "--chdir",
                APPLICATIONS,
                "--module",
                &target,
                "--socket",
                &socket_flag,
            ];
            let behind = Process::start(Core::Server, &command)?;
            until(async || UnixStream::connect(&socket).await.is_ok()).await?;
            let parameters = [
                ("QUERY_STRING", "query_string"),
                ("REQUEST_METHOD", "request_method"),
                ("CONTENT_TYPE", "content_type"),
                ("CONTENT_LENGTH", "content_length"),
                ("REQUEST_URI", "request_uri"),
                ("PATH_INFO", "document_uri"),
                ("SERVER_PROTOCOL", "server_protocol"),
                ("REQUEST_SCHEME", "scheme"),
                ("REMOTE_ADDR", "remote_addr"),
                ("REMOTE_PORT", "remote_port"),
                ("SERVER_PORT", "server_port"),
                ("SERVER_NAME", "server_name"),
            ];
            // As in Debian's `uwsgi_params`.
            let parameters: String = parameters
                .map(|(name, value)| format!("uwsgi_param {name} ${value};"))
                .concat();
            let pass = format!("uwsgi_pass unix:{}; {parameters}", socket.display());
            let side = nginx(name, root, "", &pass, None).await?;
            Ok(side.map(|side| side.with(behind)))
        }
    }
}

async fn until(is_ready: impl AsyncFn() -> bool) -> Result<(), BoxError> {
    let ready = async {
        while !is_ready().await {
            sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    Ok(timeout(PATIENCE, ready).await?)
}

/// The newest environment that the tests have made.
fn environment() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    let target = this.ancestors().nth(3)?;
    let ready = |entry: std::fs::DirEntry| {
        let ready = std::fs::metadata(entry.path().join("ready")).ok()?;
        Some((ready.modified().ok()?, entry.path().join("bin")))
    };
    let entries = std::fs::read_dir(target).ok()?;
    let environments = entries.filter_map(|entry| ready(entry.ok()?));
    environments.max().map(|(_, bin)| bin)
}
