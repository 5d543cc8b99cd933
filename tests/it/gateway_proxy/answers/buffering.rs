//! Answers that are read ahead of clients that do not read.

use std::{io, path::Path, sync::LazyLock};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle as Runtime,
    sync::watch,
    time::timeout,
};
use tower::{ServiceBuilder, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, GatewayProxy,
    gateway_proxy::{Buffering, Handle},
};

use crate::support::{
    alone::{is_alone, memory, settled},
    front::{Front, read_head},
    process::say,
    raw::{PATIENCE, get},
    upstream::{Conn, Upstream},
};

/// More than sockets on the way take in.
const PLENTY: u64 = 48 << 20;
const PIECE: usize = 64 << 10;
const GET: &[u8] = b"GET /plenty HTTP/1.1\r\nHost: a\r\n\r\n";

/// These bytes of an answer that tells the place of each.
fn pattern(from: u64, length: usize) -> &'static [u8] {
    const PERIOD: usize = 251;
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let bytes = (0..PLENTY as usize + PERIOD).map(|at| (at % PERIOD) as u8);
        bytes.collect()
    });
    let start = (from % PERIOD as u64) as usize;
    &BYTES[start..start + length]
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As it was announced.
    Whole,
    /// After this many bytes, with the connection.
    Closed(u64),
    Never,
}

/// An application of large answers.
struct Plenty {
    upstream: Upstream,
    /// How much of the latest answer is written.
    written: watch::Receiver<u64>,
}

impl Plenty {
    /// `fields` are whole lines of the head. Without a length among them it is chunked.
    async fn start(fields: &str, end: End) -> Self {
        let is_chunked = !fields.contains("Content-Length");
        let coding = match is_chunked {
            true => "Transfer-Encoding: chunked\r\n",
            false => "",
        };
        let head = format!("HTTP/1.1 200 OK\r\n{coding}{fields}\r\n");
        let (sender, written) = watch::channel(0);
        let upstream = Upstream::spawn(move |mut conn: Conn| {
            let (head, sender) = (head.clone(), sender.clone());
            async move {
                while let Some(request) = conn.request().await {
                    if !request.starts_with("GET /plenty ") {
                        conn.answer("small").await;
                        continue;
                    }
                    conn.write(&head).await;
                    let length = match end {
                        End::Whole => PLENTY,
                        End::Closed(length) => length,
                        End::Never => u64::MAX,
                    };
                    let mut at = 0;
                    while at < length && !conn.is_closed() {
                        let piece = pattern(at, PIECE.min((length - at) as usize));
                        if is_chunked {
                            conn.write(format!("{:x}\r\n", piece.len())).await;
                        }
                        conn.write(piece).await;
                        if is_chunked {
                            conn.write("\r\n").await;
                        }
                        at += piece.len() as u64;
                        if is_chunked && at == PLENTY {
                            conn.write("0\r\n\r\n").await;
                        }
                        sender.send_replace(at);
                    }
                    if end != End::Whole {
                        return;
                    }
                }
            }
        })
        .await;
        Self { upstream, written }
    }

    async fn whole() -> Self {
        Self::start(&format!("Content-Length: {PLENTY}\r\n"), End::Whole).await
    }

    fn proxy(&self) -> GatewayProxy {
        GatewayProxy::to(&self.upstream.url()).unwrap()
    }

    /// Waits until so much is written.
    async fn writes(&mut self, bytes: u64) {
        let writes = self.written.wait_for(|written| *written >= bytes);
        let waited = timeout(PATIENCE, writes).await.map(|seen| *seen.unwrap());
        waited.unwrap_or_else(|_| panic!("it stays at {}", *self.written.borrow()));
    }

    /// Waits until it is quiet, and nothing more is taken.
    async fn stands_still(&mut self) -> u64 {
        let quiet = std::time::Duration::from_millis(200);
        while let Ok(changed) = timeout(quiet, self.written.changed()).await {
            changed.unwrap();
        }
        *self.written.borrow_and_update()
    }
}

