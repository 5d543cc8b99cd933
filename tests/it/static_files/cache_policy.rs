//! What is said about keeping a file, and what cannot be said.

use std::{panic::catch_unwind, time::Duration};

use tower_gateway::static_files::CacheControl;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_said_becomes_directives() {
    for (cache_control, expected) in [
        (CacheControl::no_cache(), "no-cache"),
        (CacheControl::no_cache().private(), "private, no-cache"),
        (
            CacheControl::no_cache().must_revalidate(),
            "no-cache, must-revalidate",
        ),
        (CacheControl::no_store(), "no-store"),
        (
            CacheControl::no_store().private().no_transform(),
            "private, no-store, no-transform",
        ),
        (CacheControl::max_age(seconds(0)), "max-age=0"),
        (
            CacheControl::max_age(Duration::from_millis(1999)),
            "max-age=1",
        ),
        (CacheControl::max_age(Duration::MAX), "max-age=2147483648"),
        (
            CacheControl::max_age(seconds(60))
                .public()
                .must_revalidate(),
            "public, max-age=60, must-revalidate",
        ),
        (
            CacheControl::max_age(seconds(60)).public().public(),
            "public, max-age=60",
        ),
        (
            CacheControl::max_age(seconds(60))
                .s_maxage(seconds(600))
                .stale_while_revalidate(seconds(30))
                .stale_if_error(Duration::MAX),
            "max-age=60, s-maxage=600, stale-while-revalidate=30, stale-if-error=2147483648",
        ),
        (
            CacheControl::immutable(),
            "public, max-age=31536000, immutable",
        ),
        (
            CacheControl::immutable().public(),
            "public, max-age=31536000, immutable",
        ),
        (
            CacheControl::immutable().private(),
            "private, max-age=31536000, immutable",
        ),
    ] {
        assert_eq!(cache_control.to_string(), expected);
        assert_eq!(cache_control.header_value(), expected);
    }
}

#[test]
fn what_contradicts_itself_is_refused_where_it_is_written() {
    type Wrong = fn() -> CacheControl;
    let wrong: &[(&str, Wrong)] = &[
        ("public and private", || {
            CacheControl::no_cache().public().private()
        }),
        ("public and private", || {
            CacheControl::immutable().private().public()
        }),
        ("not stored", || CacheControl::no_store().public()),
        ("not stored", || CacheControl::no_store().must_revalidate()),
        ("not stored", || {
            CacheControl::no_store().s_maxage(seconds(1))
        }),
        ("not stored", || {
            CacheControl::no_store().stale_if_error(seconds(1))
        }),
        ("asks each time", || {
            CacheControl::no_cache().s_maxage(seconds(1))
        }),
        ("asks each time", || {
            CacheControl::no_cache().stale_while_revalidate(seconds(1))
        }),
        ("forbids stale", || {
            CacheControl::max_age(seconds(1))
                .must_revalidate()
                .stale_if_error(seconds(1))
        }),
        ("forbids stale", || {
            CacheControl::immutable()
                .stale_while_revalidate(seconds(1))
                .must_revalidate()
        }),
        ("shared caches", || {
            CacheControl::max_age(seconds(1))
                .private()
                .s_maxage(seconds(1))
        }),
        ("shared caches", || {
            CacheControl::max_age(seconds(1))
                .s_maxage(seconds(1))
                .private()
        }),
    ];
    for (says, wrong) in wrong {
        let panic = catch_unwind(wrong).expect_err(says);
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .expect("a message");
        assert!(message.contains(says), "{message}");
    }
}
