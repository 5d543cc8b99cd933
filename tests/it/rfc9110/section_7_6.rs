//! RFC 9110 §7.6, message forwarding, and §7.8, upgrade.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use tower_gateway::semantics::hop::{self, HopError};

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

mod section_7_6_1 {
    use super::*;

    /// "Intermediaries MUST parse a received Connection header field before a message is
    /// forwarded and, for each connection-option in this field, remove any header or trailer
    /// field(s) from the message with the same name as the connection-option, and then remove
    /// the Connection header field itself".
    #[test]
    fn nominated_fields_are_removed_whichever_line_names_them() {
        let mut headers = headers(&[
            ("connection", "close, X-One ,, \t"),
            ("x-one", "1"),
            ("x-one", "again"),
            ("x-two", "2"),
            ("connection", "x-TWO"),
            ("x-three", "3"),
            ("connection", ",absent"),
        ]);
        hop::strip_request(&mut headers).unwrap();
        assert_eq!(names(&headers), ["x-three"]);
    }

    /// Bounded, and no pseudo-header field of HTTP/2 is among them.
    #[test]
    fn a_request_has_few_connection_options() {
        let most = vec!["x-a"; hop::MAX_OPTIONS].join(",");
        let mut few = headers(&[("connection", &most), ("x-a", "1")]);
        hop::strip_request(&mut few).unwrap();
        assert!(few.is_empty());
        for lines in [
            &[("connection", &*format!("{most}, close"))][..],
            &[("connection", &*most), ("connection", "keep-alive")],
        ] {
            let mut many = headers(lines);
            assert_eq!(hop::strip_request(&mut many), Err(HopError::TooMany));
            assert_eq!(many, headers(lines));
        }
        for name in [":path", ":authority", "a, :method"] {
            let mut request = headers(&[("connection", name)]);
            assert_eq!(hop::strip_request(&mut request), Err(HopError::Malformed));
        }
    }

    /// "intermediaries SHOULD remove or replace fields that are known to require removal before
    /// forwarding, whether or not they appear as a connection-option, after applying those
    /// fields' semantics. This includes but is not limited to: Proxy-Connection, Keep-Alive, TE,
    /// Transfer-Encoding, Upgrade".
    #[test]
    fn known_fields_are_removed_unnamed() {
        let lines = [
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("http2-settings", "AAMAAABk"),
            ("trailer", "x-sum"),
        ];
        let mut request = headers(&lines);
        let stripped = hop::strip_request(&mut request).unwrap();
        assert_eq!(names(&request), ["trailer"]);
        assert_eq!((stripped.upgrade, stripped.trailers), (None, false));
        let mut response = headers(&lines);
        assert_eq!(hop::strip_response(&mut response), None);
        assert_eq!(names(&response), ["trailer"]);
    }

    /// "A sender MUST NOT send a connection option corresponding to a field that is intended for
    /// all recipients of the content."
    #[test]
    fn fields_for_all_recipients_cannot_be_nominated() {
        for name in [
            "host",
            "cookie",
            "Authorization",
            "X-Forwarded-For",
            "x-forwarded-anything",
            "x-real-ip",
            "FORWARDED",
            "content-length",
            "content-type",
            "content-encoding",
            "cache-control",
            "date",
            "expect",
            "origin",
            "set-cookie",
            "trailer",
            "via",
        ] {
            let mut request = headers(&[("connection", "close"), ("x", "y")]);
            request.append("connection", HeaderValue::from_str(name).unwrap());
            let before = request.clone();
            let refused = hop::strip_request(&mut request);
            let lower = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(refused, Err(HopError::Protected(lower.clone())));
            assert_eq!(request, before);

            // The upstream's answer keeps the field, and is no fault of the client's.
            let mut response = request;
            response.insert(lower.clone(), HeaderValue::from_static("kept"));
            hop::strip_response(&mut response);
            assert_eq!(response[lower], "kept");
        }
    }

    /// "connection-option = token".
    #[test]
    fn options_are_tokens() {
        for option in [":authority", "a b", "\"x\"", "x=y", "a;b", "é"] {
            let mut request = headers(&[]);
            request.insert(
                "connection",
                HeaderValue::from_bytes(option.as_bytes()).unwrap(),
            );
            assert_eq!(
                hop::strip_request(&mut request),
                Err(HopError::Malformed),
                "{option}"
            );
            assert_eq!(hop::strip_response(&mut request), None);
            assert!(request.is_empty());
        }
    }
}

/// RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
#[test]
fn an_upgrade_is_one_when_connection_says_so() {
    let mut named = headers(&[
        ("connection", "keep-alive, UPGRADE"),
        ("upgrade", "websocket"),
        ("upgrade", "foo/2"),
    ]);
    let stripped = hop::strip_request(&mut named).unwrap();
    assert_eq!(stripped.upgrade.unwrap(), "websocket, foo/2");
    assert!(named.is_empty());

    let mut without = headers(&[("connection", "upgrade")]);
    assert_eq!(hop::strip_request(&mut without).unwrap().upgrade, None);
}

/// RFC 9110 §10.1.4: of `TE`, only `trailers` concerns more than this connection.
#[test]
fn trailers_are_welcome_when_te_lists_them() {
    for (te, welcome) in [
        ("trailers", true),
        ("gzip;q=0.5, Trailers", true),
        ("gzip", false),
        ("trailers;q=1", false),
        ("", false),
    ] {
        let mut request = headers(&[("te", te)]);
        assert_eq!(
            hop::strip_request(&mut request).unwrap().trailers,
            welcome,
            "{te}"
        );
    }
}

/// RFC 9112 §6.1, and §7: `chunked` is the one coding that is understood.
#[test]
fn a_transfer_coding_is_chunked_or_not_understood() {
    for (codings, understood) in [
        (&[][..], true),
        (&["chunked"], true),
        (&[" Chunked\t"], true),
        (&["gzip, chunked"], false),
        (&["chunked, chunked"], false),
        (&["chunked", "chunked"], false),
        (&["gzip", "chunked"], false),
        (&["identity"], false),
        (&[""], false),
    ] {
        let lines: Vec<_> = codings
            .iter()
            .map(|coding| ("transfer-encoding", *coding))
            .collect();
        assert_eq!(
            hop::is_plain_or_chunked(&headers(&lines)),
            understood,
            "{codings:?}"
        );
    }
}

/// RFC 9110 §6.5.1: some fields are not for trailers.
#[test]
fn trailers_that_frame_route_or_identify_do_not_pass() {
    for (name, passes) in [
        ("x-sum", true),
        ("etag", true),
        ("server-timing", true),
        ("content-length", false),
        ("transfer-encoding", false),
        ("host", false),
        ("authorization", false),
        ("x-forwarded-for", false),
        ("x_sum", false),
        ("connection", false),
    ] {
        assert_eq!(
            hop::is_forwardable_trailer(&HeaderName::from_static(name)),
            passes,
            "{name}"
        );
    }
}

proptest! {
    /// However the options are spelled and spread over lines, nothing is left of what they name,
    /// and nothing else is lost.
    #[test]
    fn every_nominated_field_goes_and_no_other(
        fields in prop::collection::btree_set("x-[a-z]{1,3}", 0..8),
        picked in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0_usize..3), 0..8),
    ) {
        let fields: Vec<_> = fields.into_iter().collect();
        let mut headers = HeaderMap::new();
        for field in &fields {
            headers.insert(HeaderName::from_bytes(field.as_bytes()).unwrap(), HeaderValue::from_static("v"));
        }
        let mut nominated = Vec::new();
        let mut line = String::new();
        for (index, upper, style) in picked {
            if fields.is_empty() {
                break;
            }
            let name = index.get(&fields);
            nominated.push(name.clone());
            let name = if upper { name.to_ascii_uppercase() } else { name.clone() };
            match style {
                0 => line.push_str(&format!("{name},")),
                1 => line.push_str(&format!(" ,\t{name} , ")),
                _ => {
                    headers.append("connection", HeaderValue::from_str(&name).unwrap());
                }
            }
        }
        headers.append("connection", HeaderValue::from_str(&line).unwrap());
        hop::strip_request(&mut headers).unwrap();
        for field in &fields {
            prop_assert_eq!(headers.contains_key(field.as_str()), !nominated.contains(field));
        }
        prop_assert!(!headers.contains_key("connection"));
    }

    /// Any bytes at all: refused or stripped, never a panic, and never with a field left that
    /// is of this connection.
    #[test]
    fn any_connection_is_understood_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else {
            return Ok(());
        };
        let mut headers = HeaderMap::new();
        headers.insert("connection", value);
        headers.insert("upgrade", HeaderValue::from_static("x"));
        let mut response = headers.clone();
        hop::strip_response(&mut response);
        prop_assert!(response.is_empty());
        if hop::strip_request(&mut headers).is_ok() {
            prop_assert!(headers.is_empty());
        }
    }
}
