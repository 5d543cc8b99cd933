//! Which host a request is for.

use http::{Request, Version};
use tower::Layer;
use tower_gateway::{Body, Error, ErrorKind, PathDispatch, path_dispatch::Place};

use super::{ask, send, tell};

/// Who answers a request for this host.
async fn at(app: &super::Told, host: &str, target: &str) -> String {
    let request = Request::get(target).header("host", host);
    let (_, _, told) = send(app, request.body(Body::empty()).unwrap()).await;
    told
}

fn app() -> super::Told {
    let place = |path: &str, host: &str| Place::prefix(path).unstripped().host(host);
    let dispatch = PathDispatch::new()
        .mount_unstripped("/", tell("any"))
        .unwrap()
        .mount_unstripped("/long/path", tell("any-long"))
        .unwrap()
        .mount_at(place("/", "*.example.org"), tell("wild"))
        .unwrap()
        .mount_at(place("/", "*.deep.example.org"), tell("deep"))
        .unwrap()
        .mount_at(place("/only", "www.Example.org"), tell("www"))
        .unwrap()
        .mount_at(place("/", "EXAMPLE.org."), tell("exact"))
        .unwrap()
        .mount_at(place("/", "192.0.2.1"), tell("v4"))
        .unwrap()
        .mount_at(place("/", "[::1]"), tell("v6"))
        .unwrap();
    super::erased(dispatch.layer(tell("inner")))
}

#[tokio::test]
async fn an_exact_host_goes_before_a_wildcard_and_that_before_every_host() {
    let app = app();
    for (host, target, name) in [
        ("example.org", "/", "exact"),
        ("example.org", "/long/path", "exact"),
        ("eXAMPLE.ORG", "/", "exact"),
        ("example.org.", "/", "exact"),
        ("example.org:8080", "/", "exact"),
        ("example.org.:8080", "/", "exact"),
        ("a.example.org", "/", "wild"),
        ("a.b.example.org", "/", "wild"),
        ("a.b.Example.Org:1", "/", "wild"),
        ("deep.example.org", "/", "wild"),
        ("x.deep.example.org", "/", "deep"),
        ("www.example.org", "/only/x", "www"),
        // What the mounts of one host do not match, those of the next one may.
        ("www.example.org", "/", "wild"),
        ("other.test", "/", "any"),
        ("other.test", "/long/path/x", "any-long"),
        ("xexample.org", "/", "any"),
        ("example.org.evil.test", "/", "any"),
        (".example.org", "/", "any"),
        ("192.0.2.1:80", "/", "v4"),
        ("[::1]:8080", "/", "v6"),
        ("[::1]", "/", "v6"),
        ("[::2]", "/", "any"),
        ("", "/", "any"),
    ] {
        let told = at(&app, host, target).await;
        assert_eq!(told, format!("{name} - {target}"), "{host}");
    }
}

#[tokio::test]
async fn the_authority_of_the_target_goes_before_the_field() {
    let app = app();
    assert_eq!(
        ask(&app, "http://example.org/x").await.1,
        "exact - http://example.org/x"
    );
    let told = at(&app, "other.test", "http://example.org/x").await;
    assert_eq!(told, "exact - http://example.org/x");
    // Of HTTP/1.0 and of tests that name no host.
    assert_eq!(ask(&app, "/x").await.1, "any - /x");
}

#[tokio::test]
async fn a_request_with_two_hosts_is_refused_where_hosts_matter() {
    let ask = async |app: &super::Told, version, hosts: &[&str], target: &str| {
        let mut request = Request::get(target).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let response =
            tower::ServiceExt::oneshot(app.clone(), request.body(Body::empty()).unwrap());
        let response = response.await.unwrap();
        let kind = response.extensions().get::<Error>().map(Error::kind);
        (response.status().as_u16(), kind)
    };
    let app = app();
    let refused = (400, Some(ErrorKind::BadRequest));
    for (version, hosts, target) in [
        (Version::HTTP_11, &["example.org", "other.test"][..], "/"),
        (Version::HTTP_11, &["example.org", "example.org"], "/"),
        (Version::HTTP_11, &["user@example.org"], "/"),
        (Version::HTTP_11, &["example.org/../x"], "/"),
        (Version::HTTP_2, &["other.test"], "http://example.org/"),
    ] {
        assert_eq!(
            ask(&app, version, hosts, target).await,
            refused,
            "{hosts:?}"
        );
    }
    assert_eq!(
        ask(&app, Version::HTTP_2, &[], "http://example.org/").await,
        (200, None)
    );
    let app = super::erased(PathDispatch::new().layer(tell("inner")));
    assert_eq!(
        ask(&app, Version::HTTP_11, &["a", "b"], "/").await,
        (200, None)
    );
}

/// Each label is looked up, so there is an end to them.
#[tokio::test]
async fn a_name_that_is_too_long_is_nobody_s() {
    let host = format!("{}.example.org", "a.".repeat(30_000));
    assert_eq!(at(&app(), &host, "/").await, "any - /");
}

#[test]
fn what_is_no_host_is_an_error_where_it_is_mounted() {
    for (host, is_good) in [
        ("a", true),
        ("a_b.example-1.org", true),
        ("*.org", true),
        ("[2001:db8::1]", true),
        ("xn--bcher-kva.example", true),
        ("", false),
        ("*", false),
        ("*.", false),
        (".", false),
        ("a..b", false),
        (".example.org", false),
        ("www.*", false),
        ("*.*.org", false),
        ("*.[::1]", false),
        ("a:80", false),
        ("[::1]:80", false),
        ("[::1", false),
        ("http://a", false),
        ("a/b", false),
        ("bücher.example", false),
        ("a%2e", false),
    ] {
        let place = Place::prefix("/x").host(host);
        let mounted = PathDispatch::<Body>::new().mount_at(place, tell("x"));
        match mounted {
            Ok(_) => assert!(is_good, "{host:?}"),
            Err(error) => {
                assert!(!is_good, "{error}");
                let message = format!("{:?} is not a host", host);
                assert!(error.to_string().ends_with(&message), "{error}");
            }
        }
    }
    let long = "a.".repeat(127);
    assert!(
        PathDispatch::<Body>::new()
            .mount_at(Place::prefix("/").host(format!("{long}org")), tell("x"))
            .is_err()
    );
}

/// nginx's `server { … }`: a dispatch for each host, whose misses are its own.
#[tokio::test]
async fn a_host_of_its_own_is_a_dispatch_at_its_root() {
    let server = PathDispatch::new()
        .mount("/a", tell("a"))
        .unwrap()
        .into_service();
    let dispatch = PathDispatch::new()
        .mount_at(Place::prefix("/").host("one.test"), server)
        .unwrap();
    let app = super::erased(dispatch.layer(tell("inner")));
    assert_eq!(at(&app, "one.test", "/a/x").await, "a /a /x");
    assert_eq!(at(&app, "one.test", "/b").await, "Not Found");
    assert_eq!(at(&app, "two.test", "/b").await, "inner - /b");
}