/// Waits until no request is with the upstream.
async fn is_let_go(handle: &Handle) {
    let told = settled(|| {
        let upstream = handle.upstreams().remove(0);
        (upstream.in_use + upstream.in_flight > 0).then(|| format!("{upstream:?}"))
    });
    told.await.unwrap();
}

/// Temporary files of this folder that are open. They have no name there.
fn open_files(directory: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    targets
        .filter(|target| target.starts_with(directory))
        .count()
}

async fn has_files(directory: &Path, count: usize) {
    let told = settled(|| {
        let open = open_files(directory);
        (open != count).then(|| format!("{open} files"))
    });
    told.await.unwrap();
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Reads on until so many bytes came, or the end; how many came. Each has to be the right one.
async fn read_pattern(stream: &mut TcpStream, most: u64) -> u64 {
    let mut at = 0;
    let mut piece = vec![0; PIECE];
    while at < most {
        let room = piece.len().min((most - at) as usize);
        let read = timeout(PATIENCE, stream.read(&mut piece[..room])).await;
        let length = match read.expect("more of the answer") {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        };
        assert!(piece[..length] == *pattern(at, length), "after {at} bytes");
        at += length as u64;
    }
    at
}

#[tokio::test]
async fn a_client_that_reads_nothing_costs_a_file_and_no_connection_and_no_memory() {
    let test = "gateway_proxy::answers::buffering::\
                a_client_that_reads_nothing_costs_a_file_and_no_connection_and_no_memory";
    if !is_alone(test) {
        return;
    }
    let folder = folder();
    let mut plenty = Plenty::whole().await;
    let proxy = plenty
        .proxy()
        .buffering(Buffering::new().directory(folder.path()));
    let handle = proxy.handle();
    let front = Front::start(proxy).await;
    // What is allocated once does not count.
    pattern(0, 0);
    assert_eq!(get(front.addr, "/small").await.text(), "small");

    let before = memory();
    let mut client = front.connect().await;
    client.write_all(GET).await.unwrap();
    plenty.writes(PLENTY).await;
    is_let_go(&handle).await;
    let grown = memory().saturating_sub(before);
    say(format_args!(
        "{} MiB read ahead, memory grew by {} KiB",
        PLENTY >> 20,
        grown >> 10
    ));
    assert!(grown < 8 << 20, "memory grew by {} KiB", grown >> 10);
    assert_eq!(open_files(folder.path()), 1);
    assert_eq!(handle.upstreams()[0].idle, 1);

    // Others have the connection, and are answered meanwhile.
    for _ in 0..3 {
        assert_eq!(get(front.addr, "/small").await.text(), "small");
    }
    assert_eq!(plenty.upstream.counts().accepted, 1);

    read_head(&mut client).await;
    assert_eq!(read_pattern(&mut client, PLENTY).await, PLENTY);
    has_files(folder.path(), 0).await;
    // It was whole, so the client's connection goes on.
    client
        .write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(read_head(&mut client).await.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn an_answer_without_a_length_is_read_ahead_as_well() {
    let folder = folder();
    let mut plenty = Plenty::start("X-A: b\r\n", End::Whole).await;
    let buffering = Buffering::new().directory(folder.path());
    let proxy = plenty.proxy().buffering(buffering);
    let handle = proxy.handle();
    let front = Front::start(proxy).await;
    let mut client = front.connect().await;
    client.write_all(GET).await.unwrap();
    plenty.writes(PLENTY).await;
    is_let_go(&handle).await;
    let answer = crate::support::raw::read_answer(&mut client, false).await;
    assert!(answer.complete);
    assert!(answer.body == *pattern(0, PLENTY as usize));
    has_files(folder.path(), 0).await;
}

#[tokio::test]
async fn what_is_not_to_be_read_ahead_holds_the_upstream_back() {
    let length = format!("Content-Length: {PLENTY}\r\n");
    for (buffering, fields, is_held) in [
        (Buffering::off(), "", true),
        (Buffering::off(), "X-Accel-Buffering: yes\r\n", false),
        (Buffering::new(), "", false),
        (Buffering::new(), "X-Accel-Buffering: no\r\n", true),
        (Buffering::new(), "X-Accel-Buffering: perhaps\r\n", false),
        // An event stream is never read ahead, whatever is said.
        (
            Buffering::new(),
            "Content-Type: text/event-stream\r\nX-Accel-Buffering: yes\r\n",
            true,
        ),
        (Buffering::new(), "Content-Type: application/grpc\r\n", true),
        (Buffering::new().file(0), "", true),
        (Buffering::new().file(8 << 20), "", true),
    ] {
        let context = format!("{buffering:?} {fields:?}");
        let folder = folder();
        let mut plenty = Plenty::start(&format!("{length}{fields}"), End::Whole).await;
        let may_have_file = format!("{buffering:?}").contains("file: 8388608");
        let proxy = plenty.proxy().buffering(buffering.directory(folder.path()));
        let handle = proxy.handle();
        let front = Front::start(proxy).await;
        let mut client = front.connect().await;
        client.write_all(GET).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(!head.contains("x-accel-buffering"), "{context} {head}");
        match is_held {
            true => {
                let written = plenty.stands_still().await;
                assert!(written < PLENTY, "{context}");
                assert_eq!(handle.upstreams()[0].in_use, 1, "{context}");
                assert_eq!(
                    open_files(folder.path()),
                    usize::from(may_have_file),
                    "{context}"
                );
            }
            false => {
                plenty.writes(PLENTY).await;
                is_let_go(&handle).await;
            }
        }
        let read = read_pattern(&mut client, PLENTY).await;
        assert_eq!(read, PLENTY, "{context}");
        has_files(folder.path(), 0).await;
        is_let_go(&handle).await;
    }
}

#[tokio::test]
async fn a_client_of_http_2_that_reads_nothing_is_read_ahead_of() {
    let folder = folder();
    let mut plenty = Plenty::whole().await;
    let buffering = Buffering::new().directory(folder.path());
    let proxy = plenty.proxy().buffering(buffering);
    let handle = proxy.handle();
    let front = Front::start(proxy).await;
    let mut client = front.http2(PIECE as u32).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let request = Request::get(format!("http://{}/plenty", front.addr));
        let request = request.body(Body::empty()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        plenty.writes(PLENTY).await;
        is_let_go(&handle).await;
        answers.push(answer);
    }
    assert_eq!(plenty.upstream.counts().accepted, 1);
    assert_eq!(open_files(folder.path()), 3);
    for answer in answers {
        let mut body = answer.into_body();
        let mut at = 0;
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data == *pattern(at, data.len()));
            at += data.len() as u64;
        }
        assert_eq!(at, PLENTY);
    }
    has_files(folder.path(), 0).await;
}

#[tokio::test]
async fn a_client_that_goes_in_mid_answer_takes_everything_along() {
    #[derive(Clone, Copy, Debug)]
    enum When {
        Head,
        File,
        Reading,
    }
    for when in [When::Head, When::File, When::Reading] {
        for is_http2 in [false, true] {
            let context = format!("{when:?} {is_http2}");
            let folder = folder();
            let plenty = Plenty::start("", End::Never).await;
            let buffering = Buffering::new().file(PLENTY).directory(folder.path());
            let proxy = plenty.proxy().buffering(buffering);
            let handle = proxy.handle();
            let front = Front::start(proxy).await;
            let tasks = || Runtime::current().metrics().num_alive_tasks();
            let before = tasks();
            if is_http2 {
                let mut client = front.http2(PIECE as u32).await;
                let request = Request::get(format!("http://{}/plenty", front.addr));
                let request = request.body(Body::empty()).unwrap();
                let mut answer = client.send_request(request).await.unwrap();
                if !matches!(when, When::Head) {
                    has_files(folder.path(), 1).await;
                }
                if matches!(when, When::Reading) {
                    for _ in 0..100 {
                        answer.frame().await.unwrap().unwrap();
                    }
                }
                // The stream is reset; the connection stays.
                drop(answer);
                plenty.upstream.deserted().await;
                has_files(folder.path(), 0).await;
            } else {
                let mut client = front.connect().await;
                client.write_all(GET).await.unwrap();
                read_head(&mut client).await;
                if !matches!(when, When::Head) {
                    has_files(folder.path(), 1).await;
                }
                if matches!(when, When::Reading) {
                    client.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
                }
            }
            plenty.upstream.deserted().await;
            has_files(folder.path(), 0).await;
            is_let_go(&handle).await;
            // That of the upstream's connection is among them, and as short-lived.
            let left = settled(|| (tasks() > before).then(|| format!("{} tasks", tasks()))).await;
            left.unwrap_or_else(|left| panic!("{context}: {left}, before {before}"));
        }
    }
}

#[tokio::test]
async fn what_the_upstream_breaks_off_is_broken_off_in_its_place() {
    const HALF: u64 = PLENTY / 2;
    for fields in [format!("Content-Length: {PLENTY}\r\n"), String::new()] {
        let folder = folder();
        let mut plenty = Plenty::start(&fields, End::Closed(HALF)).await;
        let buffering = Buffering::new().directory(folder.path());
        let proxy = plenty.proxy().buffering(buffering);
        let handle = proxy.handle();
        let front = Front::start(proxy).await;

        // A client that reads nothing until the upstream has gone.
        let mut slow = front.connect().await;
        slow.write_all(GET).await.unwrap();
        plenty.writes(HALF).await;
        is_let_go(&handle).await;
        let head = read_head(&mut slow).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        if head.contains("content-length") {
            let read = read_pattern(&mut slow, PLENTY).await;
            // Of what hyper has taken, and the socket has not, nothing is left.
            assert!(HALF - (1 << 20) < read && read <= HALF, "{read}");
        } else {
            let mut rest = Vec::new();
            slow.read_to_end(&mut rest).await.ok();
            assert!(rest.len() as u64 > HALF - (1 << 20));
            assert!(!rest.ends_with(b"0\r\n\r\n"));
        }
        // And one that reads all the time.
        let answer = get(front.addr, "/plenty").await;
        assert_eq!((answer.status, answer.complete), (200, false));
        has_files(folder.path(), 0).await;
    }
}

#[tokio::test]
async fn a_permit_outside_is_the_client_s_and_one_behind_the_upstream_is_let_go() {
    let inside = ConcurrencyLimit::new(1).queue(0);
    let application = service_fn(|_| async {
        let body = Full::new(Bytes::from_static(pattern(0, PLENTY as usize)));
        Ok::<_, std::convert::Infallible>(Response::new(Body::new(body)))
    });
    let application = ServiceBuilder::new()
        .layer(inside.clone())
        .service(application);
    let application = Front::start(application).await;

    let folder = folder();
    let buffering = Buffering::new().directory(folder.path());
    let proxy = GatewayProxy::to(&format!("http://{}", application.addr)).unwrap();
    let outside = ConcurrencyLimit::new(1).queue(0);
    let app = ServiceBuilder::new()
        .layer(outside.clone())
        .service(proxy.buffering(buffering));
    let front = Front::start(app).await;

    let mut client = front.connect().await;
    client.write_all(GET).await.unwrap();
    has_files(folder.path(), 1).await;
    let is_free = settled(|| (inside.in_use() > 0).then(|| "the permit is held".to_owned()));
    is_free.await.unwrap();
    // A request is over when its body is over, for the client as well.
    assert_eq!(outside.in_use(), 1);
    assert_eq!(get(front.addr, "/").await.status, 503);
    read_head(&mut client).await;
    assert_eq!(read_pattern(&mut client, PLENTY).await, PLENTY);
    let is_free = settled(|| (outside.in_use() > 0).then(|| "the permit is held".to_owned()));
    is_free.await.unwrap();
    assert_eq!(get(front.addr, "/").await.status, 200);
}
