//! Servers that fail are left alone, and servers are asked whether they are well.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, header};
use tokio::{runtime, time::sleep};
use tower_gateway::{
    ErrorKind, GatewayProxy,
    gateway_proxy::{
        Balance, Ejection, Handle, HealthCheck, Retries, Upstream as Server, UpstreamHealth,
    },
};

use super::{ask, call, get, kind, spread, text, to, to_these};
use crate::support::{
    log,
    upstream::{Conn, Refusing, Upstream},
};

const SECOND: Duration = Duration::from_secs(1);

/// In turn, and with one try for each request: what it was answered is what the server said.
fn plain(proxy: GatewayProxy) -> GatewayProxy {
    proxy.balance(Balance::RoundRobin).retries(Retries::none())
}

/// So many GETs; their answers may be anything.
async fn send(proxy: &GatewayProxy, requests: usize) {
    for _ in 0..requests {
        let response = call(proxy, get("/")).await;
        http_body_util::BodyExt::collect(response.into_body())
            .await
            .ok();
    }
}

fn health(handle: &Handle) -> Vec<UpstreamHealth> {
    handle.upstreams().iter().map(|it| it.health).collect()
}

fn is_ejected(health: UpstreamHealth) -> bool {
    matches!(health, UpstreamHealth::Ejected(_))
}

