use http::{HeaderMap, HeaderValue, Method, header};

use super::{Turn, strip_credentials, turn};

fn headers(lines: &[&str]) -> HeaderMap {
    let lines = lines.iter().map(|line| {
        let value = HeaderValue::from_str(line).unwrap();
        (header::MAX_FORWARDS, value)
    });
    lines.collect()
}

fn lines(headers: &HeaderMap) -> Vec<&HeaderValue> {
    headers.get_all(header::MAX_FORWARDS).iter().collect()
}

#[test]
fn options_and_trace_are_counted_down() {
    for method in [Method::OPTIONS, Method::TRACE] {
        for (value, expected, left) in [
            ("1", Turn::Forward, "0"),
            ("10", Turn::Forward, "9"),
            ("007", Turn::Forward, "6"),
            ("4294967295", Turn::Forward, "4294967294"),
            ("99999999999999999999999", Turn::Forward, "4294967294"),
            ("0", Turn::Answer, "0"),
            ("000", Turn::Answer, "000"),
            ("", Turn::Malformed, ""),
            ("-1", Turn::Malformed, "-1"),
            ("+1", Turn::Malformed, "+1"),
            ("1.5", Turn::Malformed, "1.5"),
            ("1, 2", Turn::Malformed, "1, 2"),
            ("one", Turn::Malformed, "one"),
        ] {
            let mut headers = headers(&[value]);
            assert_eq!(turn(&method, &mut headers), expected, "{method} {value:?}");
            assert_eq!(lines(&headers), [left]);
        }
        let mut twice = headers(&["5", "5"]);
        assert_eq!(turn(&method, &mut twice), Turn::Malformed);
        assert_eq!(turn(&method, &mut HeaderMap::new()), Turn::Forward);
    }
}

#[test]
fn other_methods_are_not() {
    for method in [Method::GET, Method::POST, Method::HEAD, Method::CONNECT] {
        for value in ["0", "1", "x"] {
            let mut headers = headers(&[value, value]);
            assert_eq!(turn(&method, &mut headers), Turn::Forward);
            assert_eq!(lines(&headers), [value, value]);
        }
    }
}

#[test]
fn a_trace_takes_no_credentials_along() {
    let mut headers = HeaderMap::new();
    for name in [
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "accept",
    ] {
        headers.append(name, HeaderValue::from_static("x"));
        headers.append(name, HeaderValue::from_static("y"));
    }
    strip_credentials(&mut headers);
    assert_eq!(headers.keys().collect::<Vec<_>>(), [header::ACCEPT]);
    assert_eq!(headers.len(), 2);
}
