use std::{collections::HashMap, future::ready, sync::Weak};

use super::*;
use crate::gateway_proxy::{GatewayProxy, Upstream};

const HOUR: Duration = Duration::from_secs(3600);

/// What names stand for; one that is not here takes for ever.
type Names = Arc<Mutex<HashMap<&'static str, io::Result<Vec<SocketAddr>>>>>;

async fn pass(time: Duration) {
    timeout(time, pending::<()>()).await.ok();
}

/// Looks names up for this proxy. How often it was asked for which is told.
fn looks_up(proxy: &GatewayProxy, names: &Names) -> (JoinSet<()>, Arc<Mutex<Vec<String>>>) {
    let (names, asked) = (Arc::clone(names), Arc::<Mutex<Vec<String>>>::default());
    let told = Arc::clone(&asked);
    let shared = Arc::downgrade(&proxy.shared);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let look_up = |name: String| {
            let found = match names.lock().expect("no panic").get(name.as_str()) {
                Some(Ok(addresses)) => Some(Ok(addresses.clone())),
                Some(Err(error)) => Some(Err(error.kind().into())),
                None => None,
            };
            told.lock().expect("no panic").push(name);
            async move {
                match found {
                    Some(found) => ready(found).await,
                    None => pending().await,
                }
            }
        };
        look_up_all(&shared, look_up).await;
    });
    (task, asked)
}

fn urls(proxy: &GatewayProxy) -> Vec<String> {
    let upstreams = proxy.handle().upstreams();
    upstreams.iter().map(|it| it.upstream.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_looked_up_any_more_keeps_its_addresses() {
    let every = Duration::from_secs(3600);
    let proxy = GatewayProxy::to("http://nobody.invalid:80").expect("a URL");
    let proxy = proxy.resolve(every);
    let addresses = ["192.0.2.2:80", "192.0.2.1:80", "192.0.2.2:80"];
    let addresses = addresses.map(|address| address.parse().expect("an address"));
    let table = &proxy.shared.table;
    table.resolved("nobody.invalid:80", addresses.to_vec());
    let known = [
        "http://nobody.invalid:80 at 192.0.2.1:80",
        "http://nobody.invalid:80 at 192.0.2.2:80",
    ];
    assert_eq!(urls(&proxy), known);

    let names = Names::default();
    let failed = Err(io::ErrorKind::NotFound.into());
    names
        .lock()
        .expect("no panic")
        .insert("nobody.invalid:80", failed);
    let (_task, asked) = looks_up(&proxy, &names);
    pass(every + Duration::from_secs(1)).await;
    assert_eq!(asked.lock().expect("no panic").len(), 2);
    assert_eq!(urls(&proxy), known);

    // What is gone is forgotten, with what it stood for.
    proxy.handle().set([]);
    let again = Upstream::new("http://nobody.invalid:80");
    proxy.handle().add(again.expect("a URL"));
    assert_eq!(urls(&proxy), ["http://nobody.invalid:80"]);
}

#[tokio::test]
async fn the_addresses_of_a_name_share_what_is_said_of_it() {
    let name = Upstream::new("http://nobody.invalid:80").expect("a URL");
    let proxy = GatewayProxy::to_upstreams([name.weight(7).backup()]);
    let handle = proxy.handle();
    let table = &proxy.shared.table;
    let [first, second] = ["192.0.2.1:80", "192.0.2.2:80"].map(|at| at.parse().expect("one"));
    table.resolved("nobody.invalid:80", vec![first]);
    assert_eq!(handle.drain("http://nobody.invalid:80"), Ok(true));
    // One that comes later drains too.
    table.resolved("nobody.invalid:80", vec![first, second]);
    let upstreams = handle.upstreams();
    assert_eq!(upstreams.len(), 2);
    assert!(upstreams.iter().all(|it| it.is_draining));
    assert!(upstreams.iter().all(|it| it.upstream.weight == 7));
    assert!(upstreams.iter().all(|it| it.upstream.is_backup));
    assert_eq!(handle.resume("http://nobody.invalid:80"), Ok(true));
    assert!(handle.upstreams().iter().all(|it| !it.is_draining));
}

#[tokio::test]
async fn without_a_proxy_there_is_nothing_to_look_up() {
    look_up_all(&Weak::new(), addresses_of).await;
    probe_all(&Weak::new()).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_when_it_comes_and_when_it_is_time() {
    let names = Names::default();
    let at = |address: &str| Ok(vec![address.parse().expect("an address")]);
    names.lock().expect("no panic").extend([
        ("a:80", at("192.0.2.1:80")),
        ("b:80", at("192.0.2.2:80")),
        ("none:80", Err(io::ErrorKind::NotFound.into())),
    ]);
    let proxy = GatewayProxy::to_all(["http://a:80", "http://none:80"]).expect("URLs");
    let proxy = proxy.resolve(HOUR);
    let (_task, asked) = looks_up(&proxy, &names);
    let asked_for = |name: &str| {
        let asked = asked.lock().expect("no panic");
        asked.iter().filter(|it| *it == name).count()
    };
    pass(Duration::from_secs(1)).await;
    assert_eq!(urls(&proxy)[0], "http://a:80 at 192.0.2.1:80");

    let b = Upstream::new("http://b:80").expect("a URL");
    proxy.handle().add(b.clone());
    pass(Duration::from_secs(1)).await;
    assert_eq!(urls(&proxy)[2], "http://b:80 at 192.0.2.2:80");
    // Out and in again, it is a new one.
    proxy.handle().remove("http://b:80").expect("a URL");
    proxy.handle().add(b);
    pass(Duration::from_secs(1)).await;
    assert_eq!(urls(&proxy)[2], "http://b:80 at 192.0.2.2:80");
    // The others wait, whatever has become of them.
    assert_eq!((asked_for("a:80"), asked_for("none:80")), (1, 1));

    pass(HOUR).await;
    assert_eq!((asked_for("a:80"), asked_for("none:80")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_hangs_keeps_no_other_waiting() {
    let names = Names::default();
    let proxy = GatewayProxy::to("http://hangs:80").expect("a URL");
    let proxy = proxy.resolve(Duration::from_secs(1));
    let (_task, asked) = looks_up(&proxy, &names);
    pass(Duration::from_secs(3)).await;
    let at = Ok(vec!["192.0.2.1:80".parse().expect("an address")]);
    names.lock().expect("no panic").insert("a:80", at);
    proxy
        .handle()
        .add(Upstream::new("http://a:80").expect("a URL"));
    pass(Duration::from_millis(1)).await;
    assert_eq!(urls(&proxy)[1], "http://a:80 at 192.0.2.1:80");
    // One at a time.
    assert_eq!(*asked.lock().expect("no panic"), ["hangs:80", "a:80"]);
    pass(LOOKUP).await;
    assert!(asked.lock().expect("no panic").len() > 2);
}
