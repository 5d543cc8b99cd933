//! A client that reads answers byte by byte; what goes wrong is a value, because peers may do
//! anything.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::raw::Answer;

/// Where somebody listens.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Client {
    stream: Box<dyn Stream>,
    /// Received, and not yet a part of an answer.
    received: Vec<u8>,
    patience: Duration,
    /// The status of each 1xx so far.
    pub interim: Vec<u16>,
    /// The last head, byte for byte: fields in an [`Answer`] are text.
    pub head: Vec<u8>,
}

impl Client {
    pub async fn connect(address: &Address, patience: Duration) -> Self {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await.unwrap()),
        };
        Self {
            stream,
            received: Vec::new(),
            patience,
            interim: Vec::new(),
            head: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), String> {
        let sent = self.stream.write_all(bytes.as_ref()).await;
        sent.map_err(|error| format!("the connection takes no request: {error}"))
    }

    /// Says that nothing more comes, and goes on reading.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.ok();
    }

    /// The next answer but 1xx (101 is one); `None` if the connection ends before it. `to_head` if
    /// it is one to HEAD.
    pub async fn answer(&mut self, to_head: bool) -> Result<Option<Answer>, String> {
        match timeout(self.patience, self.read_answer(to_head)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {:?}", self.patience)),
        }
    }

    /// The next answer, which there has to be.
    pub async fn expect(&mut self, to_head: bool) -> Result<Answer, String> {
        let answer = self.answer(to_head).await?;
        answer.ok_or_else(|| "the connection ended without an answer".to_owned())
    }

    /// Waits until a head of a 1xx (but 101) has come.
    pub async fn expect_interim(&mut self) -> Result<u16, String> {
        let head = async {
            let answer = self.head().await?.ok_or("the connection ended")?;
            match answer.status {
                status @ 100..200 => Ok(status),
                status => Err(format!("status {status} in place of an interim one")),
            }
        };
        match timeout(Duration::from_secs(2), head).await {
            Ok(status) => status,
            Err(_) => Err("no interim answer".to_owned()),
        }
    }

    /// Exactly these bytes, as they come through a tunnel.
    pub async fn expect_bytes(&mut self, bytes: &str) -> Result<(), String> {
        let patience = self.patience;
        let read = async { while self.received.len() < bytes.len() && self.fill().await {} };
        timeout(patience, read).await.ok();
        match self.received.starts_with(bytes.as_bytes()) {
            true => {
                self.received.drain(..bytes.len());
                Ok(())
            }
            false => Err(format!(
                "{:?} in place of {bytes:?}",
                String::from_utf8_lossy(&self.received)
            )),
        }
    }

    /// Waits for these bytes, whatever frames them.
    pub async fn wait_for(&mut self, text: &str) -> Result<(), String> {
        let patience = self.patience;
        let seen = async {
            loop {
                if let Some(at) = find(&self.received, text.as_bytes()) {
                    self.received.drain(..at + text.len());
                    return true;
                }
                if !self.fill().await {
                    return false;
                }
            }
        };
        match timeout(patience, seen).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the connection ended before {text:?}")),
            Err(_) => Err(format!("no {text:?} in {patience:?}")),
        }
    }

    /// Whether nothing comes for a while.
    pub async fn expect_silence(&mut self) -> Result<(), String> {
        match timeout(Duration::from_millis(50), self.fill()).await {
            Err(_) if self.received.is_empty() => Ok(()),
            _ => Err(format!(
                "{:?} comes",
                String::from_utf8_lossy(&self.received)
            )),
        }
    }

    /// Whether nothing but the end comes.
    pub async fn expect_end(&mut self) -> Result<(), String> {
        match timeout(self.patience, self.fill()).await {
            Ok(false) if self.received.is_empty() => Ok(()),
            Ok(_) => Err("there is more behind the last answer".to_owned()),
            Err(_) => Err("the connection stays open".to_owned()),
        }
    }

    async fn read_answer(&mut self, to_head: bool) -> Result<Option<Answer>, String> {
        let mut answer = loop {
            let Some(answer) = self.head().await? else {
                return Ok(None);
            };
            if answer.status >= 200 || answer.status == 101 {
                break answer;
            }
            self.interim.push(answer.status);
        };
        if to_head || matches!(answer.status, 101 | 204 | 304) {
            return Ok(Some(answer));
        }
        let framing = |name: &str| answer.header(name).map(str::to_ascii_lowercase);
        let complete = match (framing("transfer-encoding"), framing("content-length")) {
            (Some(_), Some(_)) => return Err("two framings of one body".to_owned()),
            (Some(coding), None) if coding == "chunked" => self.chunks(&mut answer).await?,
            (Some(coding), None) => return Err(format!("transfer coding {coding}")),
            (None, Some(length)) => {
                let length = length.parse().map_err(|_bad| format!("length {length}"))?;
                self.take(length, &mut answer.body).await
            }
            (None, None) => {
                while self.fill().await {}
                answer.body = std::mem::take(&mut self.received);
                true
            }
        };
        answer.complete = complete;
        Ok(Some(answer))
    }

    async fn head(&mut self) -> Result<Option<Answer>, String> {
        let end = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end;
            }
            if !self.fill().await {
                return match self.received.is_empty() {
                    true => Ok(None),
                    false => Err(format!(
                        "the connection ended in a head: {:?}",
                        String::from_utf8_lossy(&self.received)
                    )),
                };
            }
        };
        self.head = self.received.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&self.head[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("no status line: {status_line:?}"))?;
        let headers = lines.map(|line| match line.split_once(':') {
            Some((name, value)) => Ok((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => Err(format!("no field: {line:?}")),
        });
        Ok(Some(Answer {
            status,
            headers: headers.collect::<Result<_, _>>()?,
            body: Vec::new(),
            complete: true,
        }))
    }

    /// Trailers are added to the headers.
    async fn chunks(&mut self, answer: &mut Answer) -> Result<bool, String> {
        loop {
            let Some(line) = self.line().await else {
                return Ok(false);
            };
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|_bad| format!("chunk {line:?}"))?;
            if size == 0 {
                break;
            }
            if !self.take(size, &mut answer.body).await || self.line().await.is_none() {
                return Ok(false);
            }
        }
        loop {
            let Some(line) = self.line().await else {
                return Ok(false);
            };
            match line.split_once(':') {
                None => return Ok(true),
                Some((name, value)) => answer
                    .headers
                    .push((name.to_ascii_lowercase(), value.trim().to_owned())),
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Whether that many came.
    async fn take(&mut self, length: usize, body: &mut Vec<u8>) -> bool {
        while self.received.len() < length {
            if !self.fill().await {
                body.append(&mut self.received);
                return false;
            }
        }
        body.extend(self.received.drain(..length));
        true
    }

    /// Whether more came; a connection that broke is one that ended.
    async fn fill(&mut self) -> bool {
        !matches!(
            self.stream.read_buf(&mut self.received).await,
            Ok(0) | Err(_)
        )
    }
}

pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}
