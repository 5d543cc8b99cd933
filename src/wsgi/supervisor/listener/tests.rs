#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, task::JoinSet};

use super::{super::meeting::Meeting, *};

/// A socket, somebody who listens there, and this process as a worker of two threads.
struct Test {
    /// Of the socket.
    path: PathBuf,
    directory: TempDir,
    known: Arc<Known>,
    heard: mpsc::Receiver<Opening>,
    _listening: JoinSet<()>,
}

impl Test {
    fn new() -> Self {
        let meeting = Meeting::new().unwrap();
        let path = meeting.socket().to_owned();
        let Meeting { directory, door } = meeting;
        let known = Arc::new(Known::default());
        let (sender, heard) = mpsc::channel(1);
        let mut listening = JoinSet::new();
        listening.spawn(listen(door, Arc::clone(&known), sender));
        Self {
            path,
            directory,
            known,
            heard,
            _listening: listening,
        }
    }

    fn is_known(&self) {
        let pid = std::process::id();
        let worker = Arc::new(Worker::new(7, pid, 1, 2, Arc::default()));
        self.known
            .send_modify(|known| drop(known.insert(pid, Who::Worker(worker))));
    }

    async fn dial(&self, bytes: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

fn frame(kind: Kind, number: u16, said: &str) -> Vec<u8> {
    let mut header = Header::new(kind, said.len(), 0);
    header.number = number;
    let mut bytes = header.encode().to_vec();
    bytes.extend(said.as_bytes());
    bytes
}

/// Whether it was closed with no other word than that it is not to dial again.
async fn is_closed(mut stream: UnixStream) -> bool {
    let mut stop = [0; HEADER];
    stream.read_exact(&mut stop).await.unwrap();
    let is_stop = Header::decode(&stop).unwrap().kind == Kind::Stop;
    is_stop && stream.read(&mut [0]).await.unwrap_or(0) == 0
}

#[tokio::test]
async fn a_worker_is_heard_and_its_slot_is_the_connection() {
    let mut test = Test::new();
    test.is_known();
    let said = r#"{"worker": 7, "python": "3.13.0", "implementation": "CPython", "gil": false}"#;
    let mut stream = test.dial(&frame(Kind::Hello, 1, said)).await;
    let Some(Opening::Hello { slot, about }) = test.heard.recv().await else {
        panic!("no hello");
    };
    assert_eq!((slot.number(), slot.worker().id), (1, 7));
    assert_eq!((&*about.python, about.gil), ("3.13.0", false));
    slot.stop();
    let mut stop = [0; HEADER];
    stream.read_exact(&mut stop).await.unwrap();
    assert_eq!(Header::decode(&stop).unwrap().kind, Kind::Stop);
}

#[tokio::test]
async fn one_that_is_heard_of_only_now_is_waited_for() {
    let mut test = Test::new();
    let _stream = test.dial(&frame(Kind::Bye, 0, "{}")).await;
    tokio::task::yield_now().await;
    test.is_known();
    assert!(matches!(test.heard.recv().await, Some(Opening::Bye { .. })));
}

#[tokio::test]
async fn one_that_cannot_load_is_kept_until_it_was_heard() {
    let mut test = Test::new();
    test.is_known();
    let mut dialled = test.dial(&frame(Kind::No, 0, r#"{"reason": "why"}"#)).await;
    let Some(Opening::No { reason, stream, .. }) = test.heard.recv().await else {
        panic!("no word");
    };
    assert_eq!(reason, "why");
    assert!(dialled.try_read(&mut [0]).is_err(), "it is closed already");
    drop(stream);
    assert_eq!(dialled.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn nonsense_is_closed() {
    let test = Test::new();
    test.is_known();
    let mut long = Header::new(Kind::Hello, LONGEST + 1, 0).encode().to_vec();
    long.extend([b' '; 100]);
    for (what, bytes) in [
        ("a slot that it does not have", frame(Kind::Hello, 2, "{}")),
        ("no JSON", frame(Kind::Hello, 0, "{")),
        ("no template", frame(Kind::Template, 0, "{}")),
        ("what comes later", frame(Kind::One, 0, "{}")),
        ("no frame", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("too long", long),
    ] {
        let stream = test.dial(&bytes).await;
        assert!(is_closed(stream).await, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_and_those_who_say_nothing_are_closed_after_a_while() {
    let test = Test::new();
    // This process is none of the known ones.
    let stranger = test.dial(&frame(Kind::Hello, 0, "{}")).await;
    let silent = test.dial(b"").await;
    let before = tokio::time::Instant::now();
    assert!(is_closed(stranger).await);
    assert!(is_closed(silent).await);
    assert!(before.elapsed() >= OPENING);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_half_open_than_may_be() {
    let mut test = Test::new();
    test.is_known();
    let mut silent = Vec::new();
    for _ in 0..HALF_OPEN {
        silent.push(test.dial(b"").await);
    }
    // It is in the line behind them, until they have had their time.
    let before = tokio::time::Instant::now();
    let _last = test.dial(&frame(Kind::Bye, 0, "{}")).await;
    assert!(matches!(test.heard.recv().await, Some(Opening::Bye { .. })));
    assert!(before.elapsed() >= OPENING);
}

#[tokio::test]
async fn a_socket_that_is_removed_is_soon_there_again() {
    let mut test = Test::new();
    test.is_known();
    std::fs::remove_dir_all(test.directory.path()).unwrap();
    timeout(Duration::from_secs(20), async {
        while UnixStream::connect(&test.path).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let _stream = test.dial(&frame(Kind::Bye, 0, "{}")).await;
    assert!(matches!(test.heard.recv().await, Some(Opening::Bye { .. })));
}
