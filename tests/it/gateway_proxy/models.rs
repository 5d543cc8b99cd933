//! Random answers and requests, against models: hyper's client for what an answer means, and the
//! body that was given for what goes out. `PROPTEST_CASES` says how many.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, watch},
    task::yield_now,
    time::timeout,
};
use tower_gateway::{
    Body, BoxError,
    gateway_proxy::{Buffering, Retries},
};

use super::{call, get, kind, to};
use crate::support::upstream::{Conn, Upstream};

/// Beyond every limit of the proxy.
const NEVER: Duration = Duration::from_secs(100_000);

/// What an upstream says, in pieces.
#[derive(Clone, Debug)]
struct Says {
    method: Method,
    bytes: Vec<u8>,
    /// How long each piece is, over and over.
    pieces: Vec<usize>,
    /// Whether it closes after that, or says nothing more.
    closes: bool,
}

/// What a client makes of it.
#[derive(Debug, PartialEq)]
enum Heard {
    Nothing,
    Answer {
        status: u16,
        fields: Vec<(String, Vec<u8>)>,
        body: Result<Vec<u8>, ()>,
        trailers: Vec<(String, Vec<u8>)>,
        /// Whether the connection is good for another request.
        is_kept: bool,
    },
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// The fields that are neither for one connection nor of the proxy, by name.
fn own(fields: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = fields
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"))
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    // RFC 9110 §5.3: "The order in which field lines with differing field names are received in a
    // section is not significant." That of those with the same name is.
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

async fn collected<B>(body: B) -> (Result<Vec<u8>, ()>, Vec<(String, Vec<u8>)>)
where
    B: http_body::Body<Data = Bytes>,
{
    match timeout(NEVER, body.collect()).await {
        Ok(Ok(body)) => {
            let trailers = body.trailers().map(own).unwrap_or_default();
            (Ok(body.to_bytes().to_vec()), trailers)
        }
        _ => (Err(()), Vec::new()),
    }
}

impl Says {
    fn pieces(&self) -> Vec<Vec<u8>> {
        let mut rest = self.bytes.as_slice();
        let mut lengths = self.pieces.iter().cycle();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
            pieces.push(piece.to_vec());
            rest = left;
        }
        pieces
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).to_ascii_lowercase()
    }

    fn request<B>(&self, body: B) -> Request<B> {
        let request = Request::builder().method(&self.method).uri("/");
        request.header("host", "a").body(body).unwrap()
    }

    /// As GatewayProxy hears it.
    async fn by_the_proxy(&self) -> Heard {
        let (done, mut is_done) = watch::channel(false);
        let says = self.clone();
        let upstream = Upstream::spawn(move |mut conn: Conn| {
            let (says, done) = (says.clone(), done.clone());
            async move {
                conn.request().await;
                if conn.number == 0 {
                    for piece in says.pieces() {
                        conn.write(piece).await;
                        yield_now().await;
                    }
                    done.send_replace(true);
                    if says.closes {
                        return;
                    }
                }
                conn.request().await;
            }
        })
        .await;
        let proxy = to(&upstream)
            .idle_timeout(Duration::MAX)
            .retries(Retries::none())
            .buffering(Buffering::off());
        let response = call(&proxy, self.request(Body::empty())).await;
        if kind(&response).is_some() {
            return Heard::Nothing;
        }
        let (parts, body) = response.into_parts();
        let (body, trailers) = collected(body).await;
        is_done.wait_for(|done| *done).await.unwrap();
        if self.closes {
            upstream.deserted().await;
        }
        let next = call(&proxy, get("/"));
        let arrived = upstream.until(|counts| counts.requests == 2);
        tokio::select! {
            _ = next => {}
            () = arrived => {}
        }
        Heard::Answer {
            status: parts.status.as_u16(),
            fields: own(&parts.headers),
            body,
            trailers,
            is_kept: upstream.counts().accepted == 1,
        }
    }

    /// As hyper hears it.
    async fn by_hyper(&self) -> Heard {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (done, mut is_done) = watch::channel(false);
        let says = self.clone();
        let upstream = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(far.read_u8().await?);
            }
            for piece in says.pieces() {
                far.write_all(&piece).await.ok();
                yield_now().await;
            }
            done.send_replace(true);
            if !says.closes {
                far.read_to_end(&mut request).await?;
            }
            std::io::Result::Ok(())
        });
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(self.request(Empty::<Bytes>::new()));
        let Ok(Ok(answer)) = timeout(NEVER, answer).await else {
            return Heard::Nothing;
        };
        let (parts, body) = answer.into_parts();
        let (body, trailers) = collected(body).await;
        is_done.wait_for(|done| *done).await.unwrap();
        if self.closes {
            upstream.await.unwrap().unwrap();
        }
        for _ in 0..4 {
            yield_now().await;
        }
        let is_kept = matches!(timeout(NEVER, sender.ready()).await, Ok(Ok(())));
        Heard::Answer {
            status: parts.status.as_u16(),
            fields: own(&parts.headers),
            body,
            trailers,
            is_kept,
        }
    }
}

