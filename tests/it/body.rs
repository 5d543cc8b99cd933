//! `Body`, `Error` and `PeerAddr`: what every layer's answers are made of.

use std::{convert::Infallible, error::Error as _, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Extensions, HeaderMap, HeaderValue};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::timeout;
use tower_gateway::{
    Body, BoxError, Error, ErrorKind, Fault, PeerAddr,
    body::{Drainer, Hold},
    semantics::peer::UnixPeer,
};

use crate::support::scripted;

// === Body ===

#[tokio::test]
async fn bytes_of_every_kind_come_out_as_they_went_in() {
    for body in [
        Body::from("hello"),
        Body::from(String::from("hello")),
        Body::from(Vec::from(*b"hello")),
        Body::from(Bytes::from_static(b"hello")),
        Body::new(Full::<Bytes>::from("hello")),
    ] {
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }
}

#[tokio::test]
async fn an_empty_body_is_over_at_once_and_gives_no_frame() {
    for mut body in [
        Body::empty(),
        Body::default(),
        Body::from(""),
        Body::from(Vec::new()),
    ] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.frame().await.is_none());
        assert!(body.frame().await.is_none(), "and none again");
    }
}

#[tokio::test]
async fn a_body_of_bytes_is_one_frame_and_then_over() {
    let mut body = Body::from("hello");
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "hello");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

#[test]
fn a_body_in_a_body_is_the_body_itself() {
    let allocations = allocation_counter::measure(|| {
        let body = Body::new(Body::new(Body::from("hello")));
        assert_eq!(body.size_hint().exact(), Some(5));
    });
    assert_eq!(allocations.count_total, 0);
    // Another costs one box.
    let allocations = allocation_counter::measure(|| {
        drop(Body::new(Full::<Bytes>::from("hello")));
    });
    assert_eq!(allocations.count_total, 1);
}

#[tokio::test]
async fn trailers_and_errors_of_an_inner_body_pass() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let inner =
        Full::<Bytes>::from("hello")
            .with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let collected = Body::new(inner).collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");

    let (feed, inner) = scripted::channel();
    feed.data("some");
    feed.error("broken");
    let mut body = Body::new(inner);
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "broken"
    );
}

#[tokio::test]
async fn what_an_inner_body_holds_is_let_go_at_its_end_not_at_its_drop() {
    /// Says that it is over, and is not dropped.
    struct Ends(scripted::Scripted, bool);
    impl http_body::Body for Ends {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            if self.1 {
                return Poll::Ready(None);
            }
            self.1 = true;
            Pin::new(&mut self.0).poll_frame(cx)
        }
    }
    let (feed, inner) = scripted::channel();
    feed.data("all");
    let mut body = Body::new(Ends(inner, false));
    body.frame().await.unwrap().unwrap();
    assert!(feed.is_wanted());
    assert!(body.frame().await.is_none());
    assert!(!feed.is_wanted());
    assert!(body.is_end_stream());
}

#[test]
fn a_body_that_waits_is_pending() {
    let (_feed, inner) = scripted::channel();
    let mut body = Body::new(inner);
    assert!(body.frame().now_or_never().is_none());
    assert_eq!(body.size_hint().exact(), None);
    let stream = futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>();
    assert!(
        Body::new(StreamBody::new(stream))
            .frame()
            .now_or_never()
            .is_none()
    );
}

#[test]
fn types_are_send_and_say_what_they_are() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Body>();
    send::<Error>();
    sync::<Error>();
    sync::<Hold>();
    assert_eq!(format!("{:?}", Body::empty()), "Body(\"bytes\")");
    assert_eq!(format!("{:?}", Hold::new(())), "Hold { .. }");
}

// === Error ===

