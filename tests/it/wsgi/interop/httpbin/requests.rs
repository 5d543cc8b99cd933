//! What was asked, told again: methods, fields, statuses, redirects, cookies, validators.

use serde_json::json;

use super::Bin;
use crate::support::session::Session;

pub async fn tell(bin: &Bin<'_>) {
    methods(bin).await;
    fields(bin).await;
    statuses(bin).await;
    redirects(bin).await;
    cookies(bin).await;
    validators(bin).await;
}

async fn methods(bin: &Bin<'_>) {
    for (method, target) in [
        ("GET", "/get"),
        ("POST", "/post"),
        ("PUT", "/put"),
        ("PATCH", "/patch"),
        ("DELETE", "/delete"),
    ] {
        let told = bin
            .told(method, &format!("{target}?a=1&a=2&b="), "", "")
            .await;
        assert_eq!(
            told["args"],
            json!({"a": ["1", "2"], "b": ""}),
            "{}",
            bin.who
        );
        assert_eq!(told["origin"], "127.0.0.1", "{}", bin.who);
        let url = format!("http://bin.example{target}?a=1&a=2&b=");
        assert_eq!(told["url"], url, "{}", bin.who);
        let other = if method == "GET" { "PUT" } else { "GET" };
        let refused = bin.ask(other, target, "", "").await;
        assert_eq!(refused.status, 405, "{} {other} {target}", bin.who);
        assert!(refused.header("allow").unwrap().contains(method));
    }
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
        let target = "/anything/%C3%BC%20b/c?x=%26";
        let told = bin.told(method, target, "", "").await;
        assert_eq!(told["method"], method, "{}", bin.who);
        assert_eq!(told["args"], json!({"x": "&"}), "{}", bin.who);
        assert!(told["url"].as_str().unwrap().contains("/anything/"));
    }
    let head = bin.ask("HEAD", "/get", "", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0), "{}", bin.who);
    assert_ne!(head.header("content-length"), Some("0"), "{}", bin.who);
    let options = bin.ask("OPTIONS", "/get", "Origin: http://o\r\n", "").await;
    assert_eq!(
        options.header("access-control-allow-origin"),
        Some("http://o")
    );
    assert_eq!(options.header("access-control-max-age"), Some("3600"));
}

async fn fields(bin: &Bin<'_>) {
    let lines = "X-One: 1\r\nX-List: a\r\nX-List: b\r\nUser-Agent: tests/1 (of it)\r\nX-Empty:\r\n";
    let told = bin.told("GET", "/headers", lines, "").await;
    let headers = &told["headers"];
    assert_eq!(headers["X-One"], "1", "{}", bin.who);
    assert_eq!(headers["X-Empty"], "", "{}", bin.who);
    assert_eq!(headers["Host"], "bin.example", "{}", bin.who);
    let list = headers["X-List"].as_str().unwrap().replace(' ', "");
    assert_eq!(list, "a,b", "{}", bin.who);
    let told = bin.told("GET", "/user-agent", lines, "").await;
    assert_eq!(told["user-agent"], "tests/1 (of it)", "{}", bin.who);
    assert_eq!(bin.told("GET", "/ip", "", "").await["origin"], "127.0.0.1");
    assert_eq!(
        bin.told("GET", "/uuid", "", "").await["uuid"]
            .as_str()
            .unwrap()
            .len(),
        36
    );

    let target = "/response-headers?X-Own=a&X-Own=b&X-Other=%C3%A9%20";
    for method in ["GET", "POST"] {
        let answer = bin.ask(method, target, "", "").await;
        assert_eq!(answer.status, 200, "{}", bin.who);
        assert_eq!(answer.header_all("x-own"), ["a", "b"], "{}", bin.who);
    }
}