fn chunked(pieces: &[Vec<u8>], extension: &str, trailers: &str) -> Vec<u8> {
    let mut coded = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        coded.extend_from_slice(format!("{:X}{extension}\r\n", piece.len()).as_bytes());
        coded.extend_from_slice(piece);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    coded
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = || prop::collection::vec(any::<u8>(), 0..40);
    let extension = prop::sample::select(vec!["", "", "", ";a", ";a=b", " ;a", "; a=\"b\""]);
    let trailers = prop::sample::select(vec!["", "", "x-sum: 1\r\n", "x-a: 1\r\nx-a: 2\r\n"]);
    let coded = (prop::collection::vec(piece(), 0..4), extension, trailers);
    prop_oneof![
        Just(Vec::new()),
        piece(),
        coded.prop_map(|(pieces, extension, trailers)| chunked(&pieces, extension, trailers)),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    let interim = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nx-hint: 1\r\n\r\n",
    ]);
    let status = prop::sample::select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 ",
        "HTTP/1.1 404 Not Found",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.0 200 OK",
        "HTTP/1.0 500 Oh no",
        "HTTP/1.1 99 Low",
        "HTTP/2.0 200 OK",
    ]);
    let field = prop::sample::select(vec![
        "x-a: 1",
        "x-a: 2",
        "X-B:two",
        "x-c:",
        "x-d: \u{e9}",
        "content-length: LENGTH",
        "content-length: LENGTH",
        "Content-Length: LENGTH",
        "content-length: MORE",
        "content-length: LENGTH, LENGTH",
        "content-length: +3",
        "content-length: 0",
        "transfer-encoding: chunked",
        "transfer-encoding: chunked",
        "Transfer-Encoding: Chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip",
        "connection: close",
        "connection: keep-alive",
        "Connection: Keep-Alive, TE",
        "bad name: 1",
        "x-e : 1",
        " folded",
    ]);
    let mutation = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>(), 0..3));
    (
        prop::sample::select(vec![Method::GET, Method::GET, Method::GET, Method::HEAD]),
        interim,
        status,
        prop::collection::vec(field, 0..4),
        content(),
        prop::sample::select(vec!["", "", "", "\r\n", "HTTP/1.1 200 OK\r\n\r\n"]),
        mutation,
        prop::collection::vec(1_usize..60, 1..5),
        any::<bool>(),
    )
        .prop_map(
            |(method, interim, status, fields, content, after, mutation, pieces, closes)| {
                let mut head = format!("{interim}{status}\r\n");
                for field in fields {
                    head.push_str(field);
                    head.push_str("\r\n");
                }
                head.push_str("\r\n");
                let length = content.len();
                let head = head.replace("LENGTH", &length.to_string());
                let head = head.replace("MORE", &(length + 1).to_string());
                let mut bytes = head.into_bytes();
                bytes.extend_from_slice(&content);
                bytes.extend_from_slice(after.as_bytes());
                if let Some((at, byte, how)) = mutation {
                    let at = at.index(bytes.len());
                    match how {
                        0 => bytes[at] = byte,
                        1 => bytes.insert(at, byte),
                        _ => drop(bytes.remove(at)),
                    }
                }
                Says {
                    method,
                    bytes,
                    pieces,
                    closes,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// But for two things, on purpose.
    ///
    /// - A transfer coding that is not `chunked`, once, is refused, and so is any from a server of
    ///   HTTP/1.0. hyper reads to the end of the connection, and passes on what it cannot read.
    /// - A connection is not kept after an answer that says its length in two ways, or that
    ///   announces content where there is none (204).
    #[test]
    fn an_answer_means_what_it_means_to_hyper(says in says()) {
        let mut ours = runtime().block_on(says.by_the_proxy());
        let theirs = runtime().block_on(says.by_hyper());
        if says.has_odd_coding() && theirs != Heard::Nothing {
            prop_assert_eq!(ours, Heard::Nothing, "{:?}", says.text());
            return Ok(());
        }
        if says.is_suspect()
            && let (Heard::Answer { is_kept, .. }, Heard::Answer { is_kept: theirs, .. }) =
                (&mut ours, &theirs)
        {
            prop_assert!(!*is_kept, "{:?}", says.text());
            *is_kept = *theirs;
        }
        prop_assert_eq!(ours, theirs, "{:?}", says.text());
    }
}

impl Says {
    /// The head of the answer, after those that are none.
    fn head(&self) -> String {
        let text = self.text().replace("\r\n", "\n");
        let heads = text.split("\n\n");
        let mut heads = heads.skip_while(|head| {
            head.starts_with("http/1.1 100") || head.starts_with("http/1.1 103")
        });
        heads.next().unwrap_or_default().to_owned()
    }

    fn values(&self, name: &str) -> Vec<String> {
        self.head()
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(n, _)| *n == name)
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }

    fn has_odd_coding(&self) -> bool {
        let codings = self.values("transfer-encoding");
        !codings.is_empty() && (codings != ["chunked"] || self.head().starts_with("http/1.0"))
    }

    fn is_suspect(&self) -> bool {
        let has_coding = !self.values("transfer-encoding").is_empty();
        let lengths = self.values("content-length");
        let is_204 = self.head().starts_with("http/1.1 204");
        has_coding && !lengths.is_empty()
            || is_204 && (has_coding || lengths.iter().any(|length| length != "0"))
    }
}

/// A request body that pauses where it is told to.
#[derive(Clone, Debug)]
struct Given {
    /// `None`: it pauses.
    pieces: VecDeque<Option<Bytes>>,
    trailers: Option<HeaderMap>,
    /// What is left, if that is said.
    length: Option<u64>,
}

impl http_body::Body for Given {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.pieces.pop_front() {
            Some(Some(piece)) => {
                if let Some(length) = &mut self.length {
                    *length -= piece.len() as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(self.trailers.take().map(Frame::trailers).map(Ok)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Given {
    fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flatten().flatten().copied().collect()
    }
}

fn given() -> impl Strategy<Value = Given> {
    let size = prop_oneof![0_usize..10, 0_usize..5_000, 0_usize..200_000];
    let piece = prop::option::weighted(0.7, size);
    let pieces = prop::collection::vec(piece, 0..12);
    (pieces, any::<bool>(), any::<bool>()).prop_map(|(sizes, has_trailers, has_length)| {
        let mut letters = (b'a'..=b'z').cycle();
        let pieces: VecDeque<_> = sizes
            .into_iter()
            .map(|size| size.map(|size| letters.by_ref().take(size).collect::<Bytes>()))
            .collect();
        let length = pieces
            .iter()
            .flatten()
            .map(|piece| piece.len() as u64)
            .sum();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        Given {
            pieces,
            trailers: has_trailers.then_some(trailers),
            length: has_length.then_some(length),
        }
    })
}

/// The body and the trailer section of a request on the wire.
fn decoded(request: &str) -> (Vec<u8>, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return (body.as_bytes().to_vec(), String::new());
    }
    let mut rest = body;
    let mut decoded = Vec::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (decoded, after.to_owned());
        }
        decoded.extend_from_slice(&after.as_bytes()[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_goes_out_byte_for_byte(
        bodies in prop::collection::vec(given(), 1..4),
        streams in any::<bool>(),
        lazy in 0_usize..20,
    ) {
        runtime().block_on(async {
            let (sender, mut received) = mpsc::unbounded_channel();
            let upstream = Upstream::spawn(move |mut conn: Conn| {
                let sender = sender.clone();
                async move {
                    loop {
                        // The sockets fill up meanwhile.
                        for _ in 0..lazy {
                            yield_now().await;
                        }
                        let Some(request) = conn.request().await else { return };
                        sender.send(request).unwrap();
                        conn.answer("ok").await;
                    }
                }
            })
            .await;
            let proxy = match streams {
                true => to(&upstream).stream_requests().reuse_for_every_request(),
                false => to(&upstream),
            };
            for given in bodies {
                let request = Request::put("/").header("host", "a").body(given.clone()).unwrap();
                let response: Response<Body> = call(&proxy, request).await;
                assert_eq!(response.status(), 200);
                let answer = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(answer, "ok");
                let request = received.recv().await.unwrap();
                let (body, trailers) = decoded(&request);
                assert!(body == given.bytes(), "{given:?}");
                let is_chunked = request.contains("\r\ntransfer-encoding: chunked\r\n");
                let expected = match given.trailers.is_some() && is_chunked {
                    true => "x-sum: 1\r\n\r\n",
                    false if is_chunked => "\r\n",
                    false => "",
                };
                assert_eq!(trailers, expected);
            }
            assert_eq!(upstream.counts().accepted, 1);
        });
    }
}
