use std::{
    collections::BTreeSet,
    io::Read,
    sync::{Barrier, atomic::AtomicUsize, mpsc},
    time::{Duration, SystemTime},
};

use super::*;

const MANY: u64 = 1 << 20;
const BOTH: &[Coding] = &[Coding::Brotli, Coding::Gzip];

/// Text that shrinks to about a tenth; another for each `seed`.
fn text(seed: u32, length: usize) -> Bytes {
    let lines = (0..).flat_map(|line: u32| {
        format!(
            "const value_{seed}_{line} = compute({});\n",
            line.wrapping_mul(line)
        )
        .into_bytes()
    });
    lines.take(length).collect::<Vec<_>>().into()
}

/// Bytes that do not shrink (xorshift).
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes = (0..length).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.collect::<Vec<_>>().into()
}

fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match coding {
        Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content),
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content),
        Coding::Zstd => panic!("nobody makes it"),
    }
    .expect("it is what its coding says");
    content
}

fn variant(store: &Compressed<u32>, key: u32, coding: Coding) -> Variant {
    match store.get(&key, coding) {
        State::Ready(variant) => variant,
        state => panic!("{state:?}"),
    }
}

fn is_absent(store: &Compressed<u32>, key: u32, coding: Coding) -> bool {
    matches!(store.get(&key, coding), State::Absent)
}

async fn compress(store: &Compressed<u32>, key: u32, content: Bytes) {
    let work = store.start(&key, BOTH, move || Ok(content));
    work.expect("it begins").await.expect("it ends");
}

#[tokio::test]
async fn a_file_is_compressed_in_each_coding_and_decodes_to_itself() {
    let store = Compressed::new(MANY);
    let content = text(1, 100_000);
    assert!(is_absent(&store, 1, Coding::Brotli));
    compress(&store, 1, content.clone()).await;

    let tags: BTreeSet<_> = BOTH
        .iter()
        .map(|&coding| {
            let Variant { bytes, etag } = variant(&store, 1, coding);
            assert!(
                bytes.len() < content.len() / 4,
                "{coding:?}: {}",
                bytes.len()
            );
            assert_eq!(decoded(coding, &bytes), content, "{coding:?}");
            assert_eq!(etag, digest::of_bytes(&bytes));
            etag.to_header().as_bytes().to_vec()
        })
        .collect();
    assert_eq!(tags.len(), 2, "each has a tag of its own");

    let again = store.start(&1, BOTH, || panic!("it is there"));
    assert!(again.is_none());
}

#[tokio::test]
async fn another_store_makes_the_same_bytes() {
    let stores = [Compressed::new(MANY), Compressed::new(MANY)];
    for store in &stores {
        compress(store, 1, text(1, 50_000)).await;
    }
    for &coding in BOTH {
        let [one, other] = [0, 1].map(|at| variant(&stores[at], 1, coding));
        assert_eq!(one.bytes, other.bytes);
        assert_eq!(one.etag, other.etag);
    }
}

#[tokio::test]
async fn a_coding_that_is_missing_is_added() {
    let store = Compressed::new(MANY);
    let work = store.start(&1, &[Coding::Gzip], || Ok(text(1, 5000)));
    work.expect("it begins").await.expect("it ends");
    assert!(is_absent(&store, 1, Coding::Brotli));
    compress(&store, 1, text(1, 5000)).await;
    variant(&store, 1, Coding::Brotli);
}

#[tokio::test]
async fn zstd_is_never_made() {
    let store = Compressed::new(MANY);
    assert!(matches!(store.get(&1, Coding::Zstd), State::NotWorth));
    let work = store.start(&1, &[Coding::Zstd], || panic!("for nothing"));
    assert!(work.is_none());
}

