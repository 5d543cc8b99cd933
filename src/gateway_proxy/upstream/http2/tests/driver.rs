//! The life of a connection.

use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_is_found_out_while_requests_are_open() {
    let (http2, mut script) = scripted().await;
    let start = Instant::now();
    let script = async {
        script.request().await;
        let asked = script.hear(PING).await;
        assert_eq!((asked.flags, start.elapsed().as_secs() / 20), (0, 2));
        // And no answer.
        script
    };
    let (failure, _script) = tokio::join!(http2.send(get("/")), script);
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), Kind::Unresponsive);
    assert!(!failure.is_unprocessed());
    // The first interval had the upstream's SETTINGS in it.
    assert_eq!(start.elapsed().as_secs(), 50);
    assert!(!http2.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_answers_is_waited_for() {
    let (http2, mut script) = scripted().await;
    let start = Instant::now();
    let script = async {
        let stream = script.request().await;
        for _ in 0..10 {
            let asked = script.hear(PING).await;
            script.say(PING, ACK, 0, &asked.payload).await;
        }
        script.answer(stream, b"at last").await;
        script
    };
    let answer = async { text(http2.send(get("/")).await.unwrap()).await };
    let (answer, _script) = tokio::join!(answer, script);
    assert_eq!(answer, "at last");
    assert!(start.elapsed() >= Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn bytes_are_as_good_as_a_pong() {
    let (http2, mut script) = scripted().await;
    let script = async {
        let stream = script.request().await;
        script.say(HEADERS, END_HEADERS, stream, OK).await;
        for _ in 0..100 {
            sleep(Duration::from_secs(8)).await;
            script.say(DATA, 0, stream, b"tick").await;
        }
        script.say(DATA, END_STREAM, stream, b"").await;
        script
    };
    let answer = async { text(http2.send(get("/")).await.unwrap()).await };
    let (answer, _script) = tokio::join!(answer, script);
    assert_eq!(answer, "tick".repeat(100));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_left_in_peace() {
    let (http2, mut script) = scripted().await;
    let answering = async {
        let stream = script.request().await;
        script.answer(stream, b"hello").await;
        script
    };
    let answer = async { text(http2.send(get("/")).await.unwrap()).await };
    let (_, mut script) = tokio::join!(answer, answering);
    sleep(Duration::from_secs(3600)).await;
    assert!(http2.is_open());
    drop(http2);
    while let Some(said) = script.next().await {
        assert_ne!(said.kind, PING);
    }
}

#[tokio::test]
async fn with_the_last_handle_the_connection_says_farewell_and_ends() {
    let (http2, mut script) = scripted().await;
    let clone = http2.clone();
    drop(http2);
    let answering = async {
        let stream = script.request().await;
        script.say(HEADERS, END_HEADERS, stream, OK).await;
        (stream, script)
    };
    let (answer, (stream, mut script)) = tokio::join!(clone.send(get("/")), answering);
    // An answer that is being read is a handle, too.
    drop(clone);
    script.say(DATA, END_STREAM, stream, b"hello").await;
    assert_eq!(text(answer.unwrap()).await, "hello");

    let said = script.hear(GOAWAY).await;
    assert_eq!(said.payload[4..8], NO_ERROR.to_be_bytes());
    assert!(script.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_reads_nothing_does_not_keep_the_connection() {
    let (ours, theirs) = duplex(16);
    // The preface and SETTINGS go in, and nothing after them.
    let mut script = theirs;
    let mut preface = [0; 24];
    let (http2, read) = tokio::join!(handshake(ours), script.read_exact(&mut preface));
    read.unwrap();
    let mut sending = Box::pin(http2.send(get(&"/long".repeat(100))));
    assert!(is_pending(&mut sending).await);
    drop(sending);
    drop(http2);
    let start = Instant::now();
    sleep(Duration::from_secs(2)).await;
    let mut rest = Vec::new();
    script.read_to_end(&mut rest).await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(2));
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_is_not_open() {
    let (http2, script) = scripted().await;
    until(|| http2.is_open()).await;
    drop(script);
    until(|| !http2.is_open()).await;
    let mut failure = http2.send(get("/")).await.unwrap_err();
    assert!(failure.is_unprocessed());
    assert!(failure.take_untaken().is_some());
}
