//! The upstreams are looked at and changed while requests are under way.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use http_body_util::BodyExt;
use tokio::{net::lookup_host, sync::watch, task::JoinSet, time::timeout};
use tower::ServiceExt;
use tower_gateway::{
    GatewayProxy,
    gateway_proxy::{Balance, Handle, HealthCheck, Retries, Upstream as Server, UpstreamHealth},
};

use super::{ask, call, get, post, spread, text, to, to_these};
use crate::support::{
    log,
    raw::PATIENCE,
    upstream::{Refusing, Upstream},
};

fn server(upstream: &Upstream) -> Server {
    Server::new(&upstream.url()).unwrap()
}

fn urls(handle: &Handle) -> Vec<String> {
    let upstreams = handle.upstreams();
    upstreams.iter().map(|it| it.upstream.to_string()).collect()
}

/// Clients that ask all the time, and what they have been answered.
struct Clients {
    tasks: JoinSet<usize>,
    is_over: Arc<AtomicBool>,
    answered: watch::Receiver<usize>,
}

impl Clients {
    fn of(proxy: &GatewayProxy) -> Self {
        let (sender, answered) = watch::channel(0);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..6 {
            let (proxy, sender) = (proxy.clone(), sender.clone());
            let is_over = Arc::clone(&is_over);
            tasks.spawn(async move {
                let mut requests = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let response = match number % 2 {
                        0 => call(&proxy, get("/")).await,
                        _ => call(&proxy, post("/", "order")).await,
                    };
                    assert_eq!(response.status(), 200);
                    assert_eq!(text(response).await.len(), 1);
                    requests += 1;
                    sender.send_modify(|answered| *answered += 1);
                }
                requests
            });
        }
        Self {
            tasks,
            is_over,
            answered,
        }
    }

    /// Until so many more were answered.
    async fn go_on(&mut self, answers: usize) {
        let enough = *self.answered.borrow() + answers;
        let wait = self.answered.wait_for(|answered| *answered >= enough);
        timeout(PATIENCE, wait).await.expect("answers").unwrap();
    }

    async fn end(self) -> usize {
        self.is_over.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.into_iter().sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_changes_no_request_is_lost() {
    let [a, b, c] = [
        Upstream::named("a").await,
        Upstream::named("b").await,
        Upstream::named("c").await,
    ];
    let proxy = to_these([&a, &b]).retries(Retries::none());
    let handle = proxy.handle();
    let mut clients = Clients::of(&proxy);
    for _ in 0..10 {
        clients.go_on(20).await;
        handle.add(server(&c));
        clients.go_on(20).await;
        assert!(handle.drain(&a.url()).unwrap());
        clients.go_on(20).await;
        assert!(handle.remove(&b.url()).unwrap());
        clients.go_on(20).await;
        handle.set([server(&b).weight(3), server(&a), server(&c).weight(2)]);
        clients.go_on(20).await;
        assert!(handle.resume(&a.url()).unwrap());
        assert!(handle.remove(&c.url()).unwrap());
    }
    let requests = clients.end().await;
    let received = [&a, &b, &c].map(|upstream| upstream.counts().requests);
    assert_eq!(received.iter().sum::<usize>(), requests);
    assert!(
        received.iter().all(|requests| *requests > 0),
        "{received:?}"
    );
    let upstreams = handle.upstreams();
    assert!(
        upstreams
            .iter()
            .all(|it| it.in_flight == 0 && it.in_use == 0 && it.failures == 0)
    );
}

/// What was taken out ends what it is working on, and keeps nothing afterwards.
#[tokio::test]
async fn a_server_that_is_taken_out_ends_what_it_has() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).balance(Balance::RoundRobin);
    let handle = proxy.handle();
    let first = call(&proxy, get("/")).await;
    assert_eq!(ask(&proxy).await, "b");
    assert!(handle.remove(&a.url()).unwrap());
    assert!(!handle.remove(&a.url()).unwrap(), "it is gone");
    assert!(handle.remove("nonsense").is_err());
    assert_eq!(spread(&proxy, 5).await["b"], 5);
    assert_eq!(a.counts().open, 1);
    assert_eq!(text(first).await, "a");
    a.deserted().await;
    assert_eq!(b.counts().open, 1);
}

