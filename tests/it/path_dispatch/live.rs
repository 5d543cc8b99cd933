//! A table that is replaced while it is in use.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use http::{Method, Request, Response};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, PathDispatch, PathPolicy, path_dispatch::Place, semantics::path::Spelling,
};

use super::{ask, tell};
use crate::support::log;

fn at(path: &str, name: &'static str) -> PathDispatch<Body> {
    PathDispatch::new().mount(path, tell(name)).unwrap()
}

#[tokio::test]
async fn a_table_is_replaced_as_a_whole() {
    let handle = at("/a", "one").into_handle();
    let app = handle.layer(tell("inner"));
    let (log, _guard) = log::capture();
    assert_eq!(ask(&app, "/a").await.1, "one /a /");

    handle.replace(at("/b", "two").paths(PathPolicy::new().spelling(Spelling::Reject)));
    assert_eq!(ask(&app, "/a").await.1, "inner - /a");
    assert_eq!(ask(&app, "/b").await.1, "two /b /");
    assert_eq!(ask(&app, "//b").await.0, 400);
    assert_eq!(log.count("the mounts were replaced"), 1);

    // A service that was made before, by a clone, and one that is made now.
    let later = handle.clone().layer(tell("inner"));
    handle
        .update(|mounts| mounts.mount("/c", tell("three")))
        .unwrap();
    for app in [&app, &later] {
        assert_eq!(ask(app, "/b").await.1, "two /b /");
        assert_eq!(ask(app, "/c").await.1, "three /c /");
    }
}

#[tokio::test]
async fn a_change_that_fails_changes_nothing() {
    let handle = at("/a", "one").into_handle();
    let app = handle.layer(tell("inner"));
    let error = handle.update(|mounts| mounts.mount("/b", tell("b"))?.mount("/a/", tell("a")));
    assert_eq!(
        error.unwrap_err().to_string(),
        r#"cannot mount at "/a/": "/a" is mounted already"#
    );
    assert_eq!(ask(&app, "/b").await.1, "inner - /b");

    let handle = Arc::new(handle);
    let panicking = Arc::clone(&handle);
    let panicked = std::thread::spawn(move || {
        panicking.update(|_| -> Result<PathDispatch<Body>, Infallible> { panic!("as told") })
    });
    assert!(panicked.join().is_err());
    handle.replace(at("/d", "four"));
    assert_eq!(ask(&app, "/d").await.1, "four /d /");
}

#[tokio::test]
async fn what_is_mounted_can_be_listed_and_taken_out() {
    let handle = at("/a", "a")
        .mount_exact("/a", tell("=a"))
        .unwrap()
        .mount_at(
            Place::prefix("/a").host("b.test").method(Method::GET),
            tell("b"),
        )
        .unwrap()
        .into_handle();
    let app = handle.layer(tell("inner"));
    let places = || {
        handle
            .current()
            .places()
            .map(Place::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(places(), ["/a", "/a", "GET b.test/a"]);

    handle
        .update(|mounts| mounts.unmount(&Place::prefix("/a/")))
        .unwrap();
    assert_eq!(places(), ["/a", "GET b.test/a"]);
    assert_eq!(ask(&app, "/a/x").await.1, "inner - /a/x");
    assert_eq!(ask(&app, "/a").await.1, "=a - /a");

    let wrong = handle.update(|mounts| mounts.unmount(&Place::prefix("/a").host("b.test")));
    assert_eq!(
        wrong.unwrap_err().to_string(),
        r#"cannot unmount "b.test/a": it is not mounted"#
    );
    let place = Place::prefix("/a").host("B.test").method(Method::GET);
    handle.update(|mounts| mounts.unmount(&place)).unwrap();
    assert_eq!(places(), ["/a"]);
    assert!(format!("{handle:?}").contains("/a"));
}

#[tokio::test]
async fn requests_in_flight_end_on_the_old_table() {
    let (go, gone) = (Arc::new(Notify::new()), Arc::new(()));
    let slow = {
        let (go, held) = (Arc::clone(&go), Arc::clone(&gone));
        service_fn(move |_: Request<Body>| {
            let (go, held) = (Arc::clone(&go), Arc::clone(&held));
            async move {
                go.notified().await;
                drop(held);
                Ok::<_, Infallible>(Response::new(Body::from("old")))
            }
        })
    };
    let handle = PathDispatch::new().mount("/a", slow).unwrap().into_handle();
    let app = handle.layer(tell("inner"));
    let request = Request::get("/a").body(Body::empty()).unwrap();
    let mut running = std::pin::pin!(app.clone().oneshot(request));
    assert!(running.as_mut().now_or_never().is_none());

    handle.replace(at("/a", "new"));
    assert_eq!(ask(&app, "/a").await.1, "new /a /");
    go.notify_one();
    let response = running.await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    assert_eq!(body.to_bytes(), "old");
    drop(handle);
    // Nobody keeps the old service.
    assert_eq!(Arc::strong_count(&gone), 1);
}

/// One of two tables, never a part of each, and no change is lost.
#[test]
fn tables_change_under_load() {
    let pair = |name: &'static str| {
        PathDispatch::new()
            .mount("/a", tell(name))
            .unwrap()
            .mount("/b", tell(name))
            .unwrap()
    };
    let handle = pair("zero").into_handle();
    let app = handle.layer(tell("inner"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) || asked == 0 {
                let (_, told) = ask(&app, "/a").now_or_never().unwrap();
                assert!(told == "zero /a /" || told == "one /a /", "{told}");
                asked += 1;
            }
        });
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let handle = &handle;
                scope.spawn(move || {
                    for turn in 0..50 {
                        let path = format!("/{writer}/{turn}");
                        handle
                            .update(|mounts| mounts.mount(&path, tell("x")))
                            .unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(handle.current().places().count(), 202);
        handle.replace(pair("one"));
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(handle.current().places().count(), 2);
}

/// Whoever is dropped with a table may have something to say about the next one.
#[tokio::test]
async fn a_service_may_change_the_table_when_it_is_dropped() {
    struct Leaves(Arc<std::sync::OnceLock<tower_gateway::path_dispatch::Handle<Body>>>);

    impl Drop for Leaves {
        fn drop(&mut self) {
            if let Some(handle) = self.0.get() {
                handle.replace(at("/b", "of the dropped"));
            }
        }
    }

    let later = Arc::default();
    let leaves = Arc::new(Leaves(Arc::clone(&later)));
    let service = service_fn(move |_: Request<Body>| {
        let _kept = Arc::clone(&leaves);
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let handle = PathDispatch::new()
        .mount("/a", service)
        .unwrap()
        .into_handle();
    assert!(later.set(handle.clone()).is_ok());
    handle.replace(at("/b", "two"));
    let app = handle.layer(tell("inner"));
    assert_eq!(ask(&app, "/b").await.1, "of the dropped /b /");
}
