#![allow(clippy::unwrap_used)]

use std::{cell::Cell, collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    Balance, Balancer, Candidate, HashKey, InFlight, Load, key_of,
    load::{Estimate, WARM},
    server_id, stable,
};

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Server {
    pub(super) id: u64,
    pub(super) weight: u32,
    pub(super) backup: bool,
    pub(super) load: Load,
}

impl Server {
    pub(super) fn new(address: &str) -> Self {
        Self {
            id: server_id(address),
            weight: 1,
            backup: false,
            load: Load::new(Instant::now()),
        }
    }

    fn weighing(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl Candidate for Server {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn is_backup(&self) -> bool {
        self.backup
    }

    fn load(&self) -> &Load {
        &self.load
    }

    fn id(&self) -> u64 {
        self.id
    }
}

pub(super) fn servers(count: usize) -> Vec<Server> {
    (0..count)
        .map(|n| Server::new(&format!("http://10.0.0.{n}:8000")))
        .collect()
}

fn weighing(weights: &[u32]) -> Vec<Server> {
    let servers = servers(weights.len()).into_iter();
    servers
        .zip(weights)
        .map(|(server, weight)| server.weighing(*weight))
        .collect()
}

fn policies() -> [Balance; 5] {
    [
        Balance::PeakEwma,
        Balance::RoundRobin,
        Balance::LeastConnections,
        Balance::Random,
        Balance::Hash(HashKey::client_addr()),
    ]
}

fn balancer(policy: &Balance, servers: &[impl Candidate]) -> Balancer {
    Balancer::new(policy, Duration::ZERO, servers)
}

/// How many of `requests` each server gets, one after the other, with keys that differ.
fn shared_out(balancer: &Balancer, servers: &[Server], requests: u64, now: Instant) -> Vec<u32> {
    let mut counts = vec![0; servers.len()];
    for request in 0..requests {
        let key = Some(stable::mix(request, 0x5eed));
        counts[balancer.pick(servers, |_| true, key, now).unwrap()] += 1;
    }
    counts
}

/// Whether a count is what chance makes of a share: within five standard deviations.
fn is_share(count: u32, share: f64, of: f64) -> bool {
    let deviation = (of * share * (1.0 - share)).sqrt();
    (f64::from(count) - of * share).abs() <= 5.0 * deviation
}

#[test]
fn every_policy_keeps_to_the_weights() {
    fastrand::seed(1);
    for weights in [
        &[1, 1][..],
        &[3, 1],
        &[1, 2, 3, 4],
        &[100, 1, 1],
        &[5, 0, 5],
        &[7; 20],
    ] {
        let servers = weighing(weights);
        let total: u32 = weights.iter().sum();
        for policy in policies() {
            let balancer = balancer(&policy, &servers);
            let counts = shared_out(&balancer, &servers, 20_000, Instant::now());
            for (count, weight) in counts.iter().zip(weights) {
                let share = f64::from(*weight) / f64::from(total);
                let text = format!("{policy:?} of {weights:?}: {counts:?}");
                assert!(is_share(*count, share, 20_000.0), "{text}");
                if *weight == 0 {
                    assert_eq!(*count, 0, "{text}");
                }
            }
        }
    }
}

#[test]
fn the_few_of_many_that_can_be_asked_share_by_weight() {
    fastrand::seed(5);
    let mut weights = [9; 100];
    (weights[20], weights[70]) = (1, 3);
    let servers = weighing(&weights);
    for policy in policies() {
        let balancer = balancer(&policy, &servers);
        let mut counts = [0; 100];
        for key in keys() {
            let usable = |place| place == 20 || place == 70;
            let place = balancer.pick(&servers, usable, Some(key), Instant::now());
            counts[place.unwrap()] += 1;
        }
        let text = format!("{policy:?}: {} and {}", counts[20], counts[70]);
        assert!(is_share(counts[20], 0.25, 10_000.0), "{text}");
        assert_eq!(counts[20] + counts[70], 10_000, "{text}");
    }
}

#[test]
fn turns_are_as_smooth_as_those_of_nginx() {
    for (weights, expected) in [
        (&[5, 1, 1][..], "aabacaa"),
        (&[1, 1, 1], "abc"),
        (&[4, 2, 1], "abacaba"),
        (&[1, 2], "bab"),
        (&[3], "aaa"),
    ] {
        let servers = weighing(weights);
        let now = Instant::now();
        let balancer = balancer(&Balance::RoundRobin, &servers);
        for _ in 0..3 {
            let round: String = (0..expected.len())
                .map(|_| balancer.pick(&servers, |_| true, None, now).unwrap())
                .map(|place| char::from(b'a' + u8::try_from(place).unwrap()))
                .collect();
            assert_eq!(round, expected, "{weights:?}");
        }
    }
}

#[test]
fn turns_go_on_evenly_without_the_servers_that_cannot_be_asked() {
    let servers = servers(4);
    let balancer = balancer(&Balance::RoundRobin, &servers);
    let mut counts = [0; 4];
    for _ in 0..300 {
        let place = balancer.pick(&servers, |place| place != 1, None, Instant::now());
        counts[place.unwrap()] += 1;
    }
    assert_eq!(counts, [100, 0, 100, 100]);
    // One that comes back is owed nothing for the time it was away.
    let counts = shared_out(&balancer, &servers, 40, Instant::now());
    assert_eq!(counts, [10, 10, 10, 10]);
}

#[test]
fn the_least_busy_server_is_asked() {
    let servers: Vec<_> = servers(3).into_iter().map(Arc::new).collect();
    let balancer = balancer(&Balance::LeastConnections, &servers);
    let pick = || balancer.pick(&servers, |_| true, None, Instant::now());
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(InFlight::start(servers[pick().unwrap()].clone()));
    }
    let busy = |server: &Arc<Server>| server.load.in_flight();
    assert_eq!(servers.iter().map(busy).collect::<Vec<_>>(), [10, 10, 10]);
    // The second server finishes five: it gets the next five.
    let mut finished = 0;
    held.retain(|request| {
        let is_second = Arc::ptr_eq(request, &servers[1]);
        finished += usize::from(is_second);
        !is_second || finished > 5
    });
    for _ in 0..5 {
        assert_eq!(pick(), Some(1));
        held.push(InFlight::start(servers[1].clone()));
    }
    assert_eq!(servers.iter().map(busy).collect::<Vec<_>>(), [10, 10, 10]);
    drop(held);
    assert_eq!(servers.iter().map(busy).collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn held_requests_are_as_many_as_weights_say() {
    for policy in [Balance::LeastConnections, Balance::PeakEwma] {
        let servers: Vec<_> = weighing(&[1, 2, 5]).into_iter().map(Arc::new).collect();
        let balancer = balancer(&policy, &servers);
        let now = Instant::now();
        for server in &servers {
            server.load.observe(Duration::from_millis(20), now);
        }
        let mut held = Vec::new();
        for _ in 0..800 {
            let place = balancer.pick(&servers, |_| true, None, now).unwrap();
            held.push(InFlight::start(servers[place].clone()));
        }
        for (server, expected) in servers.iter().zip([100_usize, 200, 500]) {
            let busy = server.load.in_flight();
            assert!(
                busy.abs_diff(expected) <= 10,
                "{policy:?}: {busy}, not {expected}"
            );
        }
    }
}

#[test]
fn equally_busy_servers_are_asked_in_turn() {
    let servers = servers(3);
    let balancer = balancer(&Balance::LeastConnections, &servers);
    let places: Vec<_> = (0..6)
        .map(|_| {
            balancer
                .pick(&servers, |_| true, None, Instant::now())
                .unwrap()
        })
        .collect();
    assert_eq!(places, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_slow_server_is_avoided_and_tried_again_later() {
    let servers = servers(3);
    let balancer = balancer(&Balance::PeakEwma, &servers);
    let start = Instant::now();
    for server in &servers {
        server.load.observe(Duration::from_millis(10), start);
    }
    servers[1].load.observe(SECOND, start);
    let counts = shared_out(&balancer, &servers, 300, start);
    assert_eq!(counts[1], 0, "{counts:?}");
    // Each answers in 10 ms all the time; nobody asks the second, so nothing is heard of it.
    let mut now = start;
    let mut asked_after = None;
    while asked_after.is_none() && now < start + 120 * SECOND {
        now += Duration::from_millis(100);
        let place = balancer.pick(&servers, |_| true, None, now).unwrap();
        servers[place].load.observe(Duration::from_millis(10), now);
        if place == 1 {
            asked_after = Some(now - start);
        }
    }
    // A second falls to 10 ms within ln(100) decays.
    let asked_after = asked_after.expect("it is asked again");
    assert!(
        asked_after > 40 * SECOND && asked_after < 60 * SECOND,
        "{asked_after:?}"
    );
    // It is slow no more, as it turns out, and gets its share.
    let mut counts = [0; 3];
    for _ in 0..3000 {
        now += Duration::from_millis(10);
        let place = balancer.pick(&servers, |_| true, None, now).unwrap();
        servers[place].load.observe(Duration::from_millis(10), now);
        counts[place] += 1;
    }
    assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
}

#[test]
fn a_burst_after_idle_hours_is_shared_out() {
    let servers: Vec<_> = servers(2).into_iter().map(Arc::new).collect();
    let balancer = balancer(&Balance::PeakEwma, &servers);
    let start = Instant::now();
    servers[0].load.observe(Duration::from_millis(10), start);
    let later = start + 300 * SECOND;
    servers[1].load.observe(Duration::from_millis(10), later);
    let now = start + 7200 * SECOND;
    let held: Vec<_> = (0..100)
        .map(|_| balancer.pick(&servers, |_| true, None, now).unwrap())
        .map(|place| InFlight::start(servers[place].clone()))
        .collect();
    let busy: Vec<_> = servers.iter().map(|one| one.load.in_flight()).collect();
    assert_eq!(busy, [50, 50]);
    drop(held);
}

#[test]
fn a_server_that_nobody_knows_gets_one_request_until_it_answers() {
    let servers: Vec<_> = servers(2).into_iter().map(Arc::new).collect();
    let balancer = balancer(&Balance::PeakEwma, &servers);
    let now = Instant::now();
    servers[0].load.observe(Duration::from_millis(10), now);
    let mut held = Vec::new();
    for _ in 0..50 {
        let place = balancer.pick(&servers, |_| true, None, now).unwrap();
        held.push(InFlight::start(servers[place].clone()));
    }
    assert_eq!(servers[1].load.in_flight(), 1);
    servers[1].load.observe(Duration::from_millis(10), now);
    assert_eq!(balancer.pick(&servers, |_| true, None, now), Some(1));
}

#[test]
fn a_server_that_wants_to_rest_rests_for_as_long() {
    let servers = servers(2);
    let balancer = balancer(&Balance::PeakEwma, &servers);
    let start = Instant::now();
    for server in &servers {
        server.load.observe(Duration::from_millis(10), start);
    }
    servers[0].load.penalize(start, 30 * SECOND);
    servers[0].load.penalize(start, SECOND);
    for seconds in 0..30 {
        let now = start + seconds * SECOND;
        servers[1].load.observe(Duration::from_millis(10), now);
        assert_eq!(balancer.pick(&servers, |_| true, None, now), Some(1));
    }
    let now = start + 31 * SECOND;
    servers[1].load.observe(Duration::from_millis(10), now);
    assert_eq!(balancer.pick(&servers, |_| true, None, now), Some(0));
    // When both want to, it is asked who is ready first.
    servers[0].load.penalize(now, 20 * SECOND);
    servers[1].load.penalize(now, 10 * SECOND);
    assert_eq!(balancer.pick(&servers, |_| true, None, now), Some(1));
}

#[test]
fn a_penalty_is_five_minutes_at_most_and_ends_with_a_new_start() {
    let start = Instant::now();
    let load = Load::new(start);
    load.penalize(start, Duration::MAX);
    assert_eq!(load.penalty(start), 300 * SECOND);
    assert_eq!(load.penalty(start + 299 * SECOND), SECOND);
    assert_eq!(load.penalty(start + 400 * SECOND), Duration::ZERO);
    load.observe(SECOND, start);
    load.came_back(start + SECOND);
    assert_eq!(load.penalty(start + SECOND), Duration::ZERO);
    assert_eq!(load.latency(start + SECOND), Duration::ZERO);
}

#[test]
fn an_estimate_follows_slow_answers_at_once_and_forgets_them_slowly() {
    let start = Instant::now();
    let load = Load::new(start);
    let millis = |now| load.latency(now).as_secs_f64() * 1000.0;
    let is = |found: f64, expected: f64| (found - expected).abs() < expected * 0.001 + 0.001;
    assert_eq!(load.latency(start), Duration::ZERO);
    load.observe(Duration::from_millis(10), start);
    assert!(is(millis(start), 10.0));
    load.observe(Duration::from_millis(500), start);
    assert!(is(millis(start), 500.0));
    load.observe(Duration::from_millis(10), start);
    assert!(is(millis(start), 500.0));
    let now = start + 10 * SECOND;
    let left = 500.0 * (-1.0_f64).exp();
    assert!(is(millis(now), left));
    load.observe(Duration::from_millis(10), now);
    assert!(is(millis(now), left));
    load.observe(Duration::from_millis(190), now);
    assert!(is(millis(now), 190.0));
    // Equal answers are what they are, however dense.
    let mut now = now;
    for _ in 0..100_000 {
        now += Duration::from_millis(1);
        load.observe(Duration::from_millis(10), now);
    }
    assert!(is(millis(now), 10.0), "{}", millis(now));
}

#[test]
fn time_that_seems_to_run_backwards_does_no_harm() {
    let start = Instant::now();
    let load = Load::new(start + 10 * SECOND);
    load.observe(SECOND, start + 20 * SECOND);
    load.observe(Duration::from_millis(10), start + 15 * SECOND);
    assert_eq!(load.latency(start + 20 * SECOND), SECOND);
    assert_eq!(load.latency(start), SECOND);
    load.penalize(start, SECOND);
    assert_eq!(load.penalty(start + 10 * SECOND), Duration::ZERO);
    assert_eq!(load.warmth(10 * SECOND, start), WARM / 10);
}

#[test]
fn milliseconds_that_come_round_are_compared_across_the_seam() {
    let before = Estimate {
        seconds: 1.0,
        at: u32::MAX - 4_999,
    };
    let kept = f64::from(before.faded(5_000));
    assert!((kept - (-1.0_f64).exp()).abs() < 1e-6, "{kept}");
    // A clock that was read on another thread, a moment before.
    assert_eq!(before.faded(before.at - 1), 1.0);
    // Half of the way round is a month, and not a moment.
    let month = 30 * 24 * 60 * 60 * 1000;
    assert_eq!(before.faded(before.at.wrapping_add(month)), 0.0);
    let packed = before.pack();
    assert_eq!(Estimate::unpack(packed).unwrap().pack(), packed);
    assert!(Estimate::unpack(Estimate::NONE).is_none());
}

fn tables_of_hash(count: usize) -> (Vec<Server>, Balancer) {
    let servers = servers(count);
    let balancer = balancer(&Balance::Hash(HashKey::client_addr()), &servers);
    (servers, balancer)
}

fn keys() -> impl Iterator<Item = u64> {
    (0..10_000).map(|n| stable::mix(n, 0xfeed))
}

#[test]
fn a_server_more_or_less_moves_its_own_keys_only() {
    for count in [2, 3, 5, 10, 50] {
        let (large, of_large) = tables_of_hash(count);
        let (small, of_small) = tables_of_hash(count - 1);
        let mut moved = 0;
        for key in keys() {
            let now = Instant::now();
            let before = of_large.pick(&large, |_| true, Some(key), now).unwrap();
            let after = of_small.pick(&small, |_| true, Some(key), now).unwrap();
            // Out of use is as good as gone.
            let without = of_large.pick(&large, |place| place != count - 1, Some(key), now);
            assert_eq!(without, Some(after));
            if before == count - 1 {
                moved += 1;
            } else {
                assert_eq!(before, after, "a key of a server that stays has moved");
            }
        }
        let share = 1.0 / f64::from(u32::try_from(count).unwrap());
        assert!(is_share(moved, share, 10_000.0), "{moved} of {count}");
    }
}

#[test]
fn a_weight_moves_no_more_keys_than_it_must() {
    let light = weighing(&[2, 2, 2]);
    let heavy = weighing(&[2, 2, 4]);
    let policy = Balance::Hash(HashKey::client_addr());
    let of_light = balancer(&policy, &light);
    let of_heavy = balancer(&policy, &heavy);
    let mut moved = 0;
    for key in keys() {
        let now = Instant::now();
        let before = of_light.pick(&light, |_| true, Some(key), now);
        let after = of_heavy.pick(&heavy, |_| true, Some(key), now);
        if before != after {
            moved += 1;
            assert_eq!(after, Some(2), "keys move to the heavier server only");
        }
    }
    // From a third of them to a half.
    assert!(is_share(moved, 1.0 / 6.0, 10_000.0), "{moved}");
}

#[test]
fn no_server_has_more_than_its_bound() {
    for bound in [1.0, 1.25, 2.0] {
        let servers: Vec<_> = weighing(&[1, 1, 2, 4]).into_iter().map(Arc::new).collect();
        let policy = Balance::Hash(HashKey::client_addr().bound(bound));
        let balancer = balancer(&policy, &servers);
        let mut held = Vec::new();
        for request in 0..2000_u32 {
            // Half of all requests have the same key.
            let key = if request % 2 == 0 {
                7
            } else {
                u64::from(request)
            };
            let place = balancer
                .pick(
                    &servers,
                    |_| true,
                    Some(stable::mix(key, 0)),
                    Instant::now(),
                )
                .unwrap();
            held.push(InFlight::start(servers[place].clone()));
            if request % 3 == 0 {
                held.swap_remove(fastrand::usize(..held.len()));
            }
            let server = &servers[place];
            let total = held.len() + 1;
            let share = f64::from(server.weight) / 8.0;
            let most = (bound * f64::from(u32::try_from(total).unwrap()) * share).ceil();
            let busy = f64::from(u32::try_from(server.load.in_flight()).unwrap());
            assert!(busy <= most, "{busy} of {total} at bound {bound}");
        }
    }
}

#[test]
fn without_a_bound_a_key_stays_whatever_the_load() {
    let servers: Vec<_> = servers(4).into_iter().map(Arc::new).collect();
    let policy = Balance::Hash(HashKey::client_addr().bound(f64::INFINITY));
    let balancer = balancer(&policy, &servers);
    let pick = || balancer.pick(&servers, |_| true, Some(7), Instant::now());
    let place = pick().unwrap();
    let held: Vec<_> = (0..100)
        .map(|_| InFlight::start(servers[place].clone()))
        .collect();
    assert_eq!(pick(), Some(place));
    drop(held);
}

#[test]
fn a_bound_that_is_no_bound_is_one() {
    for nonsense in [0.0, -3.0, f64::NAN, 0.99, f64::NEG_INFINITY] {
        assert_eq!(
            HashKey::client_addr().bound(nonsense),
            HashKey::client_addr().bound(1.0)
        );
    }
}

#[test]
fn without_a_key_a_hash_is_the_default_policy() {
    let servers = servers(2);
    let balancer = balancer(&Balance::Hash(HashKey::client_addr()), &servers);
    let now = Instant::now();
    servers[0].load.observe(SECOND, now);
    servers[1].load.observe(Duration::from_millis(10), now);
    for _ in 0..100 {
        assert_eq!(balancer.pick(&servers, |_| true, None, now), Some(1));
    }
}

/// A change of these moves every key of every user of the crate.
#[test]
fn hashes_do_not_change() {
    assert_eq!(server_id("http://10.0.0.1:8000"), 0x7764_9025_2013_1920);
    assert_eq!(stable::mix(1, 2), 0x1e53_5eed_e314_28f0);
    let client: IpAddr = "192.0.2.1".parse().unwrap();
    let key = key_of(&HashKey::client_addr(), &HeaderMap::new(), Some(client));
    assert_eq!(key, Some(0xda93_f698_d22b_7873));
    let (servers, balancer) = tables_of_hash(8);
    let places: Vec<_> = keys()
        .take(12)
        .map(|key| balancer.pick(&servers, |_| true, Some(key), Instant::now()))
        .map(Option::unwrap)
        .collect();
    assert_eq!(places, [6, 4, 1, 6, 5, 5, 4, 4, 6, 3, 2, 6]);
}

#[test]
fn a_key_is_what_was_said() {
    let mut headers = HeaderMap::new();
    headers.append("x-tenant", HeaderValue::from_static("blue"));
    headers.append("x-tenant", HeaderValue::from_static("red"));
    headers.append("x-empty", HeaderValue::from_static(""));
    headers.append(COOKIE, HeaderValue::from_static("other=red; tenant="));
    headers.append(COOKIE, HeaderValue::from_static("tenant=\"blue\""));
    let header = |name| HashKey::header(HeaderName::from_static(name));
    let of = |key: &HashKey| key_of(key, &headers, None);
    let blue = of(&header("x-tenant"));
    assert!(blue.is_some());
    assert_eq!(
        of(&HashKey::cookie("tenant")),
        blue,
        "the first that is not empty"
    );
    assert_ne!(of(&HashKey::cookie("other")), blue);
    assert_eq!(of(&header("x-empty")), None);
    assert_eq!(of(&header("x-none")), None);
    assert_eq!(of(&HashKey::cookie("none")), None);
    assert_eq!(of(&HashKey::client_addr()), None);

    let client = |text: &str| {
        let address = text.parse().unwrap();
        key_of(&HashKey::client_addr(), &headers, Some(address)).unwrap()
    };
    assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
    assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    assert_ne!(client("2001:db8::1"), client("2001:db8::2"));
    assert!(std::panic::catch_unwind(|| HashKey::cookie("a b")).is_err());
}

#[test]
fn a_server_starts_with_a_tenth_and_grows() {
    let start = Instant::now();
    let load = Load::new(start);
    let warmth = |seconds| load.warmth(100 * SECOND, start + seconds * SECOND);
    assert_eq!(warmth(0), 100);
    assert_eq!(warmth(50), 550);
    assert_eq!(warmth(99), 991);
    assert_eq!(warmth(100), 1000);
    assert_eq!(warmth(1_000_000), 1000);
    assert_eq!(load.warmth(Duration::ZERO, start), 1000);
    assert_eq!(load.warmth(Duration::from_nanos(1), start), 1000);
    assert_eq!(load.warmth(Duration::MAX, start + SECOND), 100);
    load.came_back(start + 200 * SECOND);
    assert_eq!(warmth(200), 100);
    assert_eq!(warmth(250), 550);
}

#[test]
fn every_policy_starts_a_server_slowly() {
    fastrand::seed(2);
    for policy in policies() {
        let servers = servers(2);
        let balancer = Balancer::new(&policy, 100 * SECOND, &servers);
        let start = Instant::now() + SECOND;
        let back = start + 1000 * SECOND;
        // The first has been here for long, the second comes back.
        servers[1].load.came_back(back);
        for (after, share) in [(0, 0.1), (50, 0.55), (100, 1.0), (1000, 1.0)] {
            let now = back + after * SECOND;
            let counts = shared_out(&balancer, &servers, 10_000, now);
            assert!(
                is_share(counts[1], share / (1.0 + share), 10_000.0),
                "{policy:?} after {after} s: {counts:?}"
            );
        }
    }
}

#[test]
fn backups_are_asked_when_nobody_else_can_be() {
    fastrand::seed(3);
    for policy in policies() {
        let mut servers = servers(5);
        servers[0].backup = true;
        servers[3].backup = true;
        let balancer = balancer(&policy, &servers);
        let now = Instant::now();
        let mut asked = BTreeMap::new();
        for key in keys().take(500) {
            let place = balancer.pick(&servers, |_| true, Some(key), now).unwrap();
            *asked.entry(place).or_insert(0) += 1;
        }
        assert_eq!(
            asked.keys().copied().collect::<Vec<_>>(),
            [1, 2, 4],
            "{policy:?}"
        );
        asked.clear();
        let only_backups = |place: usize| servers[place].backup;
        for key in keys().take(500) {
            let place = balancer.pick(&servers, only_backups, Some(key), now);
            *asked.entry(place.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(
            asked.keys().copied().collect::<Vec<_>>(),
            [0, 3],
            "{policy:?}"
        );
        // One server of the group is left.
        for key in keys().take(50) {
            assert_eq!(
                balancer.pick(&servers, |at| at == 2, Some(key), now),
                Some(2)
            );
            assert_eq!(
                balancer.pick(&servers, |at| at == 3, Some(key), now),
                Some(3)
            );
        }
    }
}

#[test]
fn nobody_is_asked_when_nobody_can_be() {
    for policy in policies() {
        for count in [0, 1, 2, 7] {
            let servers = servers(count);
            let balancer = balancer(&policy, &servers);
            let now = Instant::now();
            assert_eq!(balancer.pick(&servers, |_| false, Some(1), now), None);
            assert_eq!(balancer.pick(&servers, |_| false, None, now), None);
        }
        for count in [1, 2, 7] {
            let servers = weighing(&vec![0; count]);
            let balancer = balancer(&policy, &servers);
            assert_eq!(
                balancer.pick(&servers, |_| true, Some(1), Instant::now()),
                None
            );
        }
    }
}

#[test]
fn one_server_costs_one_question() {
    for policy in policies() {
        let servers = servers(1);
        let balancer = balancer(&policy, &servers);
        let asked = Cell::new(0);
        let usable = |place| {
            asked.set(asked.get() + 1);
            place == 0
        };
        assert_eq!(
            balancer.pick(&servers, usable, None, Instant::now()),
            Some(0)
        );
        assert_eq!(asked.get(), 1);
    }
}

#[test]
fn a_choice_allocates_nothing() {
    for policy in policies() {
        let servers = servers(10);
        let balancer = balancer(&policy, &servers);
        // The source of chance is made once a thread.
        fastrand::seed(4);
        let counted = allocation_counter::measure(|| {
            let now = Instant::now();
            for key in [None, Some(1), Some(2)] {
                let place = balancer.pick(&servers, |place| place > 3, key, now);
                let request = InFlight::start(&servers[place.unwrap()]);
                request.load.observe(SECOND, now);
            }
        });
        assert_eq!(counted.count_total, 0, "{policy:?}");
    }
}

#[test]
fn a_lock_that_saw_a_panic_is_used_on() {
    let servers = servers(2);
    let balancer = balancer(&Balance::RoundRobin, &servers);
    let pick = || balancer.pick(&servers, |_| panic!("of a test"), None, Instant::now());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(pick)).is_err());
    assert_eq!(shared_out(&balancer, &servers, 10, Instant::now()), [5, 5]);
}

#[test]
fn many_threads_choose_and_count_at_once() {
    for policy in policies() {
        let servers: Vec<_> = servers(4).into_iter().map(Arc::new).collect();
        let balancer = balancer(&policy, &servers);
        let chosen: Vec<usize> = std::thread::scope(|scope| {
            let ask = || {
                let mut chosen = Vec::new();
                for key in keys().take(2500) {
                    let now = Instant::now();
                    let place = balancer.pick(&servers, |_| true, Some(key), now).unwrap();
                    let request = InFlight::start(servers[place].clone());
                    request.load.observe(Duration::from_millis(1), now);
                    chosen.push(place);
                }
                chosen
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        for (place, server) in servers.iter().enumerate() {
            assert_eq!(server.load.in_flight(), 0);
            let count = chosen.iter().filter(|chosen| **chosen == place).count();
            assert!(count > 0, "{policy:?}");
            if policy == Balance::RoundRobin {
                assert_eq!(count, 2500, "no turn is lost between threads");
            }
        }
    }
}

fn any_policy() -> impl Strategy<Value = Balance> {
    (0_usize..5).prop_map(|n| policies()[n].clone())
}

#[derive(Clone, Debug)]
struct Plan {
    weight: u32,
    backup: bool,
    usable: bool,
    held: usize,
    millis: Option<u64>,
    penalty: u64,
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let weight = prop_oneof![Just(0), Just(1), 0_u32..10, Just(u32::MAX), any::<u32>()];
    (
        weight,
        any::<bool>(),
        any::<bool>(),
        0_usize..5,
        prop::option::of(0_u64..10_000),
        0_u64..100,
    )
        .prop_map(|(weight, backup, usable, held, millis, penalty)| Plan {
            weight,
            backup,
            usable,
            held,
            millis,
            penalty,
        })
}

proptest! {
    #[test]
    fn who_is_asked_can_be_asked(
        plans in prop::collection::vec(any_plan(), 1..=50),
        policy in any_policy(),
        slow_start in prop_oneof![Just(0_u64), 1_u64..100],
        keys in prop::collection::vec(any::<Option<u64>>(), 1..20),
        step in 0_u64..1000,
    ) {
        let mut now = Instant::now();
        let servers: Vec<_> = plans.iter().enumerate().map(|(n, plan)| {
            let mut server = Server::new(&n.to_string()).weighing(plan.weight);
            server.backup = plan.backup;
            if let Some(millis) = plan.millis {
                server.load.observe(Duration::from_millis(millis), now);
            }
            server.load.penalize(now, Duration::from_secs(plan.penalty));
            Arc::new(server)
        }).collect();
        let held: Vec<_> = servers.iter().zip(&plans)
            .flat_map(|(server, plan)| vec![server; plan.held])
            .map(|server| InFlight::start(server.clone()))
            .collect();
        let balancer = Balancer::new(&policy, Duration::from_secs(slow_start), &servers);
        let can_be = |plan: &Plan| plan.usable && plan.weight > 0;
        let primary = plans.iter().any(|plan| can_be(plan) && !plan.backup);
        let anybody = plans.iter().any(can_be);
        for key in keys {
            now += Duration::from_millis(step);
            match balancer.pick(&servers, |place| plans[place].usable, key, now) {
                Some(place) => {
                    prop_assert!(can_be(&plans[place]));
                    prop_assert_eq!(plans[place].backup, !primary);
                }
                None => prop_assert!(!anybody),
            }
        }
        drop(held);
    }

    /// A table that is not the one the balancer was made for is a fault of the caller, and no
    /// more than that.
    #[test]
    fn a_wrong_table_is_survived(
        made in 0_usize..10,
        given in 0_usize..10,
        policy in any_policy(),
        key: Option<u64>,
    ) {
        let balancer = balancer(&policy, &servers(made));
        let place = balancer.pick(&servers(given), |_| true, key, Instant::now());
        prop_assert!(place.is_none_or(|place| place < given));
    }

    #[test]
    fn an_estimate_is_of_some_answer(
        millis in prop::collection::vec((0_u64..100_000, 0_u64..100_000), 1..50),
    ) {
        let mut now = Instant::now();
        let load = Load::new(now);
        let greatest = millis.iter().map(|(_, rtt)| *rtt).max().unwrap();
        for (step, rtt) in millis {
            now += Duration::from_millis(step);
            let rtt = Duration::from_millis(rtt);
            load.observe(rtt, now);
            let latency = load.latency(now).as_secs_f64();
            prop_assert!(latency >= rtt.as_secs_f64() * 0.999);
            prop_assert!(latency <= Duration::from_millis(greatest).as_secs_f64() * 1.001);
        }
    }

    #[test]
    fn any_client_and_header_has_a_key_of_its_own(one: u128, other: u128) {
        let key = |bits: u128| {
            let address = IpAddr::V6(bits.into());
            key_of(&HashKey::client_addr(), &HeaderMap::new(), Some(address))
        };
        prop_assert_eq!(key(one) == key(other), one == other);
    }
}
