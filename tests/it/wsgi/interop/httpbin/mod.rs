//! httpbin, each group of its routes.

mod auth;
mod bodies;
mod requests;
mod streams;

use std::net::SocketAddr;

use serde_json::Value;

use super::super::application::{Application, WAYS};
use crate::support::{
    raw::{Answer, exchange},
    stories::json,
};

#[tokio::test(flavor = "multi_thread")]
async fn httpbin_answers_on_every_route() {
    let application = Application::new("httpbin:app");
    for way in WAYS {
        let running = way.start(&application).await;
        let bin = Bin {
            addr: running.addr,
            who: &running.who,
            is_ours: way.is_ours(),
        };
        requests::tell(&bin).await;
        auth::tell(&bin).await;
        bodies::tell(&bin).await;
        streams::tell(&bin).await;
        running.is_valid();
    }
}

struct Bin<'a> {
    addr: SocketAddr,
    who: &'a str,
    is_ours: bool,
}

impl Bin<'_> {
    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", "").await
    }

    /// `headers` are whole lines.
    async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        let length = match (method, body.len()) {
            ("GET" | "HEAD" | "OPTIONS", 0) => String::new(),
            (_, length) => format!("Content-Length: {length}\r\n"),
        };
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: bin.example\r\nConnection: close\r\n\
             {length}{headers}\r\n"
        )
        .into_bytes();
        request.extend(body);
        let answer = exchange(self.addr, request).await;
        assert!(answer.complete, "{} {method} {target} {answer:?}", self.who);
        answer
    }

    /// What is told as JSON, of status 200.
    async fn told(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Value {
        let answer = self.ask(method, target, headers, body).await;
        assert_eq!(answer.status, 200, "{} {method} {target}", self.who);
        json(&answer)
    }
}
