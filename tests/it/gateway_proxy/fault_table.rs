//! What an upstream can do wrong, over sockets: the client gets the right status, or sees that the
//! answer is not whole; the next request is answered as if nothing had been; and nothing is left,
//! neither a connection, a task, a descriptor, nor a file.

mod rows;

use std::sync::{Arc, Mutex};

use tokio::{net::TcpListener, runtime::Handle, sync::watch, time::Instant};
use tower_gateway::{GatewayProxy, body::spool::Spool, serve::serve};

use self::rows::{End, Fault, Kind, LONG, NEXT, Right, SHORT};
use crate::support::{
    alone::{descriptors, is_alone, settled},
    process::say,
    raw::{Answer, PATIENCE},
    upstream::{Conn, Upstream},
    wire::{Address, Client, find},
};

/// The faults that this crate does not answer rightly yet. Each has to fail, in one of the two ways
/// of passing requests on at least.
const AWAITED: &[&str] = &[];

#[tokio::test]
async fn whatever_an_upstream_does_wrong_the_client_knows_and_nothing_is_left() {
    let test = "gateway_proxy::fault_table::\
                whatever_an_upstream_does_wrong_the_client_knows_and_nothing_is_left";
    if !is_alone(test) {
        return;
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for streams in [false, true] {
        let mut groups = vec![rows::while_uploading(streams)];
        // Without a body there are no two ways.
        if !streams {
            groups.extend([
                rows::before_the_head(),
                rows::in_the_head(),
                rows::framing(),
                rows::in_the_body(),
                rows::beyond_the_answer(),
            ]);
        }
        for fault in groups.into_iter().flatten() {
            let name = fault.name;
            count += 1;
            let start = Instant::now();
            if let Err(reason) = play(fault, streams).await {
                let way = if streams { "streaming" } else { "spooling" };
                wrong.push((way, name, reason));
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{name} takes {:?}",
                start.elapsed()
            );
        }
    }
    say(format_args!(
        "{} of {count} faults as they should be",
        count - wrong.len()
    ));
    for (way, name, reason) in &wrong {
        let reason: String = reason.chars().take(300).collect();
        println!("{way}: {name}: {reason}");
    }
    for name in AWAITED {
        assert!(
            wrong.iter().any(|(_, given, _)| given == name),
            "{name:?} is right, or is no fault: its line in AWAITED goes"
        );
    }
    wrong.retain(|(_, name, _)| !AWAITED.contains(name));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn play(fault: Fault, streams: bool) -> Result<(), String> {
    let Fault {
        asks,
        upstream: kind,
        limit,
        right,
        ..
    } = fault;
    let refuses = matches!(kind, Kind::Refuses);
    let upstream = Arc::new(upstream(kind).await);
    let url = match refuses {
        true => nobody().await,
        false => upstream.url(),
    };
    let files = tempfile::tempdir().unwrap();
    let spool = Spool::new().memory(1000).directory(files.path());
    let proxy = GatewayProxy::to(&url)
        .unwrap()
        .spool(spool)
        .connect_timeout(limit)
        .response_timeout(limit)
        .read_timeout(limit)
        .idle_timeout(SHORT / 4);
    let proxy = if streams {
        proxy.stream_requests()
    } else {
        proxy
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
    // Everybody has begun.
    let mut client = Client::connect(&address, LONG).await;
    client
        .send("OPTIONS /next HTTP/1.0\r\nHost: a\r\n\r\n")
        .await?;
    client.answer(false).await?;
    drop(client);
    let mut least = (usize::MAX, usize::MAX);
    let open = || upstream.counts().open;
    settled(|| (open() > 0).then(|| "the upstream has a connection".to_owned())).await?;
    for _ in 0..3 {
        tokio::task::yield_now().await;
        least = (least.0.min(descriptors()), least.1.min(tasks()));
    }

    let before = upstream.counts().accepted;
    let told = answered(&address, &asks, &right, refuses).await;
    let is_last = right.iter().any(|right| matches!(right, Right::Last(..)));
    let told = told.and_then(
        |()| match is_last && upstream.counts().accepted == before + 1 {
            true => Err("its connection is used again".to_owned()),
            false => Ok(()),
        },
    );

    let left = settled(|| {
        let now = (descriptors(), tasks());
        let names = std::fs::read_dir(files.path()).unwrap().count();
        let is_clean = now.0 <= least.0 && now.1 <= least.1 && open() == 0 && names == 0;
        (!is_clean).then(|| {
            format!(
                "left behind: (descriptors, tasks) {now:?}, before {least:?}; {names} files; \
                 upstream connections: {}",
                open()
            )
        })
    })
    .await;
    server.abort();
    server.await.ok();
    told.and(left)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// The fault, and the next request after it.
async fn answered(
    address: &Address,
    asks: &[u8],
    right: &[Right],
    refuses: bool,
) -> Result<(), String> {
    let to_head = asks.starts_with(b"HEAD ");
    let mut client = Client::connect(address, LONG).await;
    client.send(asks).await?;
    let answer = client.answer(to_head).await;
    if !right.iter().any(|right| right.holds(&answer)) {
        return Err(format!("{right:?}, and it is {answer:?}"));
    }
    if refuses {
        return Ok(());
    }
    // On the same connection if it goes on, and on another one.
    if client.send(NEXT).await.is_ok()
        && let Ok(Some(next)) = client.answer(false).await
    {
        is_next(&next)?;
    }
    let mut other = Client::connect(address, LONG).await;
    other.send(NEXT).await?;
    is_next(&other.expect(false).await?)
}

fn is_next(answer: &Answer) -> Result<(), String> {
    match answer.status == 200 && answer.text() == "next" {
        true => Ok(()),
        false => Err(format!("the next request is answered {answer:?}")),
    }
}

impl Right {
    fn holds(&self, answer: &Result<Option<Answer>, String>) -> bool {
        match (self, answer) {
            (Self::Status(status), Ok(Some(answer))) => answer.status == *status && answer.complete,
            (Self::Whole(status, body) | Self::Last(status, body), Ok(Some(answer))) => {
                answer.status == *status && answer.text() == *body && answer.complete
            }
            (Self::Broken, Ok(Some(answer))) => {
                matches!(answer.status, 502 | 504) || !answer.complete
            }
            (Self::Broken, Ok(None)) => true,
            _ => false,
        }
    }
}

async fn upstream(kind: Kind) -> Upstream {
    let kind = Arc::new(kind);
    let accepted = Arc::new(Mutex::new(0));
    Upstream::spawn(move |mut conn| {
        let kind = Arc::clone(&kind);
        let accepted = Arc::clone(&accepted);
        async move {
            let number = {
                let mut accepted = accepted.lock().unwrap();
                *accepted += 1;
                *accepted
            };
            // The first is that of the beginning, the second that of the fault.
            if matches!(*kind, Kind::Accepts) && number == 2 {
                return;
            }
            loop {
                let Some(head) = conn.head().await else {
                    return;
                };
                if !head.contains(" /next ") {
                    break;
                }
                conn.answer("next").await;
            }
            match &*kind {
                Kind::Says(bytes, end) => {
                    conn.write(bytes).await;
                    match end {
                        End::Close => {}
                        End::Reset => conn.reset(),
                        End::Stay => serve_next(conn).await,
                    }
                }
                Kind::Does(script) => {
                    let script = Arc::clone(script);
                    script(conn).await;
                }
                Kind::Refuses | Kind::Accepts => {}
            }
        }
    })
    .await
}

/// Whatever else comes, the next request is answered.
async fn serve_next(mut conn: Conn) {
    let mut seen = Vec::new();
    loop {
        seen.append(&mut conn.take());
        if find(&seen, b" /next ").is_some() && seen.ends_with(b"\r\n\r\n") {
            seen.clear();
            conn.answer("next").await;
        }
        // Long bodies have nothing to be found.
        let old = seen.len().saturating_sub(1_000);
        seen.drain(..old);
        if conn.fill().await.is_none() {
            return;
        }
    }
}

/// The address of a port on which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An answer that comes while nobody has asked is nobody's.
#[tokio::test]
async fn what_comes_on_an_idle_connection_is_nobodys() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "H",
        "\r\n",
    ] {
        let (go, may_go) = watch::channel(0);
        let (sent, mut was_sent) = watch::channel(0);
        let sent = Arc::new(sent);
        let upstream = Upstream::spawn(move |mut conn: Conn| {
            let mut may_go = may_go.clone();
            let sent = Arc::clone(&sent);
            async move {
                conn.request().await;
                conn.answer("ok").await;
                let number = conn.number + 1;
                may_go.wait_for(|go| *go >= number).await.ok();
                conn.write(answer).await;
                sent.send_replace(number);
                if conn.request().await.is_some() {
                    conn.answer("late").await;
                }
            }
        })
        .await;
        let proxy = GatewayProxy::to(&upstream.url()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
        let mut client = Client::connect(&address, PATIENCE).await;
        for number in 1..=20 {
            client.send(NEXT).await.unwrap();
            let given = client.expect(false).await.unwrap();
            assert_eq!(
                (given.status, given.text()),
                (200, "ok".to_owned()),
                "{answer:?}"
            );
            go.send_replace(number);
            was_sent.wait_for(|sent| *sent >= number).await.unwrap();
        }
        server.abort();
    }
}
