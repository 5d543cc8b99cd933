//! Small applications, and how to ask them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{interval, timeout};
use tower::ServiceExt;
use tower_gateway::{
    Body, Error, ErrorKind,
    wsgi::{Builder, Status, WsgiContainer},
};

use crate::support::raw::PATIENCE;

/// Tells its process, does what it is told, and has two kinds of work that takes long.
pub const APP: &str = r#"
import os, threading, time

def held(name):
    # A named pipe: who opens it waits for the other side.
    with open(name) as pipe:
        return pipe.read()

def application(environ, start_response):
    path, query = environ['PATH_INFO'], environ['QUERY_STRING']
    if path == '/held':
        body = held(query)
    elif path == '/loop':
        while True:
            pass
    elif path == '/deadlock':
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    elif path == '/exit':
        os._exit(int(query))
    elif path == '/grow':
        global ballast
        ballast = bytearray(os.urandom(1)) * (int(query) << 20)
        body = 'grown'
    elif path == '/say':
        print('what was to be said:', query)
        body = 'said'
    elif path == '/child':
        import subprocess
        body = str(subprocess.Popen(['tail', '-f', '/dev/null']).pid)
    elif path == '/env':
        body = os.environ.get(query, '(none)')
    else:
        body = str(os.getpid())
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [body.encode()]
"#;

/// A directory with an application, `app.py`.
pub struct App(tempfile::TempDir);

impl App {
    pub fn new(source: &str) -> Self {
        let app = Self(tempfile::tempdir().unwrap());
        app.write(source);
        app
    }

    /// Writes it anew. Python takes a file for the same as the one it compiled if its time in
    /// seconds and its length are; so nothing compiled is kept.
    pub fn write(&self, source: &str) {
        fs::write(self.path().join("app.py"), source).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn builder(&self) -> Builder {
        WsgiContainer::new("app:application")
            .directory(self.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
    }

    /// A named pipe, by which a request is held until it is released.
    pub fn hold(&self, name: &str) -> Hold {
        let path = self.path().join(name);
        let mode = rustix::fs::Mode::RWXU;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        Hold(path)
    }
}

pub struct Hold(PathBuf);

impl Hold {
    pub fn request(&self) -> String {
        format!("/held?{}", self.0.display())
    }

    /// Waits until a worker is held; it goes on when this is dropped.
    pub async fn held(&self) -> fs::File {
        let path = self.0.clone();
        let open = tokio::task::spawn_blocking(move || fs::File::create(path));
        within(open).await.unwrap().unwrap()
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: String,
    pub error: Option<ErrorKind>,
}

impl Answer {
    /// The process that answered.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.body.parse().unwrap()
    }
}

pub async fn ask(container: &WsgiContainer, path: &str) -> Answer {
    let request = Request::get(path).header("host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    let response = container.clone().oneshot(request);
    let response = within(response).await.unwrap();
    let status = response.status();
    let error = response.extensions().get::<Error>().map(Error::kind);
    let body = within(response.into_body().collect()).await.unwrap();
    let body = String::from_utf8(body.to_bytes().into()).unwrap();
    Answer {
        status,
        body,
        error,
    }
}

pub async fn within<F: Future>(future: F) -> F::Output {
    let output = timeout(PATIENCE, future).await;
    output.expect("this should not have taken so long")
}

/// Waits until the container is as it should be.
pub async fn until(container: &WsgiContainer, is: impl Fn(&Status) -> bool) -> Status {
    let handle = container.handle();
    let start = std::time::Instant::now();
    let mut looks = interval(Duration::from_millis(2));
    loop {
        looks.tick().await;
        let status = handle.status();
        if is(&status) {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "{status:#?}");
    }
}

/// Waits until there is no such process; one that nobody has waited for counts as none.
pub async fn gone(pid: u32) {
    let start = std::time::Instant::now();
    let mut looks = interval(Duration::from_millis(2));
    while is_alive(pid) {
        looks.tick().await;
        assert!(start.elapsed() < PATIENCE, "{pid} is still there");
    }
}

/// Runs one test in a process of its own, with these variables besides.
pub fn run_again(test: &str, variables: &[(&str, &str)]) {
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let again = again.args([test, "--exact"]);
    let output = again.envs(variables.iter().copied()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}

pub fn is_alive(pid: u32) -> bool {
    // proc_pid_stat(5): "pid (comm) state …"
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

pub fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
