//! A container without processes, and the other ends of its slots.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
    sync::{Notify, mpsc},
    time::timeout,
};
use tower::ServiceExt;

use crate::{
    Body, BoxError, Error,
    wsgi::{
        Handle, WsgiContainer,
        builder::Requests,
        dispatch::Dispatch,
        frame::{self, HEADER, Header, Kind},
        slot::Slot,
        supervisor::desk::{Desk, Front},
        worker::Worker,
    },
};

/// So long is waited for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The head of an answer in plain text.
pub(super) const PLAIN: &str = "200 OK\nContent-Type\ntext/plain";

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it does not happen")
}

pub(super) struct Bench {
    pub(super) container: WsgiContainer,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) wake: Arc<Notify>,
    pub(super) desk: Arc<Desk>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(configure: impl FnOnce(&mut Requests)) -> Self {
        let mut config = Requests::default();
        configure(&mut config);
        let wake = Arc::new(Notify::new());
        let dispatch = Dispatch::new(config.queue, config.queue_timeout, Arc::clone(&wake));
        let dispatch = Arc::new(dispatch);
        let front = Front::alone();
        let desk = front.shared();
        let handle = Handle::new(front, Arc::clone(&dispatch));
        let container = WsgiContainer::over(config, Arc::clone(&dispatch), "test:app", handle);
        Self {
            container,
            dispatch,
            wake,
            desk,
        }
    }

    /// A worker with one slot, which is idle.
    pub(super) fn worker(&self, id: u32) -> Peer {
        self.slot(&Arc::new(Worker::new(
            id,
            1000 + id,
            1,
            1,
            Arc::clone(&self.wake),
        )))
    }

    /// One more slot of a worker.
    pub(super) fn slot(&self, worker: &Arc<Worker>) -> Peer {
        Peer::dial(&self.dispatch, worker, None)
    }

    pub(super) async fn send<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        soon(self.container.clone().oneshot(request)).await.unwrap()
    }

    /// A request that goes on by itself.
    pub(super) fn spawn<B>(&self, request: Request<B>) -> tokio::task::JoinHandle<Response<Body>>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let container = self.container.clone();
        tokio::spawn(async move { container.oneshot(request).await.unwrap() })
    }

    pub(super) async fn get(&self, path: &str) -> Response<Body> {
        self.send(get(path)).await
    }

    /// Waits until so many slots are idle.
    pub(super) async fn idle(&self, slots: usize) {
        soon(async {
            while self.dispatch.load().idle != slots {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until so many requests wait.
    pub(super) async fn waiting(&self, requests: usize) {
        soon(async {
            while self.dispatch.load().waiting != requests {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

pub(super) fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path)
        .header("host", "example.org")
        .body(Empty::new())
        .unwrap()
}

pub(super) fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/")
        .header("host", "example.org")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A body that comes as it is sent.
pub(super) fn channel() -> (
    mpsc::Sender<Result<Bytes, BoxError>>,
    impl http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, BoxError>>(1);
    let frames = stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece.map(Frame::data), receiver))
    });
    (sender, StreamBody::new(frames))
}

/// What an answer says of its reason.
pub(super) fn error(response: &Response<Body>) -> Error {
    response.extensions().get::<Error>().unwrap().clone()
}

pub(super) async fn bytes(response: Response<Body>) -> Bytes {
    soon(response.into_body().collect())
        .await
        .unwrap()
        .to_bytes()
}

/// A thread of a worker, as a test plays it.
pub(super) struct Peer {
    pub(super) stream: UnixStream,
    pub(super) worker: Arc<Worker>,
    keys: BTreeMap<u16, Vec<String>>,
    /// How many sets of names came.
    pub(super) sets: usize,
}

/// A request as a worker sees it.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) environ: BTreeMap<String, String>,
    pub(super) flags: u8,
    pub(super) body: Vec<u8>,
}

impl Peer {
    /// A connection to which no more than `room` bytes go before they are read, if that is said.
    pub(super) fn dial(dispatch: &Dispatch, worker: &Arc<Worker>, room: Option<usize>) -> Self {
        let (ours, stream) = UnixStream::pair().unwrap();
        if let Some(room) = room {
            rustix::net::sockopt::set_socket_send_buffer_size(&ours, room).unwrap();
        }
        dispatch.add(Slot::new(ours, 0, Arc::clone(worker)));
        Self {
            stream,
            worker: Arc::clone(worker),
            keys: BTreeMap::new(),
            sets: 0,
        }
    }

    /// The next frame; `None` at the end.
    pub(super) async fn frame(&mut self) -> Option<(Header, Vec<u8>, Vec<u8>)> {
        match soon(self.read_frame()).await {
            Ok(frame) => Some(frame),
            Err(error) => {
                let ends = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
                assert!(ends.contains(&error.kind()), "{error}");
                None
            }
        }
    }

    async fn read_frame(&mut self) -> io::Result<(Header, Vec<u8>, Vec<u8>)> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await?;
        let header = Header::decode(&header).unwrap();
        let mut first = vec![0; header.first];
        self.stream.read_exact(&mut first).await?;
        let mut second = vec![0; header.second];
        if header.kind != Kind::File {
            self.stream.read_exact(&mut second).await?;
        }
        Ok((header, first, second))
    }

    pub(super) async fn request(&mut self) -> Heard {
        self.next().await.expect("a request").expect("no stop")
    }

    /// The next request, or that there is none: `None` at the end of the connection, and a word that
    /// it has to stop.
    pub(super) async fn next(&mut self) -> Option<Result<Heard, Kind>> {
        loop {
            let (header, first, second) = self.frame().await?;
            match header.kind {
                Kind::Keys => {
                    self.sets += 1;
                    self.keys.insert(header.number, split(&first));
                }
                Kind::Request => {
                    let names = self.keys[&header.number].clone();
                    let values = split(&first);
                    assert_eq!(names.len(), values.len());
                    return Some(Ok(Heard {
                        environ: names.into_iter().zip(values).collect(),
                        flags: header.flags,
                        body: second,
                    }));
                }
                Kind::Stop => return Some(Err(header.kind)),
                kind => panic!("a frame of kind {kind:?}"),
            }
        }
    }

    /// Asks for more of the request's body.
    pub(super) async fn read(&mut self, length: u16) -> Vec<u8> {
        self.say(Kind::Read, 0, length, b"", b"").await;
        let (header, first, second) = self.frame().await.expect("data");
        assert_eq!((header.kind, first.len()), (Kind::Data, 0));
        assert!(second.len() <= length.into());
        second
    }

    /// The file that comes after such a question.
    pub(super) async fn file(&mut self) -> (File, u64) {
        self.say(Kind::Read, 0, u16::MAX, b"", b"").await;
        let (header, first, _) = self.frame().await.expect("a file");
        assert_eq!((header.kind, header.second), (Kind::File, 1));
        let length = u64::from_le_bytes(first.try_into().unwrap());
        (soon(self.descriptor()).await, length)
    }

    async fn descriptor(&mut self) -> File {
        let received = self.stream.async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let mut buffers = [IoSliceMut::new(&mut byte)];
            rustix::net::recvmsg(&self.stream, &mut buffers, &mut control, RecvFlags::empty())?;
            let message = control.drain().next();
            let Some(RecvAncillaryMessage::ScmRights(mut descriptors)) = message else {
                panic!("no descriptor");
            };
            Ok(descriptors.next().unwrap())
        });
        File::from(received.await.unwrap())
    }

    pub(super) async fn say(
        &mut self,
        kind: Kind,
        flags: u8,
        number: u16,
        first: &[u8],
        second: &[u8],
    ) {
        self.write(&frame_of(kind, flags, number, first, second))
            .await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
    }

    /// The whole answer, after which this is idle.
    pub(super) async fn answer(&mut self, head: &str, body: &[u8]) {
        let flags = frame::FREE | frame::OVER;
        self.say(Kind::One, flags, 0, head.as_bytes(), body).await;
    }

    /// The whole answer, in a file.
    pub(super) async fn pass(&mut self, head: &str, file: impl AsFd, offset: u64, length: u64) {
        let numbers = [offset.to_le_bytes(), length.to_le_bytes()].concat();
        let flags = frame::FREE | frame::OVER;
        let bytes = frame_of(Kind::Pass, flags, 0, head.as_bytes(), &numbers);
        self.send_with(&bytes, file).await;
    }

    /// Bytes, and a descriptor beside them.
    pub(super) async fn send_with(&mut self, bytes: &[u8], file: impl AsFd) {
        soon(self.try_send_with(bytes, file)).await.unwrap();
    }

    pub(super) async fn try_send_with(&mut self, bytes: &[u8], file: impl AsFd) -> io::Result<()> {
        let sent = self.stream.async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors = [file.as_fd()];
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            let buffers = [IoSlice::new(bytes)];
            let flags = SendFlags::NOSIGNAL;
            Ok(rustix::net::sendmsg(
                &self.stream,
                &buffers,
                &mut control,
                flags,
            )?)
        });
        let sent = sent.await?;
        self.stream.write_all(&bytes[sent..]).await
    }

    /// Waits until the gateway closes the connection.
    pub(super) async fn closed(&mut self) {
        let mut rest = Vec::new();
        match soon(self.stream.read_to_end(&mut rest)).await {
            Ok(_) => assert_eq!(rest.escape_ascii().to_string(), ""),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }

    /// Ends with bytes that are not read: the other side is told of a reset.
    pub(super) async fn reset(self) {
        soon(self.stream.readable()).await.unwrap();
        drop(self.stream);
    }
}

pub(super) fn frame_of(kind: Kind, flags: u8, number: u16, first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut header = Header::new(kind, first.len(), second.len());
    header.flags = flags;
    header.number = number;
    [&header.encode(), first, second].concat()
}

fn split(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == 0)
        .map(|part| part.iter().map(|byte| char::from(*byte)).collect())
        .collect()
}
