//! One connection to a server, on which answers are read byte by byte; what goes wrong is a value,
//! because peers may do anything.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::support::raw::Answer;

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

pub struct Connection {
    stream: Box<dyn Stream>,
    /// Received, and not yet a part of an answer.
    received: Vec<u8>,
    patience: Duration,
}

impl Connection {
    pub async fn open(address: &Address, patience: Duration) -> Self {
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
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|error| format!("the connection takes no request: {error}"))
    }

    /// The next answer but 1xx; `to_head` if it is one to HEAD, and so has no body.
    pub async fn read(&mut self, to_head: bool) -> Result<Answer, String> {
        match timeout(self.patience, self.read_answer(to_head)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {:?}", self.patience)),
        }
    }

    /// Whether nothing but the end comes.
    pub async fn ends(&mut self) -> Result<(), String> {
        match timeout(self.patience, self.fill()).await {
            Ok(Err(_)) if self.received.is_empty() => Ok(()),
            Ok(_) => Err("there is more behind the last answer".to_owned()),
            Err(_) => Err("the connection stays open".to_owned()),
        }
    }

    async fn read_answer(&mut self, to_head: bool) -> Result<Answer, String> {
        let mut answer = loop {
            let answer = self.read_head().await?;
            if answer.status >= 200 {
                break answer;
            }
        };
        if to_head || matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        let framing = |name: &str| answer.header(name).map(str::to_ascii_lowercase);
        match (framing("transfer-encoding"), framing("content-length")) {
            (Some(_), Some(_)) => return Err("two framings of one body".to_owned()),
            (Some(coding), None) if coding == "chunked" => {
                answer.body = self.read_chunks().await?;
            }
            (Some(coding), None) => return Err(format!("transfer coding {coding}")),
            (None, Some(length)) => {
                let length = length
                    .parse()
                    .ok()
                    .ok_or_else(|| format!("length {length}"))?;
                answer.body = self.take(length).await?;
            }
            (None, None) => {
                while self.fill().await.is_ok() {}
                answer.body = std::mem::take(&mut self.received);
            }
        }
        Ok(answer)
    }

    async fn read_head(&mut self) -> Result<Answer, String> {
        let end = loop {
            let end = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None => self.fill().await?,
            }
        };
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head[..end]).into_owned();
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
        Ok(Answer {
            status,
            headers: headers.collect::<Result<_, _>>()?,
            body: Vec::new(),
            complete: true,
        })
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .ok()
                .ok_or_else(|| format!("chunk {line:?}"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.append(&mut self.take(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            let end = self.received.windows(2).position(|two| two == b"\r\n");
            if let Some(end) = end {
                let line: Vec<u8> = self.received.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.received.len() < length {
            self.fill().await?;
        }
        Ok(self.received.drain(..length).collect())
    }

    async fn fill(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err("the connection ended".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the connection broke: {error}")),
        }
    }
}
