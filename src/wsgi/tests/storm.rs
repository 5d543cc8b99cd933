//! Many clients, some of which go, and workers that answer in every way, some of which die: each gets his
//! own answer or none, and nothing is left of them.

use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tokio::{io::AsyncWriteExt, task::yield_now};
use tower::ServiceExt;

use super::support::*;
use crate::wsgi::{
    WsgiContainer,
    dispatch::Dispatch,
    frame::{FAILED, FREE, Kind, OVER},
    worker::Worker,
};

/// Numbers that seem to be by chance, and are the same for the same seed.
#[derive(Clone)]
struct Chance(Arc<Mutex<u64>>);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(2) + 1)))
    }

    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 20) % limit
    }

    fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    async fn pause(&self) {
        for _ in 0..self.below(8) {
            yield_now().await;
        }
    }
}

/// What the answer to a request is made of: its path, again and again.
fn content(path: &str, times: u64) -> Vec<u8> {
    path.repeat(times as usize).into_bytes()
}

/// One thread of a worker. Returns whether it was told to stop, and else is to dial again.
async fn thread(mut peer: Peer, chance: &Chance) -> bool {
    loop {
        let heard = match peer.next().await {
            Some(Ok(heard)) => heard,
            Some(Err(_stop)) => return true,
            None => return false,
        };
        if chance.once_in(3) {
            chance.pause().await;
        }
        if chance.once_in(60) {
            return false;
        }
        let environ = &heard.environ;
        let path = &environ["PATH_INFO"];
        assert_eq!(
            heard.body,
            environ["REQUEST_METHOD"]
                .strip_prefix("POST")
                .map_or("", |_| path)
                .as_bytes()
        );
        let is_head = environ["REQUEST_METHOD"] == "HEAD";
        let body = content(path, 1 + [0, 40, 4000, 9000][chance.below(4) as usize]);
        // So that now and then a read ends in the midst of a head.
        let padding = "x".repeat([0, 5000][chance.below(2) as usize]);
        let head = format!("200 OK\nContent-Length\n{}\nX\n{padding}", body.len());
        let (head, end) = (head.as_bytes(), OVER | FREE);
        let body = if is_head { Vec::new() } else { body };
        let said = match chance.below(8) {
            0 | 1 if !is_head => {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&body).unwrap();
                let numbers = [0_u64.to_le_bytes(), (body.len() as u64).to_le_bytes()].concat();
                let is_free = chance.once_in(2);
                let flags = if is_free { end } else { OVER };
                let said = frame_of(Kind::Pass, flags, 0, head, &numbers);
                if peer.try_send_with(&said, &file).await.is_err() {
                    return false;
                }
                match is_free {
                    true => Vec::new(),
                    false => frame_of(Kind::End, FREE, 0, b"", b""),
                }
            }
            2 => frame_of(Kind::Exception, FREE, 0, b"a traceback", b""),
            3 | 4 if body.len() > 2 => {
                let at = 1 + chance.below(body.len() as u64 - 2) as usize;
                let mut said = frame_of(Kind::Start, 0, 0, head, &body[..at]);
                if chance.once_in(20) {
                    said.extend(frame_of(Kind::End, end | FAILED, 0, b"a traceback", b""));
                } else {
                    said.extend(frame_of(Kind::Chunk, OVER, 0, b"", &body[at..]));
                    said.extend(frame_of(Kind::End, FREE, 0, b"", b""));
                }
                said
            }
            _ => frame_of(Kind::One, end, 0, head, &body),
        };
        let mut rest = &said[..];
        while !rest.is_empty() {
            let mut now = rest.len();
            if chance.once_in(3) {
                now = 1 + chance.below(now as u64) as usize;
                chance.pause().await;
            }
            if chance.once_in(150) || peer.stream.write_all(&rest[..now]).await.is_err() {
                return false;
            }
            rest = &rest[now..];
        }
    }
}

/// A worker, from its first thread to the end of its last.
async fn worker(dispatch: Arc<Dispatch>, worker: Arc<Worker>, chance: Chance) {
    let threads = (0..worker.threads).map(|_| async {
        loop {
            let room = chance.once_in(2).then_some(4096);
            let peer = Peer::dial(&dispatch, &worker, room);
            if thread(peer, &chance).await {
                return;
            }
        }
    });
    futures_util::future::join_all(threads).await;
    dispatch.remove(worker.id);
    // Whose connection ended last may not have noticed yet.
    soon(async {
        while worker.busy() > 0 {
            yield_now().await;
        }
    })
    .await;
}