#[tokio::test]
async fn a_server_that_drains_ends_what_it_has_and_can_be_taken_back() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).balance(Balance::RoundRobin);
    let handle = proxy.handle();
    // One of `a` is held, and one is kept.
    let [first, _, second] = [
        call(&proxy, get("/")).await,
        call(&proxy, get("/")).await,
        call(&proxy, get("/")).await,
    ];
    assert_eq!(text(second).await, "a");
    assert_eq!(handle.upstreams()[0].idle, 1);
    assert!(handle.drain(&a.url()).unwrap());
    assert!(!handle.drain("http://192.0.2.1").unwrap());
    assert!(handle.drain("nonsense").is_err());
    let status = &handle.upstreams()[0];
    assert!(status.is_draining);
    assert_eq!((status.in_flight, status.idle), (1, 0));
    a.until(|counts| counts.open == 1).await;
    assert_eq!(spread(&proxy, 5).await["b"], 5);
    assert_eq!(text(first).await, "a");
    assert_eq!(handle.upstreams()[0].in_flight, 0);
    assert!(handle.resume(&a.url()).unwrap());
    assert!(!handle.upstreams()[0].is_draining);
    assert_eq!(spread(&proxy, 10).await["a"], 5);
}

#[tokio::test]
async fn a_server_that_drained_while_others_changed_can_be_taken_back() {
    let [a, b, c] = [
        Upstream::named("a").await,
        Upstream::named("b").await,
        Upstream::named("c").await,
    ];
    for policy in [
        Balance::PeakEwma,
        Balance::RoundRobin,
        Balance::LeastConnections,
    ] {
        let proxy = to_these([&a, &b]).balance(policy);
        let handle = proxy.handle();
        handle.drain(&a.url()).unwrap();
        handle.add(server(&c));
        let meanwhile = spread(&proxy, 10).await;
        assert!(!meanwhile.contains_key("a"));
        handle.resume(&a.url()).unwrap();
        let after = spread(&proxy, 60).await;
        assert!(after.contains_key("a"), "{after:?}");
    }
}

#[tokio::test]
async fn draining_ends_with_the_server_and_not_with_its_weight() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]);
    let handle = proxy.handle();
    handle.drain(&a.url()).unwrap();
    handle.add(server(&a).weight(10));
    assert!(handle.upstreams()[0].is_draining);
    handle.remove(&a.url()).unwrap();
    handle.add(server(&a));
    assert!(!handle.upstreams()[1].is_draining);
}

#[tokio::test]
async fn those_that_stay_keep_what_is_known_of_them() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to(&a);
    let handle = proxy.handle();
    assert_eq!(spread(&proxy, 3).await["a"], 3);
    // The same twice is one, with what was said first.
    handle.set([server(&b), server(&a).weight(7), server(&a)]);
    assert_eq!(urls(&handle), [b.url(), a.url()]);
    let status = &handle.upstreams()[1];
    assert_eq!((status.requests, status.connected, status.idle), (3, 1, 1));
    assert_eq!(status.upstream, server(&a).weight(7));
    assert_eq!(a.counts().open, 1);
    handle.set([]);
    assert!(handle.upstreams().is_empty());
    assert_eq!(call(&proxy, get("/")).await.status(), 503);
    a.deserted().await;
}

