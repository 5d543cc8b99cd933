//! A small server around a stack, for those without axum.
//!
//! [`serve`] takes a listener (TCP or Unix) and a service, and speaks HTTP/1.1 and HTTP/2 (with
//! prior knowledge) to every client until it is told to stop. It does what a server that stands
//! in the open has to do:
//!
//! - every wait for a client has an end: for a request's head, for the next request, and for a
//!   response to be taken ([`Server::header_timeout`], [`Server::keep_alive_timeout`],
//!   [`Server::send_timeout`]);
//! - the number of connections, of HTTP/2 streams, and the size of a head have limits;
//! - nothing that fails ends it: an error of `accept` (no file descriptor left) is waited out, an
//!   error of the service is a 500, a panic costs its own connection (HTTP/2: its own stream) and
//!   is told in an `error` event;
//! - [`PeerAddr`](crate::PeerAddr) is in the extensions of each request, and `TCP_NODELAY` is set on each
//!   connection (without it, a response of two packets may wait 40 ms for a delayed ACK);
//! - it stops gracefully: [`Server::graceful_shutdown`];
//! - an answer that comes before the whole request (413, 431), or that others follow which are not
//!   answered, is not lost by a reset: [`Server::linger_timeout`].
//!
//! Upgrades (WebSocket) work as hyper has them: `hyper::upgrade::on(&mut request)`. Over HTTP/2 a
//! WebSocket is opened by an extended CONNECT (RFC 8441): a request with the method `CONNECT`, a
//! path, and `hyper::ext::Protocol` among its extensions. It is answered with 200, and the upgrade is
//! the stream. A CONNECT without that extension is a plain one.
//!
//! Among the extensions of a request that asks for one (`Upgrade`, `CONNECT`) are
//! [`Drain`](crate::body::Drain), which tells when the server stops, and
//! [`Hold`](crate::body::Hold), to be kept for as long as a tunnel over HTTP/2 lasts: the
//! connection would otherwise be closed as an idle one.
//!
//! # What it does not do
//!
//! No informational responses: hyper sends 100 (Continue) by itself when the body is first asked
//! for, and can send no other (103, Early Hints). No TLS (a [`Listener`] of your own can), no `h2c` upgrade from HTTP/1.1, no HTTP/3, no
//! time limit for a request's body or for the service (that is the stack's to say), no
//! signals (a future says when to stop).
//!
//! # Deployment
//!
//! The default of 10,000 connections needs as many file descriptors, and more for what the stack
//! opens: raise `ulimit -n` (systemd's `LimitNOFILE=`), whose usual soft limit of 1,024 comes first.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tokio::{
//!     io::{AsyncReadExt, AsyncWriteExt},
//!     net::{TcpListener, TcpStream},
//!     sync::oneshot,
//! };
//! use tower::service_fn;
//! use tower_gateway::{Body, PeerAddr, serve::{RequestBody, serve}};
//!
//! async fn hello(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
//!     let peer = PeerAddr::of(request.extensions()).expect("the server puts it there");
//!     Ok(Response::new(Body::from(format!("hello, {peer}"))))
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let (stop, stopped) = oneshot::channel::<()>();
//!
//! let server = serve(listener, service_fn(hello)).graceful_shutdown(async {
//!     stopped.await.ok();
//! });
//! let server = tokio::spawn(server.into_future());
//!
//! let mut client = TcpStream::connect(address).await?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
//! stop.send(()).ok();
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
//! assert!(answer.ends_with("\r\n\r\nhello, 127.0.0.1"));
//!
//! server.await??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod connection;
mod listener;
mod request;
mod server;
mod stream;
mod streams;
mod watch;

pub use self::{
    listener::Listener,
    request::RequestBody,
    server::{Server, Serving, serve},
};
