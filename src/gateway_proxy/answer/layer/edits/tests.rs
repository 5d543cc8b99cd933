#![allow(clippy::unwrap_used)]

use super::*;

fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn edits_are_made_in_their_order() {
    let mut headers = HeaderMap::new();
    headers.append("a", HeaderValue::from_static("1"));
    headers.append("a", HeaderValue::from_static("2"));
    headers.append("b", HeaderValue::from_static("1"));
    let edits = HeaderEdits::new()
        .add("a", "3")
        .set("b", "2")
        .set_if_absent("b", "3")
        .set_if_absent("c", "1")
        .remove("d")
        .add("d", HeaderValue::from_static("1"))
        .set("e", "1".to_owned())
        .remove("E");
    edits.apply(&mut headers);
    assert_eq!(
        lines(&headers),
        ["a: 1", "a: 2", "a: 3", "b: 2", "c: 1", "d: 1"]
    );
}

fn message(edit: impl FnOnce() -> HeaderEdits + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(edit).unwrap_err();
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn what_the_gateway_writes_itself_is_refused_with_what_to_do() {
    for name in [
        "connection",
        "Keep-Alive",
        "proxy-connection",
        "te",
        "upgrade",
        "transfer-encoding",
        "content-length",
        "trailer",
        "expect",
        "proxy-authorization",
    ] {
        for text in [
            message(|| HeaderEdits::new().set(name, "x")),
            message(|| HeaderEdits::new().add(name, "x")),
            message(|| HeaderEdits::new().set_if_absent(name, "x")),
            message(|| HeaderEdits::new().remove(name)),
        ] {
            assert!(text.contains("written by the gateway itself"), "{text}");
        }
    }
    let text = message(|| HeaderEdits::new().set("Host", "x"));
    assert!(text.contains("GatewayProxy::host"), "{text}");
    let text = message(|| HeaderEdits::new().set("a b", "x"));
    assert!(text.contains("\"a b\" is not the name"), "{text}");
    let text = message(|| HeaderEdits::new().set("x-a", "x\r\ny: z"));
    assert!(text.contains("x-a"), "{text}");
}
