//! What goes wrong, and what of it may be tried again.

use super::*;

async fn fails(http2: &Http2, request: Request<Body>) -> Failure {
    http2.send(request).await.expect_err("there is an answer")
}

#[tokio::test]
async fn goaway_tells_which_requests_were_not_processed() {
    let (http2, mut script) = scripted().await;
    let script = async {
        let (one, three) = (script.request().await, script.request().await);
        assert_eq!((one, three), (1, 3));
        script.go_away(one, NO_ERROR).await;
        (one, script)
    };
    let first = tokio::spawn({
        let http2 = http2.clone();
        async move { http2.send(get("/first")).await }
    });
    until(|| http2.streams() == 1).await;
    let (second, (one, mut script)) = tokio::join!(
        fails(&http2, request(Method::POST, "/", "x".into())),
        script
    );
    assert_eq!(second.kind(), Kind::Unprocessed);
    assert!(second.is_unprocessed());
    assert!(!http2.is_open());

    // Whoever comes late has its request back, and the first is still answered.
    let (_sender, body) = channel();
    let mut late = fails(&http2, request(Method::POST, "/late", body)).await;
    assert!(late.is_unprocessed());
    let untaken = late.take_untaken().unwrap();
    assert_eq!(untaken.uri().path(), "/late");
    script.answer(one, b"hello").await;
    assert_eq!(text(first.await.unwrap().unwrap()).await, "hello");
}

#[tokio::test]
async fn what_goaway_does_not_exclude_may_have_been_processed() {
    let (http2, mut script) = scripted().await;
    let script = async {
        let stream = script.request().await;
        script.go_away(stream, ENHANCE_YOUR_CALM).await;
        drop(script);
    };
    let (failure, ()) = tokio::join!(fails(&http2, get("/")), script);
    assert_eq!(failure.kind(), Kind::Closed);
    assert!(!failure.is_unprocessed());
}

#[tokio::test]
async fn a_graceful_shutdown_answers_what_is_on_its_way() {
    let (http2, mut script) = scripted().await;
    let script = async {
        let stream = script.request().await;
        // RFC 9113 §6.8: the first of two says only that there will be a last.
        script.go_away((1 << 31) - 1, NO_ERROR).await;
        script.answer(stream, b"hello").await;
        script.go_away(stream, NO_ERROR).await;
        while script.next().await.is_some() {}
    };
    let answer = async { text(http2.send(get("/")).await.unwrap()).await };
    let (answer, ()) = tokio::join!(answer, script);
    assert_eq!(answer, "hello");
    assert!(!http2.is_open());
}

#[tokio::test]
async fn a_refused_stream_was_not_processed_and_a_reset_one_may_have_been() {
    let (http2, mut script) = scripted().await;
    for (code, kind) in [
        (REFUSED_STREAM, Kind::Unprocessed),
        (CANCEL, Kind::Reset),
        (INTERNAL_ERROR, Kind::Reset),
        (PROTOCOL_ERROR, Kind::Reset),
        (NO_ERROR, Kind::Reset),
    ] {
        let script = async {
            let stream = script.request().await;
            script.reset(stream, code).await;
        };
        let (failure, ()) = tokio::join!(fails(&http2, get("/")), script);
        assert_eq!(failure.kind(), kind, "{code}");
        assert!(http2.is_open(), "{code}");
    }
    assert_eq!(http2.streams(), 0);
}

