//! How a process ends.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use rustix::process::Signal;
use tokio::{task::JoinHandle, time::timeout};

use super::Group;

/// How long what a process wrote is read after its end. Longer, and somebody else writes there.
const HEARD_OUT: Duration = Duration::from_millis(500);

/// Waits for the child's end, and ends what it left behind in its group.
///
/// # Cancel safety
///
/// It may be dropped and called again.
pub(super) async fn wait(group: &mut Group) -> io::Result<ExitStatus> {
    #[cfg(not(target_os = "openbsd"))]
    {
        if let Err(error) = is_dead(group.id).await {
            group.is_reaped = true;
            return Err(error);
        }
        // The child is not reaped yet, so the group's number is still its own.
        group.kill();
    }
    let status = group.child.wait().await;
    group.is_reaped = true;
    status
}

/// Waits until the child has ended, and leaves it to be reaped.
#[cfg(not(target_os = "openbsd"))]
async fn is_dead(id: rustix::process::Pid) -> io::Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use tokio::signal::unix::{SignalKind, signal};

    // Before the first look, so that no end is missed.
    let mut children = signal(SignalKind::child())?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::Pid(id), look) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(rustix::io::Errno::INTR) => continue,
            // Somebody else in this process reaped it: there is nothing more to learn.
            Err(error) => return Err(error.into()),
        }
        children.recv().await;
    }
}

/// Waits until all that the process wrote was read.
pub(super) async fn hear_out(outputs: Vec<JoinHandle<()>>) {
    let heard = async {
        for output in outputs {
            output.await.ok();
        }
    };
    timeout(HEARD_OUT, heard).await.ok();
}

/// What became of a process, to follow its name: `exited with status 1`, `was ended by SIGKILL`.
pub(in crate::wsgi) fn how(status: ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("exited with status {code}");
    }
    let Some(number) = status.signal() else {
        return "ended".to_owned();
    };
    match NAMES.iter().find(|(signal, _)| signal.as_raw() == number) {
        Some((_, name)) => format!("was ended by {name}"),
        None => format!("was ended by signal {number}"),
    }
}

const NAMES: &[(Signal, &str)] = &[
    (Signal::ABORT, "SIGABRT"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::HUP, "SIGHUP"),
    (Signal::ILL, "SIGILL"),
    (Signal::INT, "SIGINT"),
    (Signal::IO, "SIGIO"),
    (Signal::KILL, "SIGKILL"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::SYS, "SIGSYS"),
    (Signal::TERM, "SIGTERM"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        // As `waitpid` says it.
        assert_eq!(how(ExitStatus::from_raw(3 << 8)), "exited with status 3");
        assert_eq!(how(ExitStatus::from_raw(9)), "was ended by SIGKILL");
        assert_eq!(how(ExitStatus::from_raw(11)), "was ended by SIGSEGV");
        assert_eq!(how(ExitStatus::from_raw(50)), "was ended by signal 50");
    }
}
