#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;

/// What a worker makes of the two.
fn zip(names: &[u8], values: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let split = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    };
    let (names, values) = (split(names), split(values));
    assert_eq!(names.len(), values.len());
    names.into_iter().zip(values).collect()
}

fn written(meta: &Meta<'_>) -> Result<(Vec<u8>, Vec<u8>), HasNul> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    write(meta, &mut names, &mut values)?;
    Ok((names, values))
}

#[test]
fn a_request_is_two_strings_of_bytes() {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a:81"));
    headers.insert("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let mut meta = Meta::new(&Method::POST, "/caf%C3%A9", &headers);
    meta.scheme = "https";
    meta.content_length = Some(3);
    meta.query = "a=b";
    meta.remote_addr = Some("192.0.2.7".parse().unwrap());
    meta.remote_port = Some(50_000);
    let (mut names, mut values) = (b"before".to_vec(), b"before".to_vec());
    write(&meta, &mut names, &mut values).unwrap();
    let expected_names = b"beforewsgi.url_scheme\0CONTENT_LENGTH\0REQUEST_METHOD\0REQUEST_URI\0\
        SCRIPT_NAME\0PATH_INFO\0QUERY_STRING\0SERVER_PROTOCOL\0REQUEST_SCHEME\0HTTPS\0REMOTE_ADDR\0\
        REMOTE_PORT\0SERVER_NAME\0SERVER_PORT\0HTTP_HOST\0HTTP_X_NAME";
    let expected_values =
        b"beforehttps\x003\0POST\0/caf%C3%A9?a=b\0\0/caf\xc3\xa9\0a=b\0HTTP/1.1\0https\0on\0\
        192.0.2.7\x0050000\0a\x0081\0a:81\0caf\xe9";
    assert_eq!(
        names.escape_ascii().to_string(),
        expected_names.escape_ascii().to_string()
    );
    assert_eq!(
        values.escape_ascii().to_string(),
        expected_values.escape_ascii().to_string()
    );
}

#[test]
fn a_nul_is_refused_wherever_it_is() {
    let headers = HeaderMap::new();
    let plain = Meta::new(&Method::GET, "/", &headers);
    assert!(written(&plain).is_ok());
    for meta in [
        Meta {
            path: "/a%00b",
            ..plain
        },
        Meta {
            script_name: "/%00",
            ..plain
        },
        Meta {
            query: "\0",
            ..plain
        },
        Meta {
            scheme: "ht\0tp",
            ..plain
        },
        Meta {
            server_name: Some("\0"),
            ..plain
        },
    ] {
        assert_eq!(written(&meta), Err(HasNul), "{meta:?}");
    }
}

proptest! {
    #[test]
    fn every_variable_comes_out_as_it_went_in(
        lines in prop::collection::vec(("[a-z]{1,3}(-[a-z0-9]{1,70})?", "[ -~\u{80}-\u{ff}]{0,50}"), 0..30),
        path in "/([a-z0-9]|%[2-7][0-9]){0,40}",
        query in "[!-~]{0,40}",
        length in prop::option::of(any::<u64>()),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let mut meta = Meta::new(&Method::PUT, &path, &headers);
        meta.query = &query;
        meta.content_length = length;
        let (names, values) = written(&meta).unwrap();
        let mut expected = vec![(b"wsgi.url_scheme".to_vec(), b"http".to_vec())];
        cgi::variables(&meta, &mut |name, value| expected.push((name.to_vec(), value.to_vec())));
        prop_assert_eq!(zip(&names, &values), expected);
    }

    /// The other side keeps what it was told, and is asked for nothing else.
    #[test]
    fn a_worker_knows_the_names_it_is_sent_values_for(
        requests in prop::collection::vec((0_u8..50, any::<bool>()), 0..400),
    ) {
        let mut sets = KeySets::default();
        let mut worker = vec![None; usize::from(SETS)];
        for (name, is_long) in requests {
            let names = vec![name; if is_long { LONG + 1 } else { 3 }];
            let (id, is_new) = sets.find(&names);
            let known = &mut worker[usize::from(id)];
            if is_new {
                *known = Some(names.clone());
            }
            prop_assert_eq!(known.as_ref(), Some(&names));
        }
        prop_assert!(sets.sets.len() < usize::from(SETS));
    }
}

#[test]
fn a_set_that_is_used_is_not_the_one_that_is_forgotten() {
    let mut sets = KeySets::default();
    for name in 0..100_u8 {
        let (_, is_new) = sets.find(&[name]);
        assert!(is_new);
        let (id, is_new) = sets.find(b"used");
        assert_eq!((id, is_new), (1, name == 0));
    }
    // The 29 before it are known still.
    assert!(!sets.find(&[99]).1);
    assert!(!sets.find(&[70]).1);
    assert!(sets.find(&[69]).1);
}

#[test]
fn names_without_end_do_not_fill_the_memory() {
    let mut sets = KeySets::default();
    for name in 0..100 {
        assert_eq!(sets.find(&[name; LONG + 1]), (31, true));
        assert_eq!(sets.find(&[name; LONG + 1]), (31, false));
    }
    assert!(sets.sets.is_empty());
}
