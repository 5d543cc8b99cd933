//! A server made with Python's `websockets` library.

use futures_util::{SinkExt, StreamExt, future::join_all};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{client_async, tungstenite::Message};
use tower_gateway::GatewayProxy;

use super::Gateway;
use crate::support::{process::Process, python, raw::PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn many_tunnels_at_once_keep_their_messages_apart() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let mut command = python::command("python", &python::applications());
    command.arg("websockets_app.py").arg(&socket);
    let mut process = Process::start(command);
    process.wait_for("listening on ");
    let proxy = GatewayProxy::to(&format!("http+unix:{}", socket.display())).unwrap();
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;

    let talks = (0..20).map(|n| talk(&gateway, n));
    join_all(talks).await;
    let freed = async {
        while gateway.limit.in_use() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed)
        .await
        .expect("closed tunnels are no work");
}

async fn talk(gateway: &Gateway, n: usize) {
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let url = format!("ws://{}/", gateway.addr);
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    for turn in 0..50 {
        let message = Message::text(format!("{n} {turn}"));
        socket.send(message.clone()).await.unwrap();
        let echo = timeout(PATIENCE, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(echo, message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.unwrap() {}
}
