//! Files that one has to wait for, in the place of an answer: what is held meanwhile, what becomes
//! of it when nobody wants it any more, and when a source panics.

use std::{convert::Infallible, path::Path, sync::Mutex};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, StaticFiles,
    static_files::{Found, MemoryFiles, SourceFile, Wait},
};

use super::{
    inside::{Does, Gate, Inside, Slow},
    tree::{Tree, ask, get, request},
};
use crate::support::{
    raw::PATIENCE,
    scripted::{self, Scripted},
    steps::Steps,
};

const NAVIGATION: &[(&str, &str)] = &[("sec-fetch-mode", "navigate")];

fn slow() -> StaticFiles {
    let files = MemoryFiles::new()
        .file("a.txt", "public")
        .file("index.html", "page")
        .file("404.html", "missing")
        .file("405.html", "method")
        .file("400.html", "path")
        .file("503.html", "busy");
    StaticFiles::from_source(Slow(files)).at("/static")
}

fn with_pages(files: StaticFiles) -> StaticFiles {
    [400, 404, 405, 503]
        .into_iter()
        .fold(files, |files, status| {
            let page = format!("{status}.html");
            files.error_page(StatusCode::from_u16(status).unwrap(), &page)
        })
}

/// Answers once, with this body, which names a file or not.
fn streams(status: u16, named: Option<&'static str>, body: Scripted) -> Inside {
    let body = Mutex::new(Some(Body::new(body)));
    Inside::new(move |_| {
        let mut response = Response::new(body.lock().unwrap().take().unwrap());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(named) = named {
            let headers = response.headers_mut();
            headers.insert("x-accel-redirect", named.parse().unwrap());
        }
        response
    })
}

#[tokio::test]
async fn every_answer_that_leads_to_a_file_waits_for_it() {
    let busy = Inside::says(503, &[("retry-after", "9")], "mine");
    let missing = Inside::says(404, &[], "mine");
    let pages = with_pages(slow());
    let spa = slow().spa("index.html");

    let get = "GET";
    let got = missing.behind(&pages, get, "/static/a.txt", &[]).await;
    assert_eq!((got.status, got.text()), (200, "public"));
    let got = missing.behind(&spa, get, "/static/x", NAVIGATION).await;
    assert_eq!((got.status, got.text()), (200, "page"));
    let got = missing.behind(&spa, get, "/static/x", &[]).await;
    assert_eq!((got.status, got.text()), (404, "mine"));
    let got = missing.behind(&pages, get, "/static/%zz", &[]).await;
    assert_eq!((got.status, got.text()), (400, "path"));
    let none = pages.clone().fall_through([]);
    let got = missing.behind(&none, get, "/static/x", &[]).await;
    assert_eq!((got.status, got.text()), (404, "missing"));
    let got = missing.behind(&none, "POST", "/static/x", &[]).await;
    assert_eq!((got.status, got.text()), (405, "method"));
    let all = pages.clone().intercept_errors(true);
    let got = busy.behind(&all, "POST", "/static/x", &[]).await;
    assert_eq!((got.status, got.text()), (503, "busy"));
    assert_eq!(got.header("retry-after"), Some("9"));
    // Nobody is inside.
    let got = ask(pages.clone(), request(get, "/x", &[])).await;
    assert_eq!((got.status, got.text()), (404, "missing"));
    let got = ask(spa, request(get, "/static/x", NAVIGATION)).await;
    assert_eq!((got.status, got.text()), (200, "page"));

    // The page of the application is not there, but that of the error is.
    let both = pages.spa("nothing.html");
    let got = ask(both.clone(), request(get, "/static/x", NAVIGATION)).await;
    assert_eq!((got.status, got.text()), (404, "missing"));
    let got = missing.behind(&both, get, "/static/x", NAVIGATION).await;
    assert_eq!((got.status, got.text()), (404, "mine"));
}

/// A root on the disk is opened by the first who may wait, so a first answer always does.
#[tokio::test]
async fn a_file_that_the_application_names_is_waited_for_and_its_answer_let_go_before() {
    let tree = Tree::of(&[("a.txt", "internal")]);
    for (named, status, text) in [("/p/a.txt", 200, "internal"), ("/p/b", 404, "Not Found")] {
        let files = tree.files().at("/static").accel_redirect("/p", tree.root());
        let (feed, body) = scripted::channel();
        let service = files.layer(streams(200, Some(named), body));
        let mut call = Steps::new(service.oneshot(request("GET", "/x", &[])));
        let first = call.step().await;
        assert!(!feed.is_wanted());
        let response = match first {
            Some(response) => response,
            None => call.finish().await,
        };
        let response = response.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), text);
    }
}

#[tokio::test]
async fn a_body_that_a_page_replaces_is_let_go_and_one_that_it_cannot_is_sent() {
    for (page, is_there) in [("404.html", true), ("nothing.html", false)] {
        let files = slow()
            .error_page(StatusCode::NOT_FOUND, page)
            .intercept_errors(true);
        let (feed, body) = scripted::channel();
        let service = files.layer(streams(404, None, body));
        let response = service.oneshot(request("GET", "/static/x", &[]));
        let response = response.await.unwrap();
        assert_eq!(feed.is_wanted(), !is_there);
        feed.data("mine");
        drop(feed);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), if is_there { "missing" } else { "mine" });
    }
}

