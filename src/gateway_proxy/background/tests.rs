use std::sync::Weak;

use super::*;
use crate::gateway_proxy::{GatewayProxy, Upstream};

fn urls(proxy: &GatewayProxy) -> Vec<String> {
    let upstreams = proxy.handle().upstreams();
    upstreams.iter().map(|it| it.upstream.to_string()).collect()
}

#[tokio::test]
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

    let before = Instant::now();
    let shared = Arc::downgrade(&proxy.shared);
    let next = Names::default().look_up(&shared).await;
    assert!(next.is_some_and(|next| next >= before + every));
    assert_eq!(urls(&proxy), known);

    // What is gone is forgotten, with what it stood for.
    let upstreams = table.upstreams();
    proxy.handle().set([]);
    proxy.handle().set(upstreams);
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
    assert_eq!(Names::default().look_up(&Weak::new()).await, None);
}