/// Time passes until it is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never was so");
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_eject_a_server_for_a_while() {
    let (log, _capturing) = log::capture();
    let (a, mood) = Upstream::moody("a", 0).await;
    let b = Upstream::named("b").await;
    let proxy = plain(to_these([&a, &b]));
    let handle = proxy.handle();
    send(&proxy, 8).await;
    assert_eq!(handle.upstreams()[0].failures, 4);
    assert_eq!(health(&handle), [UpstreamHealth::Up; 2]);
    assert_eq!(log.count("left alone"), 0);
    send(&proxy, 2).await;
    let UpstreamHealth::Ejected(rest) = health(&handle)[0] else {
        panic!("{:?}", handle.upstreams());
    };
    assert!(rest <= 30 * SECOND && rest > 29 * SECOND);
    assert_eq!(log.count("WARN"), 5 + 1, "five without an answer, and it");
    let of_it = format!("upstream={}", a.url());
    let text = log.text();
    let warnings = text.lines().filter(|line| line.contains("WARN"));
    assert_eq!(warnings.filter(|line| line.contains(&of_it)).count(), 5 + 1);
    assert_eq!(log.count("left alone for a while"), 1);

    assert_eq!(spread(&proxy, 10).await["b"], 10);
    sleep(29 * SECOND).await;
    assert_eq!(spread(&proxy, 10).await["b"], 10);
    // Its time is over, and one failure is enough now, for twice the time.
    sleep(SECOND).await;
    assert_eq!(health(&handle)[0], UpstreamHealth::Up);
    send(&proxy, 2).await;
    let UpstreamHealth::Ejected(rest) = health(&handle)[0] else {
        panic!("{:?}", handle.upstreams());
    };
    assert!(rest > 59 * SECOND);
    // It is well again when it comes back.
    mood.set(200);
    sleep(60 * SECOND).await;
    assert_eq!(log.count("an upstream is back"), 0);
    assert_eq!(spread(&proxy, 10).await["a"], 5);
    assert_eq!(log.count("an upstream is back"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_clears_them() {
    let (a, mood) = Upstream::moody("a", 0).await;
    let b = Upstream::named("b").await;
    let proxy = plain(to_these([&a, &b]));
    for _ in 0..3 {
        mood.set(0);
        send(&proxy, 8).await;
        mood.set(200);
        send(&proxy, 2).await;
    }
    assert_eq!(proxy.handle().upstreams()[0].failures, 12);
    assert_eq!(health(&proxy.handle()), [UpstreamHealth::Up; 2]);
}

/// What is a failure of the server, and what is none.
#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_counts_and_nothing_else() {
    let hangs = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let garbage = Upstream::saying("SSH-2.0-nothing\r\n\r\n").await;
    let closes_unread = Upstream::spawn(|conn| async move { conn.reset() }).await;
    let refuses = Refusing::new();
    let statuses = [200, 301, 404, 429, 500, 501, 502, 503, 504];
    let mut cases = vec![
        ("hangs".to_owned(), hangs.url(), true),
        ("garbage".to_owned(), garbage.url(), true),
        ("closes".to_owned(), closes_unread.url(), true),
        ("refuses".to_owned(), refuses.url(), true),
    ];
    let mut moody = Vec::new();
    for status in statuses {
        let (upstream, _mood) = Upstream::moody("a", status).await;
        cases.push((status.to_string(), upstream.url(), status > 501));
        moody.push(upstream);
    }
    let good = Upstream::named("good").await;
    for (name, url, counts) in cases {
        let proxy = plain(GatewayProxy::to_all([url, good.url()]).unwrap());
        send(&proxy, 10).await;
        let upstreams = proxy.handle().upstreams();
        assert_eq!(is_ejected(upstreams[0].health), counts, "{name}");
        assert_eq!(upstreams[0].failures, if counts { 5 } else { 0 }, "{name}");
        assert_eq!(upstreams[0].requests, 5, "{name}");
        assert_eq!(upstreams[1].health, UpstreamHealth::Up);
    }
}

/// A head is no success yet: it is one when the body is whole.
#[tokio::test]
async fn a_server_that_breaks_every_answer_off_is_ejected() {
    for rest in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        let breaks = Upstream::spawn(move |mut conn| async move {
            conn.request().await;
            conn.write(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        })
        .await;
        let good = Upstream::named("good").await;
        let ejection = Ejection::new().consecutive(2);
        let proxy = plain(to_these([&breaks, &good])).ejection(ejection);
        let handle = proxy.handle();
        send(&proxy, 2).await;
        assert_eq!(health(&handle), [UpstreamHealth::Up; 2], "{rest}");
        send(&proxy, 2).await;
        assert!(is_ejected(health(&handle)[0]), "{rest}");
        assert_eq!(handle.upstreams()[0].failures, 2);
        assert_eq!(handle.upstreams()[1].health, UpstreamHealth::Up);
    }
}

/// Nobody knows what it would have been to the end.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_short_here_is_no_failure() {
    let slow = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
        conn.closed().await;
    })
    .await;
    let good = Upstream::named("good").await;
    for total in [Some(SECOND), None] {
        let ejection = Ejection::new().consecutive(1);
        let proxy = plain(to_these([&slow, &good])).ejection(ejection);
        let proxy = match total {
            Some(total) => proxy.total_timeout(total),
            None => proxy,
        };
        for _ in 0..4 {
            let response = call(&proxy, get("/")).await;
            match total {
                Some(_) => drop(http_body_util::BodyExt::collect(response.into_body()).await),
                // The client leaves.
                None => drop(response),
            }
        }
        assert_eq!(health(&proxy.handle()), [UpstreamHealth::Up; 2]);
        assert_eq!(proxy.handle().upstreams()[0].failures, 0);
    }
    // A pause that is too long is one.
    let ejection = Ejection::new().consecutive(1);
    let proxy = plain(to_these([&slow, &good])).ejection(ejection);
    send(&proxy, 1).await;
    assert!(is_ejected(health(&proxy.handle())[0]));
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_is_no_failure() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.answer("a").await;
        // It takes one more, and closes.
        conn.request().await;
    })
    .await;
    let other = Upstream::named("b").await;
    let proxy = plain(to_these([&upstream, &other]));
    spread(&proxy, 40).await;
    let status = &proxy.handle().upstreams()[0];
    assert!(upstream.counts().accepted > 10);
    assert_eq!(status.failures, 0);
    assert_eq!(status.health, UpstreamHealth::Up);
}

