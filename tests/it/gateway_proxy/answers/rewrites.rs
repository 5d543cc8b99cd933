//! References and cookies that would lead past the gateway.

use http::{HeaderMap, Request, Response};
use tower::{ServiceExt, layer::Layer, service_fn};
use tower_gateway::{
    Body, GatewayProxy, PathDispatch,
    gateway_proxy::{HeaderEdits, HostPolicy, Rewrites, Sticky},
};

use super::super::{call, get, lines, to};
use crate::support::upstream::{Conn, Upstream};

/// Answers with these fields, in which `HOST` is what it was told in `Host`.
async fn saying(fields: &'static str) -> Upstream {
    Upstream::spawn(move |mut conn: Conn| async move {
        while let Some(request) = conn.request().await {
            let host = lines(&request, "host").remove(0);
            let fields = fields.replace("HOST", &host);
            conn.write(format!(
                "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{fields}\r\n\r\n"
            ))
            .await;
        }
    })
    .await
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    lines
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// The proxy at `/shop`, which is stripped.
async fn at_shop(proxy: GatewayProxy, path: &str) -> Response<Body> {
    let inner = service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    });
    let app = PathDispatch::new()
        .mount("/shop", proxy)
        .unwrap()
        .layer(inner);
    app.oneshot(get(path)).await.unwrap()
}

#[tokio::test]
async fn a_redirect_to_the_name_that_the_upstream_was_told_is_one_to_the_client_s_host() {
    let upstream = saying(
        "Location: http://HOST/login?next=/\r\nContent-Location: http://HOST/a\r\n\
         Refresh: 5; url=http://HOST/b",
    )
    .await;
    for policy in [
        HostPolicy::Upstream,
        HostPolicy::Fixed("app.internal".parse().unwrap()),
    ] {
        let proxy = to(&upstream).host(policy);
        let answer = call(&proxy, get("/")).await;
        assert_eq!(answer.headers()["location"], "/login?next=/");
        assert_eq!(answer.headers()["content-location"], "/a");
        assert_eq!(answer.headers()["refresh"], "5; url=/b");

        let proxy = proxy.rewrites(Rewrites::new().redirects(false));
        let answer = call(&proxy, get("/")).await;
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.starts_with("http://"), "{location}");
    }
    // It was told the client's own name, which is right.
    let answer = call(&to(&upstream), get("/")).await;
    assert_eq!(
        answer.headers()["location"],
        "http://example.org/login?next=/"
    );
}

/// Each upstream has its own name.
#[tokio::test]
async fn the_name_is_that_of_the_server_that_has_answered() {
    let upstreams = [
        saying("Location: http://HOST/a").await,
        saying("Location: http://HOST/a").await,
    ];
    let urls = upstreams.each_ref().map(Upstream::url);
    let proxy = GatewayProxy::to_all(urls).unwrap();
    let proxy = proxy.host(HostPolicy::Upstream);
    for _ in 0..20 {
        let answer = call(&proxy, get("/")).await;
        assert_eq!(answer.headers()["location"], "/a");
    }
    let counts = upstreams.each_ref().map(|upstream| upstream.counts());
    assert!(
        counts.iter().all(|counts| counts.requests > 0),
        "{counts:?}"
    );
}

#[tokio::test]
async fn other_places_stay_where_they_are() {
    for location in [
        "http://elsewhere.test/login",
        "//elsewhere.test/login",
        "http://HOST.elsewhere.test/",
        "http://HOST@elsewhere.test/",
        "login",
        "/login",
        "?page=2",
        "mailto:root@HOST",
    ] {
        let fields = Box::leak(format!("Location: {location}").into_boxed_str());
        let upstream = saying(fields).await;
        let proxy = to(&upstream).host(HostPolicy::Upstream);
        let answer = call(&proxy, get("/")).await;
        let host = upstream.addr.to_string();
        assert_eq!(
            answer.headers()["location"],
            location.replace("HOST", &host)
        );
    }
}

