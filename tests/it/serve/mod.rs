//! The small server around a stack.

mod drain;
mod faults;
mod limits;
mod linger;
mod protocols;
mod timeouts;
mod tunnels;

use std::{convert::Infallible, io, net::SocketAddr};

use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower::{Service, service_fn};
use tower_gateway::{
    Body, BoxError, PeerAddr,
    serve::{Listener, RequestBody, Server, serve},
};

use crate::support::raw::{Answer, PATIENCE, read_answer};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server on a port of its own, or on a [`Script`]; aborted when this is dropped.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has stopped by itself.
    async fn ended(&mut self) {
        timeout(PATIENCE, &mut self.task)
            .await
            .expect("the server goes on")
            .unwrap()
            .unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn run<L, S>(server: Server<L, S>) -> Running
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    let (stop, stopped) = oneshot::channel();
    let server = server.graceful_shutdown(async { stopped.await.unwrap() });
    Running {
        stop: Some(stop),
        task: tokio::spawn(server.into_future()),
    }
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A listener that does as it is told.
struct Script(mpsc::UnboundedReceiver<io::Result<DuplexStream>>);

struct Clients(mpsc::UnboundedSender<io::Result<DuplexStream>>);

fn script() -> (Clients, Script) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Clients(sender), Script(receiver))
}

impl Clients {
    /// Connects. The connection holds no more than 4 KiB in each direction.
    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(4 << 10);
        self.0.send(Ok(server)).unwrap();
        client
    }

    fn fail(&self, error: impl Into<io::Error>) {
        self.0.send(Err(error.into())).unwrap();
    }

    /// Waits until the listener is dropped.
    async fn unwanted(&self) {
        self.0.closed().await;
    }
}

impl Listener for Script {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<PeerAddr>)> {
        match self.0.recv().await {
            Some(next) => next.map(|io| (io, None)),
            None => std::future::pending().await,
        }
    }
}

/// A service that answers each request with these words.
fn says(
    text: &'static str,
) -> impl Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send {
    service_fn(move |_| async move { Ok(Response::new(Body::from(text))) })
}

/// Sends a request, and reads its answer.
async fn ask(stream: &mut (impl AsyncRead + AsyncWriteExt + Unpin)) -> Answer {
    stream.write_all(GET).await.unwrap();
    read_answer(stream, false).await
}

/// Waits until the other side has closed the connection, and returns what it sent before.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // A reset is an end as well.
    let _ = end.expect("the connection stays open");
    rest
}

#[allow(dead_code)]
fn server_is_send_and_nameable(
    server: Server<
        TcpListener,
        tower::util::BoxCloneSyncService<Request<RequestBody>, Response<Body>, BoxError>,
    >,
) -> impl Future<Output = io::Result<()>> + Send {
    server.into_future()
}

#[tokio::test]
async fn without_a_signal_it_runs_until_it_is_dropped() {
    let (clients, listener) = script();
    let server = tokio::spawn(serve(listener, says("hello")).into_future());
    assert_eq!(ask(&mut clients.connect()).await.text(), "hello");
    server.abort();
    clients.unwanted().await;
}
