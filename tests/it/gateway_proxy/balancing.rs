//! Which of several upstreams a request goes to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use http::{HeaderName, Request, Response};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower::ServiceExt;
use tower_gateway::{
    Body, ErrorKind, GatewayProxy, PeerAddr,
    gateway_proxy::{Balance, HashKey, Retries, Sticky, Upstream as Server},
};

use super::{ask, call, get, kind, spread, text, to, to_these};
use crate::support::upstream::Upstream;

/// A proxy to these, in this order, with these weights.
fn weighted(servers: &[(&Upstream, u32)]) -> GatewayProxy {
    let server = |(upstream, weight): &(&Upstream, u32)| {
        Server::new(&upstream.url()).unwrap().weight(*weight)
    };
    GatewayProxy::to_upstreams(servers.iter().map(server))
}

fn policies() -> [Balance; 5] {
    [
        Balance::PeakEwma,
        Balance::RoundRobin,
        Balance::LeastConnections,
        Balance::Random,
        Balance::Hash(HashKey::header(HeaderName::from_static("host")).bound(f64::INFINITY)),
    ]
}

fn count(answers: &BTreeMap<String, usize>, name: &str) -> usize {
    answers.get(name).copied().unwrap_or(0)
}

#[tokio::test]
async fn in_turn_by_weight() {
    let [a, b, c] = [
        Upstream::named("a").await,
        Upstream::named("b").await,
        Upstream::named("c").await,
    ];
    let proxy = weighted(&[(&a, 5), (&b, 1), (&c, 1)]).balance(Balance::RoundRobin);
    let mut order = String::new();
    for _ in 0..14 {
        order += &ask(&proxy).await;
    }
    assert_eq!(order, "aabacaaaabacaa");
}

#[tokio::test]
async fn by_chance_by_weight() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = weighted(&[(&a, 3), (&b, 1)]).balance(Balance::Random);
    let answers = spread(&proxy, 400).await;
    // Six standard deviations to both sides of 300.
    assert!((248..=352).contains(&count(&answers, "a")), "{answers:?}");
}

#[tokio::test]
async fn the_fewest_requests_for_its_weight() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = weighted(&[(&a, 3), (&b, 1)]).balance(Balance::LeastConnections);
    let handle = proxy.handle();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(call(&proxy, get("/")).await);
    }
    let in_flight: Vec<_> = handle.upstreams().iter().map(|it| it.in_flight).collect();
    assert_eq!(in_flight, [6, 2]);

    drop(held);
    assert!(handle.upstreams().iter().all(|it| it.in_flight == 0));
    let _one = call(&proxy, get("/")).await;
    // Whoever has it, the other one has less.
    let busy = handle.upstreams().iter().position(|it| it.in_flight == 1);
    let other = ["b", "a"][busy.unwrap()];
    for _ in 0..10 {
        assert_eq!(ask(&proxy).await, other);
    }
}

