//! Other programs, for as long as a test holds them.

use std::{
    ffi::OsStr,
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use rustix::process::Signal;

use super::raw::PATIENCE;

/// Tells whoever runs the tests, though the test harness keeps what is printed.
pub fn say(message: fmt::Arguments<'_>) {
    // `eprintln!` would be captured.
    writeln!(std::io::stderr(), "  {message}").ok();
}

/// `program`, run in such a way that it and all that it starts end when standard input does: when
/// the test lets go of it, or is killed.
pub fn tethered(program: impl AsRef<OsStr>) -> Command {
    let tether = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tethered.py");
    let mut command = Command::new("python3");
    command.arg(tether).arg(program);
    command
}

/// A program whose output is read. Dropped, it is told to end by the end of its standard input,
/// and waited for.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    log: Arc<Mutex<String>>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        read_lines(stdout, sender.clone(), Arc::clone(&log));
        read_lines(stderr, sender, Arc::clone(&log));
        Self {
            stdin: child.stdin.take(),
            child,
            log,
            lines,
        }
    }

    /// Waits for a line that contains `text`, and gives it.
    ///
    /// Blocks: in a test on a runtime, before anything else runs there.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.look_for(text)
            .unwrap_or_else(|| panic!("no {text:?} came in what it printed:\n{}", self.log()))
    }

    /// As [`wait_for`](Self::wait_for); `None` if it ends without.
    pub fn look_for(&mut self, text: &str) -> Option<String> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).ok()?;
            if line.contains(text) {
                return Some(line);
            }
        }
    }

    /// All that it has printed.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as a supervisor does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Tells it something: SIGTERM and SIGHUP reach the program itself.
    pub fn signal(&self, signal: Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for its end, and gives its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// `127.0.0.1:port`, wherever it is in a line of a server's log.
pub fn address_in(line: &str) -> SocketAddr {
    let at = line.find("127.0.0.1:").unwrap();
    let rest = &line[at..];
    let end = rest.find([' ', '/', '"']).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

fn read_lines(
    stream: impl Read + Send + 'static,
    lines: mpsc::Sender<String>,
    log: Arc<Mutex<String>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
            lines.send(line).ok();
        }
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().ok();
    }
}
