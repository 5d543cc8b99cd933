//! Requests and answers with workers as they are.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use sha2::{Digest, Sha256};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_gateway::{
    Body, BoxError, Error, ErrorKind, PathDispatch, PeerAddr,
    wsgi::{Builder, WsgiContainer},
};

use super::apps::{App, within};

const APP: &str = r#"
import hashlib, io, json, tempfile
from wsgiref.validate import validator

def application(environ, start_response):
    path = environ['PATH_INFO']
    return globals()[path.strip('/')](environ, start_response)

def environ(environ, start_response):
    shown = {name: value for name, value in environ.items() if isinstance(value, (str, bool, int))}
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(shown).encode()]

def digest(environ, start_response):
    body, digest, length = environ['wsgi.input'], hashlib.sha256(), 0
    how = environ['QUERY_STRING']
    while True:
        piece = body.readline() if how == 'lines' else body.read(int(how))
        if not piece:
            break
        digest.update(piece)
        length += len(piece)
    start_response('200 OK', [])
    return [f"{length} {digest.hexdigest()} {environ.get('CONTENT_LENGTH')}".encode()]

def echo(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return iter(lambda: environ['wsgi.input'].read(50000), b'')

def ignored(environ, start_response):
    start_response('200 OK', [])
    return [b'not read']

def large(environ, start_response):
    start_response('200 OK', [])
    return [b'0123456789' * int(environ['QUERY_STRING'])]

def pieces(environ, start_response):
    write = start_response('200 OK', [('Content-Length', '11')])
    write(b'one ')
    return (piece for piece in (b'', b'two ', b'end'))

def file(environ, start_response):
    file = tempfile.TemporaryFile()
    file.write(b'0123456789' * 100000)
    file.seek(5)
    start_response('200 OK', [])
    return environ['wsgi.file_wrapper'](file)

def nothing(environ, start_response):
    start_response('204 No Content', [])
    return []

def exception(environ, start_response):
    raise ValueError('what <nobody> is told')

def late(environ, start_response):
    start_response('200 OK', [])
    yield b'begun'
    raise ValueError('too late')

def short(environ, start_response):
    start_response('200 OK', [('Content-Length', '100')])
    return [b'not a hundred']

closed = []

class Closing:
    def __init__(self, pieces):
        self.pieces = iter(pieces)

    def __iter__(self):
        return self.pieces

    def close(self):
        closed.append('x')

def closing(environ, start_response):
    start_response('200 OK', [])
    return Closing([b'%d' % len(closed)])

@validator
def valid(environ, start_response):
    body = environ['wsgi.input'].read(1000)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'valid: ', body]
"#;

async fn container(change: impl FnOnce(Builder) -> Builder) -> (App, WsgiContainer) {
    let app = App::new(APP);
    let container = change(app.builder().workers(1)).spawn();
    let container = within(container).await.unwrap();
    (app, container)
}

fn request(method: Method, target: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "example.org:8080")
        .body(Full::new(body.into()))
        .unwrap()
}

async fn send<B>(container: &WsgiContainer, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    within(container.clone().oneshot(request)).await.unwrap()
}

async fn get(container: &WsgiContainer, target: &str) -> Response<Body> {
    send(container, request(Method::GET, target, "")).await
}

