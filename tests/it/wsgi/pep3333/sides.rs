//! Who runs the applications.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::interval,
};

use tower_gateway::wsgi::WsgiContainer;

use super::row::{NEXT, file_name, is_next, named, shown};
use crate::support::{
    front::Front,
    process::{Process, address_in},
    python,
    raw::PATIENCE,
    wire::{Address, Client},
};

const APPLICATION: &str = "pep3333:application";

/// What the deployer says; see `Application Configuration`.
pub const DEPLOYER: (&str, &str) = ("PEP3333_DEPLOYER", "said so");

pub struct Side {
    pub name: &'static str,
    pub is_ours: bool,
    /// Whether a request is handed on before it is whole.
    pub streams: bool,
    address: SocketAddr,
    notes: tempfile::TempDir,
    _server: Server,
}

/// For as long as it is asked.
enum Server {
    Ours { _front: Front },
    Gunicorn { _process: Process },
    Granian { _process: Process, _port: TcpSocket },
}

impl Side {
    /// This crate: as it is by default, or handing on each request before it is whole.
    pub async fn ours(streams: bool) -> Self {
        let notes = tempfile::tempdir().unwrap();
        let container = WsgiContainer::new(APPLICATION)
            .directory(python::applications())
            .python(python::environment().join("bin/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PEP3333_NOTES", notes.path())
            .environ(DEPLOYER.0, DEPLOYER.1)
            .stream_requests(streams);
        let front = Front::start(container.spawn().await.unwrap()).await;
        Self {
            name: if streams { "streaming" } else { "ours" },
            is_ours: true,
            streams,
            address: front.addr,
            notes,
            _server: Server::Ours { _front: front },
        }
    }

    pub async fn gunicorn() -> Self {
        let notes = tempfile::tempdir().unwrap();
        let mut command = command("gunicorn", notes.path());
        command
            .args(["--worker-class", "sync", "--workers", "2"])
            .args(["--no-control-socket", "--bind", "127.0.0.1:0"])
            .args(["--graceful-timeout", "1", APPLICATION]);
        let mut process = Process::start(command);
        let address = address_in(&process.wait_for("Listening at:"));
        Self {
            name: "gunicorn",
            is_ours: false,
            streams: true,
            address,
            notes,
            _server: Server::Gunicorn { _process: process },
        }
        .ready()
        .await
    }

    pub async fn granian() -> Self {
        let notes = tempfile::tempdir().unwrap();
        // It does not say which port it chose. Bound here and there, the port is nobody else's.
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseport(true).unwrap();
        port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.local_addr().unwrap();
        let mut command = command("granian", notes.path());
        command
            .args(["--interface", "wsgi", "--http", "1", "--no-ws"])
            .args(["--workers", "2", "--blocking-threads", "1"])
            .arg(format!("--port={}", address.port()))
            .arg(APPLICATION);
        let mut process = Process::start(command);
        process.wait_for("Started worker-");
        process.wait_for("Started worker-");
        Self {
            name: "granian",
            is_ours: false,
            streams: true,
            address,
            notes,
            _server: Server::Granian {
                _process: process,
                _port: port,
            },
        }
        .ready()
        .await
    }

    /// Answers.
    async fn ready(self) -> Self {
        let mut looks = interval(Duration::from_millis(20));
        let start = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "{} does not listen", self.name);
            looks.tick().await;
        }
        let mut client = Client::connect(&Address::Tcp(self.address), PATIENCE).await;
        client.send(NEXT).await.unwrap();
        client.expect(false).await.unwrap();
        self
    }

    /// How long it may take for one thing.
    fn patience(&self) -> Duration {
        match self.is_ours {
            true => PATIENCE,
            // They are asked for comparison only.
            false => Duration::from_secs(1),
        }
    }

    /// And for a row.
    pub fn limit(&self) -> Duration {
        self.patience() * 2
    }

    pub fn stage(&self, row: &'static str) -> Stage {
        Stage {
            row,
            address: Address::Tcp(self.address),
            patience: self.patience(),
            notes: self.notes.path().join(file_name(row)),
        }
    }
}

fn command(program: &str, notes: &Path) -> std::process::Command {
    let mut command = python::command(program, &python::applications());
    command
        .env("PEP3333_NOTES", notes)
        .env(DEPLOYER.0, DEPLOYER.1);
    command
}

/// One row at one side.
pub struct Stage {
    row: &'static str,
    pub address: Address,
    patience: Duration,
    notes: PathBuf,
}

impl Stage {
    pub async fn client(&self) -> Client {
        Client::connect(&self.address, self.patience).await
    }

    /// A request that says for which row it is.
    pub fn named(&self, request: impl AsRef<[u8]>) -> Vec<u8> {
        named(self.row, request)
    }

    /// Lets the application go on that waits for this step.
    pub fn go(&self, step: &str) {
        let file = self
            .notes
            .with_file_name(format!("{}.{step}", file_name(self.row)));
        fs::write(file, "").unwrap();
    }

    pub fn go_all(&self) {
        ["go", "1", "2"].into_iter().for_each(|step| self.go(step));
    }

    /// For whoever is slow.
    pub async fn a_moment(&self) {
        let mut moment = interval(Duration::from_millis(2));
        moment.tick().await;
        moment.tick().await;
    }

    pub fn notes(&self) -> Vec<String> {
        let notes = fs::read_to_string(&self.notes).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// Waits until the application has noted exactly this.
    pub async fn noted(&self, right: &[&str]) -> Result<(), String> {
        let mut looks = interval(Duration::from_millis(2));
        let start = Instant::now();
        loop {
            let notes = self.notes();
            if notes == right {
                return Ok(());
            }
            if start.elapsed() > self.patience || notes.len() > right.len() {
                return Err(format!("noted {notes:?}, not {right:?}"));
            }
            looks.tick().await;
        }
    }

    /// Whether whoever comes next is served.
    pub async fn is_well(&self) -> Result<(), String> {
        let mut client = self.client().await;
        client.send(NEXT).await?;
        match client.expect(false).await {
            Ok(answer) if is_next(&answer) => Ok(()),
            Ok(answer) => Err(format!("the next client is told {}", shown(&answer))),
            Err(reason) => Err(format!("the next client: {reason}")),
        }
    }
}
