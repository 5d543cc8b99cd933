//! One path, however it is spelled: here, and behind axum's router.

use std::convert::Infallible;

use axum::Router;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{Body, PathDispatch, PathPolicy};
use tower_http::services::ServeDir;

use super::{ask, erased, tell};

const SECRET: &str = "SECRET";

/// Files, with a part that is guarded by another service.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("private")).unwrap();
    std::fs::write(root.path().join("private/x"), SECRET).unwrap();
    root
}

/// What a file server at `/static`, which decodes paths, makes of these behind a guard at
/// `/static/private`: the last number is axum 0.8's status, the other one ours.
#[tokio::test]
async fn no_spelling_passes_a_guard_and_five_pass_one_in_axum() {
    let root = tree();
    let theirs = Router::new()
        .nest_service("/static", ServeDir::new(root.path()))
        .nest_service(
            "/static/private",
            axum::routing::any(async || StatusCode::FORBIDDEN),
        );
    let guard = service_fn(async |_: Request<Body>| {
        let forbidden = Response::builder().status(403).body(Body::empty());
        Ok::<_, Infallible>(forbidden.unwrap())
    });
    let ours = PathDispatch::new()
        .mount("/static", ServeDir::new(root.path()))
        .unwrap()
        .mount("/static/private", guard)
        .unwrap();
    let ours = erased(ours.layer(tell("inner")));
    for (target, status, axums) in [
        ("/static/private/x", 403, 403),
        ("/static//private/x", 403, 200),
        ("/static///private/x", 403, 200),
        ("/static/./private/x", 403, 200),
        ("/static/%70rivate/x", 403, 200),
        ("/static/private%2Fx", 400, 200),
    ] {
        let (code, text) = ask(&ours, target).await;
        assert_eq!(code.as_u16(), status, "{target}");
        assert!(!text.contains(SECRET), "{target}");

        let request = Request::get(target)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = theirs.clone().oneshot(request).await.unwrap();
        assert_eq!(
            response.status().as_u16(),
            axums,
            "axum has changed: {target}"
        );
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text == SECRET, axums == 200, "{target}");
    }
}

/// A path by its decoded segments, and whether it ends with a slash.
fn segments() -> impl Strategy<Value = (Vec<String>, bool)> {
    let segment = prop_oneof!["[ab]{1,2}", "[a-c~!;= %é.]{1,4}"]
        .prop_filter("a name", |name| name != "." && name != "..");
    (prop::collection::vec(segment, 0..5), any::<bool>())
}

/// One of its spellings: a number from `how` for each choice.
fn spell((segments, slash): &(Vec<String>, bool), how: &[u8]) -> String {
    let mut how = how.iter().copied().cycle();
    let mut next = move |of: u8| how.next().unwrap_or_default() % of;
    let mut path = String::new();
    let between = ["/", "//", "/./", "/x/../", "/%2e/", "/y/%2E./", "///"];
    for segment in segments {
        path.push_str(between[usize::from(next(7))]);
        for byte in segment.bytes() {
            // What is reserved means another thing when it is escaped.
            let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'.');
            let reserved = matches!(byte, b'!' | b';' | b'=');
            match next(3) {
                _ if reserved => path.push(char::from(byte)),
                0 if plain => path.push(char::from(byte)),
                1 => path.push_str(&format!("%{byte:02x}")),
                _ if plain => path.push(char::from(byte)),
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    if *slash || segments.is_empty() {
        path.push_str(["/", "//", "/.", "/z/.."][usize::from(next(4))]);
    }
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any two spellings of one path reach the same mount, which sees the same path.
    #[test]
    fn any_two_spellings_reach_the_same_mount_and_inner_path(
        mounts in prop::collection::vec(segments(), 0..6),
        path in segments(),
        below in any::<Option<prop::sample::Index>>(),
        how in prop::collection::vec(any::<u8>(), 1..40),
        other in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut dispatch = PathDispatch::new();
        for (number, mount) in mounts.iter().enumerate() {
            let prefix = PathPolicy::new().read(&spell(mount, &[0])).unwrap().into_owned();
            if let Ok(next) = dispatch.clone().mount(&prefix, tell(number.to_string())) {
                dispatch = next;
            }
        }
        let app = erased(dispatch.layer(tell("inner")));
        // Below one of the mounts, more often than not.
        let path = match below {
            Some(index) if !mounts.is_empty() => {
                let (mut segments, _) = index.get(&mounts).clone();
                segments.extend(path.0);
                (segments, path.1)
            }
            _ => path,
        };
        let one = ask(&app, &spell(&path, &how)).now_or_never().unwrap();
        let two = ask(&app, &spell(&path, &other)).now_or_never().unwrap();
        prop_assert_eq!(one.0, StatusCode::OK);
        // The prefix is as it was written; canonical, it is the same too.
        prop_assert_eq!(one, two);
    }
}
