//! A request is tried until there is an answer, or no more sense in it.

#[cfg(feature = "http2")]
mod shared;

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{HeaderValue, Response, header};
use tokio::time::{Instant, sleep};

#[cfg(feature = "http2")]
use super::{activity::Activity, upstream::http2::Http2Body};
use super::{
    balance::{InFlight, key_of},
    content::Content,
    layer::Shared,
    outcome::{Failed, Outcome},
    pool::{Lease, Link, Need, Turn},
    request::Head,
    retry::{Attempt, Verdict, decide},
    seen::Seen,
    server::Server,
    table::Wish,
    upstream::{Address, Call, Connection, Outgoing, Patience, Speech, uwsgi},
};
use crate::{Error, ErrorKind, semantics::retry_after};

/// How long a body waits to be asked for. RFC 9110 §10.1.1: a client that waits for a 100 "SHOULD
/// NOT wait for an indefinite period before sending the content", since there are servers that
/// never say so.
const CONTINUE: Duration = Duration::from_secs(1);

/// A request, and what was tried with it.
pub(super) struct Tries<'a> {
    shared: &'a Shared,
    head: &'a mut Head,
    content: &'a mut Content,
    is_upgrade: bool,
    deadline: Option<Instant>,
    seen: &'a mut Seen,
    tried: Vec<Arc<Server>>,
    /// How many tries there were, without those that were made good at once.
    count: u32,
    was_renewed: bool,
}

/// The head of an answer, and where the rest of it comes from.
pub(super) struct Answered {
    pub(super) head: Response<()>,
    /// Before the turn: the connection is closed before that is given to the next.
    pub(super) source: Source,
    pub(super) turn: Turn,
    pub(super) work: Work,
    /// What keeps the session where it went, if it is elsewhere yet.
    pub(super) session_cookie: Option<HeaderValue>,
}

/// What the body of an answer comes out of. The usual one is the larger, and not worth a box.
#[allow(clippy::large_enum_variant)]
pub(super) enum Source {
    Call(Call),
    /// With what tells of the request, while that may still be on its way.
    #[cfg(feature = "http2")]
    Stream(Http2Body, Option<Activity>),
}

/// A server has one more request to work on, for as long as this is there.
#[derive(Debug)]
pub(super) struct Work(InFlight<Arc<Server>>);

impl Work {
    pub(super) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.0)
    }
}

/// Why a request has no answer, and who was asked last.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) error: Error,
    pub(super) upstream: Option<Address>,
}

impl<E: Into<Error>> From<E> for Unanswered {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            upstream: None,
        }
    }
}

impl Unanswered {
    pub(super) fn by(server: &Server, error: Error) -> Self {
        Self {
            error,
            upstream: Some(server.address().clone()),
        }
    }
}

