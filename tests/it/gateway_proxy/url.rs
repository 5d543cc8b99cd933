use tower_gateway::{GatewayProxy, gateway_proxy::HostPolicy};

#[test]
fn urls_of_upstreams() {
    for url in [
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/",
        "http://localhost",
        "HTTP://app.internal:80",
        "http://[::1]:8000",
        "http+unix:/run/gunicorn.sock",
        "http+unix:///run/gunicorn.sock",
        "uwsgi://127.0.0.1:3031",
        "uwsgi+unix:/run/uwsgi.sock",
    ] {
        assert!(GatewayProxy::to(url).is_ok(), "{url}");
    }
}

#[test]
fn what_cannot_be_an_upstream_is_said_with_its_reason() {
    for (url, reason) in [
        ("", "write it as"),
        ("127.0.0.1:8000", "the scheme is none of"),
        ("localhost", "write it as"),
        ("ftp://x", "the scheme is none of"),
        ("uwsgi://x", "it has no port"),
        ("http:127.0.0.1", "write it as scheme://host:port"),
        ("http://", "not a URL"),
        ("http://:80", "names no host"),
        ("http://a:0", "not a number from 1"),
        ("http://a:65536", "not a"),
        ("http://a:x", "not a"),
        ("http://a:", "not a number"),
        ("http://a b", "not a URL"),
        ("http://a/api", "has no path"),
        ("http://a/?x", "no query"),
        ("http://a?x", "no query"),
        ("http://a/#x", "no fragment"),
        ("http://me:secret@a", "no user name"),
        ("http+unix:run/x.sock", "absolute path"),
        ("http+unix://run/x.sock", "absolute path"),
        ("http+unix:", "absolute path"),
        ("http+unix:/run/", "absolute path"),
        ("http+unix:/run/x.sock?y", "no query"),
    ] {
        let error = GatewayProxy::to(url).unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
        assert!(error.starts_with(&format!("{url:?}")), "{error}");
    }
}

#[test]
fn networks_that_are_trusted() {
    let proxy = || GatewayProxy::to("http://a").unwrap();
    for network in ["10.0.0.0/8", "192.0.2.1", "::1", "2001:db8::/32"] {
        assert!(proxy().trust(network).is_ok(), "{network}");
    }
    for network in ["", "10.0.0.0/33", "localhost", "10.0.0", "unix:"] {
        let error = proxy().trust(network).unwrap_err().to_string();
        assert!(error.contains("neither a network"), "{network}: {error}");
    }
}

#[test]
#[should_panic(expected = "a prefix begins with a slash")]
fn a_bad_prefix_is_refused_where_it_is_written() {
    let _ = GatewayProxy::to("http://a").unwrap().at("api");
}

#[test]
#[should_panic(expected = "user:pw@app is not a host and an optional port")]
fn a_fixed_host_with_a_user_name_is_refused() {
    let host = HostPolicy::Fixed("user:pw@app".parse().unwrap());
    let _ = GatewayProxy::to("http://a").unwrap().host(host);
}

#[test]
#[should_panic(expected = "with no connection nothing is ever answered")]
fn a_pool_of_none_is_refused() {
    let _ = GatewayProxy::to("http://a").unwrap().max_connections(0);
}
