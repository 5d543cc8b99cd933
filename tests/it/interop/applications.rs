//! Flask and Django behind the servers that they are run by, each asked in each way it knows.

use std::process::Command;

use tower_gateway::GatewayProxy;

use super::Gateway;
use crate::support::{
    process::{Process, address_in},
    python::{self, Site},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Uwsgi,
    /// Gunicorn with workers that close behind each answer.
    Sync,
    /// Gunicorn with workers that keep connections.
    Threads,
}

pub const SERVERS: [Server; 3] = [Server::Uwsgi, Server::Sync, Server::Threads];

/// What is spoken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Http,
    Uwsgi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Tcp,
    Unix,
}

/// An application, for as long as a test holds it.
pub struct Application {
    pub url: String,
    _process: Process,
    _directory: tempfile::TempDir,
}

impl Server {
    fn program(self) -> &'static str {
        match self {
            Self::Uwsgi => "uwsgi",
            Self::Sync | Self::Threads => "gunicorn",
        }
    }

    pub fn flask(self, speech: Speech, place: Place) -> Application {
        let command = python::command(self.program(), &python::applications());
        self.start(speech, place, command, "flask_app:app")
    }

    pub fn django(self, speech: Speech, place: Place, site: &Site) -> Application {
        let command = site.command(self.program());
        self.start(speech, place, command, "config.wsgi:application")
    }

    fn start(
        self,
        speech: Speech,
        place: Place,
        mut command: Command,
        application: &str,
    ) -> Application {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let socket = socket.to_str().unwrap();
        let at = match (self, place) {
            (_, Place::Tcp) => "127.0.0.1:0".to_owned(),
            (Self::Uwsgi, Place::Unix) => socket.to_owned(),
            (_, Place::Unix) => format!("unix:{socket}"),
        };
        match (self, speech) {
            (Self::Uwsgi, Speech::Uwsgi) => command.args(["--socket", &at]),
            (Self::Uwsgi, Speech::Http) => command.args(["--http-socket", &at]),
            (_, Speech::Uwsgi) => command.args(["--protocol", "uwsgi", "--bind", &at]),
            (_, Speech::Http) => command.args(["--bind", &at]),
        };
        match self {
            Self::Uwsgi => command
                .args(["--master", "--processes", "2", "--die-on-term"])
                .args(["--need-app", "--module", application]),
            Self::Sync | Self::Threads => command
                .args(["--no-control-socket", "--graceful-timeout", "2"])
                .arg(application),
        };
        match self {
            Self::Uwsgi => {}
            Self::Sync => _ = command.args(["--worker-class", "sync", "--workers", "2"]),
            Self::Threads => _ = command.args(["--worker-class", "gthread", "--threads", "4"]),
        }
        let mut process = Process::start(command);
        let line = match self {
            Self::Uwsgi => {
                let line = process.wait_for("uwsgi socket 0 bound to");
                process.wait_for("spawned uWSGI worker 2");
                line
            }
            Self::Sync | Self::Threads => process.wait_for("Listening at:"),
        };
        let scheme = match speech {
            Speech::Http => "http",
            Speech::Uwsgi => "uwsgi",
        };
        let url = match place {
            Place::Tcp => format!("{scheme}://{}", address_in(&line)),
            Place::Unix => format!("{scheme}+unix:{socket}"),
        };
        Application {
            url,
            _process: process,
            _directory: directory,
        }
    }
}

impl Application {
    pub fn proxy(&self) -> GatewayProxy {
        GatewayProxy::to(&self.url).unwrap()
    }

    pub async fn behind_gateway(&self) -> Gateway {
        Gateway::start(&python::mysite().join("static"), self.proxy()).await
    }
}