#[test]
fn without_a_runtime_nothing_begins() {
    let store = Compressed::new(MANY);
    let work = store.start(&1, BOTH, || panic!("where?"));
    assert!(work.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_who_ask_at_once_start_it_once() {
    let store = Compressed::with(MANY, MAX_LENGTH, 8);
    let loads = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(4));
    let asking = (0..4).map(|_| {
        let (store, loads, barrier) = (store.clone(), Arc::clone(&loads), Arc::clone(&barrier));
        tokio::task::spawn_blocking(move || {
            barrier.wait();
            let ask = |_| {
                let loads = Arc::clone(&loads);
                store.start(&1, BOTH, move || {
                    loads.fetch_add(1, Ordering::SeqCst);
                    Ok(text(1, 10_000))
                })
            };
            (0..25).filter_map(ask).collect::<Vec<_>>()
        })
    });
    let mut begun = Vec::new();
    for asks in asking.collect::<Vec<_>>() {
        begun.extend(asks.await.expect("nobody panics"));
    }
    assert_eq!(begun.len(), 1);
    for work in begun {
        work.await.expect("it ends");
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_too_much_at_once_is_not_begun_and_may_be_asked_for_later() {
    let store = Compressed::with(MANY, MAX_LENGTH, 2);
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let begin = |key: u32| {
        let released = Arc::clone(&released);
        store.start(&key, BOTH, move || {
            let released = released.lock().expect("nobody panics");
            let _ = released.recv();
            Ok(text(key, 5000))
        })
    };
    let (first, second) = (begin(1), begin(2));
    assert!(first.is_some() && second.is_some());
    assert!(begin(3).is_none());
    assert!(is_absent(&store, 3, Coding::Brotli));
    drop(release);
    for work in [first, second].into_iter().flatten() {
        work.await.expect("it ends");
    }
    begin(3).expect("there is room").await.expect("it ends");
    variant(&store, 3, Coding::Brotli);
}

#[tokio::test]
async fn what_hardly_shrinks_is_remembered() {
    let store = Compressed::new(MANY);
    compress(&store, 1, noise(100_000)).await;
    for &coding in BOTH {
        assert!(
            matches!(store.get(&1, coding), State::NotWorth),
            "{coding:?}"
        );
    }
    let again = store.start(&1, BOTH, || panic!("it is known"));
    assert!(again.is_none());
}

#[test]
fn five_percent_less_is_worth_it() {
    for (length, at_most) in [(0, 0), (1, 0), (20, 19), (21, 19), (100, 95), (1000, 950)] {
        assert_eq!(worth::at_most(length), at_most, "{length}");
    }
}

#[tokio::test]
async fn what_exceeds_the_budget_alone_is_not_worth_it() {
    let store = Compressed::new(4000);
    let content = text(1, 200_000);
    compress(&store, 1, content).await;
    assert!(matches!(store.get(&1, Coding::Brotli), State::NotWorth));
    assert!(store.shared.done.weight() <= 4000);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_budget_keeps_nothing() {
    let store = Compressed::new(0);
    compress(&store, 1, text(1, 5000)).await;
    assert!(is_absent(&store, 1, Coding::Brotli));
    // Nor does it try again for every request.
    assert!(store.start(&1, BOTH, || Ok(text(1, 5000))).is_none());

    let store = Compressed::new(0);
    let work = store.start(&1, BOTH, || Err(io::ErrorKind::NotFound.into()));
    work.expect("it begins").await.expect("it ends");
    assert!(store.start(&1, BOTH, || panic!("too early")).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_budget_holds_whatever_is_asked_for() {
    const BUDGET: u64 = 30_000;
    let store = Compressed::new(BUDGET);
    for key in 0..100 {
        compress(&store, key, text(key, 5000 + key as usize * 100)).await;
        assert!(store.shared.done.weight() <= BUDGET);
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
    let kept = (0..100).filter(|key| !is_absent(&store, *key, Coding::Brotli));
    assert!(kept.count() > 5);
}

#[tokio::test(start_paused = true)]
async fn files_that_do_not_fit_together_are_not_compressed_for_ever_in_turn() {
    // Two are too much for it.
    let store = Compressed::new(1400);
    let gzip = |key| store.start(&key, &[Coding::Gzip], move || Ok(text(key, 3000)));
    gzip(1).expect("it begins").await.expect("it ends");
    gzip(2)
        .expect("there is no rest yet")
        .await
        .expect("it ends");
    let lost = [1, 2].map(|key| is_absent(&store, key, Coding::Gzip));
    assert!(lost.contains(&true), "the test's budget is too large");
    let lost = if lost[0] { 1 } else { 2 };
    assert!(gzip(lost).is_none());
    tokio::time::advance(LEAST_REST).await;
    assert!(gzip(lost).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_is_tried_again_after_a_while() {
    let store = Compressed::new(MANY);
    let work = store.start(&1, BOTH, || Err(io::ErrorKind::PermissionDenied.into()));
    work.expect("it begins").await.expect("it ends");

    assert!(is_absent(&store, 1, Coding::Brotli));
    tokio::time::advance(RETRY_AFTER - Duration::from_millis(1)).await;
    assert!(store.start(&1, BOTH, || panic!("too early")).is_none());
    tokio::time::advance(Duration::from_millis(1)).await;
    compress(&store, 1, text(1, 5000)).await;
    variant(&store, 1, Coding::Brotli);
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_lets_others_begin_and_the_file_be_tried_again() {
    let store = Compressed::with(MANY, MAX_LENGTH, 1);
    let work = store.start(&1, BOTH, || panic!("on purpose"));
    work.expect("it begins")
        .await
        .expect("the panic stays inside");

    compress(&store, 2, text(2, 5000)).await;
    assert!(store.start(&1, BOTH, || panic!("too early")).is_none());
    tokio::time::advance(RETRY_AFTER).await;
    compress(&store, 1, text(1, 5000)).await;
    variant(&store, 1, Coding::Gzip);
}

#[test]
fn a_runtime_that_shuts_down_does_not_wait_for_the_rest() {
    let store = Compressed::new(64 * MANY);
    let (began, has_begun) = mpsc::channel();
    let (stopping, stopped) = mpsc::channel::<()>();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    // Dropped with the other tasks when the runtime shuts down.
    runtime.spawn(async move {
        let _stopping = stopping;
        std::future::pending::<()>().await;
    });
    let _entered = runtime.enter();
    let work = store.start(&1, BOTH, move || {
        began.send(()).expect("the test waits");
        let _ = stopped.recv();
        Ok(text(1, 4 << 20))
    });
    assert!(work.is_some());
    has_begun.recv().expect("it begins");
    drop(_entered);
    // Waits for the blocking pool.
    drop(runtime);
    // Not done, and not held against the file either.
    assert!(store.shared.done.is_empty());
    assert!(store.shared.under_way().keys.is_empty());
}

#[test]
fn work_that_never_ran_is_forgotten() {
    let store = Compressed::new(MANY);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    let (stopping, stopped) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel();
    runtime.spawn_blocking(move || {
        began.send(()).expect("the test waits");
        let _ = stopped.recv();
    });
    has_begun.recv().expect("the pool is busy");
    runtime.spawn(async move {
        let _stopping = stopping;
        std::future::pending::<()>().await;
    });
    {
        let _entered = runtime.enter();
        assert!(
            store
                .start(&1, BOTH, || panic!("no thread is free"))
                .is_some()
        );
    }
    drop(runtime);
    assert!(store.shared.done.is_empty());
    assert!(store.shared.under_way().keys.is_empty());
}

#[tokio::test]
async fn work_for_a_store_that_is_gone_is_over() {
    let store = Compressed::new(MANY);
    let work = Work {
        shared: Arc::downgrade(&store.shared),
        key: 1,
        unfinished: BOTH.to_vec(),
        over: Arc::default(),
        began: Instant::now(),
        crowded: false,
    };
    assert!(!work.is_over());
    drop(store);
    assert!(work.is_over());
    work.run(|| panic!("nobody wants it"));
}

#[test]
fn a_compressor_asks_before_each_chunk_whether_to_go_on() {
    let content = text(1, 1 << 20);
    for &coding in BOTH {
        let asked = AtomicUsize::new(0);
        let is_over = || asked.fetch_add(1, Ordering::SeqCst) == 2;
        let encoded = encode(&content, coding, usize::MAX, is_over);
        assert!(matches!(encoded, Encoded::Cancelled), "{coding:?}");
        assert_eq!(asked.into_inner(), 3, "{coding:?}");
    }
}

#[test]
fn a_result_is_of_any_length_and_never_longer_than_it_may_be() {
    for &coding in BOTH {
        for length in [0, 1, 511, 512, 65_535, 65_536, 65_537, 200_000] {
            let content = text(7, length);
            let Encoded::Bytes(bytes) = encode(&content, coding, usize::MAX, || false) else {
                panic!("{coding:?} {length}");
            };
            assert_eq!(decoded(coding, &bytes), content, "{coding:?} {length}");
            let exact = encode(&content, coding, bytes.len(), || false);
            assert!(matches!(exact, Encoded::Bytes(_)), "{coding:?} {length}");
            let less = encode(&content, coding, bytes.len() - 1, || false);
            assert!(matches!(less, Encoded::TooLong), "{coding:?} {length}");
        }
    }
}

#[test]
fn types_that_tend_to_shrink_are_compressed() {
    for media_type in [
        "text/html",
        "text/html; charset=utf-8",
        "TEXT/CSS ;charset=x",
        "text/javascript",
        "application/json",
        "application/manifest+json",
        "application/ld+json; profile=x",
        "application/atom+xml",
        "application/wasm",
        "image/svg+xml",
        "image/x-icon",
        "image/bmp",
        "font/ttf",
        "font/otf",
    ] {
        assert!(is_compressible(media_type, 512), "{media_type}");
        assert!(!is_compressible(media_type, 511), "{media_type}");
    }
    for media_type in [
        "",
        ";",
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/avif",
        "audio/mpeg",
        "video/mp4",
        "video/mp2t",
        "application/zip",
        "application/gzip",
        "application/pdf",
        "application/epub+zip",
        "application/octet-stream",
        "font/woff",
        "font/woff2",
        "application/json-not",
        "nottext/html",
    ] {
        assert!(!is_compressible(media_type, 1 << 20), "{media_type}");
    }
}

#[test]
fn a_file_that_was_just_changed_is_in_flux() {
    let now = SystemTime::now();
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds));
    assert!(is_in_flux(ago(0), now));
    assert!(is_in_flux(ago(9), now));
    assert!(!is_in_flux(ago(10), now));
    assert!(!is_in_flux(None, now));
    assert!(!is_in_flux(Some(now + Duration::from_secs(5)), now));
}

#[test]
fn the_longest_files_are_left_as_they_are() {
    let store = Compressed::<u32>::new(MANY);
    assert!(store.takes("text/css", 16 << 20));
    assert!(!store.takes("text/css", (16 << 20) + 1));
    assert!(!store.takes("image/png", 1 << 20));
    let store = Compressed::<u32>::with(MANY, 1000, 1);
    assert!(store.takes("text/css", 1000));
    assert!(!store.takes("text/css", 1001));
}
