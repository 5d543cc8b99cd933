//! A Tornado application, its own server.

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{client_async, tungstenite::Message};
use tower_gateway::GatewayProxy;

use super::Gateway;
use crate::support::{
    process::Process,
    python,
    raw::{self, PATIENCE},
};

/// Tornado on a port of its choice, or on a Unix socket, and the gateway in front.
async fn start(unix: bool) -> (Process, tempfile::TempDir, Gateway) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = python::command("python", &python::applications());
    command.arg("tornado_app.py");
    match unix {
        true => {
            let socket = directory.path().join("socket");
            command.arg(format!("--unix-socket={}", socket.display()))
        }
        false => command.arg("--port=0"),
    };
    let mut process = Process::start(command);
    let line = process.wait_for("listening on ");
    let place = line.strip_prefix("listening on ").unwrap().trim();
    let url = match unix {
        true => format!("http+unix:{place}"),
        false => format!("http://127.0.0.1:{place}"),
    };
    let proxy = GatewayProxy::to(&url).unwrap();
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;
    (process, directory, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_echoes_and_counts_against_the_limit() {
    for unix in [false, true] {
        let (_process, _directory, gateway) = start(unix).await;
        assert_eq!(
            raw::get(gateway.addr, "/").await.text(),
            "hello from tornado\n"
        );

        let stream = TcpStream::connect(gateway.addr).await.unwrap();
        let url = format!("ws://{}/ws", gateway.addr);
        let (mut socket, response) = client_async(url, stream).await.unwrap();
        assert_eq!(response.status(), 101);
        let text = Message::text("grüße");
        let bytes = Message::binary(vec![7; 1_000_000]);
        for message in [text, bytes] {
            socket.send(message.clone()).await.unwrap();
            let echo = timeout(PATIENCE, socket.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            assert_eq!(echo, message);
        }
        assert_eq!(gateway.limit.in_use(), 1, "an open tunnel is work");

        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.unwrap() {}
        drop(socket);
        let freed = async {
            while gateway.limit.in_use() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, freed)
            .await
            .expect("a closed tunnel is none");

        // Without the handshake it is an ordinary answer.
        assert_eq!(raw::get(gateway.addr, "/ws").await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_as_they_are_sent() {
    let (_process, _directory, gateway) = start(false).await;
    let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
    let request = "GET /sse?n=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let first_events = async {
        let mut piece = [0; 4096];
        while !seen.contains("data: event 2\n") {
            let length = stream.read(&mut piece).await.unwrap();
            assert!(length > 0, "the stream ended after {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    };
    // The stream goes on for hours: who waits for its end sees nothing.
    timeout(PATIENCE, first_events)
        .await
        .expect("events come as they are sent");
    assert!(seen.contains("text/event-stream"));
}
