//! One process of the operating system: started, tied to this one, heard, and seen to its end.
//!
//! It leads a process group of its own, and whatever it starts belongs to that, and ends with it.
//! Its standard input is a pipe of which this process holds the other end, and never writes to it once
//! the process has booted: the *tether*. Whatever way this process ends, the kernel closes that end, and tells the
//! group, with a signal that nothing can ignore.

mod ending;
mod interpreter;
mod output;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    sync::Notify,
    task::JoinHandle,
};

pub(super) use self::{ending::how, interpreter::choose, output::Tail};

/// What `python -c` is given: as little as can be, since it is in every list of processes.
///
/// pipe(7): "POSIX.1 says that writes of less than PIPE_BUF bytes must be atomic", so that one read
/// gets all of what was written in one.
const FIRST: &str = "import os;exec(os.read(0,1024))";
/// What that reads from the tether, with blanks behind it up to so many bytes.
const BOOT: &str = include_str!("boot.py");
const BOOT_SIZE: usize = 1024;
/// What it reads from there, and becomes.
const WORKER: &str = include_str!("worker.py");

const _: () = assert!(BOOT.len() <= BOOT_SIZE, "boot.py is read by one read");

/// How a process is started.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// The worker's number, for the log.
    pub(super) worker: u32,
    /// Its arguments, by which it is known in a list of processes.
    pub(super) title: Vec<String>,
    pub(super) python: &'a Path,
    pub(super) directory: &'a Path,
    pub(super) env: &'a [(OsString, OsString)],
    pub(super) clears_env: bool,
    /// JSON, for the worker.
    pub(super) config: String,
}

/// A process that runs, or has just ended. Dropped, it is not stopped: that is for whoever
/// [tends](Started::tend) it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) tail: Arc<Tail>,
    orders: Arc<Orders>,
    tether: Tether,
}

/// As long as somebody holds it, the process it belongs to may live, and those that were forked from it.
pub(super) type Tether = Arc<OnceLock<ChildStdin>>;

/// A process that is to be tended.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    group: Group,
    stdin: ChildStdin,
    outputs: Vec<JoinHandle<()>>,
    boot: Vec<u8>,
}

/// What the one who tends a process is to do.
#[derive(Debug, Default)]
struct Orders {
    kill: AtomicBool,
    dump: AtomicBool,
    wake: Notify,
}

/// A child and its group. Dropped before the child's end was seen, as happens when the runtime is
/// shut down, it kills them.
#[derive(Debug)]
struct Group {
    child: Child,
    id: Pid,
    /// Until the child is reaped, nobody else can have its number, or its group's.
    is_reaped: bool,
}

/// The variables that workers have when they are to have no others of this process.
const ALWAYS: &[&str] = &["PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"];

/// Starts a process. To be called on a runtime.
pub(super) fn start(launch: &Launch<'_>) -> io::Result<Started> {
    let mut command = Command::new(launch.python);
    if launch.clears_env {
        let kept = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            ALWAYS.contains(&&*name) || name.starts_with("LC_")
        });
        let kept: Vec<_> = kept.collect();
        command.env_clear().envs(kept);
    }
    command
        .args(["-c", FIRST])
        .args(&launch.title)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(launch.directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let pid = child.id();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let id = pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let (Some(pid), Some(id), Some(stdin), Some(stdout), Some(stderr)) =
        (pid, id, stdin, stdout, stderr)
    else {
        return Err(io::Error::other("a child has no number, or no pipe"));
    };
    let group = Group {
        child,
        id,
        is_reaped: false,
    };
    let tail = Arc::new(Tail::default());
    let of = |stream| output::Source {
        worker: launch.worker,
        pid,
        stream,
    };
    let outputs = vec![
        tokio::spawn(output::follow(stdout, of("stdout"), Arc::clone(&tail))),
        tokio::spawn(output::follow(stderr, of("stderr"), Arc::clone(&tail))),
    ];
    Ok(Started {
        process: Process {
            pid,
            tail,
            orders: Arc::default(),
            tether: Tether::default(),
        },
        group,
        stdin,
        outputs,
        boot: boot(&launch.config),
    })
}

/// What begins, and then the worker's source and its configuration, each after its length.
fn boot(config: &str) -> Vec<u8> {
    let mut boot = BOOT.as_bytes().to_vec();
    boot.resize(BOOT_SIZE, b' ');
    for part in [WORKER, config] {
        boot.extend((part.len() as u32).to_le_bytes());
        boot.extend(part.as_bytes());
    }
    boot
}

impl Process {
    /// Sends SIGKILL to the group.
    pub(super) fn kill(&self) {
        self.orders.kill.store(true, Ordering::Release);
        self.orders.wake.notify_one();
    }

    /// Lets it write to the log what its threads are at.
    pub(super) fn dump(&self) {
        self.orders.dump.store(true, Ordering::Release);
        self.orders.wake.notify_one();
    }

    pub(super) fn tether(&self) -> &Tether {
        &self.tether
    }
}

impl Started {
    /// The handle, and what has to be run for as long as the process does: it boots it, signals it, and
    /// gives its status when it has ended and, if that did not take long, all it wrote was read.
    pub(super) fn tend(self) -> (Process, impl Future<Output = io::Result<ExitStatus>> + Send) {
        let (tether, orders) = (
            Arc::clone(&self.process.tether),
            Arc::clone(&self.process.orders),
        );
        let Self {
            process,
            mut group,
            mut stdin,
            outputs,
            boot,
        } = self;
        let tend = async move {
            let booting = async {
                let (first, rest) = boot.split_at(BOOT_SIZE);
                // One that ends before it has read everything is seen by its end.
                stdin.write_all(first).await.ok();
                stdin.write_all(rest).await.ok();
                tether.set(stdin).ok();
            };
            tokio::pin!(booting);
            let mut is_booting = true;
            let status = loop {
                tokio::select! {
                    () = &mut booting, if is_booting => is_booting = false,
                    () = orders.wake.notified() => group.obey(&orders),
                    status = ending::wait(&mut group) => break status,
                }
            };
            ending::hear_out(outputs).await;
            status
        };
        (process, tend)
    }
}

impl Group {
    fn obey(&self, orders: &Orders) {
        if self.is_reaped {
            return;
        }
        if orders.dump.swap(false, Ordering::AcqRel) {
            // Not to the group: what else is in it would end of this signal.
            kill_process(self.id, Signal::USR2).ok();
        }
        if orders.kill.swap(false, Ordering::AcqRel) {
            self.kill();
        }
    }

    /// There may be nobody left to be killed, which is as good.
    fn kill(&self) {
        kill_process_group(self.id, Signal::KILL).ok();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
        }
    }
}

/// A relative path as it is meant from the directory of this process. Links are left as they are.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

#[cfg(test)]
mod tests;
