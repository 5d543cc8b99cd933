//! The cases, with what each of this crate's promises.

use std::{
    cell::RefCell,
    convert::Infallible,
    fs,
    future::{Ready, poll_fn, ready},
    hint::black_box,
    net::SocketAddr,
    path::Path,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, OnceLock, mpsc},
    thread,
};

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_gateway::{
    Body, BoxError, ConcurrencyLimit, GatewayProxy, PathDispatch, PathPolicy, StaticFiles,
    concurrency_limit::{LimitClass, LimitKey},
    path_dispatch::Place,
    serve::serve,
};
use tower_http::services::ServeDir;

use super::Case;

/// As long as each other, so that to make a request for one costs what it costs for the other.
const ELSEWHERE: &str = "/questions/17/votes";
const BELOW: &str = "/mounts/number567/x";

/// `root` is an empty folder for the files.
pub(crate) fn all(root: &Path) -> Vec<Case> {
    let mut cases = vec![Case::new("nothing", || {
        answers(nothing(), ELSEWHERE, StatusCode::OK, 0)
    })];
    cases.extend(paths());
    cases.extend(bodies());
    cases.extend(limits());
    cases.extend(dispatches());
    cases.extend(files(root));
    cases.extend(proxies());
    cases
}

fn paths() -> [Case; 3] {
    // A canonical URI stays as it is, and so serves again and again.
    let canonical = |uri: &'static str| {
        let kept = Rc::new(RefCell::new(Uri::from_static(uri)));
        move || {
            let mut kept = kept.borrow_mut();
            let read = PathPolicy::new().enforce(black_box(&mut kept));
            read.expect("a good path");
            assert_eq!(kept.path().len(), uri.len());
            ready(())
        }
    };
    let rewritten = || {
        let mut uri = Uri::from_static("//a/./%7Eb/../c");
        let read = PathPolicy::new().enforce(&mut uri);
        read.expect("a good path");
        assert_eq!(uri.path(), "/a/c");
        ready(())
    };
    let long = "/questions/17/answers/4/comments/of-the-first-day";
    [
        Case::call("path: canonical, 13 bytes", canonical("/questions/17")).promises_within(40, 0),
        Case::call("path: canonical, 49 bytes", canonical(long)).promises_within(40, 0),
        Case::call("path: to be rewritten", rewritten).promises(2),
    ]
}

fn bodies() -> [Case; 2] {
    [
        Case::call("body: Body in a Body", || {
            take(Body::new(Body::from("hello")), 5)
        })
        .promises(0),
        Case::call("body: another body in a Body", || {
            take(Body::new(Full::new(Bytes::from_static(b"hello"))), 5)
        })
        .promises(1),
    ]
}

fn limits() -> [Case; 5] {
    let ours = ConcurrencyLimit::new(64).layer(nothing());
    // The key itself is a string, which is copied.
    let path = LimitKey::by(|parts| Some(parts.uri.path().to_owned()));
    let by_key = ConcurrencyLimit::new(64).per_key(8, path).layer(nothing());
    let urgent = LimitClass::new("urgent", |parts| parts.uri.path() == "/urgent");
    let by_class = ConcurrencyLimit::new(64).class(urgent.priority(1).reserve(8));
    let by_class = by_class.layer(nothing());
    let theirs = ConcurrencyLimitLayer::new(64).layer(nothing());
    let idle = nothing().map_response(black_box);
    [
        Case::new("limit: ConcurrencyLimit", move || {
            answers(ours.clone(), ELSEWHERE, StatusCode::OK, 0)
        })
        .promises_within(150, 0),
        Case::new("limit: ConcurrencyLimit, by key", move || {
            answers(by_key.clone(), ELSEWHERE, StatusCode::OK, 0)
        })
        .promises(2),
        Case::new("limit: ConcurrencyLimit, by class", move || {
            answers(by_class.clone(), ELSEWHERE, StatusCode::OK, 0)
        })
        .promises(0),
        // What any layer costs here that has a future and touches the answer.
        Case::new("limit: a layer that does nothing", move || {
            answers(idle.clone(), ELSEWHERE, StatusCode::OK, 0)
        }),
        Case::new("limit: tower's ConcurrencyLimit", move || {
            answers(theirs.clone(), ELSEWHERE, StatusCode::OK, 0)
        }),
    ]
}

