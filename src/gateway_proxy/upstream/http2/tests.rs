//! Against hyper's server, and against one that is a script over frames.
#![allow(clippy::unwrap_used)]

mod conversation;
mod driver;
mod faults;
mod head;

use std::{convert::Infallible, future::Future};

use ::http::{HeaderMap, Method, StatusCode, uri::Scheme};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
};

use super::*;
use crate::{BoxError, Error, ErrorKind};

/// A connection to hyper in front of this handler.
async fn to<F, Fut>(configure: impl FnOnce(&mut http2::Builder<TokioExecutor>), handler: F) -> Http2
where
    F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let (ours, theirs) = duplex(1 << 16);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    configure(&mut builder);
    let service = service_fn(move |request| {
        let answer = handler(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    tokio::spawn(builder.serve_connection(TokioIo::new(theirs), service));
    handshake(ours).await
}

/// A connection to a script.
async fn scripted() -> (Http2, Script) {
    let (ours, theirs) = duplex(1 << 20);
    let http2 = handshake(ours).await;
    (http2, Script::new(theirs).await)
}

async fn handshake(stream: DuplexStream) -> Http2 {
    let http2 = Http2::handshake(stream, &Settings::default()).await;
    http2.unwrap()
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::empty())
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "example.org")
        .body(body)
        .unwrap();
    prepare(&mut request, &Scheme::HTTP).unwrap();
    request
}

async fn text(response: Response<Http2Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

type Sender = mpsc::Sender<Result<Frame<Bytes>, BoxError>>;

/// A body that is sent by hand.
fn channel() -> (Sender, Body) {
    let (sender, mut receiver) = mpsc::channel(1);
    let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, Body::new(StreamBody::new(frames)))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

// RFC 9113 §6
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

// RFC 9113 §7
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// RFC 7541 Appendix A: `:status: 200` is the 8th field of the static table.
const OK: &[u8] = &[0x88];

/// An upstream that says frames.
struct Script(DuplexStream);

#[derive(Debug)]
struct Said {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Script {
    async fn new(mut stream: DuplexStream) -> Self {
        stream.read_exact(&mut [0; 24]).await.unwrap();
        let mut script = Self(stream);
        script.say(SETTINGS, 0, 0, &[]).await;
        script
    }

    async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    async fn reset(&mut self, stream: u32, code: u32) {
        self.say(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.say(GOAWAY, 0, 0, &payload).await;
    }

    /// What is said next, or `None` at the end.
    async fn next(&mut self) -> Option<Said> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Said {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of this kind.
    async fn hear(&mut self, kind: u8) -> Said {
        loop {
            let said = self.next().await.expect("the connection goes on");
            if said.kind == kind {
                return said;
            }
        }
    }

    /// The stream of the next request.
    async fn request(&mut self) -> u32 {
        self.hear(HEADERS).await.stream
    }

    /// The stream that is reset next, and the code.
    async fn was_reset(&mut self) -> (u32, u32) {
        let said = self.hear(RST_STREAM).await;
        (
            said.stream,
            u32::from_be_bytes(said.payload.try_into().unwrap()),
        )
    }

    /// Answers with this body.
    async fn answer(&mut self, stream: u32, body: &[u8]) {
        self.say(HEADERS, END_HEADERS, stream, OK).await;
        self.say(DATA, END_STREAM, stream, body).await;
    }
}

/// Whether a future is not done when everything else had its turn.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    for _ in 0..100 {
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending()));
        if !polled.await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// Lets everything else have its turn until it holds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not come to hold");
}