#[derive(Default)]
struct Count {
    right: AtomicUsize,
    failed: AtomicUsize,
    left: AtomicUsize,
}

async fn client(container: WsgiContainer, name: usize, chance: Chance, count: Arc<Count>) {
    for number in 0..25 {
        let path = format!("/{name}-{number}");
        let method = match chance.below(6) {
            0 => Method::POST,
            1 => Method::HEAD,
            _ => Method::GET,
        };
        let body = match method {
            Method::POST => Bytes::from(path.clone()),
            _ => Bytes::new(),
        };
        let query = "q".repeat([0, 10, 3000, 9000][chance.below(4) as usize]);
        let request = Request::builder()
            .method(&method)
            .uri(format!("{path}?{query}"))
            .header("host", "a")
            .body(Full::new(body))
            .unwrap();
        let patience = chance.once_in(6).then(|| chance.below(12));
        let asking = async {
            let response = container.clone().oneshot(request).await.unwrap();
            let status = response.status();
            let read = response.into_body().collect().await;
            (status, read.map(|read| read.to_bytes()))
        };
        let (status, body) = tokio::select! {
            biased;
            answer = soon(asking) => answer,
            () = leaves(patience) => {
                count.left.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        match (status.as_u16(), body) {
            (200, Ok(body)) => {
                let times = body.len() / path.len();
                assert_eq!(method == Method::HEAD, body.is_empty());
                assert!(
                    body == content(&path, times as u64),
                    "{path} is answered {body:.50?}"
                );
                count.right.fetch_add(1, Ordering::Relaxed);
            }
            (200, Err(_)) | (500 | 502, Ok(_)) => {
                count.failed.fetch_add(1, Ordering::Relaxed);
            }
            answer => panic!("{answer:?}"),
        }
    }
}

async fn leaves(after: Option<u64>) {
    match after {
        None => std::future::pending().await,
        Some(polls) => {
            for _ in 0..polls {
                yield_now().await;
            }
        }
    }
}

async fn storm(seed: u64, prefetch: usize) {
    let bench = Bench::with(|config| {
        config.prefetch = prefetch;
        config.queue_timeout = Duration::from_secs(60);
    });
    let chance = Chance::new(seed);
    let count = Arc::new(Count::default());
    let clients: Vec<_> = (0..24)
        .map(|name| {
            let client = client(
                bench.container.clone(),
                name,
                chance.clone(),
                Arc::clone(&count),
            );
            tokio::spawn(client)
        })
        .collect();
    let start = |id: u32| {
        let wake = Arc::clone(&bench.wake);
        let one = Arc::new(Worker::new(id, id, 1, 1 + (id % 2) as u16, wake));
        tokio::spawn(worker(Arc::clone(&bench.dispatch), one, chance.clone()))
    };
    // One retires, and another comes in its place, again and again.
    let mut workers = vec![(1, start(1)), (2, start(2))];
    let mut id = 2;
    while !clients.iter().all(|client| client.is_finished()) {
        for _ in 0..200 {
            yield_now().await;
        }
        id += 1;
        workers.push((id, start(id)));
        let (oldest, ends) = workers.remove(0);
        bench.dispatch.retire(oldest);
        soon(ends).await.unwrap();
    }
    for client in clients {
        client.await.unwrap();
    }
    for (id, ends) in workers {
        bench.dispatch.retire(id);
        soon(ends).await.unwrap();
    }
    assert_eq!(bench.dispatch.load(), Default::default(), "{seed}");
    let [right, failed, left] =
        [&count.right, &count.failed, &count.left].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(right + failed + left, 24 * 25);
    assert!(
        right > failed && failed > 0 && left > 0,
        "{right} {failed} {left}"
    );
}

#[tokio::test]
async fn everybody_has_his_own_answer_or_none() {
    for seed in 1..=6 {
        for prefetch in [0, 1, 4, 16] {
            storm(seed, prefetch).await;
        }
    }
}