/// A try without an answer.
struct Failure {
    error: Error,
    failed: Failed,
    /// The turn at the server, if one was taken.
    turn: Option<Turn>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        shared: &'a Shared,
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
        }
    }

    pub(super) async fn answer(mut self) -> Result<Answered, Unanswered> {
        self.shared.budget.deposit(Instant::now());
        let mut server = self
            .pick()
            .ok_or(Error::new(ErrorKind::UpstreamUnavailable))?;
        let mut turn = None;
        loop {
            if turn.is_none() {
                self.count += 1;
            }
            self.measure(&server).await?;
            let sent = Instant::now();
            let waits = server.waits(sent);
            let result = self.attempt(&server, turn.take()).await;
            let now = waits.end();
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
            self.judge(&server, &outcome, sent, now);
            match self.decide(&server, outcome, now) {
                Verdict::Answer => {
                    let mut answered =
                        result.map_err(|failure| Unanswered::by(&server, failure.error))?;
                    answered.session_cookie = self.session_cookie(&server);
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
                    // What is left of an answer, or of a connection.
                    if let Ok(answered) = result {
                        answered.discard();
                    }
                    sleep(after).await;
                    if elsewhere {
                        self.tried.push(Arc::clone(&server));
                        server = self.pick().unwrap_or(server);
                    }
                }
            }
        }
    }

    /// The uwsgi protocol knows no end of a body but its length. A client that takes its time to
    /// send it is nothing that the server is to blame for.
    async fn measure(&mut self, server: &Server) -> Result<(), Error> {
        if server.address().speech == Speech::Uwsgi
            && self.content.measure(&self.shared.config.spool).await?
        {
            self.head.reframe(self.content);
        }
        Ok(())
    }

    fn pick(&self) -> Option<Arc<Server>> {
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
        members.pick(&wish, Instant::now()).cloned()
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
    ) -> Result<Answered, Failure> {
        let work = Work(InFlight::start(Arc::clone(server)));
        server.count_request();
        self.seen.tried(server, self.count);
        let deadline = self.deadline_of_try();
        // Before there is a connection: what cannot be said waits for none, and takes none.
        let mut bytes = BytesMut::new();
        let block = match self.head.write(server, &mut bytes) {
            Ok(block) => block,
            Err(error) => return Err(Failure::unsent(error, turn)),
        };
        let lease = match turn {
            Some(turn) => turn.renew(deadline).await,
            None => server.pool().lease(self.need(server), deadline).await,
        };
        let lease = lease.map_err(|error| Failure::unsent(error, None))?;
        let Lease { link, turn, spent } = lease;
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
                self.send_shared(server, (connection, on_kept), turn, work, deadline)
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

    fn deadline_of_try(&self) -> Option<Instant> {
        let limit = self.shared.config.retries.try_timeout();
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
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
        let on_kept = connection.was_used();
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

    /// What a try says of the server.
    fn judge(&self, server: &Server, outcome: &Outcome, sent: Instant, now: Instant) {
        let config = &self.shared.config.ejection;
        let change = match config.is_failure(outcome) {
            None => None,
            Some(false) => {
                server.known.load.observe(now - sent, now);
                if outcome.asks_for_less() {
                    server.known.load.penalize(now, outcome.penalty());
                }
                server.known.health.succeeded(config, now)
            }
            Some(true) => {
                server.count_failure();
                server.known.load.penalize(now, outcome.penalty());
                let members = self.shared.table.members();
                let table = members.servers.iter().map(|server| &*server.known.health);
                let ejections = &self.shared.table.ejections;
                ejections.failed(config, &server.known.health, table, sent, now)
            }
        };
        if let Some(change) = change {
            server.changed(&change, None);
        }
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

impl Answered {
    /// Nobody will read it. With nothing left to read its connection is as good as before.
    fn discard(self) {
        match self.source {
            Source::Call(call) if call.is_over() => self.turn.finish(call),
            // Closed before its turn is given to the next.
            source => drop(source),
        }
    }

    fn outcome(&self) -> Outcome {
        let after = self.head.headers().get(header::RETRY_AFTER);
        Outcome::Answered {
            status: self.head.status(),
            retry_after: after
                .and_then(|after| retry_after::parse(after, std::time::SystemTime::now())),
        }
    }
}

impl Failure {
    /// Nothing of the request has left.
    fn unsent(error: Error, turn: Option<Turn>) -> Self {
        let failed = Failed {
            kind: error.kind(),
            bytes_taken: false,
            was_heard: false,
            on_kept: false,
        };
        Self {
            error,
            failed,
            turn,
        }
    }
}

/// uWSGI closes on what is too large for it, and says so to its own log only.
fn explain(error: Error, failed: &Failed, block: Option<uwsgi::Block>) -> Error {
    let is_silence = error.kind() == ErrorKind::UpstreamReset && !failed.was_heard;
    match block.and_then(uwsgi::Block::unanswered) {
        Some(reason) if is_silence => error.with_source(reason),
        _ => error,
    }
}
