//! An answer that has begun well, and what becomes of it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    ErrorKind,
    gateway_proxy::{
        layer::Shared,
        outcome::{Failed, Outcome},
        server::Server,
    },
};

/// The head of an answer was good. Unless it is [lost](Credit::lose), that counts as a success of
/// the server's when this is dropped: when the answer is over, or nobody wants the rest of it.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Credit {
    shared: Arc<Shared>,
    server: Arc<Server>,
    sent: Instant,
    deadline: Option<Instant>,
    is_lost: bool,
}

impl Credit {
    pub(super) fn new(
        shared: &Arc<Shared>,
        server: &Arc<Server>,
        sent: Instant,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            server: Arc::clone(server),
            sent,
            deadline,
            is_lost: false,
        }
    }

    /// The answer was not finished.
    pub(in crate::gateway_proxy) fn lose(mut self, kind: ErrorKind) {
        self.is_lost = true;
        let now = Instant::now();
        let outcome = Outcome::Failed(Failed {
            kind,
            bytes_taken: true,
            was_heard: true,
            on_kept: false,
        });
        // A download that takes longer than it may is nobody's fault.
        let is_over = self.deadline.is_some_and(|deadline| deadline <= now);
        let is_cut = is_over && kind == ErrorKind::UpstreamTimeout;
        if !is_cut && self.shared.config.ejection.is_failure(&outcome) == Some(true) {
            self.shared.failed(&self.server, &outcome, self.sent, now);
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let config = &self.shared.config.ejection;
        let health = &self.server.known.health;
        // The usual server is well, and no clock is read for it.
        if !self.is_lost
            && health.counts_successes(config)
            && let Some(change) = health.succeeded(config, Instant::now())
        {
            self.server.changed(&change, None);
        }
    }
}

impl Shared {
    /// A request that was sent at `sent` failed by this server's fault.
    pub(super) fn failed(&self, server: &Server, outcome: &Outcome, sent: Instant, now: Instant) {
        server.count_failure();
        server.known.load.penalize(now, outcome.penalty());
        let members = self.table.members();
        let table = members.servers.iter().map(|server| &*server.known.health);
        let (config, ejections) = (&self.config.ejection, &self.table.ejections);
        let change = ejections.failed(config, &server.known.health, table, sent, now);
        if let Some(change) = change {
            server.changed(&change, None);
        }
    }
}