#[tokio::test]
async fn a_flood_of_resets_ends_nothing_but_its_streams() {
    let (http2, mut script) = scripted().await;
    let script = tokio::spawn(async move {
        for _ in 0..3000 {
            let stream = script.request().await;
            script.reset(stream, REFUSED_STREAM).await;
        }
        let stream = script.request().await;
        script.answer(stream, b"hello").await;
        while script.next().await.is_some() {}
    });
    for _ in 0..3000 {
        assert!(fails(&http2, get("/")).await.is_unprocessed());
    }
    assert_eq!(text(http2.send(get("/")).await.unwrap()).await, "hello");
    drop(http2);
    script.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole() {
    for (name, code, kind) in [
        ("cancelled", Some(CANCEL), Kind::Reset),
        // hyper takes this one for the end.
        ("no error", Some(NO_ERROR), Kind::Reset),
        ("closed", None, Kind::Closed),
    ] {
        let (http2, mut script) = scripted().await;
        let script = async {
            let stream = script.request().await;
            script.say(HEADERS, END_HEADERS, stream, OK).await;
            script.say(DATA, 0, stream, b"half an ans").await;
            if let Some(code) = code {
                script.reset(stream, code).await;
            }
            script
        };
        let (answer, script) = tokio::join!(http2.send(get("/")), script);
        let mut body = answer.unwrap().into_body();
        let keeps_open = code.is_some().then_some(script);
        let failure = loop {
            match body.frame().await.expect(name) {
                Ok(frame) => assert_eq!(frame.into_data().unwrap(), "half an ans"),
                Err(failure) => break failure,
            }
        };
        assert_eq!(failure.kind(), kind, "{name}");
        assert!(body.frame().await.is_none());
        assert_eq!(http2.streams(), 0);
        drop(keeps_open);
    }
}

#[tokio::test]
async fn an_answer_of_another_length_than_announced_is_a_fault() {
    // `content-length: 5`, named by the static table's 28th field.
    let head = [OK, &[0x0f, 13, 1], b"5"].concat();
    for body in [&b"four"[..], b"sixsix"] {
        let (http2, mut script) = scripted().await;
        let script = async {
            let stream = script.request().await;
            script.say(HEADERS, END_HEADERS, stream, &head).await;
            script.say(DATA, END_STREAM, stream, body).await;
            assert_eq!(script.was_reset().await, (stream, PROTOCOL_ERROR));
        };
        let receive = async {
            let answer = http2.send(get("/")).await?;
            answer.into_body().collect().await
        };
        let (received, ()) = tokio::join!(receive, script);
        assert_eq!(received.unwrap_err().kind(), Kind::Protocol);
        assert!(http2.is_open());
    }
}

#[tokio::test]
async fn who_does_not_speak_http2_breaks_the_protocol() {
    let (ours, mut theirs) = duplex(1 << 16);
    let http2 = handshake(ours).await;
    theirs
        .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(fails(&http2, get("/")).await.kind(), Kind::Protocol);
    assert!(!http2.is_open());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let http2 = to(
        |_| {},
        |request: Request<Incoming>| async move {
            let length = request.uri().path()[1..].parse().unwrap();
            let response = Response::builder().header("x", "x".repeat(length));
            response.body(Body::empty()).unwrap()
        },
    )
    .await;
    assert!(http2.send(get("/60000")).await.is_ok());
    let failure = fails(&http2, get("/70000")).await;
    assert!(
        matches!(failure.kind(), Kind::Protocol | Kind::Reset),
        "{failure:?}"
    );
}

#[tokio::test]
async fn connection_fields_in_an_answer_are_a_fault() {
    let (http2, mut script) = scripted().await;
    // `connection: close`, without indexing, a new name.
    let head = [OK, &[0x00, 10], b"connection", &[5], b"close"].concat();
    let script = async {
        let stream = script.request().await;
        let flags = END_HEADERS | END_STREAM;
        script.say(HEADERS, flags, stream, &head).await;
        script
    };
    let (failure, _script) = tokio::join!(fails(&http2, get("/")), script);
    assert_eq!(failure.kind(), Kind::Protocol);
    assert!(http2.is_open());
}

#[tokio::test]
async fn a_flood_of_informational_responses_has_an_end() {
    let (http2, mut script) = scripted().await;
    let script = async {
        let stream = script.request().await;
        let early_hints = [&[0x08, 3][..], b"103"].concat();
        for _ in 0..100 {
            script.say(HEADERS, END_HEADERS, stream, &early_hints).await;
        }
        assert_eq!(script.was_reset().await.0, stream);
    };
    let (failure, ()) = tokio::join!(fails(&http2, get("/")), script);
    assert_eq!(failure.kind(), Kind::Protocol);
}

#[tokio::test]
async fn a_request_whose_body_fails_is_reset_and_says_why() {
    let (http2, mut script) = scripted().await;
    let (sender, body) = channel();
    let script = async {
        let stream = script.request().await;
        assert_eq!(script.hear(DATA).await.payload, b"half");
        let error = Error::new(ErrorKind::RequestBodyTimeout);
        sender.send(Err(error.into())).await.unwrap();
        assert_eq!(script.was_reset().await, (stream, CANCEL));
        script
    };
    sender.send(data("half")).await.unwrap();
    let (failure, mut script) =
        tokio::join!(fails(&http2, request(Method::PUT, "/", body)), script);
    assert_eq!(failure.kind(), Kind::RequestBody);
    assert_eq!(failure.into_error().kind(), ErrorKind::RequestBodyTimeout);

    // After the head of the answer, the answer fails with it.
    let (sender, body) = channel();
    let head = async {
        let stream = script.request().await;
        script.say(HEADERS, END_HEADERS, stream, OK).await;
        script
    };
    let (answer, mut script) = tokio::join!(http2.send(request(Method::PUT, "/", body)), head);
    sender.send(Err("the client is gone".into())).await.unwrap();
    let failure = answer.unwrap().into_body().frame().await.unwrap();
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), Kind::RequestBody);
    let error = failure.into_error();
    assert_eq!(error.kind(), ErrorKind::RequestBodyIncomplete);
    assert_eq!(script.was_reset().await.1, CANCEL);
    assert!(http2.is_open());
}

#[tokio::test]
async fn a_request_that_was_not_prepared_is_not_sent() {
    let (http2, _script) = scripted().await;
    let mut request = get("/");
    let headers = request.headers_mut();
    headers.insert("connection", "close".parse().unwrap());
    let failure = fails(&http2, request).await;
    assert_eq!(failure.kind(), Kind::Unsendable);
    assert_eq!(failure.into_error().kind(), ErrorKind::BadRequest);
    assert!(http2.is_open());
    assert_eq!(http2.streams(), 0);
}