#[tokio::test]
async fn at_a_mount_paths_and_cookies_are_put_below_it_when_asked() {
    let upstream = saying(
        "Location: /login?next=/cart\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\n\
         Set-Cookie: b=2; Path=/cart\r\nSet-Cookie: __Host-c=3; Path=/; Secure\r\n\
         Set-Cookie: d=4; Path=/shop/cart",
    )
    .await;
    let answer = at_shop(to(&upstream), "/shop/cart").await;
    assert_eq!(answer.headers()["location"], "/login?next=/cart");
    assert_eq!(
        all(answer.headers(), "set-cookie"),
        [
            "a=1; Path=/; HttpOnly",
            "b=2; Path=/cart",
            "__Host-c=3; Path=/; Secure",
            "d=4; Path=/shop/cart"
        ]
    );

    let rewrites = Rewrites::new().prefix_redirects(true).prefix_cookies(true);
    let proxy = to(&upstream).rewrites(rewrites);
    let answer = at_shop(proxy.clone(), "/shop/cart").await;
    assert_eq!(answer.headers()["location"], "/shop/login?next=/cart");
    assert_eq!(
        all(answer.headers(), "set-cookie"),
        [
            "a=1; Path=/shop; HttpOnly",
            "b=2; Path=/shop/cart",
            "__Host-c=3; Path=/; Secure",
            "d=4; Path=/shop/cart"
        ]
    );
    // Where nothing was stripped there is nothing to put before.
    let answer = call(&proxy, get("/cart")).await;
    assert_eq!(answer.headers()["location"], "/login?next=/cart");
    assert_eq!(
        all(answer.headers(), "set-cookie")[0],
        "a=1; Path=/; HttpOnly"
    );
}

#[tokio::test]
async fn at_a_mount_a_redirect_to_the_upstream_s_name_is_put_below_it() {
    let upstream = saying("Location: http://HOST/login").await;
    let proxy = to(&upstream)
        .host(HostPolicy::Upstream)
        .rewrites(Rewrites::new().prefix_redirects(true));
    let answer = at_shop(proxy, "/shop/cart").await;
    assert_eq!(answer.headers()["location"], "/shop/login");
}

/// What is said of the upstream's cookies is not said of the gateway's own.
#[tokio::test]
async fn the_cookie_of_a_session_is_as_it_was_asked_for() {
    let upstream = saying("Set-Cookie: id=1; Path=/").await;
    for (edits, left) in [
        (HeaderEdits::new(), Some("id=1; Path=/shop")),
        (HeaderEdits::new().remove("set-cookie"), None),
        (HeaderEdits::new().set("set-cookie", "id=2"), Some("id=2")),
    ] {
        let proxy = to(&upstream)
            .sticky(Sticky::new().name("home"))
            .rewrites(Rewrites::new().prefix_cookies(true))
            .response_headers(edits);
        let answer = at_shop(proxy, "/shop/x").await;
        let mut cookies = all(answer.headers(), "set-cookie");
        let own = cookies.pop().unwrap();
        assert!(own.starts_with("home="), "{own}");
        assert!(own.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{own}");
        assert_eq!(cookies.first().map(String::as_str), left);
    }
}

#[tokio::test]
async fn cookies_are_moved_and_their_domains_replaced() {
    let upstream = saying(
        "Set-Cookie: a=1; Path=/app/x; Domain=app.internal\r\n\
         Set-Cookie: b=2; Domain=.other.test; Path=/application",
    )
    .await;
    let rewrites = Rewrites::new()
        .cookie_path("/app", "/")
        .cookie_domain("app.internal", "example.org")
        .remove_cookie_domain("other.test");
    let answer = call(&to(&upstream).rewrites(rewrites), get("/")).await;
    assert_eq!(
        all(answer.headers(), "set-cookie"),
        ["a=1; Path=/x; Domain=example.org", "b=2; Path=/application"]
    );
}
