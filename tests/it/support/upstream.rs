//! An upstream that is a script over bytes.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::raw::PATIENCE;

/// Accepts connections for as long as it lives, and runs the script on each.
pub struct Upstream {
    pub addr: SocketAddr,
    counts: watch::Receiver<Counts>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub accepted: usize,
    /// Connections whose script still runs.
    pub open: usize,
    /// Requests whose head was read.
    pub requests: usize,
}

/// One connection, from the upstream's side.
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Which connection of the upstream it is, from 0.
    pub number: usize,
    counts: watch::Sender<Counts>,
}

impl Upstream {
    pub async fn spawn<F, Fut>(script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, counts) = watch::channel(Counts::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                sender.send_modify(|counts| {
                    counts.accepted += 1;
                    counts.open += 1;
                });
                let conn = Conn {
                    stream,
                    buffer: Vec::new(),
                    number,
                    counts: sender.clone(),
                };
                connections.spawn(script(conn));
            }
        });
        Self {
            addr,
            counts,
            _tasks: tasks,
        }
    }

    /// Answers every request with the bytes of the request, and keeps the connection.
    pub async fn echo() -> Self {
        Self::spawn(|mut conn| async move {
            while let Some(request) = conn.request().await {
                conn.answer(&request).await;
            }
        })
        .await
    }

    /// Reads each request, writes these bytes, and goes on until the peer closes.
    pub async fn saying(answer: &'static str) -> Self {
        Self::spawn(move |mut conn| async move {
            while conn.request().await.is_some() {
                conn.write(answer).await;
            }
        })
        .await
    }

    /// Answers every request with this name, which nobody reads ahead: who does not take it holds
    /// the connection.
    pub async fn named(name: &'static str) -> Self {
        Self::spawn(move |mut conn| async move {
            while conn.request().await.is_some() {
                conn.answer_with(200, "X-Accel-Buffering: no\r\n", name)
                    .await;
            }
        })
        .await
    }

    /// Answers every request with this name and the status of the moment. The status 0 is none: it
    /// reads the request, and closes.
    pub async fn moody(name: &'static str, status: u16) -> (Self, Mood) {
        let mood = Mood(Arc::new(AtomicU16::new(status)));
        let of_the_moment = mood.clone();
        let upstream = Self::spawn(move |mut conn| {
            let mood = of_the_moment.clone();
            async move {
                while conn.request().await.is_some() {
                    match mood.get() {
                        0 => return,
                        status => conn.answer_with(status, "", name).await,
                    }
                }
            }
        })
        .await;
        (upstream, mood)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until the counts are like this.
    pub async fn until(&self, mut like: impl FnMut(&Counts) -> bool) {
        let mut counts = self.counts.clone();
        let wait = counts.wait_for(|counts| like(counts));
        let waited = timeout(PATIENCE, wait).await.map(drop);
        waited.unwrap_or_else(|_| panic!("the upstream stays at {:?}", self.counts()));
    }

    /// Waits until no connection is open.
    pub async fn deserted(&self) {
        self.until(|counts| counts.open == 0).await;
    }
}

/// What an upstream answers at the moment.
#[derive(Clone)]
pub struct Mood(Arc<AtomicU16>);

impl Mood {
    pub fn set(&self, status: u16) {
        self.0.store(status, Ordering::SeqCst);
    }

    fn get(&self) -> u16 {
        self.0.load(Ordering::SeqCst)
    }
}

/// An address at which connections are refused, and which nobody else gets meanwhile.
pub struct Refusing {
    pub addr: SocketAddr,
    _socket: TcpSocket,
}

impl Refusing {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self {
            addr: socket.local_addr().unwrap(),
            _socket: socket,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Conn {
    /// Reads the head of a request; `None` if the peer closes before it.
    pub async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                self.counts.send_modify(|counts| counts.requests += 1);
                return Some(lossy(head));
            }
            self.fill().await?;
        }
    }

    /// Reads a whole request: head, body and trailers as they are on the wire.
    pub async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let lower = head.to_ascii_lowercase();
        let end = if lower.contains("\r\ntransfer-encoding: chunked\r\n") {
            self.chunks().await?
        } else {
            let length = lower
                .split("\r\ncontent-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next());
            let length = length.map_or(0, |length| length.parse().unwrap());
            while self.buffer.len() < length {
                self.fill().await?;
            }
            length
        };
        let body: Vec<u8> = self.buffer.drain(..end).collect();
        Some(head + &String::from_utf8_lossy(&body))
    }

    /// Reads to the end of a chunked body; its length on the wire.
    async fn chunks(&mut self) -> Option<usize> {
        let mut at = 0;
        loop {
            let line = self.line(at).await?;
            let size = String::from_utf8_lossy(&self.buffer[at..line]).into_owned();
            let size = usize::from_str_radix(&size, 16).expect("the size of a chunk");
            at = line + 2;
            if size == 0 {
                break;
            }
            while self.buffer.len() < at + size + 2 {
                self.fill().await?;
            }
            at += size + 2;
        }
        loop {
            let line = self.line(at).await?;
            if line == at {
                return Some(at + 2);
            }
            at = line + 2;
        }
    }

    /// Where the line that begins there ends.
    async fn line(&mut self, at: usize) -> Option<usize> {
        loop {
            if let Some(end) = find(&self.buffer[at..], b"\r\n") {
                return Some(at + end);
            }
            self.fill().await?;
        }
    }

    /// Writes bytes; a peer that has gone is no error here.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.ok();
    }

    /// A whole answer 200 with this body.
    pub async fn answer(&mut self, body: &str) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// A whole answer with this status; `fields` are whole lines.
    pub async fn answer_with(&mut self, status: u16, fields: &str, body: &str) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status} Some\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// Reads whatever comes until the peer closes.
    pub async fn closed(&mut self) {
        while self.fill().await.is_some() {}
    }

    /// Reads at least one more byte; `None` if the peer closes.
    pub async fn fill(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Throws away this many bytes; `None` if the peer closes before.
    pub async fn skip(&mut self, bytes: u64) -> Option<()> {
        let have = bytes.min(self.buffer.len() as u64);
        self.buffer.drain(..have as usize);
        let mut left = bytes - have;
        let mut piece = vec![0; 64 << 10];
        while left > 0 {
            let most = left.min(piece.len() as u64) as usize;
            match self.stream.read(&mut piece[..most]).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => left -= length as u64,
            }
        }
        Some(())
    }

    /// What was read and not looked at.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Takes what is there already; `None` if there is nothing.
    pub fn try_fill(&mut self) -> Option<()> {
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Whether the peer has closed; what it sends is thrown away.
    pub fn is_closed(&self) -> bool {
        let mut waste = [0; 4096];
        loop {
            match self.stream.try_read(&mut waste) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Closes with a reset rather than an end.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| counts.open -= 1);
    }
}

/// What is not UTF-8 is no reason to end: the test sees what came.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}
