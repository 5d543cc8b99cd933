//! The same Flask and the same Django, whichever server runs them and whatever is spoken to it:
//! one story each, told of a URL.

use serde_json::Value;
use tower_gateway::GatewayProxy;

use super::{
    Gateway,
    applications::{Place, SERVERS, Speech},
};
use crate::support::{
    process::say,
    python::{self, PASSWORD, Site},
    raw::{self, Answer, exchange},
    session::{Session, sha256},
};

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("not JSON: {answer:?}"))
}

/// What the application was told in one `HTTP_…` variable.
fn variable(told: &Value, name: &str) -> Option<String> {
    let headers = told["headers"].as_array().unwrap();
    let pair = headers.iter().find(|pair| pair[0] == name);
    pair.map(|pair| pair[1].as_str().unwrap().to_owned())
}

async fn flask(upstream: &str) {
    let proxy = GatewayProxy::to(upstream).unwrap();
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;
    requests_arrive_as_they_were_sent(&gateway, upstream).await;
    answers_arrive_as_they_were_sent(&gateway, upstream).await;
}

async fn requests_arrive_as_they_were_sent(gateway: &Gateway, upstream: &str) {
    let methods = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
    ];
    let framings = [
        ("\r\n", ""),
        ("Content-Length: 0\r\n\r\n", ""),
        ("Content-Length: 6\r\n\r\na body", "a body"),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\na \r\n4\r\nbody\r\n0\r\n\r\n",
            "a body",
        ),
    ];
    for method in methods {
        for (framing, body) in framings {
            let request = format!(
                "{method} /echo?a=%2F&b=//%zz HTTP/1.1\r\nHost: example.org:81\r\n\
                 Connection: close\r\nContent-Type: text/x-test\r\n\
                 X-Twice: one\r\nX-Twice: two\r\nCookie: a=b\r\n{framing}"
            );
            let told = json(&exchange(gateway.addr, request).await);
            let context = format!("{upstream} {method} {framing:?} {told:#}");
            assert_eq!(told["method"], method, "{context}");
            assert_eq!(told["path"], "/echo", "{context}");
            assert_eq!(told["query_string"], "a=%2F&b=//%zz", "{context}");
            assert_eq!(told["target"], "/echo?a=%2F&b=//%zz", "{context}");
            assert_eq!(told["content_type"], "text/x-test", "{context}");
            assert_eq!(told["body"]["size"], body.len(), "{context}");
            assert_eq!(told["body"]["sha256"], sha256(body.as_bytes()), "{context}");
            let twice = variable(&told, "HTTP_X_TWICE").unwrap().replace(' ', "");
            assert_eq!(twice, "one,two", "{context}");
            for (name, value) in [
                ("HTTP_HOST", Some("example.org:81")),
                ("HTTP_COOKIE", Some("a=b")),
                ("HTTP_TRANSFER_ENCODING", None),
            ] {
                assert_eq!(variable(&told, name).as_deref(), value, "{name} {context}");
            }
        }
    }
}

async fn answers_arrive_as_they_were_sent(gateway: &Gateway, upstream: &str) {
    let get = async |path: &str| raw::get(gateway.addr, path).await;
    let cookies = get("/set-cookies").await;
    assert_eq!(
        cookies.header_all("set-cookie"),
        ["first=1; Path=/", "second=2; HttpOnly; Path=/"],
        "{upstream}"
    );
    // Without a Content-Length, some end such an answer with the connection.
    let streamed = get("/stream?n=3").await;
    assert_eq!(streamed.text(), "line 0\nline 1\nline 2\n", "{upstream}");
    assert!(streamed.complete, "{upstream}");
    for status in [200, 201, 204, 304, 400, 404, 418, 500, 503] {
        let answer = get(&format!("/status/{status}")).await;
        assert_eq!(answer.status, status, "{upstream}");
    }
    let redirect = get("/redirect").await;
    let location = redirect.header("location");
    assert_eq!(
        (redirect.status, location),
        (302, Some("/echo")),
        "{upstream}"
    );
    for _ in 0..3 {
        // uWSGI sends a body to HEAD where the application gives one. It reaches nobody.
        let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let head = exchange(gateway.addr, head).await;
        let length = head.header("content-length");
        assert_eq!((head.status, length), (200, Some("17")), "{upstream}");
        assert_eq!(get("/").await.text(), "hello from flask\n", "{upstream}");
    }
    let content = vec![7; 3 << 20];
    let upload = Session::new(gateway.addr)
        .post_file("/upload", "seven", &content)
        .await;
    assert_eq!(json(&upload)["sha256"], sha256(&content), "{upstream}");
}

