//! One connection, without a pool around it.

use std::future::poll_fn;

use tokio::{io::AsyncWriteExt, net::UnixStream};

use super::{super::Speech, *};

/// A kept connection, and the upstream's side of it.
fn kept() -> (Box<Connection>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut connection = Connection::new(Stream::Unix(near), Speech::Http1, 1 << 10);
    connection.rest();
    (Box::new(connection), far)
}

fn get(connection: Box<Connection>) -> Call {
    let request = Outgoing {
        method: Method::GET,
        head: BytesMut::from("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        body: Body::empty(),
        coding: Coding::Length(0),
        is_held: false,
    };
    Call::new(connection, request, &Patience::endless())
}

/// As of a server whose patience with an idle connection is at its end.
#[tokio::test]
async fn what_was_said_before_the_request_is_not_its_answer() {
    let (connection, mut far) = kept();
    let unasked = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    far.write_all(unasked).await.unwrap();
    drop(far);
    let mut call = get(connection);
    let failure = poll_fn(|cx| call.poll_head(cx)).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::UpstreamReset);
    assert!(!failure.was_taken && !failure.was_heard, "{failure:?}");
}

/// On a new connection it is one: that of a server which has no room.
#[tokio::test]
async fn a_server_may_refuse_a_new_connection_before_it_has_read() {
    let (mut connection, mut far) = kept();
    connection.was_kept = false;
    let refused = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    far.write_all(refused).await.unwrap();
    drop(far);
    let mut call = get(connection);
    let head = poll_fn(|cx| call.poll_head(cx)).await.unwrap();
    assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(call.into_usable().is_none());
}
