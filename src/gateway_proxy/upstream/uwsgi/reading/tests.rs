#![allow(clippy::unwrap_used)]

use http::{HeaderName, HeaderValue};

use super::*;

fn answer(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
}

const GUNICORN: &[(&str, &str)] = &[("server", "gunicorn"), ("connection", "close")];
const UWSGI: &[(&str, &str)] = &[("content-type", "text/html")];

#[test]
fn an_answer_tells_who_gave_it() {
    for (lines, reading) in [
        (GUNICORN, Reading::Decodes),
        (&[("server", "gunicorn/20.0")][..], Reading::Decodes),
        (&[("server", "Gunicorn")], Reading::Decodes),
        (UWSGI, Reading::AsItIs),
        (&[], Reading::AsItIs),
        // Gunicorn under another name, perhaps.
        (
            &[("server", "web"), ("connection", "close")],
            Reading::Unknown,
        ),
        (&[("connection", "keep-alive")], Reading::Unknown),
        (&[("server", "gun")], Reading::Unknown),
    ] {
        assert_eq!(Reading::of(&answer(lines)), reading, "{lines:?}");
    }
}

#[test]
fn what_was_learned_is_kept_until_something_else_is() {
    let gunicorn = Reading::Unknown.learn(&answer(GUNICORN));
    assert_eq!(gunicorn, Reading::Decodes);
    assert_eq!(gunicorn.learn(&answer(&[("server", "web")])), gunicorn);
    assert_eq!(gunicorn.learn(&answer(UWSGI)), Reading::AsItIs);
}

#[test]
fn a_path_is_sent_as_the_server_reads_it() {
    for (reading, path, sent) in [
        (Reading::Unknown, "/a%20b", Ok(PathInfo::Decoded)),
        (Reading::Unknown, "/caf%C3%A9", Ok(PathInfo::Decoded)),
        (Reading::Unknown, "/%2570rivate", Err(AmbiguousPath)),
        (Reading::AsItIs, "/%2570rivate", Ok(PathInfo::Decoded)),
        (Reading::Decodes, "/%2570rivate", Ok(PathInfo::Encoded)),
        (Reading::Decodes, "/", Ok(PathInfo::Encoded)),
    ] {
        assert_eq!(reading.path_info(path), sent, "{reading:?} {path}");
    }
}