fn dispatches() -> [Case; 10] {
    let prefixes: Vec<String> = (0..1000).map(|i| format!("/mounts/number{i}")).collect();
    let mut dispatch = PathDispatch::new();
    let mut unstripped = PathDispatch::new();
    let mut router = Router::new();
    let mut matcher = matchit::Router::new();
    for prefix in &prefixes {
        dispatch = dispatch.mount(prefix, nothing()).expect("a prefix");
        unstripped = unstripped
            .mount_unstripped(prefix, nothing())
            .expect("a prefix");
        router = router.nest_service(prefix, nothing());
        // As axum's `nest_service` does it.
        for route in ["", "/", "/{*below}"] {
            let route = format!("{prefix}{route}");
            matcher.insert(route, ()).expect("a route");
        }
    }
    // A hundred hosts, as a hundred mounts more.
    let mut hosts = unstripped.clone();
    for host in 0..100 {
        let place = Place::prefix("/mounts").unstripped();
        let place = place.host(format!("www{host}.example.org"));
        hosts = hosts.mount_at(place, nothing()).expect("a host");
    }
    let hosts = hosts.layer(nothing());
    let live = unstripped.clone().into_handle().layer(nothing());
    let dispatch = dispatch.layer(nothing());
    let unstripped = unstripped.layer(nothing());
    let missed = dispatch.clone();
    let missed_router = router.clone().fallback_service(nothing());
    [
        Case::new("dispatch: 1000 mounts, none matches", move || {
            answers(missed.clone(), ELSEWHERE, StatusCode::OK, 0)
        })
        .promises_within(150, 0),
        // The future of a service whose type is erased.
        Case::new("dispatch: 1000 mounts, unstripped", move || {
            answers(unstripped.clone(), BELOW, StatusCode::OK, 0)
        })
        .promises_within(150, 1),
        Case::new("dispatch: the same, behind a Handle", move || {
            answers(live.clone(), BELOW, StatusCode::OK, 0)
        })
        .promises_within(150, 1),
        Case::new("dispatch: the same, and 100 hosts", move || {
            let mut request = get(BELOW);
            let host = HeaderValue::from_static("www56.example.org");
            request.headers_mut().insert(header::HOST, host);
            ask(hosts.clone(), request, StatusCode::OK, 0)
        })
        // Two are the header's.
        .promises(3),
        // The future, the path, the mount point, and two for the map of extensions, which is there
        // already where another layer has told something. The budget is that of the others and one
        // copy of a path.
        Case::new("dispatch: 1000 mounts, stripped", move || {
            answers(dispatch.clone(), BELOW, StatusCode::OK, 0)
        })
        .promises_within(200, 5),
        Case::new("dispatch: nothing, told of something", || {
            let mut request = get(BELOW);
            request.extensions_mut().insert(());
            ask(nothing(), request, StatusCode::OK, 0)
        }),
        Case::call("dispatch: matchit alone, 1000 mounts", {
            let matcher = Rc::new(matcher);
            move || {
                let found = matcher.at(black_box(BELOW)).is_ok();
                assert!(found);
                ready(())
            }
        }),
        Case::call("dispatch: one copy of a path into a Uri", || {
            let below = black_box(&BELOW["/mounts/number567".len()..]);
            let copy = Bytes::copy_from_slice(below.as_bytes());
            let uri = Uri::from_maybe_shared(copy).expect("a path");
            assert_eq!(uri.path(), "/x");
            ready(())
        }),
        Case::new("dispatch: axum, 1000 nested, none matches", move || {
            answers(missed_router.clone(), ELSEWHERE, StatusCode::OK, 0)
        }),
        Case::new("dispatch: axum, 1000 nested", move || {
            answers(router.clone(), BELOW, StatusCode::OK, 0)
        }),
    ]
}

fn files(root: &Path) -> [Case; 13] {
    fs::write(root.join("1k.txt"), [b'x'; 1 << 10]).expect("a file");
    fs::write(root.join("16k.txt"), [b'x'; 16 << 10]).expect("a file");
    let ours = StaticFiles::new(root).at("/static").layer(nothing());
    let (miss, small, large, head) = (ours.clone(), ours.clone(), ours.clone(), ours);
    let kept = StaticFiles::new(root).cache(1 << 20);
    let cached = kept.clone().at("/static").layer(nothing());
    let (kept_small, kept_large, kept_part, kept_none) =
        (cached.clone(), cached.clone(), cached.clone(), cached);
    let theirs = ServeDir::new(root);
    let (their_small, their_large, their_head) = (theirs.clone(), theirs.clone(), theirs);
    [
        Case::new("files: another path", move || {
            answers(miss.clone(), ELSEWHERE, StatusCode::OK, 0)
        })
        .promises_within(150, 0),
        Case::new("files: 1 KiB", move || {
            answers(small.clone(), "/static/1k.txt", StatusCode::OK, 1 << 10)
        })
        .promises(11),
        Case::new("files: 16 KiB", move || {
            answers(large.clone(), "/static/16k.txt", StatusCode::OK, 16 << 10)
        })
        .promises(11),
        Case::new("files: no such file", move || {
            answers(head.clone(), "/static/none.txt", StatusCode::OK, 0)
        })
        .promises(1),
        Case::new(
            "files: 304",
            not_modified(&StaticFiles::new(root), "/1k.txt"),
        )
        .promises(15),
        Case::new("files: 1 KiB, cached", move || {
            answers(
                kept_small.clone(),
                "/static/1k.txt",
                StatusCode::OK,
                1 << 10,
            )
        })
        .promises(2),
        Case::new("files: 16 KiB, cached", move || {
            answers(
                kept_large.clone(),
                "/static/16k.txt",
                StatusCode::OK,
                16 << 10,
            )
        })
        .promises(2),
        Case::new("files: a part of 16 KiB, cached", move || {
            let mut request = get("/static/16k.txt");
            let range = HeaderValue::from_static("bytes=100-199");
            request.headers_mut().insert(header::RANGE, range);
            ask(kept_part.clone(), request, StatusCode::PARTIAL_CONTENT, 100)
        })
        .promises(10),
        Case::new("files: no such file, cached", move || {
            answers(kept_none.clone(), "/static/none.txt", StatusCode::OK, 0)
        })
        .promises(0),
        Case::new("files: 304, cached", not_modified(&kept, "/1k.txt")).promises(5),
        Case::new("files: tower-http's ServeDir, 1 KiB", move || {
            answers(their_small.clone(), "/1k.txt", StatusCode::OK, 1 << 10)
        }),
        Case::new("files: tower-http's ServeDir, 16 KiB", move || {
            answers(their_large.clone(), "/16k.txt", StatusCode::OK, 16 << 10)
        }),
        Case::new("files: tower-http's ServeDir, no such file", move || {
            answers(their_head.clone(), "/none.txt", StatusCode::NOT_FOUND, 0)
        }),
    ]
}

