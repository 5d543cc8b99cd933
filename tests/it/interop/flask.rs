//! A Flask application behind Gunicorn.

use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_gateway::{GatewayProxy, PathDispatch};

use super::Gateway;
use crate::support::{
    python::{self, Gunicorn},
    raw::{self, Answer, exchange},
    session::{Session, sha256},
};

fn flask(options: &[&str]) -> Gunicorn {
    let mut command = python::command("gunicorn", &python::applications());
    command.arg("flask_app:app").args(options);
    Gunicorn::start(command)
}

const WORKERS: &[&[&str]] = &[
    &["--worker-class", "sync"],
    &["--worker-class", "gthread", "--threads", "4"],
];

async fn start(options: &[&str]) -> (Gunicorn, Gateway) {
    let gunicorn = flask(options);
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;
    (gunicorn, gateway)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("not JSON: {answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_arrive_as_they_were_sent() {
    for options in WORKERS {
        let (_gunicorn, gateway) = start(options).await;
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
        ] {
            for body in ["", "a body"] {
                let request = format!(
                    "{method} /echo?a=%2F&b=//%zz HTTP/1.1\r\nHost: localhost\r\n\
                     Connection: close\r\nX-Twice: one\r\nX-Twice: two\r\nCookie: a=b\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let told = json(&exchange(gateway.addr, request).await);
                assert_eq!(told["method"], method);
                assert_eq!(told["path"], "/echo");
                assert_eq!(told["query_string"], "a=%2F&b=//%zz");
                assert_eq!(told["body"]["size"], body.len(), "{method} {told:#}");
                assert_eq!(told["body"]["sha256"], sha256(body.as_bytes()));
                let headers = told["headers"].as_array().unwrap();
                let value = |name: &str| {
                    let pair = headers.iter().find(|pair| pair[0] == name);
                    pair.map(|pair| pair[1].as_str().unwrap().to_owned())
                };
                assert_eq!(value("HTTP_X_TWICE").unwrap().replace(' ', ""), "one,two");
                assert_eq!(value("HTTP_COOKIE").unwrap(), "a=b");
                assert_eq!(value("HTTP_TRANSFER_ENCODING"), None);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_arrives_whatever_the_method() {
    for options in WORKERS {
        let (_gunicorn, gateway) = start(options).await;
        for method in ["GET", "POST", "DELETE"] {
            let request = format!(
                "{method} /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
            );
            let told = json(&exchange(gateway.addr, request).await);
            assert_eq!(
                told["body"]["sha256"],
                sha256(b"abcdefg"),
                "{method} {told:#}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_arrive_as_they_were_sent() {
    for options in WORKERS {
        let (_gunicorn, gateway) = start(options).await;
        let cookies = raw::get(gateway.addr, "/set-cookies").await;
        assert_eq!(
            cookies.header_all("set-cookie"),
            ["first=1; Path=/", "second=2; HttpOnly; Path=/"]
        );
        let streamed = raw::get(gateway.addr, "/stream?n=3").await;
        assert_eq!(streamed.text(), "line 0\nline 1\nline 2\n");
        assert!(streamed.complete);
        for status in [200, 201, 204, 304, 400, 404, 418, 500, 503] {
            let answer = raw::get(gateway.addr, &format!("/status/{status}")).await;
            assert_eq!(answer.status, status);
        }
        let redirect = raw::get(gateway.addr, "/redirect").await;
        assert_eq!(
            (redirect.status, redirect.header("location")),
            (302, Some("/echo"))
        );

        let content = vec![7; 3 << 20];
        let upload = Session::new(gateway.addr)
            .post_file("/upload", "seven", &content)
            .await;
        assert_eq!(json(&upload)["sha256"], sha256(&content));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_application_is_told_its_prefix() {
    let gunicorn = flask(WORKERS[0]);
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let inner = tower::service_fn(async |_: http::Request<tower_gateway::Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(tower_gateway::Body::empty()))
    });
    let app = PathDispatch::new()
        .mount("/shop", proxy)
        .unwrap()
        .layer(inner);
    let request = http::Request::get("/shop/echo?q")
        .header("host", "localhost")
        .body(tower_gateway::Body::empty())
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap()
        .to_bytes();
    let told: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?}"));
    assert_eq!(told["path"], "/echo");
    let prefix = serde_json::json!(["HTTP_X_FORWARDED_PREFIX", "/shop"]);
    assert!(
        told["headers"].as_array().unwrap().contains(&prefix),
        "{told:#}"
    );
}
