//! RFC 7239, the `Forwarded` field.

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use tower_gateway::semantics::forwarded::{Identity, Node};

fn read(field: &str) -> Identity {
    let mut headers = HeaderMap::new();
    headers.insert(header::FORWARDED, HeaderValue::from_str(field).unwrap());
    Identity::read(&headers, |_| true)
}

/// The same, where none of those is trusted of whom it speaks.
fn read_untrusted(field: &str) -> Identity {
    let mut headers = HeaderMap::new();
    headers.insert(header::FORWARDED, HeaderValue::from_str(field).unwrap());
    Identity::read(&headers, |_| false)
}

fn node(text: &str) -> Node {
    let identity = read(&format!("for=\"{text}\""));
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_str(text).unwrap());
    assert_eq!(
        Identity::read(&headers, |_| true).chain,
        identity.chain,
        "{text}"
    );
    identity.chain.into_iter().next().unwrap()
}

/// "node = nodename [ ":" node-port ]"; "node-port = port / obfport".
#[test]
fn section_6_node_identifiers() {
    let ip = |text: &str| Node::Ip(text.parse().unwrap());
    for (text, expected) in [
        ("192.0.2.43", ip("192.0.2.43")),
        ("192.0.2.43:47011", ip("192.0.2.43")),
        ("192.0.2.43:_http", ip("192.0.2.43")),
        ("::ffff:192.0.2.43", ip("192.0.2.43")),
        ("[::ffff:192.0.2.43]:1", ip("192.0.2.43")),
        ("2001:db8:cafe::17", ip("2001:db8:cafe::17")),
        ("[2001:db8:cafe::17]", ip("2001:db8:cafe::17")),
        ("[2001:db8:cafe::17]:4711", ip("2001:db8:cafe::17")),
        ("[2001:db8:cafe::17]:_4711", ip("2001:db8:cafe::17")),
        ("_gazonk", Node::Obfuscated("_gazonk".into())),
        (
            "_SEVKISEK.a-b_c:_4711",
            Node::Obfuscated("_SEVKISEK.a-b_c".into()),
        ),
        ("unknown", Node::Unknown),
        ("unknown:80", Node::Unknown),
        ("_", Node::Unknown),
        ("_a b", Node::Unknown),
        ("gazonk", Node::Unknown),
        ("192.0.2.43:", Node::Unknown),
        ("192.0.2.43:999999", Node::Unknown),
        ("192.0.2.43:_", Node::Unknown),
        ("192.0.2.43:http", Node::Unknown),
        ("192.0.2.256", Node::Unknown),
        ("[192.0.2.43]", Node::Unknown),
        ("[2001:db8::1", Node::Unknown),
        ("2001:db8::1]", Node::Unknown),
        ("2001:db8:cafe::17:_4711", Node::Unknown),
    ] {
        assert_eq!(node(text), expected, "{text}");
    }
}

