//! A Unix socket whose backlog is full. A TCP connection waits for room by itself.

use std::{io, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixSocket, UnixStream},
    task::JoinSet,
};
use tower_gateway::{ErrorKind, GatewayProxy};

use super::{call, get, kind, text};

struct Full {
    listener: UnixListener,
    proxy: GatewayProxy,
    _waiting: Vec<UnixStream>,
    _directory: TempDir,
}

async fn full() -> Full {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        match UnixStream::connect(&path).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    Full {
        listener,
        proxy: GatewayProxy::to(&format!("http+unix:{}", path.display())).unwrap(),
        _waiting: waiting,
        _directory: directory,
    }
}

#[tokio::test(start_paused = true)]
async fn is_waited_for() {
    let full = full().await;
    let Full { listener, .. } = &full;
    let serve = async {
        // The time of all tries.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut tasks = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tasks.spawn(async move {
                if stream.read(&mut [0; 1024]).await.unwrap() > 0 {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    };
    let answer = tokio::select! {
        answer = call(&full.proxy, get("/")) => answer,
        () = serve => unreachable!(),
    };
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn is_waited_for_no_longer_than_for_a_connection() {
    let full = full().await;
    let proxy = full
        .proxy
        .clone()
        .connect_timeout(Duration::from_millis(100));
    let response = call(&proxy, get("/")).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnectTimeout));
    assert_eq!(response.status(), 504);
}
