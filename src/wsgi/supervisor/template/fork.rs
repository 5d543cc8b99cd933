//! A process that a template has forked.

use std::{io, process::ExitStatus, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use tokio::time::sleep;

use super::super::super::process::{Tail, Tether};

/// How often one looks whether it is still there, when nobody says so.
const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(in crate::wsgi::supervisor) struct Fork {
    pub(in crate::wsgi::supervisor) pid: u32,
    /// The number of its template.
    pub(in crate::wsgi::supervisor) template: u32,
    pub(in crate::wsgi::supervisor) tail: Arc<Tail>,
    /// As long as this is held, it may live.
    _tether: Tether,
    watch: Watch,
}

impl Fork {
    /// One that was forked just now, so that its template has not waited for its end.
    pub(super) fn new(pid: u32, template: u32, tether: Tether, tail: Arc<Tail>) -> Self {
        Self {
            pid,
            template,
            tail,
            _tether: tether,
            watch: Watch::new(pid),
        }
    }

    /// Sends a signal to it, and SIGKILL to its group, without its template.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = self.watch.pid.filter(|_| !self.watch.has_ended()) else {
            return;
        };
        // There may be nobody left, which is as good.
        match signal {
            Signal::KILL => kill_process_group(pid, signal).ok(),
            _ => kill_process(pid, signal).ok(),
        };
    }

    /// Its template has ended: ready when it has. Whoever waited for it knows how it was.
    pub(super) fn orphaned(&self) -> impl Future<Output = io::Result<ExitStatus>> + Send + 'static {
        let watch = self.watch.clone();
        async move {
            while !watch.has_ended() {
                sleep(INTERVAL).await;
            }
            Err(io::Error::other("its template ended before it"))
        }
    }
}

/// By what it is known whether a process has ended that is not this one's child. Its number alone
/// may belong to another one by then.
#[derive(Clone, Debug)]
struct Watch {
    pid: Option<Pid>,
    /// `None` where the kernel knows no such thing.
    #[cfg(target_os = "linux")]
    descriptor: Option<Arc<std::os::fd::OwnedFd>>,
}

impl Watch {
    fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed());
        Self {
            pid,
            #[cfg(target_os = "linux")]
            descriptor: pid.and_then(|pid| {
                let flags = rustix::process::PidfdFlags::empty();
                rustix::process::pidfd_open(pid, flags).ok().map(Arc::new)
            }),
        }
    }

    fn has_ended(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};

            // pidfd_open(2): "when the process that it refers to terminates, these interfaces
            // indicate the file descriptor as readable".
            let mut polled = [PollFd::new(&**descriptor, PollFlags::IN)];
            return poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        }
        self.pid.is_none_or(|pid| test_kill_process(pid).is_err())
    }
}

#[cfg(test)]
mod tests;
