//! The connection of a template: orders to it, and what it says.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

use super::super::{
    super::frame::{HEADER, Header, Kind},
    fleet::Id,
};

/// The longest thing that a template says is why it could not fork.
const LONGEST: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Link(OwnedWriteHalf);

/// What a template says, and which one it is.
#[derive(Debug)]
pub(in crate::wsgi::supervisor) struct Saying {
    pub(super) template: u32,
    pub(super) said: Said,
}

#[derive(Debug)]
pub(in crate::wsgi::supervisor) enum Said {
    Forked {
        id: Id,
        pid: u32,
    },
    NotForked {
        id: Id,
        error: String,
    },
    Ended {
        pid: u32,
        status: ExitStatus,
    },
    /// And will not any more.
    Nothing,
}

/// The link to a template, and what is to be run to hear what it says.
pub(super) fn new(
    template: u32,
    stream: UnixStream,
    sayings: mpsc::Sender<Saying>,
) -> (Link, impl Future<Output = ()> + Send) {
    let (mut read, write) = stream.into_split();
    let reading = async move {
        loop {
            // What is wrong with it does not matter: it is not understood any more.
            let said = hear(&mut read).await.unwrap_or(Said::Nothing);
            let is_over = matches!(said, Said::Nothing);
            if sayings.send(Saying { template, said }).await.is_err() || is_over {
                return;
            }
        }
    };
    (Link(write), reading)
}

async fn hear(stream: &mut OwnedReadHalf) -> io::Result<Said> {
    let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = [0; HEADER];
    stream.read_exact(&mut bytes).await?;
    let header = Header::decode(&bytes).map_err(|_bad| invalid("no frame"))?;
    if header.first > LONGEST || header.second > 0 {
        return Err(invalid("too long"));
    }
    let mut said = vec![0; header.first];
    stream.read_exact(&mut said).await?;
    let said: Value = serde_json::from_slice(&said)?;
    let number = |name: &str| {
        let number = said[name]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| invalid("no number"))
    };
    match header.kind {
        Kind::Forked => match said["error"].as_str() {
            Some(error) => Ok(Said::NotForked {
                id: number("worker")?,
                error: error.to_owned(),
            }),
            None => Ok(Said::Forked {
                id: number("worker")?,
                pid: number("pid")?,
            }),
        },
        Kind::Exited => Ok(Said::Ended {
            pid: number("pid")?,
            status: ExitStatus::from_raw(number("status")?.cast_signed()),
        }),
        _ => Err(invalid("not for a template")),
    }
}

impl Link {
    pub(super) fn fork(&self, id: Id) -> io::Result<()> {
        self.order(Kind::Go, 0, &json!({ "worker": id }))
    }

    pub(super) fn signal(&self, pid: u32, signal: Signal) -> io::Result<()> {
        let number = u16::try_from(signal.as_raw()).unwrap_or_default();
        self.order(Kind::Signal, number, &json!({ "pid": pid }))
    }

    /// It ends when its children have; if it does not listen any more, it has, or will be killed.
    pub(super) fn stop(&self) {
        self.order(Kind::Stop, 0, &json!({})).ok();
    }

    fn order(&self, kind: Kind, number: u16, order: &Value) -> io::Result<()> {
        let order = order.to_string();
        let mut header = Header::new(kind, order.len(), 0);
        header.number = number;
        let mut bytes = header.encode().to_vec();
        bytes.extend(order.as_bytes());
        // It reads as soon as it can, and orders are few and short: there is room, if it is well.
        match self.0.try_write(&bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}
