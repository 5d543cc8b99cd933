//! Bodies of requests, and formats of answers.

use std::io::Read;

use serde_json::{Value, json};

use super::Bin;
use crate::support::{session::Session, stories::json};

pub async fn tell(bin: &Bin<'_>) {
    requests(bin).await;
    chunked(bin).await;
    codings(bin).await;
    formats(bin).await;
}

async fn requests(bin: &Bin<'_>) {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let document = "Content-Type: application/json\r\n";
    for (method, target) in [
        ("POST", "/post"),
        ("PUT", "/put"),
        ("PATCH", "/patch"),
        ("DELETE", "/delete"),
    ] {
        let told = bin.told(method, target, form, "a=1&b=%C3%BC&a=2").await;
        assert_eq!(
            told["form"],
            json!({"a": ["1", "2"], "b": "ü"}),
            "{}",
            bin.who
        );
        let told = bin
            .told(method, target, document, r#"{"a": [1, "ü"]}"#)
            .await;
        assert_eq!(told["json"], json!({"a": [1, "ü"]}), "{}", bin.who);
        let told = bin.told(method, target, "", [0xff, 0, 0xfe]).await;
        assert_eq!(
            told["data"], "data:application/octet-stream;base64,/wD+",
            "{}",
            bin.who
        );
    }
    let file = Session::new(bin.addr)
        .post_file("/post", "a.bin", b"in the file")
        .await;
    assert_eq!(json(&file)["files"]["file"], "in the file", "{}", bin.who);
    // More than one read of whoever reads.
    let long = "0123456789".repeat(50_000);
    let told = bin.told("POST", "/post", "", &long).await;
    assert_eq!(told["data"].as_str(), Some(long.as_str()), "{}", bin.who);
    let content = long.as_bytes();
    let file = Session::new(bin.addr)
        .post_file("/post", "a.bin", content)
        .await;
    assert_eq!(
        json(&file)["files"]["file"].as_str(),
        Some(long.as_str()),
        "{}",
        bin.who
    );
}

async fn chunked(bin: &Bin<'_>) {
    let request = "POST /post?c HTTP/1.1\r\nHost: bin.example\r\nConnection: close\r\n\
                   Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\n{\"a\": \r\n3\r\n\"b\"\r\n1\r\n}\r\n0\r\n\r\n";
    let told = json(&crate::support::raw::exchange(bin.addr, request).await);
    assert_eq!(told["json"], json!({"a": "b"}), "{} {told}", bin.who);
}

async fn codings(bin: &Bin<'_>) {
    type Decode = fn(&[u8]) -> Vec<u8>;
    let gunzip: Decode = |bytes| {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut text)
            .unwrap();
        text
    };
    let inflate: Decode = |bytes| {
        let mut text = Vec::new();
        flate2::read::ZlibDecoder::new(bytes)
            .read_to_end(&mut text)
            .unwrap();
        text
    };
    let unbrotli: Decode = |bytes| {
        let mut text = Vec::new();
        brotli::Decompressor::new(bytes, 4096)
            .read_to_end(&mut text)
            .unwrap();
        text
    };
    for (target, coding, flag, decode) in [
        ("/gzip", "gzip", "gzipped", gunzip),
        ("/deflate", "deflate", "deflated", inflate),
        ("/brotli", "br", "brotli", unbrotli),
    ] {
        let answer = bin.get(target).await;
        assert_eq!(
            answer.header("content-encoding"),
            Some(coding),
            "{}",
            bin.who
        );
        let told: Value = serde_json::from_slice(&decode(&answer.body)).unwrap();
        assert_eq!(told[flag], true, "{}", bin.who);
    }
}

async fn formats(bin: &Bin<'_>) {
    for (target, kind, part) in [
        ("/", "text/html; charset=utf-8", "httpbin"),
        ("/html", "text/html; charset=utf-8", "Herman Melville"),
        ("/xml", "application/xml", "<slideshow"),
        ("/json", "application/json", "slideshow"),
        ("/robots.txt", "text/plain", "Disallow: /deny"),
        ("/deny", "text/plain", "YOU SHOULDN'T BE HERE"),
        ("/encoding/utf8", "text/html; charset=utf-8", "∮ E⋅da = Q"),
        ("/forms/post", "text/html; charset=utf-8", "<form"),
        (
            "/base64/aGVsbG8gw7w=",
            "text/html; charset=utf-8",
            "hello ü",
        ),
        ("/image/svg", "image/svg+xml", "<svg"),
    ] {
        let answer = bin.get(target).await;
        assert_eq!(answer.status, 200, "{} {target}", bin.who);
        assert_eq!(
            answer.header("content-type"),
            Some(kind),
            "{} {target}",
            bin.who
        );
        assert!(
            answer.text().contains(part),
            "{} {target} {}",
            bin.who,
            answer.text()
        );
        let length = answer.body.len().to_string();
        assert_eq!(
            answer.header("content-length"),
            Some(length.as_str()),
            "{}",
            bin.who
        );
    }
    for (target, magic) in [
        ("/image/png", &b"\x89PNG"[..]),
        ("/image/jpeg", b"\xff\xd8\xff"),
        ("/image/webp", b"RIFF"),
    ] {
        let image = bin.get(target).await.body;
        assert!(
            image.starts_with(magic) && image.len() > 1_000,
            "{} {target}",
            bin.who
        );
    }
    let png = bin.ask("GET", "/image", "Accept: image/png\r\n", "").await;
    assert!(png.body.starts_with(b"\x89PNG"), "{}", bin.who);
    let none = bin
        .ask("GET", "/image", "Accept: text/x-none\r\n", "")
        .await;
    assert_eq!(none.status, 406, "{}", bin.who);
}
