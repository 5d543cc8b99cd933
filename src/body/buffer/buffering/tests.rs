use http::HeaderValue;

use super::*;

#[test]
fn streams_are_never_read_ahead_and_the_upstream_has_a_say() {
    let cases = [
        // (content-type, on, said, is read ahead)
        (None, true, None, true),
        (Some("text/html"), true, None, true),
        (Some("text/html"), true, Some(false), false),
        (Some("text/html"), false, None, false),
        (Some("text/html"), false, Some(true), true),
        (Some("text/event-stream"), true, None, false),
        (Some("Text/Event-Stream; charset=utf-8"), true, None, false),
        (Some("text/event-stream"), false, Some(true), false),
        (Some("application/grpc"), true, None, false),
        (Some("application/grpc+proto"), true, None, false),
        (Some("application/g"), true, None, true),
    ];
    for (content_type, on, said, expected) in cases {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_static(content_type);
            headers.insert(header::CONTENT_TYPE, value);
        }
        let buffering = if on {
            Buffering::new()
        } else {
            Buffering::off()
        };
        let got = buffering.is_for(&headers, said);
        assert_eq!(got, expected, "{content_type:?} {on} {said:?}");
    }
}