/// Bytes that tell when the last of them is gone.
struct Told {
    _open: tokio::sync::mpsc::UnboundedSender<()>,
}

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        b"told"
    }
}

/// Files that the pool waits for at a gate; the receiver ends when all that were opened are
/// closed and the source is dropped.
fn gated() -> (StaticFiles, Gate, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (sender, closed) = tokio::sync::mpsc::unbounded_channel();
    let gate = Gate::default();
    let held = gate.clone();
    let source = Does(move |name: &Path, wait| {
        if wait == Wait::Never {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        if name == Path::new("held.html") {
            held.pass();
            let bytes = Bytes::from_owner(Told {
                _open: sender.clone(),
            });
            return Ok(Found::File(SourceFile::from_bytes(bytes)));
        }
        Ok(Found::Nothing)
    });
    (StaticFiles::from_source(source), gate, closed)
}

async fn all_closed(mut closed: tokio::sync::mpsc::UnboundedReceiver<()>) {
    let ended = tokio::time::timeout(PATIENCE, closed.recv()).await;
    assert_eq!(ended.expect("all files are closed"), None);
}

#[tokio::test]
async fn dropped_while_it_looks_for_a_file_it_calls_nobody_and_closes_the_file() {
    let (files, gate, closed) = gated();
    let inside = Inside::says(200, &[], "mine");
    let service = files.layer(inside.clone());
    let mut call = Steps::new(service.oneshot(request("GET", "/held.html", &[])));
    assert!(call.step().await.is_none());
    drop(call);
    drop(files);
    gate.open();
    all_closed(closed).await;
    assert_eq!(inside.calls(), 0);
}

#[tokio::test]
async fn dropped_while_it_waits_for_the_service_inside_it_drops_that() {
    let (files, gate, closed) = gated();
    gate.open();
    let (alive, mut gone) = tokio::sync::mpsc::unbounded_channel::<()>();
    let files = files.spa("held.html");
    let service = files.layer(service_fn(move |_: http::Request<Body>| {
        let alive = alive.clone();
        async move {
            alive.closed().await;
            Ok::<Response<Body>, Infallible>(Response::default())
        }
    }));
    let mut call = Steps::new(service.oneshot(request("POST", "/x", NAVIGATION)));
    assert!(call.step().await.is_none());
    drop(call);
    let ended = tokio::time::timeout(PATIENCE, gone.recv()).await;
    assert_eq!(ended.unwrap(), None);
    drop(files);
    all_closed(closed).await;
}

#[tokio::test]
async fn dropped_while_it_fetches_a_page_it_lets_go_of_the_answer_and_closes_the_file() {
    for is_page in [true, false] {
        let (files, gate, closed) = gated();
        let files = match is_page {
            true => files
                .error_page(StatusCode::NOT_FOUND, "held.html")
                .intercept_errors(true),
            false => files.spa("held.html"),
        };
        let (feed, body) = scripted::channel();
        let inside = streams(404, None, body);
        let service = files.layer(inside.clone());
        let mut call = Steps::new(service.oneshot(request("GET", "/x", NAVIGATION)));
        // The file itself is looked for first; that needs no gate.
        while inside.calls() == 0 {
            assert!(call.step().await.is_none());
        }
        assert!(feed.is_wanted());
        drop(call);
        tokio::time::timeout(PATIENCE, feed.unwanted())
            .await
            .unwrap();
        drop(files);
        gate.open();
        all_closed(closed).await;
    }
}

#[tokio::test]
async fn a_source_that_panics_over_a_page_leaves_the_answer() {
    let source = || {
        Does(|name: &Path, wait| match (name.to_str(), wait) {
            (_, Wait::Never) => Err(std::io::ErrorKind::WouldBlock.into()),
            (Some("page.html"), _) => panic!("on purpose"),
            _ => Ok(Found::Nothing),
        })
    };
    let inside = Inside::says(404, &[("x-mine", "1")], "mine");
    let files = StaticFiles::from_source(source())
        .error_page(StatusCode::NOT_FOUND, "page.html")
        .spa("page.html");
    for fields in [NAVIGATION, &[]] {
        let files = files.clone().intercept_errors(true);
        let got = inside.behind(&files, "GET", "/x", fields).await;
        assert_eq!((got.status, got.text()), (404, "mine"));
        assert_eq!(got.header("x-mine"), Some("1"));
    }
    assert_eq!(get(&files, "/x").await.text(), "Not Found");
}

#[tokio::test]
async fn a_page_of_the_application_that_cannot_be_read_is_a_500() {
    // A 404 would say that there is no such path, which is not known.
    for says in [Wait::Never, Wait::Blocking] {
        let source = Does(move |name: &Path, wait| match name.to_str() {
            Some("index.html") if wait == says => Err(std::io::Error::other("broken")),
            Some("index.html") => Err(std::io::ErrorKind::WouldBlock.into()),
            _ => Ok(Found::Nothing),
        });
        let files = StaticFiles::from_source(source).spa("index.html");
        let got = ask(files.clone(), request("GET", "/x", NAVIGATION)).await;
        assert_eq!((got.status, got.text()), (500, "Internal Server Error"));
        assert!(got.error.is_some());

        let page = Slow(MemoryFiles::new().file("500.html", "broken"));
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let files = files.source(page).error_page(status, "500.html");
        let got = ask(files, request("GET", "/x", NAVIGATION)).await;
        assert_eq!((got.status, got.text()), (500, "broken"));
        assert!(got.error.is_some());
    }
}
