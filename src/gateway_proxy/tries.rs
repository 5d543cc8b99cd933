//! A request is tried until there is an answer, or no more sense in it.

mod answered;
mod credit;
#[cfg(feature = "http2")]
mod shared;

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::HeaderValue;
use tokio::time::{Instant, sleep};

use self::answered::{Failure, explain};
pub(super) use self::{
    answered::{Answered, Source, Unanswered, Work},
    credit::Credit,
};
use super::{
    balance::key_of,
    content::Content,
    layer::Shared,
    outcome::{Failed, Outcome},
    pool::{Lease, Link, Need, Turn},
    request::Head,
    retry::{Attempt, Verdict, decide},
    seen::Seen,
    server::{Server, Waits},
    table::Wish,
    upstream::{Call, Connection, Outgoing, Patience, Speech, uwsgi},
};
use crate::{Error, ErrorKind};

/// How long a body waits to be asked for. RFC 9110 §10.1.1: a client that waits for a 100 "SHOULD
/// NOT wait for an indefinite period before sending the content", since there are servers that
/// never say so.
const CONTINUE: Duration = Duration::from_secs(1);

/// A request, and what was tried with it.
pub(super) struct Tries<'a> {
    shared: &'a Arc<Shared>,
    head: &'a mut Head,
    content: &'a mut Content,
    is_upgrade: bool,
    deadline: Option<Instant>,
    seen: &'a mut Seen,
    tried: Vec<Arc<Server>>,
    /// How many tries there were, without those that were made good at once.
    count: u32,
    was_renewed: bool,
    /// How long the last try waited for its turn.
    waited: Duration,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        head: &'a mut Head,
        content: &'a mut Content,
        is_upgrade: bool,
        deadline: Option<Instant>,
        seen: &'a mut Seen,
    ) -> Self {
        Self {
            shared,
            head,
            content,
            is_upgrade,
            deadline,
            seen,
            tried: Vec::new(),
            count: 0,
            was_renewed: false,
            waited: Duration::ZERO,
        }
    }

    pub(super) async fn answer(mut self) -> Result<Answered, Unanswered> {
        let mut now = Instant::now();
        self.shared.budget.deposit(now);
        let mut server = self
            .pick(now)
            .ok_or(Error::new(ErrorKind::UpstreamUnavailable))?;
        let mut turn = None;
        loop {
            if turn.is_none() {
                self.count += 1;
            }
            if self.measure(&server).await? {
                now = Instant::now();
            }
            let sent = now;
            // How fast a client sends says nothing of the server.
            let waits = self.content.is_kept().then(|| server.waits(sent));
            let result = self.attempt(&server, turn.take(), sent).await;
            now = Instant::now();
            let is_measured = waits.map(Waits::end).is_some();
            let outcome = match &result {
                Ok(answered) => {
                    self.seen.answered(now - sent);
                    answered.outcome()
                }
                Err(failure) => {
                    server.failed_with(&failure.failed);
                    Outcome::Failed(failure.failed)
                }
            };
            let credit = self.judge(&server, &outcome, sent, now, is_measured);
            match self.decide(&server, outcome, now) {
                Verdict::Answer => {
                    let mut answered =
                        result.map_err(|failure| Unanswered::by(&server, failure.error))?;
                    answered.session_cookie = self.session_cookie(&server);
                    answered.credit = credit;
                    return Ok(answered);
                }
                Verdict::Renew => {
                    tracing::debug!(upstream = %server.address(), "a kept connection was closed; trying a fresh one");
                    server.pool().tally().retried("stale");
                    self.was_renewed = true;
                    turn = result.err().and_then(|failure| failure.turn);
                }
                Verdict::Retry { after, elsewhere } => {
                    tracing::debug!(upstream = %server.address(), ?outcome, "trying again");
                    server.pool().tally().retried(match outcome {
                        Outcome::Failed(_) => "failed",
                        Outcome::Answered { .. } => "status",
                    });
                    drop(credit);
                    // What is left of an answer, or of a turn: others may have it meanwhile.
                    match result {
                        Ok(answered) => answered.discard(),
                        Err(failure) => drop(failure),
                    }
                    if !after.is_zero() {
                        sleep(after).await;
                        now = Instant::now();
                    }
                    if elsewhere {
                        self.tried.push(Arc::clone(&server));
                        server = self.pick(now).unwrap_or(server);
                    }
                }
            }
        }
    }

    /// The uwsgi protocol knows no end of a body but its length. A client that takes its time to
    /// send it is nothing that the server is to blame for.
    //
    // Whether that took time.
    async fn measure(&mut self, server: &Server) -> Result<bool, Error> {
        if server.address().speech != Speech::Uwsgi {
            return Ok(false);
        }
        let was_unknown = Box::pin(self.content.measure(&self.shared.config.spool)).await?;
        if was_unknown {
            self.head.reframe(self.content);
        }
        Ok(was_unknown)
    }

    fn pick(&self, now: Instant) -> Option<Arc<Server>> {
        let config = &self.shared.config;
        let key = config
            .hash_key()
            .and_then(|key| key_of(key, self.head.headers(), self.head.client().addr));
        let wish = Wish {
            headers: self.head.headers(),
            sticky: config.sticky.as_ref(),
            key,
            tried: &self.tried,
        };
        let members = self.shared.table.members();
        members.pick(&wish, now).cloned()
    }

    /// The cookie for an answer of this server, unless the request's session is on it already.
    fn session_cookie(&self, server: &Server) -> Option<HeaderValue> {
        let sticky = self.shared.config.sticky.as_ref()?;
        let members = self.shared.table.members();
        let was = sticky.server(self.head.headers(), &members.servers, |_| true);
        let stays = was.is_some_and(|at| members.servers[at].is(server));
        let https = self.head.client().scheme == "https";
        (!stays).then(|| sticky.set_cookie(server.known.id(), https))
    }

    /// One try. `turn` is what is left of the last one, when only its connection had failed.
    async fn attempt(
        &mut self,
        server: &Arc<Server>,
        turn: Option<Turn>,
        now: Instant,
    ) -> Result<Answered, Failure> {
        let work = Work::start(server);
        server.count_request();
        self.seen.tried(server, self.count);
        self.waited = Duration::ZERO;
        let deadline = self.deadline_of_try(now);
        // Before there is a connection: what cannot be said waits for none, and takes none.
        let mut bytes = BytesMut::new();
        let block = match self.head.write(server, &mut bytes) {
            Ok(block) => block,
            Err(error) => return Err(Failure::unsent(error, turn)),
        };
        let lease = match turn {
            Some(turn) => turn.renew(deadline).await,
            None => server.pool().lease(self.need(server), now, deadline).await,
        };
        let lease = lease.map_err(|error| Failure::unsent(error, None))?;
        let Lease { link, turn, spent } = lease;
        self.waited = spent.waiting.unwrap_or_default();
        self.seen.connected(spent);
        match link {
            Link::Own(connection) => {
                let head = (bytes, block);
                self.send(server, head, connection, turn, work, deadline)
                    .await
            }
            #[cfg(feature = "http2")]
            Link::Shared(connection) => {
                // Of those who share a new one, it is new to the one who made it: that it breaks is
                // one failure of the server, and not as many as there are requests.
                let on_kept = connection.was_used() || spent.connecting.is_none();
                Box::pin(self.send_shared(server, (connection, on_kept), turn, work, deadline))
                    .await
            }
        }
    }

    /// RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests." So they
    /// are not sent where they may have to be.
    fn need(&self, server: &Server) -> Need {
        // RFC 9113 §8.7: "HTTP/2 provides two mechanisms for providing a guarantee to a client that
        // a request has not been processed": a server that closes says which those are.
        if server.address().speaks_http2() {
            return Need::Any;
        }
        let may_repeat = self.head.method.is_idempotent() && self.content.is_kept();
        let config = &self.shared.config;
        match (may_repeat || config.reuses_always) && !self.is_upgrade {
            true => Need::Any,
            false => Need::Fresh,
        }
    }

    fn deadline_of_try(&self, now: Instant) -> Option<Instant> {
        let limit = self.shared.config.retries.try_timeout();
        let end = limit.and_then(|limit| now.checked_add(limit));
        match (end, self.deadline) {
            (Some(end), Some(deadline)) => Some(end.min(deadline)),
            (end, deadline) => end.or(deadline),
        }
    }

    async fn send(
        &mut self,
        server: &Server,
        (head, block): (BytesMut, Option<uwsgi::Block>),
        connection: Box<Connection>,
        turn: Turn,
        work: Work,
        deadline: Option<Instant>,
    ) -> Result<Answered, Failure> {
        // A server that speaks uwsgi asks for nothing, and has to be told a length.
        let is_uwsgi = server.address().speech == Speech::Uwsgi;
        let is_held = !is_uwsgi && self.head.holds(self.content);
        let (body, coding) = match is_uwsgi {
            false => self.content.take(),
            true => self.content.take_measured(),
        };
        let request = Outgoing {
            method: self.head.method.clone(),
            head,
            body,
            coding,
            is_held,
        };
        let patience = Patience {
            response: self.shared.config.response_timeout,
            deadline,
            hold: CONTINUE,
        };
        let on_kept = connection.was_kept();
        let mut call = Call::new(connection, request, &patience);
        match poll_fn(|cx| call.poll_head(cx)).await {
            Ok(head) => {
                // A try has a limit of its own; the body of its answer has that of the whole.
                call.set_deadline(self.deadline);
                if is_uwsgi {
                    server.known.learn_reading(head.headers());
                }
                Ok(Answered {
                    head,
                    source: Source::Call(call),
                    turn,
                    work,
                    session_cookie: None,
                    credit: None,
                })
            }
            Err(failure) => {
                drop(call);
                let failed = Failed {
                    kind: failure.error.kind(),
                    bytes_taken: failure.was_taken,
                    was_heard: failure.was_heard,
                    on_kept,
                };
                Err(Failure {
                    error: explain(failure.error, &failed, block),
                    failed,
                    turn: Some(turn),
                })
            }
        }
    }

    /// What a try says of the server. That it is well shows when the answer is over.
    fn judge(
        &self,
        server: &Arc<Server>,
        outcome: &Outcome,
        sent: Instant,
        now: Instant,
        is_measured: bool,
    ) -> Option<Credit> {
        match self.shared.config.ejection.is_failure(outcome)? {
            true if self.had_no_time(sent, now) => None,
            true => {
                self.shared.failed(server, outcome, sent, now);
                None
            }
            false => {
                if is_measured {
                    server.known.load.observe(now - sent, now);
                }
                if outcome.asks_for_less() {
                    server.known.load.penalize(now, outcome.penalty());
                }
                Some(Credit::new(self.shared, server, sent, self.deadline))
            }
        }
    }

    /// Whether the time for the whole request is over, and most of it had gone before this server
    /// had its turn: that it was late then is not its fault.
    fn had_no_time(&self, sent: Instant, now: Instant) -> bool {
        let is_over = self.deadline.is_some_and(|deadline| deadline <= now);
        let total = self.shared.config.total_timeout.unwrap_or_default();
        is_over && (now - sent).saturating_sub(self.waited) < total / 2
    }

    fn decide(&self, server: &Server, outcome: Outcome, now: Instant) -> Verdict {
        // The usual case needs no look at the table.
        let retries = &self.shared.config.retries;
        if let Outcome::Answered { status, .. } = outcome
            && !retries.is_status(status)
        {
            return Verdict::Answer;
        }
        let members = self.shared.table.members();
        let others_left = members.has_others(&self.tried, server);
        let attempt = Attempt {
            tries: self.count,
            was_renewed: self.was_renewed,
            is_idempotent: self.head.method.is_idempotent(),
            is_replayable: self.content.is_whole(),
            outcome,
            others_left,
            remaining: self
                .deadline
                .map_or(Duration::MAX, |deadline| deadline - now),
        };
        decide(retries, &self.shared.budget, &attempt, now)
    }
}
