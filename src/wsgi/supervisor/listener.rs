//! Who dials: checked, heard, and handed on.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    sync::{Semaphore, mpsc, watch},
    time::{interval, sleep, timeout},
};

use super::{
    super::{
        frame::{HEADER, Header, Kind},
        slot::Slot,
        worker::Worker,
    },
    actor::LOOK,
    meeting::Door,
};

/// How long one who has dialled may take to say what for.
const OPENING: Duration = Duration::from_secs(10);
/// So many may be about to say it.
const HALF_OPEN: usize = 64;
/// What is said is no longer: most of it may be a traceback.
const LONGEST: usize = 1 << 20;
/// How long to wait when no connection can be accepted: there is no descriptor left, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// The processes that may dial, by number.
pub(super) type Known = watch::Sender<HashMap<u32, Who>>;

/// Who may dial.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Worker(Arc<Worker>),
    /// A template, of this number.
    Template(u32),
}

/// What was said.
#[derive(Debug)]
pub(super) enum Opening {
    /// A thread of a worker is ready.
    Hello { slot: Slot, about: About },
    /// Somebody told a worker to end.
    Bye { worker: Arc<Worker> },
    /// A worker, or a template, could not load the application. It lives until the stream is closed.
    No {
        who: Who,
        reason: String,
        stream: UnixStream,
    },
    /// A template can fork.
    Template { id: u32, stream: UnixStream },
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// `3.11.7`
    pub(super) python: String,
    /// `CPython`
    pub(super) implementation: String,
    /// Whether there is a global interpreter lock.
    pub(super) gil: bool,
}

/// Lets in those who dial, until it is dropped.
pub(super) async fn listen(mut door: Door, known: Arc<Known>, heard: mpsc::Sender<Opening>) {
    let places = Arc::new(Semaphore::new(HALF_OPEN));
    let mut dials = tokio::task::JoinSet::new();
    let mut looks = interval(LOOK);
    let mut is_shut = false;
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while dials.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            _ = looks.tick() => {
                reopen(&mut door, &mut is_shut);
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let (known, heard) = (known.subscribe(), heard.clone());
                dials.spawn(async move {
                    let mut stream = Some(stream);
                    let opened = timeout(OPENING, open(&mut stream, known)).await;
                    match opened.unwrap_or_else(|_late| Err(late())) {
                        // Who has to wait here holds his place.
                        Ok(opening) => drop(heard.send(opening).await),
                        Err(error) => {
                            tracing::warn!(%error, "a connection to the socket of the workers was refused");
                            stream.as_ref().map(send_away);
                        }
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "workers cannot connect");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Sees to it that workers find the socket: one look at a file, if all is well.
fn reopen(door: &mut Door, is_shut: &mut bool) {
    match door.reopen() {
        Ok(false) => {}
        Ok(true) => {
            *is_shut = false;
            tracing::warn!("the socket of the workers was removed by somebody, and was made anew");
        }
        Err(error) => {
            // Once, and not every second.
            if !std::mem::replace(is_shut, true) {
                tracing::error!(%error, "the socket of the workers was removed by somebody, and cannot be made anew: no worker can boot");
            }
        }
    }
}

fn late() -> io::Error {
    let why = "it did not say in time what it wants, or is of a process that is no worker";
    io::Error::new(io::ErrorKind::TimedOut, why)
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Tells one who is refused not to dial again: a worker that was forked, and nobody knows of, would for
/// as long as it lives.
fn send_away(stream: &UnixStream) {
    let stop = Header::new(Kind::Stop, 0, 0).encode();
    // Nothing was sent before, so there is room; and who has gone needs no word.
    stream.try_write(&stop).ok();
}

/// Hears what somebody has dialled for, if he may. The connection stays where it is if he may not.
async fn open(
    dialled: &mut Option<UnixStream>,
    mut known: watch::Receiver<HashMap<u32, Who>>,
) -> io::Result<Opening> {
    let stream = dialled.as_mut().ok_or_else(not_there)?;
    let peer = stream.peer_cred()?;
    // The directory lets nobody else in but root; this says so once more.
    if peer.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it is of another user"));
    }
    let (header, said) = read(stream).await?;
    // Some systems do not say which process it is. Nobody else of this user has a reason to lie.
    let pid = match peer.pid() {
        Some(pid) => u32::try_from(pid).ok(),
        None => said["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
    };
    let pid = pid.ok_or_else(|| refused("it does not say which process it is"))?;
    // One that was forked just now may be here before the word of it.
    let who = known.wait_for(|known| known.contains_key(&pid)).await;
    let who = who.ok().and_then(|known| known.get(&pid).cloned());
    match (header.kind, who) {
        (Kind::Hello, Some(Who::Worker(worker))) => {
            if header.number >= worker.threads {
                return Err(refused(
                    "it says to be a slot that its worker does not have",
                ));
            }
            let about = About {
                python: text(&said["python"]),
                implementation: text(&said["implementation"]),
                gil: said["gil"].as_bool().unwrap_or(true),
            };
            let slot = Slot::new(taken(dialled)?, header.number, worker);
            Ok(Opening::Hello { slot, about })
        }
        (Kind::Bye, Some(Who::Worker(worker))) => Ok(Opening::Bye { worker }),
        (Kind::No, Some(who)) => {
            let reason = text(&said["reason"]);
            let stream = taken(dialled)?;
            Ok(Opening::No {
                who,
                reason,
                stream,
            })
        }
        (Kind::Template, Some(Who::Template(id))) => {
            let stream = taken(dialled)?;
            Ok(Opening::Template { id, stream })
        }
        (_, None) => Err(refused("it is of a process that is no worker")),
        _ => Err(refused("it says what is not said first")),
    }
}

fn taken(dialled: &mut Option<UnixStream>) -> io::Result<UnixStream> {
    dialled.take().ok_or_else(not_there)
}

fn not_there() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// The opening frame, and no byte of what follows it.
async fn read(stream: &mut UnixStream) -> io::Result<(Header, Value)> {
    let mut bytes = [0; HEADER];
    stream.read_exact(&mut bytes).await?;
    let header = Header::decode(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if header.first > LONGEST || header.second > 0 {
        return Err(refused("it has too much to say"));
    }
    let mut said = vec![0; header.first];
    stream.read_exact(&mut said).await?;
    let said = serde_json::from_slice(&said)?;
    Ok((header, said))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
