//! `examples/mysite`, with its database and its administrator.

use std::net::SocketAddr;

use super::super::application::{Application, WAYS};
use crate::support::{
    python::{self, PASSWORD, Site},
    raw::{self, exchange},
    session::{Session, sha256},
    stories::{self, json},
};

#[tokio::test(flavor = "multi_thread")]
async fn django_shows_its_pages_and_its_admin_changes_them() {
    // Under Gunicorn its story is told in `interop`.
    for way in WAYS.into_iter().filter(|way| way.is_ours()) {
        let site = Site::new();
        let application = Application::new("config.wsgi:application")
            .directory(python::mysite())
            .env("MYSITE_DATABASE", site.database())
            .env("MYSITE_WHOAMI", "1");
        let running = way.start(&application).await;
        let (addr, who) = (running.addr, running.who.as_str());
        stories::django(addr, who).await;
        let mut session = log_in(addr).await;
        the_admin_changes_a_question(&mut session, addr, who).await;
        a_file_is_for_those_who_are_logged_in(&mut session, addr, who).await;
        a_chunked_body_arrives(addr, who).await;
        the_url_is_known(addr, who).await;
        running.is_valid();
    }
}

async fn log_in(addr: SocketAddr) -> Session {
    const LOGIN: &str = "/admin/login/?next=/admin/";
    let mut session = Session::new(addr);
    session.get(LOGIN).await;
    let fields = [
        ("username", "admin"),
        ("password", PASSWORD),
        ("next", "/admin/"),
    ];
    assert_eq!(session.post_form(LOGIN, &fields).await.status, 302);
    session
}

async fn the_admin_changes_a_question(session: &mut Session, addr: SocketAddr, who: &str) {
    let form = "/admin/questions/question/1/change/";
    let page = session.get(form).await;
    assert_eq!(page.status, 200, "{who}");
    let mut fields = fields_of(&page.text());
    let text = fields.iter_mut().find(|(name, _)| name == "text").unwrap();
    text.1 = "Changed, ä €?".to_owned();
    fields.push(("_save".to_owned(), "Save".to_owned()));
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let changed = session.post_form(form, &fields).await;
    assert_eq!(changed.status, 302, "{who} {}", changed.text());
    let list = session.get("/admin/questions/question/").await.text();
    assert!(list.contains("was changed successfully"), "{who}");
    let page = raw::get(addr, "/questions/1/").await.text();
    assert!(page.contains("Changed, ä €?"), "{who} {page}");
}

/// Name and value of what a browser sends of a form, but for its token and its buttons.
fn fields_of(html: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(
            rest.split_once('"')?
                .0
                .replace("&#x27;", "'")
                .replace("&amp;", "&"),
        )
    };
    let tags = html.split("<input").skip(1).filter_map(|rest| {
        let tag = rest.split_once('>')?.0;
        let kind = attribute(tag, "type")?;
        let name = attribute(tag, "name")?;
        let sent = matches!(kind.as_str(), "text" | "hidden") && name != "csrfmiddlewaretoken";
        sent.then(|| (name, attribute(tag, "value").unwrap_or_default()))
    });
    tags.collect()
}

async fn a_file_is_for_those_who_are_logged_in(session: &mut Session, addr: SocketAddr, who: &str) {
    let refused = raw::get(addr, "/members/handbook.txt").await;
    assert_eq!(refused.status, 302, "{who}");
    let file = session.get("/members/handbook.txt").await;
    let content = std::fs::read(python::mysite().join("members/handbook.txt")).unwrap();
    assert_eq!((file.status, file.complete), (200, true), "{who}");
    assert_eq!(file.body, content, "{who}");
    assert_eq!(
        file.header("content-length"),
        Some(content.len().to_string().as_str()),
        "{who}"
    );
}

/// Django reads as many bytes as Content-Length says; without it, none.
async fn a_chunked_body_arrives(addr: SocketAddr, who: &str) {
    let content = vec![b'x'; 300_000];
    let mut request = format!(
        "PUT /upload/raw/ HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in content.chunks(100_000) {
        request.extend(format!("{:x}\r\n", chunk.len()).bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let told = json(&exchange(addr, request).await);
    assert_eq!(told["size"], content.len(), "{who}");
    assert_eq!(told["sha256"], sha256(&content), "{who}");
}

async fn the_url_is_known(addr: SocketAddr, who: &str) {
    let request = "GET /whoami/?a=%20b HTTP/1.1\r\nHost: localhost:81\r\nConnection: close\r\n\r\n";
    let told = json(&exchange(addr, request).await);
    assert_eq!(told["url"], "http://localhost:81/whoami/?a=%20b", "{who}");
    assert_eq!(told["remote_addr"], "127.0.0.1", "{who}");
}
