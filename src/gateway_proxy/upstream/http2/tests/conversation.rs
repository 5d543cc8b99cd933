//! Requests and answers, many at once, both ways at once.

use futures_util::future::join_all;
use tokio::sync::{Barrier, oneshot};

use super::*;

async fn echo(request: Request<Incoming>) -> Response<Body> {
    Response::new(Body::new(request.into_body()))
}

#[tokio::test]
async fn a_hundred_requests_at_once_on_one_connection() {
    let all_here = Arc::new(Barrier::new(100));
    let http2 = to(
        |_| {},
        move |request: Request<Incoming>| {
            let all_here = Arc::clone(&all_here);
            async move {
                // Nobody is answered before everybody has asked.
                all_here.wait().await;
                Response::new(Body::from(request.uri().path().to_owned()))
            }
        },
    )
    .await;
    let answers = (0..100).map(|number| {
        let http2 = http2.clone();
        async move {
            let path = format!("/{number}");
            let answer = http2.send(get(&path)).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(text(answer).await, path);
        }
    });
    join_all(answers).await;
    assert_eq!(http2.streams(), 0);
    assert!(http2.is_open());
}

#[tokio::test]
async fn those_that_are_too_many_wait_for_their_turn() {
    let running = Arc::new(AtomicUsize::new(0));
    let http2 = to(
        |builder| {
            builder.max_concurrent_streams(3);
        },
        move |_| {
            let running = Arc::clone(&running);
            async move {
                assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Response::new(Body::empty())
            }
        },
    )
    .await;
    assert_eq!(http2.max_streams(), 100);
    http2.send(get("/")).await.unwrap();
    assert_eq!(http2.max_streams(), 3);
    let answers = (0..50).map(|_| http2.send(get("/")));
    for answer in join_all(answers).await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn bodies_of_every_length_come_back_as_they_were() {
    let http2 = to(|_| {}, echo).await;
    for length in [0, 1, 16 << 10, (16 << 10) + 1, 5 << 20] {
        let sent = Bytes::from_iter((0..length).map(|n: usize| n as u8));
        for body in [
            Body::from(sent.clone()),
            Body::new(Full::new(sent.clone()).with_trailers(async { None })),
        ] {
            let answer = http2.send(request(Method::POST, "/", body)).await.unwrap();
            let body = answer.into_body().collect().await.unwrap();
            assert!(body.to_bytes() == sent, "{length}");
        }
    }
    assert_eq!(http2.streams(), 0);
}

#[tokio::test]
async fn the_upstream_hears_where_it_was_asked_and_what_was_said() {
    let http2 = to(
        |_| {},
        |request: Request<Incoming>| async move {
            let (parts, body) = request.into_parts();
            let text = format!("{} {} {:?}", parts.method, parts.uri, parts.headers);
            drop(body);
            Response::new(Body::from(text))
        },
    )
    .await;
    let mut request = Request::options("/a?b=c")
        .header("host", "example.org:81")
        .header("connection", "te, x-hop")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("cookie", "a=b; c=d")
        .body(Body::empty())
        .unwrap();
    prepare(&mut request, &Scheme::HTTPS).unwrap();
    assert_eq!(
        text(http2.send(request).await.unwrap()).await,
        r#"OPTIONS https://example.org:81/a?b=c {"te": "trailers", "cookie": "a=b; c=d"}"#
    );
}

#[tokio::test]
async fn trailers_pass_both_ways_and_nobody_announces_them() {
    let http2 = to(
        |_| {},
        |request: Request<Incoming>| async move {
            assert!(!request.headers().contains_key("trailer"));
            let body = request.into_body().collect().await.unwrap();
            let trailers = body.trailers().unwrap().clone();
            let body = Full::new(body.to_bytes());
            Response::new(Body::new(body.with_trailers(async { Some(Ok(trailers)) })))
        },
    )
    .await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    for content in ["hello", ""] {
        let sent = trailers.clone();
        let body = Full::new(Bytes::from(content)).with_trailers(async { Some(Ok(sent)) });
        let request = request(Method::POST, "/", Body::new(body));
        let answer = http2.send(request).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap();
        assert_eq!(answer.trailers(), Some(&trailers));
        assert_eq!(answer.to_bytes(), content);
    }
    assert_eq!(http2.streams(), 0);
}

#[tokio::test]
async fn both_sides_talk_at_once() {
    let http2 = to(|_| {}, echo).await;
    let (sender, body) = channel();
    let answer = http2.send(request(Method::POST, "/", body)).await.unwrap();
    let mut answer = answer.into_body();
    for word in ["one", "two", "three"] {
        sender.send(data(word)).await.unwrap();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    let mut frame = Box::pin(answer.frame());
    assert!(is_pending(&mut frame).await);
    drop(sender);
    assert!(frame.await.is_none());
}

#[tokio::test]
async fn a_request_goes_on_while_nobody_takes_its_answer() {
    let (done, is_done) = oneshot::channel();
    let done = std::sync::Mutex::new(Some(done));
    let http2 = to(
        |_| {},
        move |request: Request<Incoming>| {
            let done = done.lock().unwrap().take().unwrap();
            async move {
                tokio::spawn(async move {
                    let body = request.into_body().collect().await.unwrap();
                    done.send(body.to_bytes().len()).unwrap();
                });
                Response::new(channel_that_stays_open())
            }
        },
    )
    .await;
    let (sender, body) = channel();
    let answer = http2.send(request(Method::POST, "/", body)).await.unwrap();
    for _ in 0..100 {
        let chunk = Bytes::from(vec![0; 16 << 10]);
        sender.send(Ok(Frame::data(chunk))).await.unwrap();
    }
    drop(sender);
    assert_eq!(is_done.await.unwrap(), 1600 << 10);
    drop(answer);
}

fn channel_that_stays_open() -> Body {
    let (sender, body) = channel();
    let body = body.map_frame(move |frame| {
        let _open = &sender;
        frame
    });
    Body::new(body)
}

#[tokio::test]
async fn an_answer_that_nobody_reads_stops_no_other_and_costs_its_window() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let http2 = to(
        |_| {},
        move |request: Request<Incoming>| {
            let counter = Arc::clone(&counter);
            async move {
                if request.uri().path() == "/small" {
                    return Response::new(Body::from("small"));
                }
                let chunks = futures_util::stream::repeat_with(move || {
                    counter.fetch_add(16 << 10, Ordering::SeqCst);
                    Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; 16 << 10])))
                });
                Response::new(Body::new(StreamBody::new(chunks)))
            }
        },
    )
    .await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(http2.send(get("/endless")).await.unwrap());
    }
    for _ in 0..10 {
        assert_eq!(
            text(http2.send(get("/small")).await.unwrap()).await,
            "small"
        );
    }
    // What is in hyper's buffers comes on top of the window.
    let each = taken.load(Ordering::SeqCst) / stalled.len();
    assert!((256 << 10..1 << 20).contains(&each), "{each}");
    drop(stalled);
    assert_eq!(
        text(http2.send(get("/small")).await.unwrap()).await,
        "small"
    );
}

