//! HTTP/1.1 as bytes, for what a polite client would never send.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};

/// Nothing in these tests takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended as its framing says, not by a connection broken off.
    pub complete: bool,
}

impl Answer {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends `request` as it is on a new connection, and reads one response.
pub async fn exchange(addr: impl ToSocketAddrs, request: impl AsRef<[u8]>) -> Answer {
    let request = request.as_ref();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request).await.unwrap();
    read_answer(&mut stream, request.starts_with(b"HEAD ")).await
}

/// `GET target` on a new connection that is closed afterwards.
pub async fn get(addr: impl ToSocketAddrs, target: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(addr, request).await
}

/// Reads one response, skipping 1xx but 101.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin), to_head: bool) -> Answer {
    timeout(PATIENCE, read_one(stream, to_head))
        .await
        .expect("the answer took too long")
}

async fn read_one(stream: &mut (impl AsyncRead + Unpin), to_head: bool) -> Answer {
    let mut reader = Reader {
        stream,
        buffer: Vec::new(),
    };
    let (status, headers) = loop {
        let (status, headers) = reader.head().await;
        if status >= 200 || status == 101 {
            break (status, headers);
        }
    };
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
        complete: true,
    };
    if to_head || status == 101 || status == 204 || status == 304 {
        return answer;
    }
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length = answer
        .header("content-length")
        .map(|length| length.parse::<usize>().unwrap());
    if chunked {
        answer.complete = reader.chunks(&mut answer.body).await.is_some();
    } else if let Some(length) = length {
        answer.complete = reader.exactly(length, &mut answer.body).await.is_some();
    } else {
        while reader.fill().await.is_some() {}
        answer.body = reader.buffer;
    }
    answer
}

struct Reader<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Reader<'_, S> {
    /// One byte at a time in a head would be slow; more would take what follows a 101. So the
    /// head is read in small pieces and only bodies in large ones.
    async fn fill(&mut self) -> Option<()> {
        let mut piece = vec![0; 16 << 10];
        match self.stream.read(&mut piece).await {
            Ok(0) | Err(_) => None,
            Ok(length) => {
                self.buffer.extend_from_slice(&piece[..length]);
                Some(())
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            if self.buffer.is_empty() {
                // Exactly one byte, so that a tunnel's first bytes stay in the stream.
                let byte = self.stream.read_u8().await.ok()?;
                self.buffer.push(byte);
            }
            let byte = self.buffer.remove(0);
            if byte == b'\n' {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            line.push(byte);
        }
    }

    async fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let status = self
            .line()
            .await
            .expect("a status line, not a closed connection");
        let status = status.split(' ').nth(1).unwrap_or_default().parse();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await.expect("a whole head");
            match line.split_once(':') {
                Some((name, value)) => {
                    headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => return (status.expect("a status"), headers),
            }
        }
    }

    async fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> Option<()> {
        while self.buffer.len() < length {
            if self.fill().await.is_none() {
                body.append(&mut self.buffer);
                return None;
            }
        }
        body.extend(self.buffer.drain(..length));
        Some(())
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let size = self.line().await?;
            let size = size.split(';').next().unwrap_or_default().trim().to_owned();
            let size = usize::from_str_radix(&size, 16).ok()?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Some(());
            }
            self.exactly(size, body).await?;
            self.line().await?;
        }
    }
}