/// Kind, status, fault, whether a repetition is safe.
const KINDS: &[(ErrorKind, u16, Fault, bool)] = &[
    (ErrorKind::BadPath, 400, Fault::Client, false),
    (ErrorKind::BadRequest, 400, Fault::Client, false),
    (ErrorKind::RequestBodyIncomplete, 400, Fault::Client, false),
    (ErrorKind::RequestBodyTimeout, 408, Fault::Client, false),
    (ErrorKind::RequestBodyTooLarge, 413, Fault::Client, false),
    (ErrorKind::RequestHeadTooLarge, 431, Fault::Client, false),
    (ErrorKind::UnknownTransferCoding, 501, Fault::Client, false),
    (ErrorKind::UnsupportedMethod, 501, Fault::Client, false),
    (ErrorKind::Service, 500, Fault::Gateway, false),
    (ErrorKind::Io, 500, Fault::Gateway, false),
    (ErrorKind::QueueFull, 503, Fault::Gateway, true),
    (ErrorKind::QueueTimeout, 503, Fault::Gateway, true),
    (ErrorKind::UpstreamBusy, 503, Fault::Gateway, true),
    (ErrorKind::UpstreamConnect, 502, Fault::Upstream, true),
    (
        ErrorKind::UpstreamConnectTimeout,
        504,
        Fault::Upstream,
        true,
    ),
    (ErrorKind::UpstreamReset, 502, Fault::Upstream, false),
    (ErrorKind::UpstreamProtocol, 502, Fault::Upstream, false),
    (ErrorKind::UpstreamTimeout, 504, Fault::Upstream, false),
];

#[test]
fn each_kind_of_error_has_its_status_its_fault_and_its_words() {
    let mut words = std::collections::HashSet::new();
    for (kind, status, fault, is_retryable) in KINDS {
        let error = Error::from(*kind);
        assert_eq!(error.kind(), *kind);
        assert_eq!(error.status().as_u16(), *status, "{kind:?}");
        assert_eq!(error.fault(), *fault, "{kind:?}");
        assert_eq!(error.is_retryable(), *is_retryable, "{kind:?}");
        assert!(words.insert(error.to_string()), "{error} is said twice");
    }
}

#[test]
fn an_error_speaks_for_its_own_level() {
    let error = Error::new(ErrorKind::Io).with_source("disk on fire");
    assert!(!error.to_string().contains("fire"));
    assert_eq!(error.source().unwrap().to_string(), "disk on fire");
    assert!(Error::new(ErrorKind::Io).source().is_none());
    assert_eq!(error.clone().source().unwrap().to_string(), "disk on fire");
}

// === PeerAddr ===

#[test]
fn a_peer_is_what_the_server_says_and_otherwise_unknown() {
    let mut extensions = Extensions::new();
    assert_eq!(PeerAddr::of(&extensions), None);

    let mapped = PeerAddr::Tcp("[::ffff:192.0.2.7]:80".parse().unwrap());
    extensions.insert(mapped);
    assert_eq!(PeerAddr::of(&extensions), Some(mapped));
    assert_eq!(mapped.ip(), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(mapped.to_string(), "192.0.2.7");

    let unix = PeerAddr::Unix(UnixPeer::new(Some(7), Some(1000)));
    assert_eq!((unix.ip(), unix.to_string()), (None, "unix:".to_owned()));
}

#[cfg(feature = "axum")]
#[test]
fn axum_s_connect_info_is_understood_and_comes_second() {
    let mut extensions = Extensions::new();
    let addr = "192.0.2.7:80".parse().unwrap();
    extensions.insert(axum::extract::ConnectInfo::<std::net::SocketAddr>(addr));
    assert_eq!(PeerAddr::of(&extensions), Some(PeerAddr::Tcp(addr)));
    let other = PeerAddr::Tcp("192.0.2.8:80".parse().unwrap());
    extensions.insert(other);
    assert_eq!(PeerAddr::of(&extensions), Some(other));
}

#[tokio::test(start_paused = true)]
async fn draining_is_told_once_for_each_time_limit() {
    let drainer = Drainer::new();
    let mut drain = drainer.subscribe();
    let second = Duration::from_secs(1);
    timeout(second, drain.begun()).await.unwrap_err();
    drainer.begin(9 * second);
    tokio::time::sleep(2 * second).await;
    let mut clone = drain.clone();
    for (drain, left) in [(&mut drain, 7), (&mut clone, 6)] {
        assert_eq!(drain.begun().await, left * second);
        timeout(second, drain.begun()).await.unwrap_err();
    }
    drainer.begin(second);
    assert_eq!(drain.begun().await, second);

    assert_eq!(drainer.subscribed(), 2);
    drop(drain);
    timeout(second, drainer.done()).await.unwrap_err();
    drop(clone);
    drainer.done().await;
    // The time is up: who comes now is not meant.
    let mut late = drainer.subscribe();
    timeout(second, late.begun()).await.unwrap_err();
    // Nobody is left to say it.
    drop(drainer);
    timeout(second, late.begun()).await.unwrap_err();
}
