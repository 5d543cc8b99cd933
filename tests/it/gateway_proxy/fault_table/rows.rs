//! The faults, and what is right.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::support::upstream::Conn;

/// How long an upstream may take where that is the question.
pub const SHORT: Duration = Duration::from_millis(150);

/// And where it is not.
pub const LONG: Duration = Duration::from_secs(5);

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
pub const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

pub struct Fault {
    pub name: &'static str,
    /// What the client sends; it waits for the answer then.
    pub asks: Vec<u8>,
    pub upstream: Kind,
    pub limit: Duration,
    pub right: Vec<Right>,
}

pub enum Kind {
    Refuses,
    Accepts,
    Says(Vec<u8>, End),
    Does(Script),
}

pub type Script = Arc<dyn Fn(Conn) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone, Copy)]
pub enum End {
    Close,
    Reset,
    Stay,
}

#[derive(Debug)]
pub enum Right {
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

pub fn before_the_head() -> Vec<Fault> {
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

pub fn in_the_head() -> Vec<Fault> {
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

pub fn framing() -> Vec<Fault> {
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

pub fn in_the_body() -> Vec<Fault> {
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
pub fn beyond_the_answer() -> Vec<Fault> {
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
pub fn while_uploading(streams: bool) -> Vec<Fault> {
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
