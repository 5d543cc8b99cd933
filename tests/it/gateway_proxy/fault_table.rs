//! What an upstream can do wrong, over sockets: the client gets the right status, or sees that the
//! answer is not whole; the next request is answered as if nothing had been; and nothing is left,
//! neither a connection, a task, a descriptor, nor a file.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout},
};
use tower_gateway::{GatewayProxy, body::spool::Spool, serve::serve};

use super::wire::{Address, Client, find};
use crate::support::{
    alone::{descriptors, is_alone, settled},
    process::say,
    raw::{Answer, PATIENCE},
    upstream::{Conn, Upstream},
};

/// The faults that this crate does not answer rightly yet. Each has to fail, in one of the two ways
/// of passing requests on at least.
const AWAITED: &[&str] = &[
    // They are thrown away for as long as the answer may take, and it is 504 then.
    "interim answers without an end",
    // The coding rules, and the connection is used again.
    "a length and chunks",
    "a longer length and chunks",
];

/// How long an upstream may take where that is the question.
const SHORT: Duration = Duration::from_millis(150);

/// And where it is not.
const LONG: Duration = Duration::from_secs(5);

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

struct Fault {
    name: &'static str,
    /// What the client sends; it waits for the answer then.
    asks: Vec<u8>,
    upstream: Kind,
    limit: Duration,
    right: Vec<Right>,
}

enum Kind {
    Refuses,
    Accepts,
    Says(Vec<u8>, End),
    Does(Script),
}

type Script = Arc<dyn Fn(Conn) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone, Copy)]
enum End {
    Close,
    Reset,
    Stay,
}

