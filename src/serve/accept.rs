//! The server's own task: lets connections in, and sees them out.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_service::Service;

use super::{
    connection::{Connection, Protocols},
    listener::Listener,
    request::RequestBody,
    server::Server,
    watch::Timeouts,
};
use crate::{
    BoxError, PeerAddr,
    body::{Drain, Drainer},
};

/// The pause after an error of `accept`, which doubles with each further one. As in Go's
/// `net/http`: short enough for a passing lack of descriptors, long enough not to spin.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For how long connections are let in when draining has begun: long enough for those that the
/// kernel has accepted already.
const LAST_CALL: Duration = Duration::from_millis(20);

pub(super) async fn run<L, S, B, F>(server: Server<L, S, F>)
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    F: Future<Output = ()>,
{
    let Server {
        listener,
        service,
        shutdown,
        config,
    } = server;
    let drainer = Drainer::new();
    let mut reception = Reception {
        door: Door::new(listener, config.max_connections),
        service,
        protocols: Arc::new(Protocols::new(&config.protocol, config.timeouts.send)),
        timeouts: config.timeouts,
        drain: drainer.subscribe(),
        connections: JoinSet::new(),
    };
    select! {
        biased;
        () = shutdown => {}
        () = reception.let_in() => {}
    }
    drainer.begin(config.drain_timeout);
    // Closing the listener resets whoever is in the kernel's queue: they come in first.
    let last_call = LAST_CALL.min(config.drain_timeout);
    timeout(last_call, reception.let_in()).await.ok();
    let mut connections = reception.close();
    tracing::debug!(connections = connections.len(), "draining");
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(config.drain_timeout, all).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "aborting the requests that did not finish in time"
        );
        connections.shutdown().await;
    }
}

/// Lets connections in, and has each served by a task of its own.
struct Reception<L, S> {
    door: Door<L>,
    service: S,
    protocols: Arc<Protocols>,
    timeouts: Timeouts,
    drain: Drain,
    /// Dropped, it aborts them all.
    connections: JoinSet<()>,
}

impl<L, S, B> Reception<L, S>
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// For as long as it is polled.
    async fn let_in(&mut self) {
        loop {
            let (io, peer, slot) = self.door.next().await;
            // What has ended since is forgotten; there are never more of them than slots.
            while self.connections.try_join_next().is_some() {}
            let connection = Connection {
                io,
                peer,
                slot,
                service: self.service.clone(),
                protocols: Arc::clone(&self.protocols),
                timeouts: self.timeouts,
                drain: self.drain.clone(),
            };
            self.connections.spawn(connection.serve());
        }
    }

    /// Closes the listener; what it let in goes on.
    fn close(self) -> JoinSet<()> {
        self.connections
    }
}

/// The listener, and how many may still come in.
struct Door<L> {
    listener: L,
    slots: Arc<Semaphore>,
    max: usize,
    /// Whether the operator was told that no slot is free.
    full: bool,
}

impl<L: Listener> Door<L> {
    fn new(listener: L, max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            listener,
            slots: Arc::new(Semaphore::new(max)),
            max,
            full: false,
        }
    }

    async fn next(&mut self) -> (L::Io, Option<PeerAddr>, OwnedSemaphorePermit) {
        // The slot first: a connection without one stays in the kernel's queue.
        let slot = self.slot().await;
        let (io, peer) = self.accept().await;
        (io, peer, slot)
    }

    async fn slot(&mut self) -> OwnedSemaphorePermit {
        if self.slots.available_permits() == 0 && !self.full {
            self.full = true;
            tracing::warn!(
                connections = self.max,
                "as many connections as allowed are open; further ones wait"
            );
        }
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        // Only when a tenth is free is it over, so that a server at its limit, where each
        // connection that ends lets the next one in, does not warn again and again.
        if self.slots.available_permits() > self.max / 10 {
            self.full = false;
        }
        slot
    }

    async fn accept(&mut self) -> (L::Io, Option<PeerAddr>) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.listener.accept().await {
                Ok(connection) => return connection,
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    tracing::warn!(%error, ?pause, "could not accept a connection; trying again");
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted
    )
}
