//! What the `metrics` facade is told.

use std::time::Duration;

use metrics::with_local_recorder;
use tokio::runtime::Builder;
use tower::{Layer, ServiceExt};
use tower_gateway::{ConcurrencyLimit, concurrency_limit::LimitKey};

use super::{asks, comes, hello, of, waits};
use crate::support::counted::Counted;

#[test]
fn the_metrics_facade_is_told_how_many_are_in_wait_and_are_turned_away() {
    let counted = Counted::default();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    with_local_recorder(&counted, || {
        runtime.block_on(async {
            let limit = ConcurrencyLimit::new(2)
                .name("pages")
                .queue(2)
                .key_queue(1)
                .bypass(|parts| parts.uri.path() == "/past")
                .per_key(1, LimitKey::header(http::HeaderName::from_static("tenant")));
            let app = limit.layer(hello());
            let is = |name: &str| counted.of(&format!("tower_gateway_limit_{name}"));
            assert_eq!(is("limit pages"), 0.0, "nobody has used it");

            let one = app.clone().oneshot(of("a", "/")).await.unwrap();
            let other = app.clone().oneshot(of("b", "/")).await.unwrap();
            let turn = waits(app.clone().oneshot(of("c", "/")));
            let leaves = waits(app.clone().oneshot(of("d", "/")));
            app.clone().oneshot(of("e", "/")).await.unwrap();
            app.clone().oneshot(of("c", "/")).await.unwrap();
            app.clone().oneshot(asks("/past")).await.unwrap();
            assert_eq!(
                (is("limit pages"), is("in_use pages"), is("queued pages")),
                (2.0, 2.0, 2.0)
            );
            drop(leaves);
            drop(one);
            let turn = comes(turn);
            tokio::time::advance(Duration::from_secs(1)).await;
            let late = app.clone().oneshot(of("f", "/")).await.unwrap();
            assert_eq!(late.status(), 503);
            assert_eq!(is("queued pages"), 0.0);
            assert_eq!(is("wait_seconds pages"), 3.0);
            for (outcome, times) in [
                ("admitted none", 2.0),
                ("waited none", 1.0),
                ("bypassed none", 1.0),
                ("left none", 1.0),
                ("rejected queue_full", 1.0),
                ("rejected key_queue_full", 1.0),
                ("rejected queue_timeout", 1.0),
            ] {
                assert_eq!(
                    is(&format!("requests_total pages {outcome}")),
                    times,
                    "{outcome}"
                );
            }

            limit.handle().set_dry_run(true);
            let beyond = app.clone().oneshot(of("g", "/")).await.unwrap();
            assert_eq!(is("requests_total pages would_queue none"), 1.0);
            assert_eq!(is("in_use pages"), 3.0);
            limit.handle().resize(7);
            assert_eq!(is("limit pages"), 7.0);
            drop((other, turn, beyond, app));
            assert_eq!(is("in_use pages"), 0.0);
            drop(limit);
            assert_eq!(is("limit pages"), 0.0, "it is gone");
        });
    });
    // Whatever is told is also explained, and documented.
    let names = counted.all().into_keys();
    let names: std::collections::HashSet<String> = names
        .map(|name| name.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(counted.described(), names);
    let docs = include_str!("../../../src/concurrency_limit/mod.rs");
    for name in names {
        assert!(
            docs.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}