async fn django(upstream: &str, site: &Site) {
    let proxy = GatewayProxy::to(upstream).unwrap();
    let gateway = Gateway::start(&site.static_root(), proxy).await;
    let page = raw::get(gateway.addr, "/").await;
    assert_eq!(page.header("x-frame-options"), Some("DENY"), "{upstream}");
    assert!(page.text().contains(r#"href="/static/style.css""#));
    let style = raw::get(gateway.addr, "/static/style.css").await;
    assert_eq!(style.status, 200, "{upstream}");

    a_question_is_posted(&gateway, upstream).await;
    the_admin_lets_its_user_in(&gateway, upstream).await;
    files_go_up_and_come_down(&gateway, upstream).await;
    no_client_can_lie(&gateway, upstream).await;
}

async fn a_question_is_posted(gateway: &Gateway, upstream: &str) {
    let mut session = Session::new(gateway.addr);
    session.get("/").await;
    let posted = session
        .post_form("/", &[("text", "Does <this> & that work?")])
        .await;
    assert_eq!(posted.status, 302, "{upstream} {posted:?}");
    let location = posted.header("location").unwrap().to_owned();
    let page = session.get(&location).await.text();
    assert!(
        page.contains("Does &lt;this&gt; &amp; that work?"),
        "{upstream}"
    );
    let listed = session.get("/").await.text();
    assert!(listed.contains("&lt;this&gt;"), "{upstream}");
    let mut stranger = Session::new(gateway.addr);
    let refused = stranger.post_form("/", &[("text", "no token")]).await;
    assert_eq!(refused.status, 403, "{upstream}");
}

async fn the_admin_lets_its_user_in(gateway: &Gateway, upstream: &str) {
    const LOGIN: &str = "/admin/login/?next=/admin/";
    let mut session = Session::new(gateway.addr);
    session.get(LOGIN).await;
    let fields = |password| {
        [
            ("username", "admin"),
            ("password", password),
            ("next", "/admin/"),
        ]
    };
    let refused = session.post_form(LOGIN, &fields("wrong")).await;
    assert_eq!(refused.status, 200, "{upstream}");
    let entered = session.post_form(LOGIN, &fields(PASSWORD)).await;
    let location = entered.header("location");
    assert_eq!(
        (entered.status, location),
        (302, Some("/admin/")),
        "{upstream}"
    );
    let admin = session.get("/admin/questions/question/").await;
    assert_eq!(admin.status, 200, "{upstream}");
    assert!(admin.text().contains("Select question to change"));
}

async fn files_go_up_and_come_down(gateway: &Gateway, upstream: &str) {
    let content: Vec<_> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
    let mut session = Session::new(gateway.addr);
    session.get("/upload/").await;
    let upload = session.post_file("/upload/", "one.bin", &content).await;
    assert_eq!(upload.status, 200, "{upstream} {}", upload.text());
    assert_eq!(json(&upload)["sha256"], sha256(&content), "{upstream}");
    for target in ["/download/1/", "/download/1/?length=1"] {
        let download = raw::get(gateway.addr, target).await;
        assert!(download.complete, "{upstream} {target}");
        assert!(download.body == content, "{upstream} {target}");
        if target.contains("length") {
            assert_eq!(download.header("content-length"), Some("1048576"));
        }
    }
}

async fn no_client_can_lie(gateway: &Gateway, upstream: &str) {
    let request = "GET /whoami/?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil.example\r\nForwarded: for=203.0.113.9;proto=https\r\n\
                   X_Forwarded_For: 203.0.113.9\r\nRemote_Addr: 203.0.113.9\r\n\
                   SCRIPT_NAME: /admin\r\nPath_Info: /admin/\r\nProxy: evil.example\r\n\
                   X-Mine: kept\r\n\r\n";
    let told = json(&exchange(gateway.addr, request).await);
    let context = format!("{upstream} {told:#}");
    for (name, value) in [
        ("host", "localhost"),
        ("scheme", "http"),
        ("script_name", ""),
        ("path", "/whoami/"),
        ("query_string", "a=b"),
    ] {
        assert_eq!(told[name], value, "{name} {context}");
    }
    let headers = told["headers"].as_object().unwrap();
    for (name, value) in [
        ("HTTP_X_FORWARDED_FOR", "127.0.0.1"),
        ("HTTP_X_FORWARDED_PROTO", "http"),
        ("HTTP_X_FORWARDED_HOST", "localhost"),
        ("HTTP_X_MINE", "kept"),
    ] {
        assert_eq!(headers[name], value, "{name} {context}");
    }
    let forwarded = headers["HTTP_FORWARDED"].as_str().unwrap();
    assert!(forwarded.contains("for=127.0.0.1"), "{context}");
    assert!(!told.to_string().contains("203.0.113.9"), "{context}");
    for name in ["HTTP_PROXY", "HTTP_SCRIPT_NAME", "HTTP_PATH_INFO"] {
        assert!(!headers.contains_key(name), "{name} {context}");
    }
}

async fn everybody(speech: Speech, place: Place) {
    for server in SERVERS {
        let application = server.flask(speech, place);
        say(format_args!("Flask, {server:?}: {}", application.url));
        flask(&application.url).await;
        drop(application);

        let site = Site::new();
        let application = server.django(speech, place, &site);
        say(format_args!("Django, {server:?}: {}", application.url));
        django(&application.url, &site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_http() {
    everybody(Speech::Http, Place::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_http_on_a_unix_socket() {
    everybody(Speech::Http, Place::Unix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_uwsgi() {
    everybody(Speech::Uwsgi, Place::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_and_django_over_uwsgi_on_a_unix_socket() {
    everybody(Speech::Uwsgi, Place::Unix).await;
}
