//! WsgiDAV: methods that browsers do not know, locks, and large files. In several threads.

use std::{fs, net::SocketAddr};

use super::super::application::{Application, WAYS};
use crate::support::raw::{Answer, exchange};

#[tokio::test(flavor = "multi_thread")]
async fn a_webdav_share_is_written_locked_and_read() {
    for way in WAYS {
        let root = tempfile::tempdir().unwrap();
        let application = Application::new("dav_app:application")
            .env("DAV_ROOT", root.path())
            .threads(4);
        let running = way.start(&application).await;
        let share = Share {
            addr: running.addr,
            who: &running.who,
        };
        share.files_come_and_go().await;
        share.folders_are_listed().await;
        share.a_lock_holds().await;
        share.large_files_go_both_ways().await;
        share.many_at_once().await;
        let content = fs::read(root.path().join("large")).unwrap();
        assert!(content == large(), "{}", running.who);
        running.is_valid();
    }
}

/// More than anybody keeps in memory for a request.
fn large() -> Vec<u8> {
    (0..20_000_000_u32).map(|at| (at % 251) as u8).collect()
}

struct Share<'a> {
    addr: SocketAddr,
    who: &'a str,
}

impl Share<'_> {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
        status: u16,
    ) -> Answer {
        let body = body.as_ref();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Length: {}\r\n{headers}\r\n",
            self.addr,
            body.len()
        )
        .into_bytes();
        request.extend(body);
        let answer = exchange(self.addr, request).await;
        let told: String = answer.text().chars().take(300).collect();
        assert_eq!(answer.status, status, "{} {method} {path} {told}", self.who);
        assert!(answer.complete, "{} {method} {path}", self.who);
        answer
    }

    fn to(&self, path: &str) -> String {
        format!("Destination: http://{}{path}\r\n", self.addr)
    }

    async fn files_come_and_go(&self) {
        let options = self.ask("OPTIONS", "/", "", "", 200).await;
        assert!(
            options.header("dav").unwrap().starts_with("1,2"),
            "{}",
            self.who
        );
        self.ask("PUT", "/a%20%C3%BC.txt", "", "first", 201).await;
        self.ask("PUT", "/a%20%C3%BC.txt", "", "second", 204).await;
        let got = self.ask("GET", "/a%20%C3%BC.txt", "", "", 200).await;
        assert_eq!(got.text(), "second", "{}", self.who);
        let head = exchange(
            self.addr,
            "HEAD /a%20%C3%BC.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(head.header("content-length"), Some("6"), "{}", self.who);
        let etag = format!("If-None-Match: {}\r\n", got.header("etag").unwrap());
        self.ask("GET", "/a%20%C3%BC.txt", &etag, "", 304).await;

        self.ask("COPY", "/a%20%C3%BC.txt", &self.to("/copy"), "", 201)
            .await;
        self.ask("MOVE", "/copy", &self.to("/moved"), "", 201).await;
        self.ask("GET", "/copy", "", "", 404).await;
        let moved = self.ask("GET", "/moved", "", "", 200).await;
        assert_eq!(moved.text(), "second", "{}", self.who);
        self.ask("DELETE", "/moved", "", "", 204).await;
        self.ask("DELETE", "/moved", "", "", 404).await;

        let chunked = "PUT /chunked HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                       Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(
            exchange(self.addr, chunked).await.status,
            201,
            "{}",
            self.who
        );
        let got = self.ask("GET", "/chunked", "", "", 200).await;
        assert_eq!(got.text(), "abcde", "{}", self.who);
    }

    async fn folders_are_listed(&self) {
        self.ask("MKCOL", "/folder", "", "", 201).await;
        self.ask("MKCOL", "/folder", "", "", 405).await;
        self.ask("MKCOL", "/none/folder", "", "", 409).await;
        for name in ["one", "two"] {
            self.ask("PUT", &format!("/folder/{name}"), "", name, 201)
                .await;
        }
        let listed = self
            .ask("PROPFIND", "/folder", "Depth: 1\r\n", "", 207)
            .await;
        for href in ["/folder/", "/folder/one", "/folder/two"] {
            let href = format!("<ns0:href>{href}</ns0:href>");
            assert!(
                listed.text().contains(&href),
                "{} {}",
                self.who,
                listed.text()
            );
        }
        let set = "<?xml version=\"1.0\"?><D:propertyupdate xmlns:D=\"DAV:\" xmlns:X=\"urn:x\">\
                   <D:set><D:prop><X:colour>gr\u{fc}n</X:colour></D:prop></D:set>\
                   </D:propertyupdate>";
        self.ask("PROPPATCH", "/folder/one", "", set, 207).await;
        let ask = "<?xml version=\"1.0\"?><D:propfind xmlns:D=\"DAV:\" xmlns:X=\"urn:x\">\
                   <D:prop><X:colour/></D:prop></D:propfind>";
        let told = self
            .ask("PROPFIND", "/folder/one", "Depth: 0\r\n", ask, 207)
            .await;
        assert!(
            told.text().contains("gr\u{fc}n"),
            "{} {}",
            self.who,
            told.text()
        );
        self.ask("COPY", "/folder", &self.to("/other"), "", 201)
            .await;
        self.ask("GET", "/other/two", "", "", 200).await;
        self.ask("DELETE", "/folder", "", "", 204).await;
        self.ask("GET", "/folder/one", "", "", 404).await;
    }

    async fn a_lock_holds(&self) {
        self.ask("PUT", "/locked", "", "1", 201).await;
        let lock = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\">\
                    <D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>\
                    <D:owner>me</D:owner></D:lockinfo>";
        let locked = self
            .ask("LOCK", "/locked", "Timeout: Second-100\r\n", lock, 200)
            .await;
        let token = locked.header("lock-token").unwrap().to_owned();
        self.ask("PUT", "/locked", "", "2", 423).await;
        let mine = format!("If: ({token})\r\n");
        self.ask("PUT", "/locked", &mine, "3", 204).await;
        self.ask("LOCK", "/locked", "", lock, 423).await;
        self.ask(
            "UNLOCK",
            "/locked",
            &format!("Lock-Token: {token}\r\n"),
            "",
            204,
        )
        .await;
        self.ask("PUT", "/locked", "", "4", 204).await;
        let got = self.ask("GET", "/locked", "", "", 200).await;
        assert_eq!(got.text(), "4", "{}", self.who);
    }

    async fn large_files_go_both_ways(&self) {
        let content = large();
        self.ask("PUT", "/large", "", &content, 201).await;
        let got = self.ask("GET", "/large", "", "", 200).await;
        assert_eq!(
            got.header("content-length"),
            Some("20000000"),
            "{}",
            self.who
        );
        assert!(got.body == content, "{}", self.who);
        let part = self
            .ask(
                "GET",
                "/large",
                "Range: bytes=10000000-10000999\r\n",
                "",
                206,
            )
            .await;
        assert!(part.body == content[10_000_000..10_001_000], "{}", self.who);
    }

    async fn many_at_once(&self) {
        let turns = (0..16).map(async |number| {
            let (path, body) = (
                format!("/many-{number}"),
                format!("{number}").repeat(50_000),
            );
            self.ask("PUT", &path, "", &body, 201).await;
            let got = self.ask("GET", &path, "", "", 200).await;
            assert!(got.text() == body, "{} {path}", self.who);
        });
        futures_util::future::join_all(turns).await;
    }
}
