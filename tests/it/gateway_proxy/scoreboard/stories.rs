//! What takes more than one question and one answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, time::timeout};
use tower_gateway::{GatewayProxy, serve::serve};

use super::{
    expect,
    sides::{Side, Stage, nothing, script},
};
use crate::support::{
    raw::PATIENCE,
    upstream::Conn,
    wire::{Address, Client},
};

pub struct Story {
    pub rule: &'static str,
    pub name: &'static str,
    pub outcome: Result<(), String>,
}

macro_rules! tell {
    ($side:expr, $($rule:literal: $name:literal = $story:expr;)*) => {
        vec![$(Story {
            rule: $rule,
            name: $name,
            outcome: $story($side).await,
        },)*]
    };
}

pub async fn tell(side: &Side) -> Vec<Story> {
    let mut stories = tell![side,
        "RFC 9112 §9.3.1": "a GET on a connection that the upstream has closed" = stale_get;
        "RFC 9112 §9.3.1": "a GET on a connection that the upstream closes now" = closing_get;
        "RFC 9112 §9.3.1": "a POST on a connection that the upstream has closed" = stale_post;
        "RFC 9112 §9.3.1": "a POST on a connection that the upstream closes now" = closing_post;
        "RFC 9110 §9.2.2": "a POST reaches the upstream once" = once;
        "hyper#2917": "a client that goes while it waits" = abort_waiting;
        "hyper#2917": "a client that goes while it waits, with more in the buffer" = abort_pipelined;
        "hyper#2917": "a client that goes while it downloads" = abort_download;
        "hyper#2917": "a client that goes while it uploads" = abort_upload;
        "RFC 9110 §10.1.1": "100 comes when the body is wanted" = expect::continue_at_all;
        "RFC 9110 §10.1.1": "who expects 100 and does not wait for it" = expect::impatient;
        "RFC 9110 §10.1.1": "an upstream that says nothing of 100" = expect::silent_of_100;
        "RFC 9110 §7.8": "a tunnel to foo" = tunnel;
        "CVE-2026-2833": "bytes before the switch go nowhere else" = early_bytes;
        "25b3eab of Caddy": "fields of the connection in a 101" = fields_of_101;
        "RFC 9110 §15.2": "1xx are not the answer" = interim;
    ];
    // Without it there is nothing to compare: a body that is spooled is wanted.
    if !side.is_ours() || side.streams() {
        stories.extend(tell![side,
            "RFC 9110 §10.1.1": "100 is the upstream's to say" = expect::continue_of_upstream;
            "RFC 9110 §10.1.1": "417 is the upstream's to say" = expect::expectation_failed;
            "RFC 9110 §10.1.1": "a final answer saves the body" = expect::unwanted_body;
        ]);
    }
    if side.is_ours() {
        stories.extend(tell![side,
            "RFC 9110 §7.6.3": "a loop is 508" = a_loop;
        ]);
    }
    stories
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\norder";

/// It answers once, and closes after the next request or before it.
async fn after_one_answer(side: &Side, reads_one_more: bool, then: &str) -> Result<(), String> {
    let stage = side
        .stage(script(move |mut conn: Conn| async move {
            if conn.request().await.is_none() {
                return;
            }
            conn.answer("ok").await;
            if reads_one_more {
                conn.request().await;
            }
        }))
        .await;
    let before = stage.upstream.counts();
    let mut client = stage.client().await;
    client.send(GET).await?;
    status(&mut client, 200).await?;
    if !reads_one_more {
        stage.is_deserted_within_a_second().await?;
    }
    for _ in 0..3 {
        client.send(then).await?;
        status(&mut client, 200).await?;
    }
    // The one that was taken and not answered was taken from nobody else.
    let asked = stage.upstream.counts().requests - before.requests;
    match then.starts_with("POST") && asked != 4 {
        true => Err(format!("4 requests came as {asked}")),
        false => Ok(()),
    }
}

pub async fn status(client: &mut Client, status: u16) -> Result<(), String> {
    match client.expect(false).await?.status {
        given if given == status => Ok(()),
        given => Err(format!("status {given}, not {status}")),
    }
}

async fn stale_get(side: &Side) -> Result<(), String> {
    after_one_answer(side, false, GET).await
}

async fn closing_get(side: &Side) -> Result<(), String> {
    after_one_answer(side, true, GET).await
}

async fn stale_post(side: &Side) -> Result<(), String> {
    after_one_answer(side, false, POST).await
}

async fn closing_post(side: &Side) -> Result<(), String> {
    after_one_answer(side, true, POST).await
}

/// RFC 9110 §9.2.2: "A proxy MUST NOT automatically retry non-idempotent requests."
async fn once(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            conn.request().await;
        }))
        .await;
    let before = stage.upstream.counts().requests;
    let mut client = stage.client().await;
    client.send(POST).await?;
    status(&mut client, 502).await?;
    match stage.upstream.counts().requests - before {
        1 => Ok(()),
        count => Err(format!("it came {count} times")),
    }
}

/// An upstream that takes requests and never answers, with one request at it.
async fn waiting(side: &Side, sends: &str) -> Result<(Stage, Client), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            conn.request().await;
            conn.closed().await;
        }))
        .await;
    let before = stage.upstream.counts().requests;
    let mut client = stage.client().await;
    client.send(sends).await?;
    let arrives = stage.upstream.until(|counts| counts.requests == before + 1);
    timeout(stage.patience, arrives)
        .await
        .map_err(|_late| "the request does not arrive")?;
    Ok((stage, client))
}

