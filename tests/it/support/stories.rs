//! What Flask and Django are asked by several modules, whoever runs them: one story each.

use std::net::SocketAddr;

use serde_json::Value;

use super::{
    python::PASSWORD,
    raw::{self, Answer, exchange},
    session::{Session, sha256},
};

/// `tests/python/flask_app.py`.
pub async fn flask(addr: SocketAddr, who: &str) {
    requests_arrive_as_they_were_sent(addr, who).await;
    answers_arrive_as_they_were_sent(addr, who).await;
}

/// `examples/mysite`, with an administrator.
pub async fn django(addr: SocketAddr, who: &str) {
    let page = raw::get(addr, "/").await;
    assert_eq!(page.header("x-frame-options"), Some("DENY"), "{who}");
    assert!(page.text().contains(r#"href="/static/style.css""#), "{who}");
    a_question_is_posted(addr, who).await;
    the_admin_lets_its_user_in(addr, who).await;
    files_go_up_and_come_down(addr, who).await;
}

pub fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("not JSON: {answer:?}"))
}

/// What the application was told in one `HTTP_…` variable.
pub fn variable(told: &Value, name: &str) -> Option<String> {
    let headers = told["headers"].as_array().unwrap();
    let pair = headers.iter().find(|pair| pair[0] == name);
    pair.map(|pair| pair[1].as_str().unwrap().to_owned())
}

async fn requests_arrive_as_they_were_sent(addr: SocketAddr, who: &str) {
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
            let told = json(&exchange(addr, request).await);
            let context = format!("{who} {method} {framing:?} {told:#}");
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

async fn answers_arrive_as_they_were_sent(addr: SocketAddr, who: &str) {
    let get = async |path: &str| raw::get(addr, path).await;
    let cookies = get("/set-cookies").await;
    assert_eq!(
        cookies.header_all("set-cookie"),
        ["first=1; Path=/", "second=2; HttpOnly; Path=/"],
        "{who}"
    );
    // Without a Content-Length, some end such an answer with the connection.
    let streamed = get("/stream?n=3").await;
    assert_eq!(streamed.text(), "line 0\nline 1\nline 2\n", "{who}");
    assert!(streamed.complete, "{who}");
    for status in [200, 201, 204, 304, 400, 404, 418, 500, 503] {
        let answer = get(&format!("/status/{status}")).await;
        assert_eq!(answer.status, status, "{who}");
    }
    let redirect = get("/redirect").await;
    let location = redirect.header("location");
    assert_eq!((redirect.status, location), (302, Some("/echo")), "{who}");
    for _ in 0..3 {
        // uWSGI sends a body to HEAD where the application gives one. It reaches nobody.
        let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let head = exchange(addr, head).await;
        let length = head.header("content-length");
        assert_eq!((head.status, length), (200, Some("17")), "{who}");
        assert_eq!(get("/").await.text(), "hello from flask\n", "{who}");
    }
    let content = vec![7; 3 << 20];
    let upload = Session::new(addr)
        .post_file("/upload", "seven", &content)
        .await;
    assert_eq!(json(&upload)["sha256"], sha256(&content), "{who}");
}

async fn a_question_is_posted(addr: SocketAddr, who: &str) {
    let mut session = Session::new(addr);
    session.get("/").await;
    let posted = session
        .post_form("/", &[("text", "Does <this> & that work?")])
        .await;
    assert_eq!(posted.status, 302, "{who} {posted:?}");
    let location = posted.header("location").unwrap().to_owned();
    let page = session.get(&location).await.text();
    assert!(page.contains("Does &lt;this&gt; &amp; that work?"), "{who}");
    let listed = session.get("/").await.text();
    assert!(listed.contains("&lt;this&gt;"), "{who}");
    let mut stranger = Session::new(addr);
    let refused = stranger.post_form("/", &[("text", "no token")]).await;
    assert_eq!(refused.status, 403, "{who}");
}

async fn the_admin_lets_its_user_in(addr: SocketAddr, who: &str) {
    const LOGIN: &str = "/admin/login/?next=/admin/";
    let mut session = Session::new(addr);
    session.get(LOGIN).await;
    let fields = |password| {
        [
            ("username", "admin"),
            ("password", password),
            ("next", "/admin/"),
        ]
    };
    let refused = session.post_form(LOGIN, &fields("wrong")).await;
    assert_eq!(refused.status, 200, "{who}");
    let entered = session.post_form(LOGIN, &fields(PASSWORD)).await;
    let location = entered.header("location");
    assert_eq!((entered.status, location), (302, Some("/admin/")), "{who}");
    let admin = session.get("/admin/questions/question/").await;
    assert_eq!(admin.status, 200, "{who}");
    assert!(admin.text().contains("Select question to change"));
}

async fn files_go_up_and_come_down(addr: SocketAddr, who: &str) {
    let content: Vec<_> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
    let mut session = Session::new(addr);
    session.get("/upload/").await;
    let upload = session.post_file("/upload/", "one.bin", &content).await;
    assert_eq!(upload.status, 200, "{who} {}", upload.text());
    assert_eq!(json(&upload)["sha256"], sha256(&content), "{who}");
    for target in ["/download/1/", "/download/1/?length=1"] {
        let download = raw::get(addr, target).await;
        assert!(download.complete, "{who} {target}");
        assert!(download.body == content, "{who} {target}");
        if target.contains("length") {
            assert_eq!(download.header("content-length"), Some("1048576"));
        }
    }
}