/// Every policy: the others are there for nothing while one can be asked.
#[tokio::test]
async fn a_backup_is_asked_only_when_the_others_cannot() {
    for policy in policies() {
        let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
        let proxy = GatewayProxy::to_upstreams([
            Server::new(&b.url()).unwrap().weight(100).backup(),
            Server::new(&a.url()).unwrap(),
        ])
        .balance(policy.clone())
        .max_connections(1);
        let handle = proxy.handle();
        assert_eq!(count(&spread(&proxy, 20).await, "a"), 20, "{policy:?}");
        // One that is full cannot be asked.
        let held = call(&proxy, get("/")).await;
        assert_eq!(count(&spread(&proxy, 5).await, "b"), 5, "{policy:?}");
        assert_eq!(text(held).await, "a");
        // Nor one that drains.
        assert!(handle.drain(&a.url()).unwrap());
        assert_eq!(count(&spread(&proxy, 5).await, "b"), 5, "{policy:?}");
        assert!(handle.resume(&a.url()).unwrap());
        assert_eq!(count(&spread(&proxy, 20).await, "a"), 20, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_server_is_passed_over() {
    for policy in policies() {
        let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
        let proxy = to_these([&a, &b])
            .balance(policy.clone())
            .max_connections(1);
        let held = call(&proxy, get("/")).await;
        let start = Instant::now();
        let answers = spread(&proxy, 10).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let other = match text(held).await.as_str() {
            "a" => "b",
            _ => "a",
        };
        assert_eq!(count(&answers, other), 10, "{policy:?}");
    }
}

/// With both servers full and room for one to wait at each, two can wait.
#[tokio::test]
async fn who_has_to_wait_waits_where_there_is_a_place() {
    for policy in policies() {
        let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
        let proxy = to_these([&a, &b])
            .balance(policy.clone())
            .max_connections(1)
            .max_waiting(1);
        for _ in 0..10 {
            let held = [call(&proxy, get("/")).await, call(&proxy, get("/")).await];
            let mut waiting = JoinSet::new();
            for _ in 0..2 {
                waiting.spawn(proxy.clone().oneshot(get("/")));
                tokio::task::yield_now().await;
            }
            // And no third one.
            let third = call(&proxy, get("/")).await;
            assert_eq!(kind(&third), Some(ErrorKind::UpstreamBusy));
            for response in held {
                text(response).await;
            }
            for response in waiting.join_all().await {
                let response = response.unwrap();
                assert_eq!(response.status(), 200, "{policy:?}");
                text(response).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_avoided() {
    let slow = Upstream::spawn(|mut conn| async move {
        while conn.request().await.is_some() {
            tokio::time::sleep(Duration::from_secs(2)).await;
            conn.answer("slow").await;
        }
    })
    .await;
    let fast = Upstream::named("fast").await;
    let proxy = to_these([&slow, &fast]);
    let answers = spread(&proxy, 100).await;
    // It is not known before it was asked once.
    assert!(count(&answers, "slow") <= 1, "{answers:?}");
    // And it is given another try.
    tokio::time::sleep(Duration::from_secs(1000)).await;
    for _ in 0..100 {
        ask(&proxy).await;
    }
    assert!(slow.counts().requests > count(&answers, "slow"));
    assert!(slow.counts().requests < 10, "{:?}", slow.counts());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_avoided_though_its_clients_go_away_before_it_has_failed() {
    let hangs = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let fast = Upstream::named("fast").await;
    let proxy = to_these([&hangs, &fast]);
    let mut given_up = 0;
    for _ in 0..50 {
        let answer = timeout(Duration::from_secs(1), ask(&proxy)).await;
        given_up += usize::from(answer.is_err());
    }
    assert!(given_up <= 1, "{given_up}");
    assert_eq!(proxy.handle().upstreams()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_less_gets_less() {
    for answer in [
        "HTTP/1.1 429 Too Many\r\nRetry-After: 60\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy",
    ] {
        let busy = Upstream::saying(answer).await;
        let free = Upstream::named("free").await;
        let proxy = to_these([&busy, &free]);
        for _ in 0..50 {
            text(call(&proxy, get("/")).await).await;
        }
        assert!(busy.counts().requests <= 1, "{:?}", busy.counts());
    }
}

fn with(name: &str, value: &str) -> Request<Body> {
    let mut request = get("/");
    let name: HeaderName = name.parse().unwrap();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn from(peer: &str) -> Request<Body> {
    let mut request = get("/");
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(PeerAddr::Tcp(peer));
    request
}

/// The servers of so many keys, of requests that are made by `request`.
async fn homes(proxy: &GatewayProxy, request: impl Fn(usize) -> Request<Body>) -> Vec<String> {
    let mut homes = Vec::new();
    for key in 0..100 {
        let response = call(proxy, request(key)).await;
        assert_eq!(response.status(), 200);
        homes.push(text(response).await);
    }
    homes
}

#[tokio::test]
async fn the_same_key_reaches_the_same_server_and_moves_only_when_that_is_gone() {
    let [a, b, c] = [
        Upstream::named("a").await,
        Upstream::named("b").await,
        Upstream::named("c").await,
    ];
    let tenant = HashKey::header(HeaderName::from_static("x-tenant"));
    let by_header = |key: usize| with("x-tenant", &format!("t{key}"));
    let by_cookie = |key: usize| with("cookie", &format!("other=1; user=u{key}"));
    let by_client = |key: usize| from(&format!("192.0.2.{key}:{}", 1000 + key));
    type Make<'a> = &'a dyn Fn(usize) -> Request<Body>;
    let ways: [(HashKey, Make<'_>); 3] = [
        (tenant, &by_header),
        (HashKey::cookie("user"), &by_cookie),
        (HashKey::client_addr(), &by_client),
    ];
    for (key, request) in ways {
        let proxy = to_these([&a, &b, &c]).balance(Balance::Hash(key.bound(f64::INFINITY)));
        let handle = proxy.handle();
        let before = homes(&proxy, request).await;
        assert_eq!(BTreeSet::from_iter(&before).len(), 3, "{before:?}");
        assert_eq!(before, homes(&proxy, request).await);

        assert!(handle.remove(&b.url()).unwrap());
        let after = homes(&proxy, request).await;
        let mut taken_over = BTreeSet::new();
        for (was, is) in before.iter().zip(&after) {
            if was == "b" {
                assert_ne!(is, "b");
                taken_over.insert(is);
            } else {
                assert_eq!(was, is, "a key moved for nothing");
            }
        }
        // Not all of them to one other.
        assert_eq!(taken_over.len(), 2, "{after:?}");

        handle.add(Server::new(&b.url()).unwrap());
        assert_eq!(before, homes(&proxy, request).await);
    }
}

#[tokio::test]
async fn a_client_is_whom_trusted_proxies_say_and_its_port_is_no_part_of_it() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let policy = Balance::Hash(HashKey::client_addr().bound(f64::INFINITY));
    let proxy = to_these([&a, &b]).balance(policy);
    let trusting = proxy.clone().trust("192.0.2.1").unwrap();
    let request = |client: usize| {
        let mut request = from(&format!("192.0.2.1:{}", 1000 + client));
        let client = format!("198.51.100.{client}");
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", client.parse().unwrap());
        request
    };
    assert_eq!(BTreeSet::from_iter(homes(&proxy, request).await).len(), 1);
    assert_eq!(
        BTreeSet::from_iter(homes(&trusting, request).await).len(),
        2
    );
}

#[tokio::test]
async fn a_key_is_no_more_than_its_share_for_one_server() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let key = || HashKey::header(HeaderName::from_static("x-tenant"));
    for (key, most) in [(key(), 13), (key().bound(f64::INFINITY), 20)] {
        let proxy = to_these([&a, &b]).balance(Balance::Hash(key));
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(call(&proxy, with("x-tenant", "one")).await);
        }
        let servers = proxy.handle().upstreams();
        let busiest = servers.iter().map(|server| server.in_flight).max();
        assert_eq!(busiest, Some(most));
    }
}

/// The name and value of the cookie that an answer sets.
fn cookie(response: &Response<Body>) -> Option<String> {
    let line = response.headers().get("set-cookie")?.to_str().unwrap();
    Some(line.split(';').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_session_stays_on_its_server() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b])
        .balance(Balance::RoundRobin)
        .sticky(Sticky::new().name("shop"));
    for _ in 0..4 {
        let first = call(&proxy, get("/")).await;
        let set = first.headers()["set-cookie"].to_str().unwrap().to_owned();
        let rest = set.split_once("; ").unwrap().1;
        assert_eq!(rest, "Path=/; HttpOnly; SameSite=Lax");
        let session = cookie(&first).unwrap();
        assert!(session.starts_with("shop="));
        let home = text(first).await;
        for _ in 0..5 {
            let next = call(&proxy, with("cookie", &session)).await;
            assert_eq!(cookie(&next), None, "it has one already");
            assert_eq!(text(next).await, home);
        }
    }
    assert!(a.counts().requests > 0 && b.counts().requests > 0);
    // One that nobody made is as none.
    let forged = call(&proxy, with("cookie", "shop=0123456789abcdef")).await;
    assert!(cookie(&forged).is_some());
}

#[tokio::test]
async fn a_session_moves_when_its_server_fails_and_stays_where_it_went() {
    let (a, mood_a) = Upstream::moody("a", 200).await;
    let (b, mood_b) = Upstream::moody("b", 200).await;
    let proxy = to_these([&a, &b]).sticky(Sticky::new());
    let first = call(&proxy, get("/")).await;
    let session = cookie(&first).unwrap();
    let (home, mood) = match text(first).await.as_str() {
        "a" => ("a", mood_a),
        _ => ("b", mood_b),
    };
    mood.set(0);
    let moved = call(&proxy, with("cookie", &session)).await;
    let anew = cookie(&moved).expect("another server, another cookie");
    assert_ne!(anew, session);
    assert_ne!(text(moved).await, home);
    mood.set(200);
    for _ in 0..5 {
        let next = call(&proxy, with("cookie", &anew)).await;
        assert_eq!(cookie(&next), None);
        assert_ne!(text(next).await, home);
    }
}

#[tokio::test]
async fn a_session_moves_when_its_server_is_taken_out() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).sticky(Sticky::new());
    let first = call(&proxy, get("/")).await;
    let session = cookie(&first).unwrap();
    let (home, other) = match text(first).await.as_str() {
        "a" => (&a, "b"),
        _ => (&b, "a"),
    };
    assert!(proxy.handle().remove(&home.url()).unwrap());
    let moved = call(&proxy, with("cookie", &session)).await;
    assert!(cookie(&moved).is_some());
    assert_eq!(text(moved).await, other);
}

#[tokio::test]
async fn a_server_that_drains_keeps_its_sessions_and_gets_no_others() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).sticky(Sticky::new());
    let handle = proxy.handle();
    let first = call(&proxy, get("/")).await;
    let session = cookie(&first).unwrap();
    let (home, other) = match text(first).await.as_str() {
        "a" => (&a, "b"),
        _ => (&b, "a"),
    };
    assert!(handle.drain(&home.url()).unwrap());
    for _ in 0..10 {
        let next = call(&proxy, with("cookie", &session)).await;
        assert_eq!(cookie(&next), None);
        assert_ne!(text(next).await, other);
        assert_eq!(ask(&proxy).await, other);
    }
    // Also when it is the only one there is.
    let other = if other == "a" { &a } else { &b };
    assert!(handle.remove(&other.url()).unwrap());
    let next = call(&proxy, with("cookie", &session)).await;
    assert_eq!(next.status(), 200);
    let new = call(&proxy, get("/")).await;
    assert_eq!(kind(&new), Some(ErrorKind::UpstreamUnavailable));
}

/// A session waits for its server: elsewhere it is not.
#[tokio::test]
async fn a_session_waits_for_its_server() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).sticky(Sticky::new()).max_connections(1);
    let first = call(&proxy, get("/")).await;
    let session = cookie(&first).unwrap();
    let waits = tokio::spawn(proxy.clone().oneshot(with("cookie", &session)));
    tokio::task::yield_now().await;
    assert!(!waits.is_finished());
    let home = text(first).await;
    assert_eq!(text(waits.await.unwrap().unwrap()).await, home);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_added_starts_slowly() {
    let [a, b, c] = [
        Upstream::named("a").await,
        Upstream::named("b").await,
        Upstream::named("c").await,
    ];
    let start = Duration::from_secs(100);
    for (slow_start, shares) in [(start, [2, 11, 17]), (Duration::ZERO, [14, 17, 17])] {
        let proxy = to_these([&a, &b])
            .balance(Balance::RoundRobin)
            .slow_start(slow_start);
        tokio::time::sleep(Duration::from_secs(1000)).await;
        proxy.handle().add(Server::new(&c.url()).unwrap());
        // A tenth of the others at first: one of 21; 0.55 of 2.55 in the middle; then a third.
        for (requests, share) in [42, 51, 51].into_iter().zip(shares) {
            let answers = spread(&proxy, requests).await;
            assert!(
                count(&answers, "c").abs_diff(share) <= 1,
                "{share}: {answers:?}"
            );
            tokio::time::sleep(Duration::from_secs(50)).await;
        }
    }
}

#[tokio::test]
async fn without_a_server_that_may_be_asked_the_answer_is_503() {
    let proxy = GatewayProxy::to_upstreams([]);
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamUnavailable));

    let upstream = Upstream::named("a").await;
    let proxy = to(&upstream).retries(Retries::none());
    proxy.handle().drain(&upstream.url()).unwrap();
    let response = call(&proxy, get("/")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamUnavailable));
    proxy.handle().add(Server::new(&upstream.url()).unwrap());
    proxy.handle().resume(&upstream.url()).unwrap();
    assert_eq!(ask(&proxy).await, "a");
}