async fn statuses(bin: &Bin<'_>) {
    for asked in [
        200, 201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 303, 304, 307, 308, 400, 401,
        402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 416, 417, 418, 422, 425, 426, 428,
        429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 511, 599,
    ] {
        // PEP 3333: applications "are forbidden from using HTTP/1.1 'hop-by-hop' features or headers", and
        // with 407 comes a Proxy-Authenticate.
        let status = match (asked, bin.is_ours) {
            (407, true) => 500,
            _ => asked,
        };
        let target = format!("/status/{asked}");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
            let answer = bin.ask(method, &target, "", "").await;
            assert_eq!(answer.status, status, "{} {method}", bin.who);
        }
    }
    let either = bin.get("/status/201:1,202:1").await.status;
    assert!(matches!(either, 201 | 202), "{}", bin.who);
    let teapot = bin.get("/status/418").await;
    assert!(teapot.text().contains("teapot"), "{}", bin.who);
    assert!(teapot.header("x-more-info").is_some(), "{}", bin.who);
    assert_eq!(bin.get("/no/such/route").await.status, 404);
}

async fn redirects(bin: &Bin<'_>) {
    for (target, to) in [
        ("/redirect/3", "/relative-redirect/2"),
        ("/redirect/1", "/get"),
        (
            "/redirect/2?absolute=true",
            "http://bin.example/absolute-redirect/1",
        ),
        ("/relative-redirect/2", "/relative-redirect/1"),
        ("/absolute-redirect/1", "http://bin.example/get"),
        ("/redirect-to?url=http%3A%2F%2Fo%2Fp%3Fq", "http://o/p?q"),
        ("/links/3", "/links/3/0"),
    ] {
        let answer = bin.get(target).await;
        assert_eq!(answer.status, 302, "{} {target}", bin.who);
        assert_eq!(answer.header("location"), Some(to), "{} {target}", bin.who);
    }
    let target = "/redirect-to?url=/get&status_code=307";
    assert_eq!(
        bin.ask("PUT", target, "", "").await.status,
        307,
        "{}",
        bin.who
    );
    let links = bin.get("/links/3/1").await.text();
    assert!(links.contains("href='/links/3/0'") && links.contains("href='/links/3/2'"));
}

async fn cookies(bin: &Bin<'_>) {
    let mut session = Session::new(bin.addr);
    session.get("/cookies/set?first=1&second=a+b").await;
    session.get("/cookies/set/third/3").await;
    let told = session.get("/cookies").await;
    let told = crate::support::stories::json(&told);
    assert_eq!(told["cookies"]["first"], "1", "{} {told}", bin.who);
    assert_eq!(told["cookies"]["third"], "3", "{} {told}", bin.who);
    let gone = session.get("/cookies/delete?first").await;
    let cookie = gone.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("first=;") && cookie.contains("Max-Age=0"),
        "{}",
        bin.who
    );
    // Two fields are one list of cookies.
    if bin.is_ours {
        let told = bin
            .told("GET", "/cookies", "Cookie: a=1\r\nCookie: b=2\r\n", "")
            .await;
        assert_eq!(told["cookies"], json!({"a": "1", "b": "2"}), "{}", bin.who);
    }
}

async fn validators(bin: &Bin<'_>) {
    let first = bin.get("/cache").await;
    let etag = first.header("etag").unwrap();
    assert!(first.header("last-modified").is_some(), "{}", bin.who);
    let cached = bin.get("/cache/60").await;
    assert_eq!(
        cached.header("cache-control"),
        Some("public, max-age=60"),
        "{}",
        bin.who
    );
    let fails = bin.ask("GET", "/etag/e", "If-Match: f\r\n", "").await;
    assert_eq!(fails.status, 412, "{}", bin.who);
    let other = bin.ask("GET", "/etag/e", "If-None-Match: f\r\n", "").await;
    assert_eq!(
        (other.status, other.header("etag")),
        (200, Some("e")),
        "{}",
        bin.who
    );
    let condition = format!("If-None-Match: {etag}\r\n");
    let again = bin.ask("GET", "/cache", &condition, "").await;
    assert_eq!((again.status, again.body.len()), (304, 0), "{}", bin.who);
    let same = bin.ask("GET", "/etag/e", "If-None-Match: e\r\n", "").await;
    assert_eq!(
        (same.status, same.header("etag")),
        (304, Some("e")),
        "{}",
        bin.who
    );
}