fn proxies() -> [Case; 2] {
    let upstream = upstream();
    let proxy = |path, length| {
        let proxy = GatewayProxy::to(&format!("http://{upstream}")).expect("an upstream");
        move || {
            let mut request = get(path);
            let host = HeaderValue::from_static("localhost");
            request.headers_mut().insert(header::HOST, host);
            let answer = ask(proxy.clone(), request, StatusCode::OK, length);
            async {
                answer.await;
                // The connection goes back to the pool in a task of its own.
                tokio::task::yield_now().await;
            }
        }
    };
    [
        Case::new("proxy: empty answer over TCP", proxy("/0", 0)).promises(12),
        Case::new("proxy: 1 KiB over TCP", proxy("/1k", 1 << 10)).promises(12),
    ]
}

/// A server on a thread of its own, whose allocations do not count.
fn upstream() -> SocketAddr {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sender
                .send(listener.local_addr().expect("an address"))
                .expect("somebody waits for it");
            let service = service_fn(|request: Request<_>| {
                let body = match request.uri().path() {
                    "/1k" => Body::from(Bytes::from_static(&[b'x'; 1 << 10])),
                    _ => Body::empty(),
                };
                ready(Ok::<_, Infallible>(Response::new(body)))
            });
            serve(listener, service).await
        })
    });
    receiver.recv().expect("the server's address")
}

type Nothing = Ready<Result<Response<Body>, Infallible>>;

/// The service under every layer.
fn nothing<B>()
-> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future = Nothing>
+ Clone
+ Send
+ Sync
+ 'static
where
    B: 'static,
{
    service_fn(|_| ready(Ok(Response::new(Body::empty()))))
}

/// Sends a request, and takes the answer, which is to have this status and so many bytes.
fn answers<S, B>(
    service: S,
    path: &'static str,
    status: StatusCode,
    length: usize,
) -> impl Future<Output = ()>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    ask(service, get(path), status, length)
}

fn get(path: &'static str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static(path);
    request
}

// Not by `oneshot`, which moves the request and the service's future about: it would be measured.
async fn ask<S, B>(mut service: S, request: Request<Body>, status: StatusCode, length: usize)
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await else {
        panic!("the service is not ready");
    };
    let Ok(response) = service.call(request).await else {
        panic!("the service failed");
    };
    assert_eq!(response.status(), status);
    take(response.into_body(), length).await;
}

async fn take<B>(body: B, length: usize)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            panic!("the body failed");
        };
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(taken, length);
}

/// A turn that asks for a file that the client has already.
fn not_modified(
    files: &StaticFiles,
    path: &'static str,
) -> impl Fn() -> Pin<Box<dyn Future<Output = ()>>> + Clone + use<> {
    let etag = Arc::new(OnceLock::<HeaderValue>::new());
    let service = files.layer(nothing());
    move || {
        let (etag, service) = (Arc::clone(&etag), service.clone());
        Box::pin(async move {
            if etag.get().is_none() {
                let response = match service.clone().oneshot(get(path)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                etag.get_or_init(|| response.headers()[header::ETAG].clone());
            }
            let mut request = get(path);
            if let Some(etag) = etag.get() {
                request
                    .headers_mut()
                    .insert(header::IF_NONE_MATCH, etag.clone());
            }
            ask(service, request, StatusCode::NOT_MODIFIED, 0).await;
        })
    }
}