#[tokio::test]
async fn dropped_while_it_waits_a_request_resets_its_stream_and_no_other() {
    let (http2, mut script) = scripted().await;
    let mut dropped = Box::pin(http2.send(get("/dropped")));
    assert!(is_pending(&mut dropped).await);
    let mut kept = Box::pin(http2.send(get("/kept")));
    assert!(is_pending(&mut kept).await);
    let (one, three) = (script.request().await, script.request().await);
    drop(dropped);
    assert_eq!(script.was_reset().await, (one, CANCEL));
    assert_eq!(http2.streams(), 1);
    // What was on its way is let pass.
    script.answer(one, b"late").await;
    script.answer(three, b"hello").await;
    assert_eq!(text(kept.await.unwrap()).await, "hello");
    assert!(http2.is_open());
}

#[tokio::test]
async fn dropped_while_it_uploads_a_request_is_reset_and_lets_go_of_its_body() {
    let (http2, mut script) = scripted().await;
    let (sender, body) = channel();
    let mut sending = Box::pin(http2.send(request(Method::PUT, "/", body)));
    assert!(is_pending(&mut sending).await);
    let stream = script.request().await;
    drop(sending);
    assert_eq!(script.was_reset().await, (stream, CANCEL));
    sender.closed().await;
}

#[tokio::test]
async fn dropped_with_its_answer_an_upload_is_reset_too() {
    let (http2, mut script) = scripted().await;
    let (sender, body) = channel();
    let head = async {
        let stream = script.request().await;
        script.say(HEADERS, END_HEADERS, stream, OK).await;
        stream
    };
    let (answer, stream) = tokio::join!(http2.send(request(Method::PUT, "/", body)), head);
    drop(answer);
    sender.closed().await;
    assert_eq!(script.was_reset().await, (stream, CANCEL));
    assert_eq!(http2.streams(), 0);
    assert!(http2.is_open());
}

#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    // Whether the upstream asks for that (RFC 9113 §8.1) or not.
    for asks in [true, false] {
        let (http2, mut script) = scripted().await;
        let (sender, body) = channel();
        let answering = async {
            let stream = script.request().await;
            script.answer(stream, b"too large").await;
            if asks {
                script.reset(stream, NO_ERROR).await;
            }
        };
        let (answer, ()) = tokio::join!(http2.send(request(Method::PUT, "/", body)), answering);
        assert_eq!(text(answer.unwrap()).await, "too large");
        sender.closed().await;
        assert_eq!(http2.streams(), 0);
        assert!(http2.is_open());
        if !asks {
            assert_eq!(script.was_reset().await.1, CANCEL);
        }
    }
}

#[tokio::test]
async fn an_upload_that_has_no_window_waits_and_ends_with_the_stream() {
    let (http2, mut script) = scripted().await;
    let body = Body::from(vec![b'x'; 100_000]);
    let mut sending = Box::pin(http2.send(request(Method::PUT, "/", body)));
    assert!(is_pending(&mut sending).await);
    let stream = script.request().await;
    let mut taken = 0;
    while taken < 65_535 {
        taken += script.hear(DATA).await.payload.len();
    }
    assert_eq!(taken, 65_535);
    assert!(is_pending(&mut sending).await);
    for of in [0, stream] {
        script
            .say(WINDOW_UPDATE, 0, of, &10_000_u32.to_be_bytes())
            .await;
    }
    assert!(is_pending(&mut sending).await);
    assert_eq!(script.hear(DATA).await.payload.len(), 10_000);
    script.reset(stream, REFUSED_STREAM).await;
    assert!(sending.await.unwrap_err().is_unprocessed());
}

#[tokio::test]
async fn a_flood_of_clients_that_go_away_does_not_end_the_connection() {
    let (http2, mut script) = scripted().await;
    let late = tokio::spawn(async move {
        for _ in 0..3000 {
            let stream = script.request().await;
            // On its way when the client goes.
            script.answer(stream, b"late").await;
        }
        let stream = script.request().await;
        script.answer(stream, b"hello").await;
        while script.next().await.is_some() {}
    });
    for _ in 0..3000 {
        let mut sending = Box::pin(http2.send(get("/")));
        poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending())).await;
        // On the wire, or else there is no request to answer.
        tokio::task::yield_now().await;
        drop(sending);
    }
    assert_eq!(text(http2.send(get("/")).await.unwrap()).await, "hello");
    assert!(http2.is_open());
    drop(http2);
    late.await.unwrap();
}

#[tokio::test]
async fn a_body_that_panics_costs_its_own_request() {
    let (http2, mut script) = scripted().await;
    let (sender, body) = channel();
    let body = body.map_frame(|_| -> Frame<Bytes> { panic!("a body panics") });
    let head = async {
        let stream = script.request().await;
        script.say(HEADERS, END_HEADERS, stream, OK).await;
        stream
    };
    let sending = http2.send(request(Method::PUT, "/", Body::new(body)));
    let (answer, stream) = tokio::join!(sending, head);
    sender.send(data("x")).await.unwrap();
    sender.closed().await;
    let mut body = answer.unwrap().into_body();
    script.say(DATA, END_STREAM, stream, b"hello").await;
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "hello");
    assert!(body.frame().await.is_none());
    assert!(http2.is_open());
}
