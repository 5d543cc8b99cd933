use std::io::{Read, Write};
use std::sync::Arc;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tower::{Service, ServiceExt};
use super::support::*;
use crate::wsgi::{frame::*, slot::Slot, worker::Worker};

fn cpu() -> u64 {
    let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse().unwrap()
}

fn browser() -> Request<Empty<Bytes>> {
    Request::get("/questions/12?page=2")
        .header("host", "example.org")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8")
        .header("accept-language", "en-US,en;q=0.5")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("referer", "http://example.org/questions")
        .header("cookie", "sessionid=abcdefghijklmnopqrstuvwxyz012345; csrftoken=abcdefghijklmnopqrstuvwxyz012345")
        .header("upgrade-insecure-requests", "1")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-mode", "navigate")
        .body(Empty::new()).unwrap()
}

#[test]
fn cost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let n: usize = std::env::var("N").map(|n| n.parse().unwrap()).unwrap_or(200_000);
    runtime.block_on(async {
        let bench = Bench::new();
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let worker = Arc::new(Worker::new(1, 1, 1, 1, Arc::clone(&bench.wake)));
        bench.dispatch.add(Slot::new(ours, 0, worker));
        let mut theirs = theirs.into_std().unwrap();
        theirs.set_nonblocking(false).unwrap();
        let split = std::env::var("SPLIT").is_ok();
        std::thread::spawn(move || {
            let answer = frame_of(Kind::One, if split {OVER} else {FREE | OVER}, 0, b"200 OK\nContent-Type\ntext/html; charset=utf-8\nContent-Length\n1024\nVary\nCookie\nX-Frame-Options\nDENY\nReferrer-Policy\nsame-origin\nX-Content-Type-Options\nnosniff", &[b'x'; 1024]);
            let end = frame_of(Kind::End, FREE, 0, b"", b"");
            let mut buffer = vec![0; 1 << 16];
            while theirs.read(&mut buffer).unwrap() > 0 {
                theirs.write_all(&answer).unwrap();
                if split { theirs.write_all(&end).unwrap(); }
            }
        });
        let mut container = bench.container.clone();
        let mut spent = 0;
        for round in 0..3 {
            let mut making = 0;
            let began = cpu();
            for _ in 0..n {
                let m = if n < 1000 { 0 } else { 0 };
                making += m;
                let request = browser();
                let response = container.ready().await.unwrap().call(request).await.unwrap();
                let body = response.into_body().collect().await.unwrap();
                std::hint::black_box(body);
            }
            spent = cpu() - began;
            let _ = making;
            eprintln!("round {round}: {} ns/request", spent / n as u64);
        }
        let began = cpu();
        for _ in 0..n { std::hint::black_box(browser()); }
        eprintln!("making a request: {} ns", (cpu() - began) / n as u64);
        let _ = spent;
        let request = browser();
        let mut pinned = Some(request);
        let mut future = None;
        let info = allocation_counter::measure(|| { future = Some(container.call(pinned.take().unwrap())); });
        eprintln!("call: {info:?}");
        let mut future = future.unwrap();
        let mut response = None;
        let mut total = 0; let mut bytes = 0;
        while response.is_none() {
            let cx = futures_util::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
            let info = allocation_counter::measure(|| {
                let mut cx = std::task::Context::from_waker(&cx);
                if let std::task::Poll::Ready(r) = std::pin::Pin::new(&mut future).poll(&mut cx) { response = Some(r); }
            });
            total += info.count_total; bytes += info.bytes_total;
            tokio::task::yield_now().await;
        }
        eprintln!("polls: {total} allocations, {bytes} bytes");
    });
}
