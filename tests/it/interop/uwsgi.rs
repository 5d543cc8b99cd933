//! A Flask application behind uWSGI, which speaks HTTP here.

use serde_json::Value;
use tower_gateway::GatewayProxy;

use super::Gateway;
use crate::support::{
    process::Process,
    python,
    raw::{self, exchange},
    session::{Session, sha256},
};

async fn start() -> (Process, tempfile::TempDir, Gateway) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let mut command = python::command("uwsgi", &python::applications());
    command
        .args([
            "--master",
            "--processes",
            "2",
            "--die-on-term",
            "--need-app",
            "--module",
            "flask_app:app",
        ])
        .arg("--http-socket")
        .arg(&socket);
    let mut process = Process::start(command);
    process.wait_for("spawned uWSGI worker 2");
    // uWSGI closes behind each answer without saying so: a kept connection may be closed by the
    // time a POST is sent on it, which must not be sent twice.
    let proxy = GatewayProxy::to(&format!("http+unix:{}", socket.display()))
        .unwrap()
        .max_idle(0);
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;
    (process, directory, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_responses_pass() {
    let (process, _directory, gateway) = start().await;
    assert_eq!(
        raw::get(gateway.addr, "/").await.text(),
        "hello from flask\n"
    );
    assert_eq!(
        raw::get(gateway.addr, "/static/style.css").await.status,
        200
    );
    let streamed = raw::get(gateway.addr, "/stream?n=3").await;
    assert!(streamed.complete);
    assert_eq!(streamed.text(), "line 0\nline 1\nline 2\n");

    // uWSGI gives applications no chunked body; the spooled one has a length.
    for framing in [
        "Content-Length: 7\r\n\r\nabcdefg",
        "Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\n\r\n",
    ] {
        let request =
            format!("POST /echo?q HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}");
        let answer = exchange(gateway.addr, request).await;
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(told["body"]["sha256"], sha256(b"abcdefg"), "{told:#}");
        assert_eq!(told["query_string"], "q");
    }
    let content = vec![7; 3 << 20];
    let upload = Session::new(gateway.addr)
        .post_file("/upload", "seven", &content)
        .await;
    let told: Value = serde_json::from_slice(&upload.body).unwrap();
    assert_eq!(told["sha256"], sha256(&content));
    assert!(!process.log().contains("style.css"), "{}", process.log());
}

/// uWSGI sends a body with the answer to a HEAD when the application gives one.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_the_answer_to_a_head_reaches_nobody() {
    let (_process, _directory, gateway) = start().await;
    for _ in 0..5 {
        let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = exchange(gateway.addr, head).await;
        assert_eq!(
            (answer.status, answer.header("content-length")),
            (200, Some("17"))
        );
        assert_eq!(
            raw::get(gateway.addr, "/").await.text(),
            "hello from flask\n"
        );
    }
}