async fn abort_waiting(side: &Side) -> Result<(), String> {
    let (stage, client) = waiting(side, GET).await?;
    drop(client);
    stage.is_deserted_within_a_second().await
}

async fn abort_pipelined(side: &Side) -> Result<(), String> {
    let (stage, client) = waiting(side, &GET.repeat(2)).await?;
    drop(client);
    stage.is_deserted_within_a_second().await
}

async fn abort_download(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                .await;
            while !conn.is_closed() {
                conn.write(vec![0; 10_000]).await;
                tokio::task::yield_now().await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    client.send(GET).await?;
    client.expect_bytes("HTTP/1.1 200 OK\r\n").await?;
    drop(client);
    stage.is_deserted_within_a_second().await
}

async fn abort_upload(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            conn.head().await;
            conn.closed().await;
        }))
        .await;
    let before = stage.upstream.counts().requests;
    let mut client = stage.client().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome";
    client.send(head).await?;
    if side.streams() {
        let arrives = stage.upstream.until(|counts| counts.requests > before);
        arrives.await;
    }
    drop(client);
    stage.is_deserted_within_a_second().await?;
    // Collected, it never goes on; streamed, it has, and was broken off.
    let asked = stage.upstream.counts().requests - before;
    match asked == usize::from(side.streams()) {
        true => Ok(()),
        false => Err(format!("the upstream got {asked} requests")),
    }
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";

async fn tunnel(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            conn.head().await;
            conn.write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nhello",
            )
            .await;
            while conn.fill().await.is_some() {
                let said = conn.take();
                conn.write(said).await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    client.send(UPGRADE).await?;
    status(&mut client, 101).await?;
    client.expect_bytes("hello").await?;
    client.send(GET).await?;
    client.expect_bytes(GET).await?;
    client.finish().await;
    client.expect_end().await?;
    stage.is_deserted_within_a_second().await
}

/// What a client sends behind a wish for an upgrade is of the tunnel if there is one, and a
/// request if there is none; the upstream hears nothing of it before it has said which.
async fn early_bytes(side: &Side) -> Result<(), String> {
    let (go, may_go) = watch::channel(false);
    let early = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&early);
    let stage = side
        .stage(script(move |mut conn: Conn| {
            let mut may_go = may_go.clone();
            let heard = Arc::clone(&heard);
            async move {
                conn.head().await;
                may_go.wait_for(|go| *go).await.ok();
                conn.try_fill();
                heard.store(conn.buffered().len(), Ordering::SeqCst);
                conn.write(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
                )
                .await;
                while conn.fill().await.is_some() {
                    let said = conn.take();
                    conn.write(said).await;
                }
            }
        }))
        .await;
    let before = stage.upstream.counts().requests;
    let mut client = stage.client().await;
    client.send(format!("{UPGRADE}early")).await?;
    let arrives = stage.upstream.until(|counts| counts.requests > before);
    timeout(stage.patience, arrives)
        .await
        .map_err(|_late| "the request does not arrive")?;
    // Time enough for what is wrong to happen.
    timeout(Duration::from_millis(50), nothing()).await.ok();
    go.send_replace(true);
    status(&mut client, 101).await?;
    client.expect_bytes("early").await?;
    match early.load(Ordering::SeqCst) {
        0 => Ok(()),
        bytes => Err(format!("{bytes} bytes came before the switch")),
    }
}

async fn fields_of_101(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            conn.head().await;
            conn.write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\n\
                 Connection: X-Other\r\nUpgrade: foo\r\nX-Hop: 1\r\nX-Other: 1\r\n\
                 Keep-Alive: timeout=5\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\
                 Proxy-Authenticate: Basic\r\nX-End: 1\r\n\r\n",
            )
            .await;
            conn.closed().await;
        }))
        .await;
    let mut client = stage.client().await;
    client.send(UPGRADE).await?;
    let answer = client.expect(false).await?;
    if answer.status == 502 {
        // RFC 9112 §6.1 forbids a coding in a 101: not HTTP.
        return Ok(());
    }
    let left: Vec<_> = [
        "x-hop",
        "x-other",
        "keep-alive",
        "content-length",
        "transfer-encoding",
        "proxy-authenticate",
    ]
    .into_iter()
    .filter(|name| answer.header(name).is_some())
    .collect();
    match left.is_empty() && answer.header("x-end").is_some() {
        true => Ok(()),
        false => Err(format!("status {}, with {left:?}", answer.status)),
    }
}

async fn interim(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            while conn.request().await.is_some() {
                conn.write(
                    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                     HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                )
                .await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    for _ in 0..2 {
        client.send(GET).await?;
        let answer = client.expect(false).await?;
        if answer.status != 200 || answer.header("link").is_some() || answer.text() != "ok" {
            return Err(format!("{answer:?}"));
        }
    }
    // RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client."
    client
        .send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        .await?;
    let before = client.interim.len();
    status(&mut client, 200).await?;
    match client.interim.len() == before {
        true => Ok(()),
        false => Err(format!("{:?} to HTTP/1.0", client.interim)),
    }
}

/// A gateway whose upstream is itself.
async fn a_loop(_: &Side) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // However deep it goes, it ends.
    let proxy = GatewayProxy::to(&format!("http://{address}"))
        .unwrap()
        .max_connections(8)
        .pool_timeout(Duration::from_millis(50));
    let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
    let mut client = Client::connect(&Address::Tcp(address), PATIENCE).await;
    client.send(GET).await?;
    let told = status(&mut client, 508).await;
    server.abort();
    told
}
