//! What an operator sees of requests.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use metrics::with_local_recorder;
use tower::ServiceExt;
use tower_gateway::{Body, wsgi::WsgiContainer};

use super::apps::{APP, App, ask, until, within};
use crate::support::{counted::Counted, log::capture};

const APPLICATION: &str = r#"
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/exception':
        raise ValueError('of a test')
    start_response('200 OK', [])
    if path == '/late':
        return late()
    if path == '/long':
        return (b'x' * 100000 for _ in range(100))
    return [b'hello']

def late():
    yield b'begun'
    raise ValueError('too late')
"#;

async fn send(container: &WsgiContainer, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("host", "localhost");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    within(container.clone().oneshot(request)).await.unwrap()
}

#[test]
fn each_request_is_counted_once() {
    let counted = Counted::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    with_local_recorder(&counted, || {
        runtime.block_on(async {
            let app = App::new(APPLICATION);
            let container = within(app.builder().workers(1).spawn()).await.unwrap();
            let of = |name: &str| counted.of(&format!("tower_gateway_wsgi_{name}"));
            for (method, path, is_read, counter) in [
                (Method::GET, "/", true, "complete 2xx"),
                (Method::HEAD, "/", false, "complete 2xx"),
                (Method::GET, "/long", true, "complete 2xx"),
                (Method::GET, "/long", false, "unread 2xx"),
                (Method::GET, "/exception", true, "exception 5xx"),
                (Method::GET, "/late", true, "exception 2xx"),
                (Method::TRACE, "/", true, "refused 4xx"),
            ] {
                let counter = format!("requests_total app:application {counter}");
                let before = (of(&counter), counted.sum("requests_total"));
                let response = send(&container, method.clone(), path).await;
                if is_read {
                    let _read = within(response.into_body().collect()).await;
                } else {
                    drop(response);
                }
                let after = (of(&counter), counted.sum("requests_total"));
                assert_eq!(after, (before.0 + 1.0, before.1 + 1.0), "{method} {path}");
            }
            assert_eq!(of("errors_total app:application application"), 1.0);
            assert_eq!(of("errors_total app:application method_not_allowed"), 1.0);
            assert_eq!(of("request_duration_seconds app:application"), 7.0);
            assert!(of("response_bytes_total app:application") > 1e7);
            // The one that was cut off is over when its worker has dialled again.
            until(&container, |status| status.idle == 1).await;
            assert_eq!(of("threads_busy app:application"), 0.0);
        });
    });
    for name in [
        "requests_total",
        "errors_total",
        "request_duration_seconds",
        "wait_seconds",
        "threads_busy",
        "requests_waiting",
    ] {
        let name = format!("tower_gateway_wsgi_{name}");
        assert!(counted.described().contains(&name), "{name}");
    }
}

#[test]
fn who_waits_is_counted() {
    let counted = Counted::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    with_local_recorder(&counted, || {
        runtime.block_on(async {
            let app = App::new(APP);
            let container = within(app.builder().workers(1).spawn()).await.unwrap();
            let of = |name: &str| counted.of(&format!("tower_gateway_wsgi_{name} app:application"));
            let hold = app.hold("hold");
            let path = hold.request();
            let held = ask(&container, &path);
            let waits = ask(&container, "/");
            let both = async { tokio::join!(held, waits) };
            let look = async {
                until(&container, |status| status.waiting == 1).await;
                assert_eq!((of("threads_busy"), of("requests_waiting")), (1.0, 1.0));
                assert_eq!(of("wait_seconds"), 0.0);
                drop(hold.held().await);
            };
            let ((held, waited), ()) = tokio::join!(both, look);
            assert_eq!((held.status.as_u16(), waited.status.as_u16()), (200, 200));
            assert_eq!((of("threads_busy"), of("requests_waiting")), (0.0, 0.0));
            assert_eq!(of("wait_seconds"), 1.0);

            // One who goes waits no more, and is counted as gone.
            let hold = app.hold("again");
            let path = hold.request();
            let future = tokio::time::timeout(Duration::from_millis(20), ask(&container, &path));
            assert!(future.await.is_err());
            assert_eq!(
                counted.sum("requests_total app:application client_left"),
                1.0
            );
            assert_eq!((of("threads_busy"), of("requests_waiting")), (0.0, 0.0));
        });
    });
}

#[tokio::test]
async fn an_exception_is_an_event_within_its_request() {
    let app = App::new(APPLICATION);
    let container = within(app.builder().workers(1).spawn()).await.unwrap();
    let pid = container.handle().status().workers[0].pid;
    let (log, _guard) = capture();
    for (path, words) in [
        ("/exception", "the application raised an exception"),
        ("/late", "its answer had begun"),
    ] {
        let response = send(&container, Method::GET, path).await;
        let _broken = within(response.into_body().collect()).await;
        let text = log.text();
        let line = text
            .lines()
            .find(|line| line.contains("ERROR") && line.contains(words));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains("wsgi{method=GET"), "{line}");
        // Of the event itself, not of its span: that is not seen by who looks at errors only.
        let (_, event) = line.split_once(words).unwrap();
        assert!(event.contains(&format!("pid={pid}")), "{line}");
        assert!(text.contains("ValueError: "), "{text}");
    }
    send(&container, Method::GET, "/")
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    let text = log.text();
    let over = text
        .lines()
        .filter(|line| line.contains("a request is over"));
    let over: Vec<_> = over.collect();
    assert_eq!(over.len(), 3, "{text}");
    for (line, words) in over.iter().zip([
        "outcome=\"exception\"",
        "outcome=\"exception\"",
        "outcome=\"complete\"",
    ]) {
        assert!(line.contains(words), "{line}");
        assert!(line.contains(&format!("pid={pid}")), "{line}");
        assert!(
            line.contains("worker=") && line.contains("total_ms="),
            "{line}"
        );
    }
    assert!(over[2].contains("response_bytes=5"), "{}", over[2]);
}