#[tokio::test]
async fn an_answer_without_a_body_is_over_at_once() {
    let http2 = to(
        |_| {},
        |request: Request<Incoming>| async move {
            let answer = match *request.method() {
                Method::HEAD => Response::builder().header("content-length", 1234),
                _ => Response::builder().status(204),
            };
            answer.body(Body::empty()).unwrap()
        },
    )
    .await;
    for method in [Method::HEAD, Method::DELETE] {
        let answer = http2.send(request(method, "/", Body::empty())).await;
        let answer = answer.unwrap();
        assert!(answer.body().is_end_stream());
        assert_eq!(answer.body().size_hint().exact(), Some(0));
        assert_eq!(http2.streams(), 0);
    }
}

#[tokio::test]
async fn a_lease_is_held_until_the_body_is_over() {
    let http2 = to(|_| {}, echo).await;
    let lease = Arc::new(());
    let (sender, body) = channel();
    let answer = http2.send(request(Method::POST, "/", body)).await.unwrap();
    let mut body = answer.into_body().with_lease(Arc::clone(&lease));
    sender.send(data("hello")).await.unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!((Arc::strong_count(&lease), http2.streams()), (2, 1));
    drop(sender);
    assert!(body.frame().await.is_none());
    assert_eq!((Arc::strong_count(&lease), http2.streams()), (1, 0));

    // Of a known length: with the last byte, unasked.
    let mut request = request(Method::POST, "/", Body::from("hello"));
    request.headers_mut().insert("content-length", 5.into());
    let answer = http2.send(request);
    let mut body = answer
        .await
        .unwrap()
        .into_body()
        .with_lease(Arc::clone(&lease));
    assert_eq!(body.size_hint().exact(), Some(5));
    while !body.is_end_stream() {
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!((Arc::strong_count(&lease), http2.streams()), (1, 0));

    // Dropped.
    let (_sender, body) = channel();
    let answer = http2
        .send(super::request(Method::POST, "/", body))
        .await
        .unwrap();
    let body = answer.into_body().with_lease(Arc::clone(&lease));
    assert_eq!((Arc::strong_count(&lease), http2.streams()), (2, 1));
    drop(body);
    assert_eq!((Arc::strong_count(&lease), http2.streams()), (1, 0));
}

#[tokio::test]
async fn informational_responses_come_before_the_answer() {
    let (http2, mut script) = scripted().await;
    let script = async {
        let stream = script.request().await;
        // `:status: 103`: a literal without indexing, named by the static table's 8th field.
        let early_hints = [&[0x08, 3][..], b"103"].concat();
        script.say(HEADERS, END_HEADERS, stream, &early_hints).await;
        script.answer(stream, b"hello").await;
    };
    let (answer, ()) = tokio::join!(http2.send(get("/")), script);
    assert_eq!(text(answer.unwrap()).await, "hello");
}

/// Else the upstream would be blamed for what it makes of it.
#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_said_fails_the_request() {
    for (said, chunks) in [(5, &["one"][..]), (5, &["one", "two"]), (2, &["one"])] {
        let (http2, mut script) = scripted().await;
        let body = OfLength {
            said,
            chunks: chunks.iter().map(|chunk| Bytes::from(*chunk)).collect(),
        };
        let sent = http2.send(request(Method::PUT, "/", Body::new(body)));
        let failure = sent.await.expect_err("there is an answer");
        assert_eq!(failure.kind(), Kind::RequestBody, "{said} {chunks:?}");
        let error = failure.into_error();
        assert_eq!(error.kind(), ErrorKind::RequestBodyIncomplete);
        script.was_reset().await;
    }
}

struct OfLength {
    said: u64,
    chunks: std::collections::VecDeque<Bytes>,
}

impl http_body::Body for OfLength {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.said)
    }
}
