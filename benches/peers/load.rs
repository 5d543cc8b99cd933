//! What is asked for: one checked request, and then as many as wrk can send.

use std::{net::SocketAddr, process::Command, time::Duration};

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    BoxError, Round,
    process::{Core, Process},
    serve,
    side::Side,
};

/// What a right answer is.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    Ok {
        length: usize,
    },
    /// To a client that has the file already.
    NotModified,
    NotFound,
}

/// The load of one round.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) seconds: u32,
    pub(crate) connections: u32,
}

/// A request that was answered as it should be.
pub(crate) struct Checked {
    url: String,
    /// As wrk takes them.
    headers: Vec<String>,
    expected: Expected,
}

/// Without these nothing can be measured.
pub(crate) fn check_tools() -> Result<(), BoxError> {
    for (tool, package) in [("wrk", "wrk"), ("taskset", "util-linux")] {
        if Command::new(tool).arg("--version").output().is_err() {
            return Err(format!("{tool} is missing: apt-get install {package}").into());
        }
    }
    Ok(())
}

/// Asks once, and looks at the answer.
pub(crate) async fn check(
    side: &Side,
    path: &str,
    expected: Expected,
) -> Result<Checked, BoxError> {
    let mut conditions = HeaderMap::new();
    if let Expected::NotModified = expected {
        let (_, headers, _) = get(side.address, path, HeaderMap::new()).await?;
        for (validator, condition) in [
            (header::ETAG, header::IF_NONE_MATCH),
            (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE),
        ] {
            if let Some(value) = headers.get(validator) {
                conditions.insert(condition, value.clone());
            }
        }
    }
    let mut headers = Vec::new();
    for (name, value) in &conditions {
        headers.extend(["-H".to_owned(), format!("{name}: {}", value.to_str()?)]);
    }
    let (status, _, body) = get(side.address, path, conditions).await?;
    let is_right = match expected {
        Expected::Ok { length } => status == StatusCode::OK && body == serve::content(length),
        Expected::NotModified => status == StatusCode::NOT_MODIFIED && body.is_empty(),
        Expected::NotFound => status == StatusCode::NOT_FOUND,
    };
    if !is_right {
        let length = body.len();
        return Err(format!(
            "{} answered {path} with {status}, {length} bytes",
            side.name
        )
        .into());
    }
    Ok(Checked {
        url: format!("http://{}{path}", side.address),
        headers,
        expected,
    })
}

async fn get(
    address: SocketAddr,
    path: &str,
    headers: HeaderMap,
) -> Result<(StatusCode, HeaderMap, Bytes), BoxError> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) = http1::handshake(stream).await?;
    let mut request = Request::get(path)
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(headers);
    let answer = async {
        let (head, body) = client.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        // The connection ends when nobody can send on it any more.
        drop(client);
        Ok::<_, hyper::Error>((head.status, head.headers, body))
    };
    let (answer, _) = tokio::join!(answer, connection);
    Ok(answer?)
}

impl Load {
    /// Sends as many requests as it can, and counts.
    pub(crate) async fn run(&self, side: &Side, request: &Checked) -> Result<Round, BoxError> {
        // Answers that are cut off at the end of a round cost time and are not counted. Of the
        // large ones there are few, so only a few are to be cut off.
        let connections = match request.expected {
            Expected::Ok { length } if length > 1 << 20 => self.connections.min(4),
            _ => self.connections,
        };
        let (seconds, connections) = (format!("-d{}s", self.seconds), format!("-c{connections}"));
        let mut command = vec!["wrk", "-t1", &connections, &seconds, "--latency"];
        command.extend(request.headers.iter().map(String::as_str));
        command.push(&request.url);

        let before = side.cpu();
        let mut wrk = Process::start(Core::Load, &command)?;
        let mut output = String::new();
        if let Some(stdout) = &mut wrk.child().stdout {
            stdout.read_to_string(&mut output).await?;
        }
        wrk.child().wait().await?;
        let cpu = side.cpu() - before;

        let report = Report::read(&output).ok_or_else(|| format!("wrk said:\n{output}"))?;
        let right = match request.expected {
            Expected::NotFound => report.errors == report.requests,
            _ => report.errors == 0,
        };
        if !right || report.requests == 0 || output.contains("Socket errors") {
            return Err(format!("{} did not answer all requests:\n{output}", side.name).into());
        }
        Ok(Round {
            requests_per_second: report.requests_per_second,
            p99: report.p99,
            cpu: cpu.as_secs_f64() * 1e6 / report.requests as f64,
            memory: side.memory(),
        })
    }
}

/// What wrk prints at its end.
struct Report {
    requests: u64,
    /// Answers that are neither 2xx nor 3xx.
    errors: u64,
    requests_per_second: f64,
    p99: Duration,
}

impl Report {
    fn read(output: &str) -> Option<Self> {
        let after = |words: &str| {
            let line = output.lines().find(|line| line.contains(words))?;
            Some(line.split_once(words)?.1.trim())
        };
        let requests = output.lines().find(|line| line.contains(" requests in "))?;
        Some(Self {
            requests: requests.split_whitespace().next()?.parse().ok()?,
            errors: after("Non-2xx or 3xx responses:").map_or(Some(0), |n| n.parse().ok())?,
            requests_per_second: after("Requests/sec:")?.parse().ok()?,
            // Not "after": a line before may say that 72.99% are near the mean.
            p99: duration(
                output
                    .lines()
                    .find_map(|line| line.trim().strip_prefix("99%"))?
                    .trim(),
            )?,
        })
    }
}

/// `1.23ms`, as wrk writes it.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let seconds = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(
        text[..unit].parse::<f64>().ok()? * seconds,
    ))
}