async fn text(response: Response<Body>) -> String {
    let body = within(response.into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

fn kind(response: &Response<Body>) -> Option<ErrorKind> {
    response.extensions().get::<Error>().map(Error::kind)
}

#[tokio::test]
async fn an_application_is_told_who_asks_for_what() {
    let (_app, container) = container(|builder| builder.environ("shop.name", "the café")).await;
    let mut asked = request(Method::PUT, "/environ?a=b", "body");
    asked
        .headers_mut()
        .insert("x-name", "value".parse().unwrap());
    let peer = "192.0.2.7:50000".parse().unwrap();
    asked.extensions_mut().insert(PeerAddr::Tcp(peer));
    let response = send(&container, asked).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let environ: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    for (name, value) in [
        ("REQUEST_METHOD", "PUT"),
        ("PATH_INFO", "/environ"),
        ("QUERY_STRING", "a=b"),
        ("CONTENT_LENGTH", "4"),
        ("HTTP_X_NAME", "value"),
        ("HTTP_HOST", "example.org:8080"),
        ("SERVER_NAME", "example.org"),
        ("SERVER_PORT", "8080"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_PORT", "50000"),
        ("wsgi.url_scheme", "http"),
        ("shop.name", "the cafÃ©"),
    ] {
        assert_eq!(environ[name], value, "{name}");
    }
    assert_eq!(environ["wsgi.input_terminated"], true);
}

#[tokio::test]
async fn an_application_is_told_where_it_is_mounted() {
    let (_app, container) = container(|builder| builder).await;
    let nowhere = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    });
    let stack = ServiceBuilder::new()
        .layer(PathDispatch::new().mount("/shop", container).unwrap())
        .service(nowhere);
    let asked = request(Method::GET, "/shop/environ", "");
    let response = within(stack.oneshot(asked)).await.unwrap();
    let environ: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(environ["SCRIPT_NAME"], "/shop");
    assert_eq!(environ["PATH_INFO"], "/environ");
}

#[tokio::test]
async fn a_body_is_read_as_it_was_sent() {
    for is_streamed in [false, true] {
        let (_app, container) = container(|builder| builder.stream_requests(is_streamed)).await;
        for length in [0, 1, 100, 65_536, 65_537, 3_000_000] {
            let body: Vec<u8> = (0..length).map(|at| (at / 3) as u8).collect();
            let digest = Sha256::digest(&body);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            for how in ["lines", "1000", "-1"] {
                let target = format!("/digest?{how}");
                let asked = request(Method::POST, &target, body.clone());
                let answer = text(send(&container, asked).await).await;
                let expected = format!("{length} {digest} {length}");
                assert_eq!(answer, expected, "{length} {how} {is_streamed}");
            }
            // What is not read harms nobody.
            let asked = request(Method::POST, "/ignored", body.clone());
            assert_eq!(text(send(&container, asked).await).await, "not read");
        }
        assert_eq!(container.handle().status().crashes, 0);
    }
}

#[tokio::test]
async fn a_body_that_comes_piece_by_piece_is_answered_piece_by_piece() {
    let (_app, container) = container(|builder| builder.stream_requests(true)).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((Ok::<_, BoxError>(http_body::Frame::data(piece)), receiver))
    });
    let asked = Request::post("/echo").header("host", "a");
    let asked = asked.body(StreamBody::new(pieces)).unwrap();
    let asking = tokio::spawn(container.clone().oneshot(asked));
    let first = Bytes::from(vec![b'a'; 50_000]);
    sender.send(first.clone()).await.unwrap();
    let mut body = within(asking).await.unwrap().unwrap().into_body();
    let mut read = 0;
    while read < first.len() {
        let piece = within(body.frame()).await.unwrap().unwrap();
        read += piece.into_data().unwrap().len();
    }
    sender.send(Bytes::from("the end")).await.unwrap();
    drop(sender);
    let rest = within(body.collect()).await.unwrap().to_bytes();
    assert_eq!(rest, "the end");
}

#[tokio::test]
async fn answers_come_as_they_were_made() {
    let (_app, container) = container(|builder| builder).await;
    assert_eq!(text(get(&container, "/pieces").await).await, "one two end");
    for tens in [0, 1, 3_000, 13_107, 13_108, 300_000] {
        let response = get(&container, &format!("/large?{tens}")).await;
        assert_eq!(
            response.headers()["content-length"],
            format!("{}", tens * 10).as_str()
        );
        assert!(text(response).await == "0123456789".repeat(tens), "{tens}");
    }
    let response = text(get(&container, "/file").await).await;
    assert!(response == "0123456789".repeat(100_000)[5..]);

    let response = get(&container, "/nothing").await;
    assert_eq!(response.status(), 204);
    assert_eq!(text(response).await, "");

    let response = send(&container, request(Method::HEAD, "/large?7", "")).await;
    assert_eq!(response.headers()["content-length"], "70");
    assert_eq!(text(response).await, "");

    for closed in 0..5 {
        assert_eq!(
            text(get(&container, "/closing").await).await,
            closed.to_string()
        );
    }
    let asked = request(Method::POST, "/valid", "and read");
    assert_eq!(text(send(&container, asked).await).await, "valid: and read");
    assert_eq!(container.handle().status().crashes, 0);
}

#[tokio::test]
async fn what_an_application_does_wrong_is_told_apart() {
    let (_app, container) = container(|builder| builder).await;
    let response = get(&container, "/exception").await;
    assert_eq!(response.status(), 500);
    let error = response.extensions().get::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Application);
    let source = std::error::Error::source(error).unwrap().to_string();
    assert!(
        source.ends_with("ValueError: what <nobody> is told"),
        "{source}"
    );
    assert_eq!(text(response).await, "Internal Server Error");

    for path in ["/late", "/short"] {
        let response = get(&container, path).await;
        assert_eq!((response.status().as_u16(), kind(&response)), (200, None));
        let error = within(response.into_body().collect()).await.unwrap_err();
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::Application, "{path}");
    }
    // None of it is the worker's end.
    let status = container.handle().status();
    assert_eq!(
        (status.crashes, status.stuck, status.workers.len()),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn a_developer_is_shown_the_traceback() {
    let (_app, container) = container(|builder| builder.traceback_page(true)).await;
    let response = get(&container, "/exception").await;
    assert_eq!(response.status(), 500);
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    let page = text(response).await;
    assert!(
        page.contains("ValueError: what &lt;nobody&gt; is told"),
        "{page}"
    );
}
