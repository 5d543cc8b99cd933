//! Files that Django names and the gateway sends: `X-Accel-Redirect` of `examples/mysite`.

use std::fs;

use tower_gateway::{GatewayProxy, StaticFiles};

use super::Gateway;
use crate::support::{
    python::{PASSWORD, Site, mysite},
    raw,
    session::Session,
};

async fn log_in(session: &mut Session) {
    const LOGIN: &str = "/admin/login/?next=/";
    session.get(LOGIN).await;
    let fields = [("username", "admin"), ("password", PASSWORD), ("next", "/")];
    assert_eq!(session.post_form(LOGIN, &fields).await.status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn django_says_who_may_have_a_file_and_the_gateway_sends_it() {
    let site = Site::new();
    let gunicorn = site.gunicorn(&["--worker-class", "sync", "--workers", "1"]);
    let members = tempfile::tempdir().unwrap();
    fs::copy(
        mysite().join("members/handbook.txt"),
        members.path().join("handbook.txt"),
    )
    .unwrap();
    // More than one worker would send at a time, and a name that has to be encoded.
    let film: Vec<u8> = (0..20 << 20).map(|i| (i % 251) as u8).collect();
    fs::write(members.path().join("100 % Füße?.mp4"), &film).unwrap();
    let files = StaticFiles::new(site.static_root())
        .at("/static")
        .accel_redirect("/protected", members.path());
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let gateway = Gateway::with(files, proxy).await;

    const TEXT: &str = "/members/handbook.txt";
    const FILM: &str = "/members/100%20%25%20F%C3%BC%C3%9Fe%3F.mp4";
    let stranger = raw::get(gateway.addr, TEXT).await;
    assert_eq!(
        (stranger.status, stranger.header("location")),
        (302, Some("/admin/login/?next=/members/handbook.txt"))
    );
    for target in ["/protected/handbook.txt", "/static/protected/handbook.txt"] {
        assert_eq!(raw::get(gateway.addr, target).await.status, 404);
    }

    let mut member = Session::new(gateway.addr);
    log_in(&mut member).await;
    let text = member.get(TEXT).await;
    assert_eq!(text.status, 200, "{text:?}");
    assert!(
        text.text()
            .starts_with("The handbook of the question board")
    );
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(text.header("cache-control"), Some("private, no-cache"));
    assert_eq!(text.header("vary"), Some("Cookie"));
    assert_eq!(text.header("x-accel-redirect"), None);
    // What Django says besides is about its own empty answer.
    assert_eq!(text.header("x-frame-options"), None);

    let whole = member.get(FILM).await;
    assert_eq!(whole.header("content-type"), Some("video/mp4"));
    assert!(whole.complete && whole.body == film);
    let part = member
        .get_with(FILM, "Range: bytes=1000000-1000999\r\n")
        .await;
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 1000000-1000999/20971520"))
    );
    assert_eq!(part.body, film[1_000_000..1_001_000]);
    let tag = whole.header("etag").unwrap();
    let again = member
        .get_with(FILM, &format!("If-None-Match: {tag}\r\n"))
        .await;
    assert_eq!((again.status, again.body.len()), (304, 0));

    for target in [
        "/members/missing.txt",
        "/members/",
        "/members/..%2Fhandbook.txt",
        "/members/handbook.txt/",
    ] {
        let missing = member.get(target).await;
        assert!([400, 404].contains(&missing.status), "{target} {missing:?}");
        assert_eq!(missing.header("x-accel-redirect"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_are_not_read_occupy_no_worker() {
    use tokio::{io::AsyncWriteExt, net::TcpStream};

    let site = Site::new();
    let gunicorn = site.gunicorn(&["--worker-class", "sync", "--workers", "1"]);
    let members = tempfile::tempdir().unwrap();
    let film = fs::File::create(members.path().join("film.mp4")).unwrap();
    film.set_len(50 << 20).unwrap();
    let files = StaticFiles::new(site.static_root())
        .at("/static")
        .accel_redirect("/protected", members.path());
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let gateway = Gateway::with(files, proxy).await;
    let mut member = Session::new(gateway.addr);
    log_in(&mut member).await;

    let mut downloads = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(gateway.addr).await.unwrap();
        let cookies = member.cookies();
        let request = format!("GET /members/film.mp4 HTTP/1.1\r\nHost: localhost\r\n{cookies}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client.readable().await.unwrap();
        downloads.push(client);
    }
    // The one worker is free, and so is the limit in front of it.
    assert_eq!(member.get("/").await.status, 200);
    assert_eq!(gateway.limit.in_use(), 0);
}
