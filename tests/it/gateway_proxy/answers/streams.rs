//! Answers that are made while they are sent: nothing waits for what follows it.

use http::Request;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};
use tower_gateway::{Body, GatewayProxy, gateway_proxy::Buffering};

use crate::support::{
    front::Front,
    raw::PATIENCE,
    upstream::{Conn, Upstream},
};

const EVENTS: usize = 30;

fn event(number: usize) -> String {
    format!("data: {number}\n\n")
}

/// Sends each event when the one before it was seen.
async fn events(fields: &'static str, seen: watch::Receiver<usize>) -> Upstream {
    Upstream::spawn(move |mut conn: Conn| {
        let mut seen = seen.clone();
        async move {
            conn.request().await;
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fields}\r\n");
            conn.write(head).await;
            for number in 0..EVENTS {
                let event = event(number);
                conn.write(format!("{:x}\r\n{event}\r\n", event.len()))
                    .await;
                if seen.wait_for(|seen| *seen > number).await.is_err() {
                    return;
                }
            }
            conn.write("0\r\n\r\n").await;
        }
    })
    .await
}

#[tokio::test]
async fn each_event_is_there_before_the_next_is_sent() {
    for fields in [
        "Content-Type: text/event-stream\r\n",
        "Content-Type: Text/Event-Stream; charset=utf-8\r\n",
        "Content-Type: text/plain\r\nX-Accel-Buffering: no\r\n",
        // Reading ahead delays nothing.
        "Content-Type: text/plain\r\n",
        "Content-Type: text/plain\r\nX-Accel-Buffering: yes\r\n",
    ] {
        for buffering in [Buffering::new(), Buffering::off()] {
            let context = format!("{fields:?} {buffering:?}");
            let (sender, seen) = watch::channel(0);
            let upstream = events(fields, seen).await;
            let proxy = GatewayProxy::to(&upstream.url()).unwrap();
            let front = Front::start(proxy.buffering(buffering)).await;

            let mut client = front.connect().await;
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            client.write_all(request).await.unwrap();
            let mut received = Vec::new();
            for number in 0..EVENTS {
                let reading = async {
                    let end = event(number) + "\r\n";
                    while !received.ends_with(end.as_bytes()) {
                        assert!(client.read_buf(&mut received).await.unwrap() > 0);
                    }
                };
                let read = timeout(PATIENCE, reading).await;
                read.unwrap_or_else(|_| panic!("{context}: event {number} does not come"));
                sender.send_replace(number + 1);
            }

            sender.send_replace(0);
            let mut client = front.http2(1 << 20).await;
            let request = Request::get(format!("http://{}/", front.addr));
            let request = request.body(Body::empty()).unwrap();
            let mut answer = client.send_request(request).await.unwrap();
            for number in 0..EVENTS {
                let frame = timeout(PATIENCE, answer.frame()).await;
                let frame = frame.unwrap_or_else(|_| panic!("{context}: event {number}"));
                let data = frame.unwrap().unwrap().into_data().unwrap();
                assert_eq!(data, event(number), "{context}");
                sender.send_replace(number + 1);
            }
            let rest = answer.collect().await.unwrap().to_bytes();
            assert!(rest.is_empty(), "{context} {rest:?}");
        }
    }
}