#[derive(Debug)]
enum Right {
    /// Answered here, with this status.
    Status(u16),
    /// Broken off, so that the client sees it. If the head has not gone out yet, 502 or 504 will do.
    Broken,
    /// Passed on.
    Whole(u16, &'static str),
    /// Passed on, and nothing more is asked on that connection.
    Last(u16, &'static str),
}

fn fault(name: &'static str, upstream: Kind, right: Right) -> Fault {
    Fault {
        name,
        asks: GET.into(),
        upstream,
        // Whoever is to be late is late soon.
        limit: match right {
            Right::Status(504) => SHORT,
            _ => LONG,
        },
        right: vec![right],
    }
}

impl Fault {
    fn asks(mut self, asks: impl Into<Vec<u8>>) -> Self {
        self.asks = asks.into();
        self
    }

    fn soon(mut self) -> Self {
        self.limit = SHORT;
        self
    }

    fn or(mut self, right: Right) -> Self {
        self.right.push(right);
        self
    }
}

fn says(bytes: impl Into<Vec<u8>>, end: End) -> Kind {
    Kind::Says(bytes.into(), end)
}

fn does<F, Fut>(script: F) -> Kind
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Kind::Does(Arc::new(move |conn| Box::pin(script(conn))))
}

const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn before_the_head() -> Vec<Fault> {
    use {End::*, Right::*};
    vec![
        fault("nobody listens", Kind::Refuses, Status(502)),
        fault("closed when it was accepted", Kind::Accepts, Status(502)),
        fault("closed before the head", says("", Close), Status(502)),
        fault("reset before the head", says("", Reset), Status(502)),
        fault("no head", says("", Stay), Status(504)),
        fault(
            "a head that comes byte by byte",
            does(|mut conn| async move {
                conn.write("HTTP/1.1 200 OK\r\nX-A: ").await;
                while timeout(SHORT / 10, conn.fill()).await.is_err() {
                    conn.write("a").await;
                }
            }),
            Status(504),
        ),
    ]
}

fn in_the_head() -> Vec<Fault> {
    use {End::*, Right::*};
    let bad = |name, head: &str| fault(name, says(head, Stay), Status(502));
    let with = |name, fields: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 2\r\n\r\nok");
        fault(name, says(answer, Stay), Status(502))
    };
    let part = "HTTP/1.1 200 OK\r\nX-A: b\r\n";
    vec![
        fault("closed in the head", says(part, Close), Status(502)),
        fault("reset in the head", says(part, Reset), Status(502)),
        fault("a pause in the head", says(part, Stay), Status(504)),
        bad("garbage", "\u{16}\u{3}\u{1} garbage\r\n\r\n"),
        bad("zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n"),
        bad("SSH", "SSH-2.0-OpenSSH_9.2\r\n"),
        fault("HTTP/0.9", says("<html>hello", Close), Status(502)),
        bad("HTTP/2 in words", "HTTP/2.0 200 OK\r\n\r\n"),
        bad("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        bad(
            "a frame of HTTP/2",
            "\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\r\n",
        ),
        bad("a request", GET),
        bad("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        bad("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
        bad(
            "a status below 100",
            "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        bad("a status in letters", "HTTP/1.1 abc OK\r\n\r\n"),
        with("a field without a colon", "X-A"),
        with("a field without a name", ": b"),
        with("a NUL in a value", "X-A: b\0c"),
        with("a bare CR in a value", "X-A: b\rSet-Cookie: evil"),
        with("a space in a name", "X A: b"),
        with("10,000 fields", &"A: b\r\n".repeat(10_000)),
        with("500 fields", &"A: b\r\n".repeat(500)),
        with("a value of 1 MiB", &format!("X-A: {}", "b".repeat(1 << 20))),
        fault(
            "a head without an end",
            does(|mut conn| async move {
                conn.write("HTTP/1.1 200 OK\r\n").await;
                while !conn.is_closed() {
                    conn.write("X-A: b\r\n".repeat(100)).await;
                    tokio::task::yield_now().await;
                }
            }),
            Status(502),
        ),
        fault(
            "interim answers without an end",
            does(|mut conn| async move {
                while !conn.is_closed() {
                    conn.write("HTTP/1.1 102 Processing\r\n\r\n".repeat(100))
                        .await;
                    tokio::task::yield_now().await;
                }
            }),
            Status(502),
        )
        .soon(),
        fault(
            "an interim answer and the end",
            says("HTTP/1.1 100 Continue\r\n\r\n", Close),
            Status(502),
        ),
        fault(
            "an interim answer and no other",
            says("HTTP/1.1 103 Early Hints\r\n\r\n", Stay),
            Status(504),
        ),
        bad(
            "a switch that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
        ),
        fault(
            "a switch to something else",
            says(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: bar\r\n\r\n",
                Stay,
            ),
            Status(502),
        )
        .asks("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"),
    ]
}

fn framing() -> Vec<Fault> {
    use {End::*, Right::*};
    let bad = |name, fields: &str, body: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
        fault(name, says(answer, Stay), Status(502))
    };
    let chunked = "2\r\nok\r\n0\r\n\r\n";
    vec![
        bad(
            "two lengths",
            "Content-Length: 2\r\nContent-Length: 3",
            "ok!",
        ),
        bad("a list of two lengths", "Content-Length: 2, 3", "ok!"),
        bad("a negative length", "Content-Length: -1", "ok"),
        bad("a length with a sign", "Content-Length: +2", "ok"),
        bad("a length in words", "Content-Length: two", "ok"),
        bad("an empty length", "Content-Length:", "ok"),
        bad(
            "a length of 2^64",
            "Content-Length: 18446744073709551616",
            "ok",
        ),
        bad(
            "an unknown coding",
            "Transfer-Encoding: gzip, chunked",
            chunked,
        ),
        bad("an unknown coding alone", "Transfer-Encoding: gzip", "ok"),
        bad(
            "chunked twice",
            "Transfer-Encoding: chunked, chunked",
            chunked,
        ),
        bad(
            "chunked in two lines",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            chunked,
        ),
        bad("xchunked", "Transfer-Encoding: xchunked", chunked),
        fault(
            "chunks in HTTP/1.0",
            says(
                format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
                Stay,
            ),
            Status(502),
        ),
        bad(
            "the same length twice",
            "Content-Length: 2\r\nContent-Length: 2",
            "ok",
        )
        .or(Whole(200, "ok")),
        // RFC 9112 §6.3: it "might indicate an attempt to perform request smuggling [...] and ought to
        // be handled as an error"; or the coding rules, on a connection that is not used again.
        bad(
            "a length and chunks",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            chunked,
        )
        .or(Last(200, "ok")),
        bad(
            "a longer length and chunks",
            "Content-Length: 200\r\nTransfer-Encoding: chunked",
            chunked,
        )
        .or(Last(200, "ok")),
    ]
}

fn in_the_body() -> Vec<Fault> {
    use {End::*, Right::*};
    let broken =
        |name, head: &str, body: &str, end| fault(name, says(format!("{head}{body}"), end), Broken);
    let until_close = "HTTP/1.1 200 OK\r\n\r\n";
    vec![
        broken("closed within a length", LENGTH, "half", Close),
        broken("reset within a length", LENGTH, "half", Reset),
        broken("closed behind the head", LENGTH, "", Close),
        broken("a pause within a length", LENGTH, "half", Stay).soon(),
        broken("closed within a chunk", CHUNKS, "8\r\nhalf", Close),
        broken("reset within a chunk", CHUNKS, "8\r\nhalf", Reset),
        broken("closed between chunks", CHUNKS, "4\r\nhalf\r\n", Close),
        broken("reset between chunks", CHUNKS, "4\r\nhalf\r\n", Reset),
        broken("a pause between chunks", CHUNKS, "4\r\nhalf\r\n", Stay).soon(),
        broken(
            "closed before the trailers end",
            CHUNKS,
            "4\r\nhalf\r\n0\r\n",
            Close,
        ),
        broken("a size that is not hex", CHUNKS, "4\r\nhalf\r\nx\r\n", Stay),
        broken("an empty size", CHUNKS, "4\r\nhalf\r\n\r\n", Stay),
        broken(
            "a negative size",
            CHUNKS,
            "4\r\nhalf\r\n-4\r\nhalf\r\n",
            Stay,
        ),
        broken("a size of 2^64", CHUNKS, "10000000000000000\r\nhalf", Stay),
        broken(
            "a size of 2^64 and 4",
            CHUNKS,
            "10000000000000004\r\nhalf\r\n0\r\n\r\n",
            Stay,
        ),
        broken(
            "no end of line behind a chunk",
            CHUNKS,
            "4\r\nhalfX\r\n0\r\n\r\n",
            Stay,
        ),
        broken(
            "a chunk longer than its size",
            CHUNKS,
            "3\r\nhalf\r\n0\r\n\r\n",
            Stay,
        ),
        broken(
            "reset where the end is the close",
            until_close,
            "half",
            Reset,
        ),
        broken(
            "a pause where the end is the close",
            until_close,
            "half",
            Stay,
        )
        .soon(),
        broken(
            "an extension without an end",
            CHUNKS,
            &format!("4;{}", "x".repeat(1 << 20)),
            Stay,
        ),
        broken(
            "trailers without an end",
            CHUNKS,
            &format!("4\r\nhalf\r\n0\r\n{}", "X-A: b\r\n".repeat(100_000)),
            Stay,
        ),
        fault(
            "closed where the end is the close",
            says(format!("{until_close}whole"), Close),
            Whole(200, "whole"),
        ),
    ]
}

/// The answer is right, and there is more.
fn beyond_the_answer() -> Vec<Fault> {
    use {End::*, Right::*};
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let more = |name, answer: &str, status, body| {
        fault(
            name,
            says(format!("{answer}{EVIL}"), Stay),
            Whole(status, body),
        )
    };
    vec![
        more(
            "a second answer behind a length",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            200,
            "ok",
        ),
        more(
            "a second answer behind chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            200,
            "ok",
        ),
        more(
            "a second answer behind a 204",
            "HTTP/1.1 204 No Content\r\n\r\n",
            204,
            "",
        ),
        more(
            "a body of a 204",
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
            204,
            "",
        )
        .or(Status(502)),
        more(
            "chunks of a 204",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            204,
            "",
        )
        .or(Status(502)),
        more(
            "a body of a 304",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
            304,
            "",
        ),
        more(
            "a body of an answer to HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n",
            200,
            "",
        )
        .asks(HEAD),
        more(
            "chunks of an answer to HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            200,
            "",
        )
        .asks(HEAD),
        fault(
            "more than the length",
            says(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
                Stay,
            ),
            Whole(200, "ok"),
        ),
    ]
}

fn upload(sends: usize) -> Vec<u8> {
    let mut request = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    request.resize(request.len() + sends, b'x');
    request
}

/// While the request is on its way. These read the head, and not the body.
fn while_uploading(streams: bool) -> Vec<Fault> {
    use {End::*, Right::*};
    const KEEP: &str = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    const CLOSE: &str =
        "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    // Streamed, the answer comes while the client has not sent it all.
    let sends = if streams { 100_000 } else { 1_000_000 };
    let reads_all = |answer: &'static str| {
        does(move |mut conn: Conn| async move {
            conn.write(answer).await;
            conn.closed().await;
        })
    };
    vec![
        fault(
            "413 at once, and the connection stays",
            says(KEEP, Stay),
            Whole(413, "no"),
        )
        .asks(upload(sends)),
        fault(
            "413 at once, which says close",
            reads_all(CLOSE),
            Whole(413, "no"),
        )
        .asks(upload(sends)),
        fault(
            "413 at once, and a reset",
            says(CLOSE, Close),
            Whole(413, "no"),
        )
        .asks(upload(sends)),
        fault("closed while uploading", says("", Close), Status(502)).asks(upload(sends)),
        fault("reset while uploading", says("", Reset), Status(502)).asks(upload(sends)),
        fault(
            "nothing is read of the upload",
            does(|mut conn: Conn| async move {
                // Until the gateway has lost its patience.
                timeout(SHORT * 2, std::future::pending::<()>()).await.ok();
                conn.closed().await;
            }),
            Status(504),
        )
        .asks(upload(1_000_000)),
    ]
}