#[tokio::test]
async fn the_last_server_is_never_ejected() {
    let (a, _) = Upstream::moody("a", 0).await;
    let (b, _) = Upstream::moody("b", 503).await;
    let alone = plain(to(&a));
    send(&alone, 20).await;
    assert_eq!(health(&alone.handle()), [UpstreamHealth::Up]);

    let proxy = plain(to_these([&a, &b]));
    send(&proxy, 40).await;
    let health = health(&proxy.handle());
    assert_eq!(health.iter().filter(|it| is_ejected(**it)).count(), 1);
    assert!(a.counts().requests >= 5 && b.counts().requests >= 5);
}

#[tokio::test]
async fn no_more_than_a_share_is_ejected() {
    let mut upstreams = Vec::new();
    for _ in 0..5 {
        upstreams.push(Upstream::moody("a", 503).await.0);
    }
    for (ejection, out) in [
        (Ejection::new(), 2),
        (Ejection::new().max_share(1.0), 4),
        (Ejection::new().max_share(0.01), 1),
        (Ejection::off(), 0),
    ] {
        let proxy = plain(to_these(&upstreams)).ejection(ejection);
        send(&proxy, 100).await;
        let health = health(&proxy.handle());
        assert_eq!(health.iter().filter(|it| is_ejected(**it)).count(), out);
    }
}

