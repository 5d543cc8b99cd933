//! Answers that name a file: with a layer outside that sends it, and without.

use tower::ServiceBuilder;
use tower_gateway::{StaticFiles, gateway_proxy::NamedFiles};

use super::super::to;
use crate::support::{
    front::Front,
    log,
    raw::{exchange, get},
    upstream::{Conn, Upstream},
};

/// Names a file in the field that the path says.
async fn naming() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            let field = match request.contains(" /sendfile ") {
                true => "X-Sendfile: handbook.txt",
                false => "X-Accel-Redirect: /protected/handbook.txt",
            };
            conn.write(format!(
                "HTTP/1.1 200 OK\r\n{field}\r\nContent-Type: text/x-handbook\r\n\
                 Set-Cookie: a=b\r\nContent-Length: 11\r\n\r\nplaceholder"
            ))
            .await;
        }
    })
    .await
}

fn members() -> tempfile::TempDir {
    let members = tempfile::tempdir().unwrap();
    std::fs::write(members.path().join("handbook.txt"), "for members").unwrap();
    members
}

#[tokio::test]
async fn the_layer_outside_sends_what_it_was_told_to_and_the_rest_is_taken_out() {
    let upstream = naming().await;
    let members = members();
    let nowhere = tempfile::tempdir().unwrap();
    let files = StaticFiles::new(nowhere.path())
        .at("/static")
        .accel_redirect("/protected", members.path());
    let app = ServiceBuilder::new().layer(files).service(to(&upstream));
    let front = Front::start(app).await;
    let sent = get(front.addr, "/accel").await;
    assert_eq!((sent.status, sent.text()), (200, "for members".to_owned()));
    assert_eq!(sent.header("content-type"), Some("text/x-handbook"));
    assert_eq!(sent.header("set-cookie"), Some("a=b"));
    assert_eq!(sent.header("x-accel-redirect"), None);
    let ranged = "GET /accel HTTP/1.1\r\nHost: a\r\nRange: bytes=4-6\r\n\r\n";
    let ranged = exchange(front.addr, ranged).await;
    assert_eq!((ranged.status, ranged.text()), (206, "mem".to_owned()));

    // Nobody outside sends this one.
    let sent = get(front.addr, "/sendfile").await;
    assert_eq!((sent.status, sent.text()), (200, "placeholder".to_owned()));
    assert_eq!(sent.header("x-sendfile"), None);
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn without_such_a_layer_no_client_learns_where_files_lie() {
    let upstream = naming().await;
    for (files, is_passed, warnings) in [
        (NamedFiles::ToLayer, false, 1),
        (NamedFiles::Pass, true, 0),
        (NamedFiles::Take, false, 0),
    ] {
        for (path, name) in [("/accel", "x-accel-redirect"), ("/sendfile", "x-sendfile")] {
            let (log, _guard) = log::capture();
            let front = Front::start(to(&upstream).named_files(files)).await;
            let answer = get(front.addr, path).await;
            assert_eq!(answer.header(name).is_some(), is_passed, "{files:?} {name}");
            assert_eq!(answer.text(), "placeholder");
            let told = log.count("names a file that no layer outside sends");
            assert_eq!(told, warnings, "{files:?} {}", log.text());
        }
    }
}

/// What a layer outside may send, an upstream may be forbidden to name.
#[tokio::test]
async fn an_upstream_that_is_not_to_name_files_names_none() {
    let upstream = naming().await;
    let members = members();
    let files = StaticFiles::new(members.path())
        .at("/static")
        .accel_redirect("/protected", members.path());
    let proxy = to(&upstream).named_files(NamedFiles::Take);
    let app = ServiceBuilder::new().layer(files).service(proxy);
    let front = Front::start(app).await;
    assert_eq!(get(front.addr, "/accel").await.text(), "placeholder");
}