#[tokio::test]
async fn whatever_an_upstream_does_wrong_the_client_knows_and_nothing_is_left() {
    let test = "gateway_proxy::fault_table::\
                whatever_an_upstream_does_wrong_the_client_knows_and_nothing_is_left";
    if !is_alone(test) {
        return;
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for streams in [false, true] {
        let mut groups = vec![while_uploading(streams)];
        // Without a body there are no two ways.
        if !streams {
            groups.extend([
                before_the_head(),
                in_the_head(),
                framing(),
                in_the_body(),
                beyond_the_answer(),
            ]);
        }
        for fault in groups.into_iter().flatten() {
            let name = fault.name;
            count += 1;
            let start = Instant::now();
            if let Err(reason) = play(fault, streams).await {
                let way = if streams { "streaming" } else { "spooling" };
                wrong.push((way, name, reason));
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{name} takes {:?}",
                start.elapsed()
            );
        }
    }
    say(format_args!(
        "{} of {count} faults as they should be",
        count - wrong.len()
    ));
    for (way, name, reason) in &wrong {
        let reason: String = reason.chars().take(300).collect();
        say(format_args!("{way}: {name}: {reason}"));
    }
    for name in AWAITED {
        assert!(
            wrong.iter().any(|(_, given, _)| given == name),
            "{name:?} is right, or is no fault: its line in AWAITED goes"
        );
    }
    wrong.retain(|(_, name, _)| !AWAITED.contains(name));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn play(fault: Fault, streams: bool) -> Result<(), String> {
    let Fault {
        asks,
        upstream: kind,
        limit,
        right,
        ..
    } = fault;
    let refuses = matches!(kind, Kind::Refuses);
    let upstream = Arc::new(upstream(kind).await);
    let url = match refuses {
        true => nobody().await,
        false => upstream.url(),
    };
    let files = tempfile::tempdir().unwrap();
    let spool = Spool::new().memory(1000).directory(files.path());
    let proxy = GatewayProxy::to(&url)
        .unwrap()
        .spool(spool)
        .connect_timeout(limit)
        .response_timeout(limit)
        .read_timeout(limit)
        .idle_timeout(SHORT / 4);
    let proxy = if streams {
        proxy.stream_requests()
    } else {
        proxy
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
    // Everybody has begun.
    let mut client = Client::connect(&address, PATIENCE / 4).await;
    client
        .send("OPTIONS /next HTTP/1.0\r\nHost: a\r\n\r\n")
        .await?;
    client.answer(false).await?;
    drop(client);
    let mut least = (usize::MAX, usize::MAX);
    let open = || upstream.counts().open;
    settled(|| (open() > 0).then(|| "the upstream has a connection".to_owned())).await?;
    for _ in 0..3 {
        tokio::task::yield_now().await;
        least = (least.0.min(descriptors()), least.1.min(tasks()));
    }

    let before = upstream.counts().accepted;
    let told = answered(&address, &asks, &right, refuses).await;
    let is_last = right.iter().any(|right| matches!(right, Right::Last(..)));
    let told = told.and_then(
        |()| match is_last && upstream.counts().accepted == before + 1 {
            true => Err("its connection is used again".to_owned()),
            false => Ok(()),
        },
    );

    let left = settled(|| {
        let now = (descriptors(), tasks());
        let names = std::fs::read_dir(files.path()).unwrap().count();
        let is_clean = now.0 <= least.0 && now.1 <= least.1 && open() == 0 && names == 0;
        (!is_clean).then(|| {
            format!(
                "left behind: (descriptors, tasks) {now:?}, before {least:?}; {names} files; \
                 upstream connections: {}",
                open()
            )
        })
    })
    .await;
    server.abort();
    server.await.ok();
    told.and(left)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// The fault, and the next request after it.
async fn answered(
    address: &Address,
    asks: &[u8],
    right: &[Right],
    refuses: bool,
) -> Result<(), String> {
    let to_head = asks.starts_with(b"HEAD ");
    let mut client = Client::connect(address, PATIENCE / 4).await;
    client.send(asks).await?;
    let answer = client.answer(to_head).await;
    if !right.iter().any(|right| right.holds(&answer)) {
        return Err(format!("{right:?}, and it is {answer:?}"));
    }
    if refuses {
        return Ok(());
    }
    // On the same connection if it goes on, and on another one.
    if client.send(NEXT).await.is_ok()
        && let Ok(Some(next)) = client.answer(false).await
    {
        is_next(&next)?;
    }
    let mut other = Client::connect(address, PATIENCE / 4).await;
    other.send(NEXT).await?;
    is_next(&other.expect(false).await?)
}

fn is_next(answer: &Answer) -> Result<(), String> {
    match answer.status == 200 && answer.text() == "next" {
        true => Ok(()),
        false => Err(format!("the next request is answered {answer:?}")),
    }
}

impl Right {
    fn holds(&self, answer: &Result<Option<Answer>, String>) -> bool {
        match (self, answer) {
            (Self::Status(status), Ok(Some(answer))) => answer.status == *status && answer.complete,
            (Self::Whole(status, body) | Self::Last(status, body), Ok(Some(answer))) => {
                answer.status == *status && answer.text() == *body && answer.complete
            }
            (Self::Broken, Ok(Some(answer))) => {
                matches!(answer.status, 502 | 504) || !answer.complete
            }
            (Self::Broken, Ok(None)) => true,
            _ => false,
        }
    }
}

async fn upstream(kind: Kind) -> Upstream {
    let kind = Arc::new(kind);
    let accepted = Arc::new(Mutex::new(0));
    Upstream::spawn(move |mut conn| {
        let kind = Arc::clone(&kind);
        let accepted = Arc::clone(&accepted);
        async move {
            let number = {
                let mut accepted = accepted.lock().unwrap();
                *accepted += 1;
                *accepted
            };
            // The first is that of the beginning, the second that of the fault.
            if matches!(*kind, Kind::Accepts) && number == 2 {
                return;
            }
            loop {
                let Some(head) = conn.head().await else {
                    return;
                };
                if !head.contains(" /next ") {
                    break;
                }
                conn.answer("next").await;
            }
            match &*kind {
                Kind::Says(bytes, end) => {
                    conn.write(bytes).await;
                    match end {
                        End::Close => {}
                        End::Reset => conn.reset(),
                        End::Stay => serve_next(conn).await,
                    }
                }
                Kind::Does(script) => {
                    let script = Arc::clone(script);
                    script(conn).await;
                }
                Kind::Refuses | Kind::Accepts => {}
            }
        }
    })
    .await
}

/// Whatever else comes, the next request is answered.
async fn serve_next(mut conn: Conn) {
    let mut seen = Vec::new();
    loop {
        seen.append(&mut conn.take());
        if find(&seen, b" /next ").is_some() && seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            conn.answer("next").await;
        }
        // Long bodies have nothing to be found.
        let old = seen.len().saturating_sub(1_000);
        seen.drain(..old);
        if conn.fill().await.is_none() {
            return;
        }
    }
}

/// The address of a port on which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An answer that comes while nobody has asked is nobody's.
#[tokio::test]
async fn what_comes_on_an_idle_connection_is_nobodys() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "H",
        "\r\n",
    ] {
        let (go, may_go) = watch::channel(0);
        let (sent, mut was_sent) = watch::channel(0);
        let sent = Arc::new(sent);
        let upstream = Upstream::spawn(move |mut conn: Conn| {
            let mut may_go = may_go.clone();
            let sent = Arc::clone(&sent);
            async move {
                conn.request().await;
                conn.answer("ok").await;
                let number = conn.number + 1;
                may_go.wait_for(|go| *go >= number).await.ok();
                conn.write(answer).await;
                sent.send_replace(number);
                if conn.request().await.is_some() {
                    conn.answer("late").await;
                }
            }
        })
        .await;
        let proxy = GatewayProxy::to(&upstream.url()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
        let mut client = Client::connect(&address, PATIENCE).await;
        for number in 1..=20 {
            client.send(NEXT).await.unwrap();
            let given = client.expect(false).await.unwrap();
            assert_eq!(
                (given.status, given.text()),
                (200, "ok".to_owned()),
                "{answer:?}"
            );
            go.send_replace(number);
            was_sent.wait_for(|sent| *sent >= number).await.unwrap();
        }
        server.abort();
    }
}
