//! One connection of a worker: it carries one request at a time.

use std::sync::Arc;

use tokio::net::UnixStream;

use super::{
    frame::{Header, Kind},
    worker::Worker,
};

/// A thread of a worker, and the connection to it.
///
/// Dropped, it closes the connection. To the worker that means that nobody waits for what it is
/// at; it dials again.
// In a box, since it is handed around.
#[derive(Debug)]
pub(super) struct Slot(Box<Connection>);

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    worker: Arc<Worker>,
    number: u16,
    /// Whether it has a request.
    is_busy: bool,
}

impl Slot {
    /// A connection over which a worker has said hello: as its slot `number`.
    pub(super) fn new(stream: UnixStream, number: u16, worker: Arc<Worker>) -> Self {
        Self(Box::new(Connection {
            stream,
            worker,
            number,
            is_busy: false,
        }))
    }

    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.0.worker
    }

    pub(super) fn number(&self) -> u16 {
        self.0.number
    }

    /// It has a request.
    pub(super) fn began(&mut self) {
        self.0.is_busy = true;
        self.0.worker.began();
    }

    /// It has none any more.
    pub(super) fn ended(&mut self) {
        if std::mem::take(&mut self.0.is_busy) {
            self.0.worker.ended();
        }
    }

    /// Tells the thread to end, and closes the connection. To be said to an idle one.
    pub(super) fn stop(self) {
        let stop = Header::new(Kind::Stop, 0, 0).encode();
        // An idle connection has room for a few bytes; one that has none is closed, which the
        // worker takes for the wish to dial again, and is told then.
        if self.0.stream.try_write(&stop).is_err() {
            tracing::debug!(
                worker = self.0.worker.id,
                slot = self.0.number,
                "a slot could not be told to stop"
            );
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.ended();
    }
}