/// The examples of §4, and §7.1: a host with a port is quoted.
#[test]
fn section_4_syntax() {
    let identity = read("For=\"[2001:db8:cafe::17]:4711\"");
    assert_eq!(identity.chain.len(), 1);
    let identity = read("for=192.0.2.60;proto=HTTP;by=203.0.113.43");
    assert_eq!(identity.proto.unwrap(), "http");
    assert_eq!(identity.chain, [Node::Ip("192.0.2.60".parse().unwrap())]);
    let identity = read("for=192.0.2.43, for=198.51.100.17");
    assert_eq!(identity.chain.len(), 2);

    // The first element tells what the client asked for.
    let identity = read("for=_a ; host=\"a.test:81\" ; proto=https , for=_b;host=b.test;proto=ftp");
    assert_eq!(identity.host.unwrap(), "a.test:81");
    assert_eq!(identity.proto.unwrap(), "https");
    // Also if it does not say who it is.
    let identity = read("host=a.test, for=_b;host=b.test");
    assert_eq!(identity.host.unwrap(), "a.test");
    assert_eq!(identity.chain[0], Node::Unknown);

    // A separator in quotes separates nothing, an escaped quote ends nothing.
    let identity = read(r#"for="_a,for=_b;host=x";host="a\.test";proto="h\"t,tp", for=_c"#);
    assert_eq!(
        identity.chain,
        [Node::Unknown, Node::Obfuscated("_c".into())]
    );
    assert_eq!(identity.host.unwrap(), "a.test");
    assert_eq!(identity.proto, None);
    // An escaped backslash escapes nothing, and is in no host.
    assert_eq!(read(r#"for=_a;host="a\\.test""#).host, None);
    // Empty elements and pairs are none, and what is no pair is none.
    let identity = read(",, for=_a;;nonsense; ,for=_b");
    assert_eq!(identity.chain.len(), 2);
}

/// A quote that is opened in one place and closed in another hides what is between.
#[test]
fn section_8_1_a_line_with_a_quote_out_of_place_is_not_believed() {
    for (line, stations) in [
        (r#"for=6.6.6.6;x=", for=198.51.100.9"#, 1),
        (
            r#"for=6.6.6.6;host=evil.test;proto=https;x="\, for=198.51.100.9"#,
            1,
        ),
        (r#"for=6.6.6.6;x=", for="[2001:db8::9]:80""#, 1),
        (r#"for=6.6.6.6;x=", for=_a;x="a\"b""#, 1),
        (r#"for=6.6.6.6;x=", for=_a;host=",for=6.6.6.6,x=""#, 1),
        (r#"for=6.6.6.6;x=a", for=198.51.100.9;x="b""#, 1),
        (r#"for=6.6.6.6", for="_a""#, 1),
        (r#"""#, 1),
        (r#"for=""""#, 1),
        // Those are whole.
        (r#"for=_a;x="a,b", for=_b"#, 2),
        (r#"for=_a;x="a\",b" , for = "_b" ;x="""#, 2),
    ] {
        let identity = read(line);
        let is_believed = stations > 1;
        assert_eq!(identity.chain.len(), stations, "{line}");
        assert_eq!(identity.chain[0] != Node::Unknown, is_believed, "{line}");
        assert_eq!((identity.host, identity.proto), (None, None), "{line}");
    }
    // Other lines are.
    let mut headers = HeaderMap::new();
    for line in ["for=6.6.6.6;x=\"", "for=198.51.100.9"] {
        headers.append(header::FORWARDED, HeaderValue::from_static(line));
    }
    let identity = Identity::read(&headers, |_| false);
    assert_eq!(identity.client(), "198.51.100.9".parse().ok());
}

/// "The "Forwarded" HTTP header field cannot be relied upon to be correct, as it may be modified,
/// whether mistakenly or for malicious reasons, by every node on the way to the server, including
/// the client making the request."
#[test]
fn section_8_1_the_element_at_which_trust_ends_tells_host_and_scheme() {
    let proxy: Node = node("192.0.2.1");
    for (line, first, host, proto) in [
        // What the client has said, and what was appended.
        (
            "for=1.2.3.4;host=evil.test;proto=https, for=198.51.100.9;host=a.test;proto=http",
            "198.51.100.9",
            Some("a.test"),
            Some("http"),
        ),
        (
            "for=1.2.3.4;host=evil.test;proto=https, for=198.51.100.9",
            "198.51.100.9",
            None,
            None,
        ),
        (
            "for=1.2.3.4;host=evil.test, for=_a;host=a.test, for=192.0.2.1;host=b.test;proto=https",
            "_a",
            Some("a.test"),
            None,
        ),
        // All are trusted: the first counts.
        (
            "for=192.0.2.1;host=a.test, for=192.0.2.1;host=b.test",
            "192.0.2.1",
            Some("a.test"),
            None,
        ),
        (
            "host=a.test, for=192.0.2.1",
            "unknown",
            Some("a.test"),
            None,
        ),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::FORWARDED, HeaderValue::from_static(line));
        let identity = Identity::read(&headers, |node| *node == proxy);
        assert_eq!(identity.chain[0], node(first), "{line}");
        assert_eq!(identity.host, host.map(HeaderValue::from_static), "{line}");
        assert_eq!(
            identity.proto,
            proto.map(HeaderValue::from_static),
            "{line}"
        );
    }
}

/// What was added last is what the proxy itself knows: in one line, or in one of its own.
#[test]
fn of_several_hosts_schemes_and_prefixes_the_last_counts() {
    for lines in [
        &[("evil.test, a.test", "gopher, https", "/evil, /a")][..],
        &[("evil.test", "gopher", "/evil"), ("a.test,", "https", "/a")],
    ] {
        let mut headers = HeaderMap::new();
        for (host, proto, prefix) in lines {
            headers.append("x-forwarded-host", HeaderValue::from_static(host));
            headers.append("x-forwarded-proto", HeaderValue::from_static(proto));
            headers.append("x-forwarded-prefix", HeaderValue::from_static(prefix));
        }
        let identity = Identity::read(&headers, |_| true);
        assert_eq!(identity.host.unwrap(), "a.test");
        assert_eq!(identity.proto.unwrap(), "https");
        assert_eq!(identity.prefix, "/a");
    }
}

proptest! {
    /// Whatever a client has written before a trusted proxy appends to the line: nobody takes the
    /// client for another, or believes its host.
    #[test]
    fn nobody_chooses_an_address(
        before in "(for=6\\.6\\.6\\.6;host=evil\\.test;x=)?[=\", ;\\\\a-c]{0,12}",
        appended in prop::sample::select(vec![
            "for=198.51.100.9",
            "for=\"198.51.100.9:80\";host=\"a.test:80\"",
            "for=198.51.100.9;host=\",for=6.6.6.6,x=\\\"\"",
        ]),
    ) {
        let identity = read_untrusted(&format!("{before}, {appended}"));
        prop_assert_eq!(identity.chain.len(), 1);
        prop_assert!([None, "198.51.100.9".parse().ok()].contains(&identity.client()));
        prop_assert_ne!(identity.host, Some(HeaderValue::from_static("evil.test")));
    }
}

#[test]
fn what_is_written_is_read_again() {
    let mut identity = Identity::default();
    identity.chain = vec![
        Node::Ip("2001:db8::7".parse().unwrap()),
        Node::Obfuscated("_hidden".into()),
        Node::Unknown,
        Node::Ip("192.0.2.1".parse().unwrap()),
    ];
    identity.host = Some(HeaderValue::from_static("[::1]:8443"));
    identity.proto = Some(HeaderValue::from_static("https"));
    let mut headers = HeaderMap::new();
    identity.write_forwarded(&mut headers);
    assert_eq!(
        headers["forwarded"],
        "for=\"[2001:db8::7]\";host=\"[::1]:8443\";proto=https, for=_hidden, for=unknown, \
         for=192.0.2.1"
    );
    assert_eq!(Identity::read(&headers, |_| true), identity);

    // Whatever a field of this type may hold: "quoted-pair" of RFC 9110 §5.6.4.
    let mut odd = Identity::default();
    odd.host = Some(HeaderValue::from_static(r#"a"b\c"#));
    odd.proto = Some(HeaderValue::from_static(""));
    odd.write_forwarded(&mut headers);
    assert_eq!(
        headers["forwarded"],
        r#"for=unknown;host="a\"b\\c";proto="""#
    );

    let mut headers = HeaderMap::new();
    identity.prefix = "/app".to_owned();
    identity.write_x_forwarded(&mut headers);
    assert_eq!(
        headers["x-forwarded-for"],
        "2001:db8::7, _hidden, unknown, 192.0.2.1"
    );
    assert_eq!(headers["x-forwarded-port"], "8443");
    assert_eq!(Identity::read(&headers, |_| true), identity);
}

#[test]
fn the_port_is_the_host_s_or_the_scheme_s() {
    for (host, proto, port) in [
        (Some("a"), Some("http"), Some("80")),
        (Some("a"), Some("ws"), Some("80")),
        (Some("a"), Some("https"), Some("443")),
        (Some("a"), Some("wss"), Some("443")),
        (Some("a"), Some("gopher"), None),
        (Some("a:81"), Some("gopher"), Some("81")),
        (Some("a"), None, None),
        (None, Some("http"), None),
    ] {
        let mut identity = Identity::default();
        identity.host = host.map(HeaderValue::from_static);
        identity.proto = proto.map(HeaderValue::from_static);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-port", HeaderValue::from_static("1"));
        identity.write_x_forwarded(&mut headers);
        let written = headers.get("x-forwarded-port");
        assert_eq!(written.map(|port| port.to_str().unwrap()), port);
    }
}

#[test]
fn a_prefix_that_is_another_host_or_markup_is_none() {
    for (prefix, read) in [
        ("/app", "/app"),
        ("/app/", "/app"),
        ("/", ""),
        ("/a/b, /c", "/c"),
        ("//evil.test", ""),
        ("app", ""),
        ("/a\\b", ""),
        ("/<b>", ""),
        ("/a?b", ""),
        ("/a#b", ""),
        ("/\"", ""),
        ("/a b", ""),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-prefix", HeaderValue::from_static(prefix));
        assert_eq!(Identity::read(&headers, |_| true).prefix, read, "{prefix}");
    }
}