#[tokio::test]
async fn a_stream_of_lists_is_followed() {
    let [a, b, c] = [
        Upstream::named("a").await,
        Upstream::named("b").await,
        Upstream::named("c").await,
    ];
    let proxy = GatewayProxy::to_upstreams([]);
    let handle = proxy.handle();
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<Server>>(1);
    let lists = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let following = tokio::spawn({
        let handle = handle.clone();
        async move { handle.follow(lists).await }
    });
    for list in [vec![&a, &b], vec![&b, &c], vec![], vec![&c]] {
        sender
            .send(list.iter().map(|it| server(it)).collect())
            .await
            .unwrap();
        let expected: Vec<_> = list.iter().map(|it| it.url()).collect();
        timeout(PATIENCE, async {
            while urls(&handle) != expected {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
    drop(sender);
    following.await.unwrap();
    // The last one stays.
    assert_eq!(ask(&proxy).await, "c");
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_what_goes_on() {
    let upstream = Upstream::spawn(|mut conn| async move {
        while conn.request().await.is_some() {
            tokio::time::sleep(Duration::from_secs(3)).await;
            conn.answer("slow").await;
        }
    })
    .await;
    let proxy = to(&upstream).max_connections(2);
    let handle = proxy.handle();
    let status = || handle.upstreams().remove(0);
    let new = status();
    assert_eq!(new.upstream, server(&upstream));
    assert_eq!(new.health, UpstreamHealth::Up);
    assert_eq!(new.latency, Duration::ZERO);
    assert_eq!(
        (new.in_flight, new.in_use, new.waiting, new.idle),
        (0, 0, 0, 0)
    );
    assert_eq!((new.connected, new.requests, new.failures), (0, 0, 0));
    assert!(!new.is_draining);

    let mut clients = JoinSet::new();
    for _ in 0..3 {
        clients.spawn(proxy.clone().oneshot(get("/")));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let busy = status();
    assert_eq!(
        (busy.in_flight, busy.in_use, busy.waiting, busy.idle),
        (3, 2, 1, 0)
    );
    assert_eq!((busy.connected, busy.requests), (2, 3));
    while let Some(response) = clients.join_next().await {
        assert_eq!(text(response.unwrap().unwrap()).await, "slow");
    }
    let idle = status();
    assert_eq!((idle.in_flight, idle.in_use, idle.waiting), (0, 0, 0));
    assert_eq!((idle.connected, idle.requests, idle.failures), (2, 3, 0));
    // The third has waited for the first: six seconds to its head.
    assert_eq!(idle.latency.as_millis(), 6000);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(status().latency < Duration::from_secs(3));
    assert_eq!(status().idle, 0);
}

#[tokio::test]
async fn warmed_up_the_first_requests_find_connections() {
    let (log, _capturing) = log::capture();
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let proxy = to_these([&a, &b]).idle_timeout(Duration::from_secs(3600));
    let handle = proxy.handle();
    assert_eq!(handle.warm_up(3).await, 6);
    a.until(|counts| counts.accepted == 3).await;
    b.until(|counts| counts.accepted == 3).await;
    assert!(
        handle
            .upstreams()
            .iter()
            .all(|it| it.idle == 3 && it.connected == 3)
    );
    assert_eq!(handle.warm_up(3).await, 0, "there they are");
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(call(&proxy, get("/")).await);
    }
    assert_eq!((a.counts().accepted, b.counts().accepted), (3, 3));
    drop(held);

    // No more than may be kept.
    let proxy = to(&a).max_idle(2);
    assert_eq!(proxy.handle().warm_up(10).await, 2);
    let proxy = to(&a).max_connections(1);
    assert_eq!(proxy.handle().warm_up(10).await, 1);

    let refuses = Refusing::new();
    let proxy = GatewayProxy::to_all([refuses.url(), b.url()]).unwrap();
    assert_eq!(log.count("cannot be warmed up"), 0);
    assert_eq!(proxy.handle().warm_up(2).await, 2);
    assert_eq!(log.count("cannot be warmed up"), 1);
    assert_eq!(log.count(&refuses.url()), 1);
}

/// One that hangs keeps no other waiting.
#[cfg(feature = "tls")]
#[tokio::test(start_paused = true)]
async fn all_are_warmed_up_at_the_same_time() {
    let silent = || Upstream::spawn(|mut conn| async move { conn.closed().await });
    let [a, b, c] = [silent().await, silent().await, Upstream::named("c").await];
    let urls = [&a, &b].map(|it| format!("https://localhost:{}", it.addr.port()));
    let proxy = GatewayProxy::to_all([&urls[0], &urls[1], &c.url()]).unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(proxy.handle().warm_up(2).await, 2);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn one_connection_of_http2_is_warm_enough() {
    use std::convert::Infallible;

    use http::{Request, Response};
    use hyper::body::Incoming;
    use tower_gateway::Body;

    let service = tower::service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(Response::new(Body::new(request.into_body())))
    });
    let upstream = crate::support::server::spawn(service).await;
    let url = format!("h2c://{}", upstream.addr);
    let proxy = GatewayProxy::to(&url).unwrap();
    let handle = proxy.handle();
    assert_eq!(handle.warm_up(0).await, 0);
    assert_eq!(handle.warm_up(10).await, 1);
    assert_eq!(handle.warm_up(10).await, 0);
    for _ in 0..3 {
        let response = call(&proxy, post("/", "order")).await;
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "order"
        );
    }
    assert_eq!(handle.upstreams()[0].connected, 1);
    // Drained, it is closed: who comes back needs another one.
    handle.drain(&url).unwrap();
    handle.resume(&url).unwrap();
    assert_eq!(call(&proxy, get("/")).await.status(), 200);
    assert_eq!(handle.upstreams()[0].connected, 2);
}

#[test]
#[should_panic(expected = "start it inside of a tokio runtime")]
fn started_outside_of_a_runtime_it_says_what_to_do() {
    let proxy = GatewayProxy::to("http://127.0.0.1:1").unwrap();
    proxy.health_check(HealthCheck::get("/")).handle().start();
}

/// What `localhost` stands for here, each at a port that is free at all of them.
async fn at_localhost(port: u16) -> BTreeSet<String> {
    let addresses = lookup_host(("localhost", port)).await.unwrap();
    addresses
        .map(|address| format!("http://localhost:{port} at {address}"))
        .collect()
}

#[tokio::test]
async fn a_name_is_as_many_upstreams_as_it_has_addresses() {
    let (log, _capturing) = log::capture();
    let upstream = Upstream::named("a").await;
    let port = upstream.addr.port();
    let name = format!("http://localhost:{port}");
    let proxy = GatewayProxy::to_all([name.as_str(), "http://nobody.invalid:1"]).unwrap();
    let proxy = proxy.resolve(Duration::from_secs(3600));
    let handle = proxy.handle();
    assert_eq!(urls(&handle), [name.as_str(), "http://nobody.invalid:1"]);
    // What is said of the name is said of its addresses.
    assert!(handle.drain(&name).unwrap());
    handle.start();
    let addresses = at_localhost(port).await;
    assert!(!addresses.is_empty());
    timeout(PATIENCE, async {
        while handle.upstreams().len() != addresses.len() + 1
            || urls(&handle).contains(&name)
            || log.count("cannot be looked up") == 0
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut said = urls(&handle);
    // One that cannot be looked up stays what it was.
    assert_eq!(said.pop().unwrap(), "http://nobody.invalid:1");
    assert_eq!(said.into_iter().collect::<BTreeSet<_>>(), addresses);
    assert_eq!(
        log.count("the name of an upstream cannot be looked up name=\"nobody.invalid:1\""),
        1
    );
    assert_eq!(log.count("the addresses of an upstream have changed"), 1);
    let upstreams = handle.upstreams();
    assert!(
        upstreams
            .iter()
            .take(addresses.len())
            .all(|it| it.is_draining)
    );
    assert!(handle.remove("http://nobody.invalid:1").unwrap());
    assert_eq!(call(&proxy, get("/")).await.status(), 503);

    assert!(handle.resume(&name).unwrap());
    assert_eq!(ask(&proxy).await, "a");
    assert!(handle.remove(&name).unwrap());
    assert!(handle.upstreams().is_empty());
}

#[tokio::test]
async fn a_name_that_is_added_is_looked_up_at_once() {
    let [a, b] = [Upstream::named("a").await, Upstream::named("b").await];
    let names = [&a, &b].map(|it| format!("http://localhost:{}", it.addr.port()));
    let proxy = GatewayProxy::to(&names[0]).unwrap();
    let proxy = proxy.resolve(Duration::from_secs(3600));
    let handle = proxy.handle();
    handle.start();
    let mut known = BTreeSet::new();
    for (upstream, name) in [&a, &b].into_iter().zip(names) {
        handle.add(Server::new(&name).unwrap());
        known.extend(at_localhost(upstream.addr.port()).await);
        timeout(PATIENCE, async {
            while urls(&handle).into_iter().collect::<BTreeSet<_>>() != known {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

/// Without it, a name is one upstream, and its addresses are tried in turn.
#[tokio::test]
async fn a_name_that_is_not_looked_up_is_one_upstream() {
    let upstream = Upstream::named("a").await;
    let name = format!("http://localhost:{}", upstream.addr.port());
    let proxy = GatewayProxy::to(&name).unwrap();
    assert_eq!(ask(&proxy).await, "a");
    proxy.handle().start();
    assert_eq!(urls(&proxy.handle()), [name]);
}
