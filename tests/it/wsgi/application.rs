//! An application, and who runs it.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tower_gateway::wsgi::WsgiContainer;

use crate::support::{
    front::Front,
    process::{Process, address_in},
    python,
};

/// An application, and how it wants to be run.
#[derive(Clone)]
pub struct Application {
    target: &'static str,
    directory: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    processes: usize,
    threads: u16,
}

impl Application {
    /// One of `tests/python`, or one that is installed.
    pub fn new(target: &'static str) -> Self {
        Self {
            target,
            directory: python::applications(),
            environment: Vec::new(),
            processes: 2,
            threads: 1,
        }
    }

    pub fn directory(mut self, directory: PathBuf) -> Self {
        self.directory = directory;
        self
    }

    pub fn env(mut self, name: &'static str, value: impl AsRef<Path>) -> Self {
        self.environment.push((name, value.as_ref().into()));
        self
    }

    /// In one process, with so many threads.
    pub fn threads(mut self, threads: u16) -> Self {
        self.processes = 1;
        self.threads = threads;
        self
    }
}

/// Who runs it.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    Container,
    /// To know that the story itself is right.
    Gunicorn,
}

#[derive(Clone, Copy, Debug)]
pub struct Way {
    server: Server,
    /// Through `tests/python/validated.py`.
    pub validated: bool,
}

/// The ways in which every story is told.
pub const WAYS: [Way; 3] = [
    Way {
        server: Server::Gunicorn,
        validated: false,
    },
    Way {
        server: Server::Container,
        validated: false,
    },
    Way {
        server: Server::Container,
        validated: true,
    },
];

/// For as long as a test holds it.
pub struct Running {
    pub addr: SocketAddr,
    /// For what is said when something is wrong.
    pub who: String,
    complaints: PathBuf,
    _server: Run,
    _directory: tempfile::TempDir,
}

enum Run {
    Container { _front: Front },
    Gunicorn { _process: Process },
}

impl Way {
    pub fn is_ours(self) -> bool {
        matches!(self.server, Server::Container)
    }

    pub async fn start(self, application: &Application) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let complaints = directory.path().join("complaints");
        let mut application = application.clone();
        if self.validated {
            let inner = std::mem::replace(&mut application.target, "validated:application");
            application = application
                .env("VALIDATED", inner)
                .env("VALIDATED_COMPLAINTS", &complaints)
                .env("PYTHONPATH", python::applications());
        }
        let (addr, server) = match self.server {
            Server::Container => container(&application).await,
            Server::Gunicorn => gunicorn(&application),
        };
        Running {
            addr,
            who: format!("{self:?}"),
            complaints,
            _server: server,
            _directory: directory,
        }
    }
}

impl Running {
    /// What `wsgiref.validate` found.
    pub fn complaints(&self) -> String {
        fs::read_to_string(&self.complaints).unwrap_or_default()
    }

    pub fn is_valid(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{}: {complaints}", self.who);
    }
}

async fn container(application: &Application) -> (SocketAddr, Run) {
    let mut container = WsgiContainer::new(application.target)
        .directory(&application.directory)
        .python(python::environment().join("bin/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .workers(application.processes)
        .threads(application.threads);
    for (name, value) in &application.environment {
        container = container.env(*name, value);
    }
    let front = Front::start(container.spawn().await.unwrap()).await;
    (front.addr, Run::Container { _front: front })
}

fn gunicorn(application: &Application) -> (SocketAddr, Run) {
    let mut command = python::command("gunicorn", &application.directory);
    for (name, value) in &application.environment {
        command.env(name, value);
    }
    match application.threads {
        1 => command.args(["--worker-class", "sync"]),
        threads => command.arg(format!("--threads={threads}")),
    };
    command
        .arg(format!("--workers={}", application.processes))
        .args(["--no-control-socket", "--bind", "127.0.0.1:0"])
        .args(["--graceful-timeout", "1", application.target]);
    let mut process = Process::start(command);
    let addr = address_in(&process.wait_for("Listening at:"));
    (addr, Run::Gunicorn { _process: process })
}
