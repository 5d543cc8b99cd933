//! Processes that end when they are no longer held, and what they cost.

use std::{
    collections::HashMap,
    fs, io,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// A process in a group of its own. Dropped, it ends with all its children.
pub(crate) struct Process {
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts `command` on one of the machine's cores, if there are several.
    pub(crate) fn start(core: Core, command: &[&str]) -> io::Result<Self> {
        let child = core
            .command(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, pid })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// User and system time of this process and all below it.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.tree().iter().map(|stat| stat.ticks).sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Duration::from_secs_f64(ticks as f64 / per_second as f64)
    }

    /// Resident memory of this process and all below it, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let pages: u64 = self.tree().iter().map(|stat| stat.pages).sum();
        pages * rustix::param::page_size() as u64
    }

    fn tree(&self) -> Vec<Stat> {
        let all: HashMap<u32, Stat> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, Stat::read(pid)?)))
            .collect();
        let is_below = |mut pid: u32| loop {
            if pid == self.pid {
                return true;
            }
            match all.get(&pid) {
                Some(stat) => pid = stat.parent,
                None => return false,
            }
        };
        let tree = all.iter().filter(|(pid, _)| is_below(**pid));
        tree.map(|(_, stat)| *stat).collect()
    }
}

impl Drop for Process {
    /// Asks first: nginx then collects its workers, which nobody else would.
    fn drop(&mut self) {
        let Some(group) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        for signal in [Signal::TERM, Signal::KILL] {
            // An error means that all of them have ended already.
            kill_process_group(group, signal).ok();
            let asked = Instant::now();
            while asked.elapsed() < PATIENCE {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// From `/proc/PID/stat`, see proc_pid_stat(5).
#[derive(Clone, Copy)]
struct Stat {
    parent: u32,
    ticks: u64,
    pages: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the name, may have spaces and parentheses in it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: field(4)?.try_into().ok()?,
            ticks: field(14)? + field(15)?,
            pages: field(24)?,
        })
    }
}

/// Where a process runs.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    /// The side that is measured.
    Server,
    /// The load generator, and the upstream of proxies.
    Load,
}

impl Core {
    fn command(self, command: &[&str]) -> Command {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut pinned = match self {
            _ if cores < 2 => {
                let mut plain = Command::new(command[0]);
                plain.args(&command[1..]);
                return plain;
            }
            Self::Server => vec!["--cpu-list", "0"],
            Self::Load => vec!["--cpu-list", "1"],
        };
        pinned.extend(command);
        let mut taskset = Command::new("taskset");
        taskset.args(pinned);
        taskset
    }
}