#[tokio::test(start_paused = true)]
async fn what_ejects_and_for_how_long_can_be_said() {
    let (a, _mood) = Upstream::moody("a", 500).await;
    let b = Upstream::named("b").await;
    let ejection = Ejection::new()
        .consecutive(2)
        .on_status([500])
        .base_time(7 * SECOND);
    let proxy = plain(to_these([&a, &b])).ejection(ejection);
    send(&proxy, 2).await;
    assert!(!is_ejected(health(&proxy.handle())[0]));
    send(&proxy, 2).await;
    assert!(is_ejected(health(&proxy.handle())[0]));
    sleep(7 * SECOND).await;
    assert!(!is_ejected(health(&proxy.handle())[0]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_half_of_the_time_is_found_by_its_rate() {
    let upstream = Upstream::spawn(|mut conn| async move {
        for number in 0.. {
            if conn.request().await.is_none() {
                return;
            }
            conn.answer_with([200, 503][number % 2], "", "a").await;
        }
    })
    .await;
    let b = Upstream::named("b").await;
    let rate = Ejection::new().error_rate(0.5, 30 * SECOND, 20);
    for (ejection, out) in [(Ejection::new(), false), (rate, true)] {
        let proxy = plain(to_these([&upstream, &b])).ejection(ejection);
        send(&proxy, 38).await;
        assert!(!is_ejected(health(&proxy.handle())[0]));
        send(&proxy, 2).await;
        assert_eq!(is_ejected(health(&proxy.handle())[0]), out);
    }
}

/// Its requests and probes are answered with the status of the moment; the probes are counted.
struct Probed {
    upstream: Upstream,
    status: Arc<AtomicU16>,
    probes: Arc<AtomicUsize>,
    latest: Arc<Mutex<String>>,
}

impl Probed {
    async fn new(name: &'static str, status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let probes = Arc::new(AtomicUsize::new(0));
        let latest = Arc::new(Mutex::new(String::new()));
        let known = (
            Arc::clone(&status),
            Arc::clone(&probes),
            Arc::clone(&latest),
        );
        let upstream = Upstream::spawn(move |mut conn| {
            let (status, probes, latest) = known.clone();
            async move {
                while let Some(request) = conn.request().await {
                    if request.starts_with("GET /healthz") {
                        probes.fetch_add(1, Ordering::SeqCst);
                        *latest.lock().unwrap() = request;
                        match status.load(Ordering::SeqCst) {
                            0 => return conn.closed().await,
                            status => conn.answer_with(status, "", "all is fine").await,
                        }
                    } else {
                        conn.answer_with(200, "X-Accel-Buffering: no\r\n", name)
                            .await;
                    }
                }
            }
        })
        .await;
        Self {
            upstream,
            status,
            probes,
            latest,
        }
    }

    fn set(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn probes(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    fn latest(&self) -> String {
        self.latest.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn three_bad_probes_take_a_server_out_and_two_good_ones_bring_it_back() {
    let (log, _capturing) = log::capture();
    let a = Probed::new("a", 500).await;
    let b = Probed::new("b", 200).await;
    let proxy = plain(to_these([&a.upstream, &b.upstream]))
        .health_check(HealthCheck::get("/healthz?deep=1"));
    let handle = proxy.handle();
    // The first request starts it.
    sleep(100 * SECOND).await;
    assert_eq!(a.probes(), 0);
    assert_eq!(spread(&proxy, 2).await["a"], 1);
    until(|| a.probes() == 2).await;
    sleep(SECOND).await;
    assert_eq!(health(&handle), [UpstreamHealth::Up; 2]);
    until(|| health(&handle)[0] == UpstreamHealth::Down).await;
    assert_eq!(a.probes(), 3);
    assert_eq!(health(&handle)[1], UpstreamHealth::Up);
    assert_eq!(log.count("an upstream is down"), 1);
    assert_eq!(log.count("the answer was 500"), 1);
    assert_eq!(spread(&proxy, 10).await["b"], 10);

    a.set(302);
    until(|| a.probes() == 4).await;
    sleep(SECOND).await;
    assert_eq!(health(&handle)[0], UpstreamHealth::Down);
    until(|| health(&handle)[0] == UpstreamHealth::Up).await;
    assert_eq!(a.probes(), 5);
    assert_eq!(log.count("an upstream is back"), 1);
    assert_eq!(spread(&proxy, 10).await["a"], 5);

    // As any client of an application, and known as a probe.
    let probe = a.latest();
    assert!(
        probe.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"),
        "{probe}"
    );
    assert_eq!(super::lines(&probe, "host"), [a.upstream.addr.to_string()]);
    // They are no requests of the pool's.
    assert_eq!(handle.upstreams()[0].failures, 0);
}

/// Every way in which a probe is bad takes a server out; the rest does not.
#[tokio::test(start_paused = true)]
async fn what_a_good_probe_is_can_be_said() {
    let other = Upstream::named("b").await;
    let cases: [(HealthCheck, u16, bool); 9] = [
        (HealthCheck::get("/healthz"), 200, true),
        (HealthCheck::get("/healthz"), 399, true),
        (HealthCheck::get("/healthz"), 404, false),
        // It closes nothing and says nothing.
        (HealthCheck::get("/healthz").timeout(SECOND), 0, false),
        (
            HealthCheck::get("/healthz").expect_status([204]),
            200,
            false,
        ),
        (HealthCheck::get("/healthz").expect_status([404]), 404, true),
        (
            HealthCheck::get("/healthz").expect_body("is fine"),
            200,
            true,
        ),
        (
            HealthCheck::get("/healthz").expect_body("is bad"),
            200,
            false,
        ),
        (
            HealthCheck::get("/healthz")
                .expect_body("is fine")
                .max_body(9),
            200,
            false,
        ),
    ];
    for (check, status, is_good) in cases {
        let said = format!("{check:?}, {status}");
        let a = Probed::new("a", status).await;
        let proxy = plain(to_these([&a.upstream, &other])).health_check(check);
        let handle = proxy.handle();
        handle.start();
        until(|| a.probes() == 5).await;
        let health = health(&handle)[0];
        let expected = match is_good {
            true => UpstreamHealth::Up,
            false => UpstreamHealth::Down,
        };
        assert_eq!(health, expected, "{said}");
        // Its connections are closed, and none of them is of the pool.
        drop((proxy, handle));
        a.upstream.deserted().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_probed_at_another_port_as_another_host_with_other_fields() {
    let a = Upstream::named("a").await;
    let beside = Probed::new("beside", 200).await;
    let check = HealthCheck::get("/healthz")
        .port(beside.upstream.addr.port())
        .host("www.example.org")
        .header(
            header::HeaderName::from_static("x-forwarded-proto"),
            HeaderValue::from_static("https"),
        );
    let proxy = to(&a).health_check(check);
    let handle = proxy.handle();
    handle.start();
    until(|| beside.probes() == 2).await;
    let probe = beside.latest();
    assert_eq!(super::lines(&probe, "host"), ["www.example.org"]);
    assert_eq!(super::lines(&probe, "x-forwarded-proto"), ["https"]);
    assert_eq!(a.counts().accepted, 0);
    beside.set(500);
    until(|| health(&handle)[0] == UpstreamHealth::Down).await;
    // Alone, it is asked all the same.
    assert_eq!(ask(&proxy).await, "a");
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_a_bad_probe_too_and_its_reason_is_told() {
    let (log, _capturing) = log::capture();
    let refuses = Refusing::new();
    let proxy = GatewayProxy::to(&refuses.url()).unwrap();
    let proxy = proxy.health_check(HealthCheck::get("/"));
    let handle = proxy.handle();
    handle.start();
    until(|| health(&handle)[0] == UpstreamHealth::Down).await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("is down")).unwrap();
    assert!(
        line.contains("WARN") && line.contains(&refuses.url()),
        "{line}"
    );
    assert!(line.contains("refused"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_new_server_waits_for_its_first_good_probe() {
    let a = Probed::new("a", 200).await;
    let b = Probed::new("b", 503).await;
    let check = HealthCheck::get("/healthz")
        .wait_for_first_success()
        .falls(1000);
    let proxy = plain(to(&a.upstream)).health_check(check);
    let handle = proxy.handle();
    assert_eq!(health(&handle), [UpstreamHealth::Unknown]);
    // As long as no server has passed, those that wait are used.
    assert_eq!(ask(&proxy).await, "a");
    until(|| health(&handle) == [UpstreamHealth::Up]).await;

    for _ in 0..2 {
        b.set(503);
        handle.add(Server::new(&b.upstream.url()).unwrap());
        assert_eq!(health(&handle)[1], UpstreamHealth::Unknown);
        assert_eq!(spread(&proxy, 10).await["a"], 10);
        let probed = b.probes();
        until(|| b.probes() > probed + 2).await;
        assert_eq!(health(&handle)[1], UpstreamHealth::Unknown);
        b.set(200);
        // One is enough.
        let probed = b.probes();
        until(|| health(&handle)[1] == UpstreamHealth::Up).await;
        assert_eq!(b.probes(), probed + 1);
        assert_eq!(spread(&proxy, 10).await["b"], 5);
        // Taken out and back again, it is a new one.
        assert!(handle.remove(&b.upstream.url()).unwrap());
    }
}

/// Taken out and added before anybody has looked.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_added_again_at_once_is_probed() {
    let a = Probed::new("a", 200).await;
    let b = Probed::new("b", 200).await;
    let check = HealthCheck::get("/healthz").wait_for_first_success();
    let proxy = plain(to_these([&a.upstream, &b.upstream])).health_check(check);
    let handle = proxy.handle();
    handle.start();
    until(|| health(&handle) == [UpstreamHealth::Up; 2]).await;
    assert!(handle.remove(&b.upstream.url()).unwrap());
    handle.add(Server::new(&b.upstream.url()).unwrap());
    assert_eq!(health(&handle)[1], UpstreamHealth::Unknown);
    until(|| health(&handle)[1] == UpstreamHealth::Up).await;
    // By one that asks, not two.
    let probed = b.probes();
    sleep(100 * SECOND).await;
    assert!(b.probes() - probed <= 23, "{}", b.probes() - probed);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_taken_out_is_probed_no_more() {
    let a = Probed::new("a", 200).await;
    let b = Probed::new("b", 200).await;
    let proxy = to_these([&a.upstream, &b.upstream]).health_check(HealthCheck::get("/healthz"));
    let handle = proxy.handle();
    handle.start();
    until(|| b.probes() == 2).await;
    assert!(handle.remove(&b.upstream.url()).unwrap());
    let (of_a, of_b) = (a.probes(), b.probes());
    sleep(100 * SECOND).await;
    assert_eq!(b.probes(), of_b);
    assert!(a.probes() > of_a + 10);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_probed_beside_its_pool() {
    let a = Probed::new("a", 200).await;
    let proxy = to(&a.upstream)
        .health_check(HealthCheck::get("/healthz").falls(1))
        .max_connections(1)
        .max_waiting(0);
    let handle = proxy.handle();
    let held = call(&proxy, get("/")).await;
    let full = call(&proxy, get("/")).await;
    assert_eq!(kind(&full), Some(ErrorKind::UpstreamBusy));
    until(|| a.probes() == 5).await;
    let status = &handle.upstreams()[0];
    assert_eq!(status.health, UpstreamHealth::Up);
    assert_eq!((status.connected, status.in_use, status.idle), (1, 1, 0));
    assert_eq!(
        status.requests, 2,
        "the one that is held, and the one refused"
    );
    // Each closes its connection.
    a.upstream.until(|counts| counts.open == 1).await;
    assert_eq!(text(held).await, "a");
}

#[tokio::test(start_paused = true)]
async fn good_probes_end_a_first_ejection() {
    let (failing, mood) = Upstream::moody("a", 503).await;
    let well = Probed::new("well", 200).await;
    let other = Upstream::named("b").await;
    let check = HealthCheck::get("/healthz").port(well.upstream.addr.port());
    let proxy = plain(to_these([&failing, &other])).health_check(check);
    let handle = proxy.handle();
    send(&proxy, 10).await;
    assert!(is_ejected(health(&handle)[0]));
    mood.set(200);
    sleep(15 * SECOND).await;
    assert_eq!(health(&handle)[0], UpstreamHealth::Up);
    assert_eq!(spread(&proxy, 10).await["a"], 5);
}

/// The tasks of this runtime.
fn tasks() -> usize {
    runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn with_the_proxy_its_probes_end_wherever_they_are() {
    let upstreams = [Probed::new("a", 200).await, Probed::new("b", 0).await];
    let before = tasks();
    let proxy = to_these(upstreams.iter().map(|it| &it.upstream));
    let proxy = proxy.health_check(HealthCheck::get("/healthz").timeout(100 * SECOND));
    let clone = proxy.clone();
    ask(&proxy).await;
    until(|| upstreams.iter().all(|it| it.probes() > 0)).await;
    assert!(tasks() > before);
    // A clone is as good as the first.
    drop(proxy);
    let probed = upstreams[0].probes();
    until(|| upstreams[0].probes() > probed).await;
    drop(clone);
    for it in &upstreams {
        it.upstream.deserted().await;
    }
    until(|| tasks() == before).await;
    let probed: Vec<_> = upstreams.iter().map(Probed::probes).collect();
    sleep(100 * SECOND).await;
    assert_eq!(
        upstreams.iter().map(Probed::probes).collect::<Vec<_>>(),
        probed
    );
}

/// The task was spawned and had no turn before its runtime was dropped.
#[test]
fn a_proxy_that_was_started_in_a_runtime_that_ended_is_looked_after_in_the_next() {
    fn run<T>(test: impl Future<Output = T>) -> T {
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(test)
    }
    let address = Refusing::new();
    let proxy = GatewayProxy::to(&address.url()).unwrap();
    let proxy = proxy.health_check(HealthCheck::get("/"));
    let handle = proxy.handle();
    run(async { handle.start() });
    run(async {
        handle.start();
        sleep(SECOND).await;
    });
    run(async {
        handle.start();
        until(|| health(&handle)[0] == UpstreamHealth::Down).await;
    });
}

#[tokio::test(start_paused = true)]
async fn over_uwsgi() {
    let probes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&probes);
    let upstream = Upstream::spawn(move |mut conn| {
        let seen = Arc::clone(&seen);
        async move {
            let Some(request) = uwsgi_request(&mut conn).await else {
                return;
            };
            let request = String::from_utf8_lossy(&request).into_owned();
            let status = ["503 No", "200 OK"][seen.lock().unwrap().len() / 3];
            seen.lock().unwrap().push(request);
            conn.write(format!(
                "HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nfine"
            ))
            .await;
        }
    })
    .await;
    let url = format!("uwsgi://{}", upstream.addr);
    let proxy = GatewayProxy::to(&url).unwrap();
    let check = HealthCheck::get("/healthz").expect_body("fine").rises(1);
    let proxy = proxy.health_check(check.host("www.example.org"));
    let handle = proxy.handle();
    handle.start();
    until(|| health(&handle)[0] == UpstreamHealth::Down).await;
    until(|| health(&handle)[0] == UpstreamHealth::Up).await;
    let probes = probes.lock().unwrap();
    assert_eq!(probes.len(), 4);
    for part in ["/healthz", "www.example.org", "REQUEST_METHOD"] {
        assert!(probes[0].contains(part), "{:?}", probes[0]);
    }
}

/// What Gunicorn is sent has to be known before the first request.
#[tokio::test(start_paused = true)]
async fn a_probe_over_uwsgi_tells_how_the_server_reads_a_path() {
    let upstream = Upstream::spawn(|mut conn| async move {
        let Some(request) = uwsgi_request(&mut conn).await else {
            return;
        };
        let encoded = b"PATH_INFO\x07\0/%C3%A9";
        let is_encoded = request.windows(encoded.len()).any(|part| part == encoded);
        let fields = "Server: gunicorn\r\nConnection: close\r\n";
        conn.answer_with(200, fields, &is_encoded.to_string()).await;
    })
    .await;
    let proxy = GatewayProxy::to(&format!("uwsgi://{}", upstream.addr)).unwrap();
    let check = HealthCheck::get("/").wait_for_first_success();
    let proxy = proxy.health_check(check);
    let handle = proxy.handle();
    handle.start();
    until(|| health(&handle)[0] == UpstreamHealth::Up).await;
    assert_eq!(text(call(&proxy, get("/%C3%A9")).await).await, "true");
}

/// A block of variables, with its length in four bytes before it.
async fn uwsgi_request(conn: &mut Conn) -> Option<Vec<u8>> {
    loop {
        if let [_, low, high, _, block @ ..] = conn.buffered()
            && block.len() >= usize::from(u16::from_le_bytes([*low, *high]))
        {
            return Some(conn.take());
        }
        conn.fill().await?;
    }
}

#[cfg(feature = "http2")]
#[tokio::test(start_paused = true)]
async fn over_http2() {
    use http::{Request, Response, Version};
    use hyper::body::Incoming;
    use tower::service_fn;
    use tower_gateway::Body;

    let probes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&probes);
    let upstream = crate::support::server::spawn(service_fn(move |request: Request<Incoming>| {
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.uri().path(), "/healthz");
        let status = [503, 200][seen.fetch_add(1, Ordering::SeqCst) / 3];
        let mut response = Response::new(Body::from("all is fine"));
        *response.status_mut() = status.try_into().unwrap();
        async { Ok::<_, Infallible>(response) }
    }))
    .await;
    let proxy = GatewayProxy::to(&format!("h2c://{}", upstream.addr)).unwrap();
    let proxy = proxy.health_check(HealthCheck::get("/healthz").expect_body("fine").rises(1));
    let handle = proxy.handle();
    handle.start();
    until(|| health(&handle)[0] == UpstreamHealth::Down).await;
    until(|| health(&handle)[0] == UpstreamHealth::Up).await;
    assert_eq!(probes.load(Ordering::SeqCst), 4);
    // Beside the connections of the pool.
    assert_eq!(handle.upstreams()[0].connected, 0);
}

/// A connection that was made for the request is not one that had grown old.
#[cfg(feature = "http2")]
#[tokio::test]
async fn a_server_of_http2_that_closes_every_connection_is_ejected() {
    let closes = Upstream::spawn(|mut conn| async move {
        conn.fill().await;
    })
    .await;
    let also = Upstream::spawn(|mut conn| async move {
        conn.fill().await;
    })
    .await;
    let urls = [&closes, &also].map(|it| format!("h2c://{}", it.addr));
    let proxy = plain(GatewayProxy::to_all(urls).unwrap());
    for _ in 0..20 {
        assert_eq!(call(&proxy, get("/")).await.status(), 502);
    }
    let health = health(&proxy.handle());
    assert_eq!(health.iter().filter(|it| is_ejected(**it)).count(), 1);
}
