//! Bodies that come piece by piece, or late.

use serde_json::Value;

use super::Bin;

pub async fn tell(bin: &Bin<'_>) {
    let lines = bin.get("/stream/100?q").await;
    let ids: Vec<_> = lines
        .text()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(ids, Vec::from_iter(0..100), "{}", bin.who);

    let dripped = bin
        .get("/drip?duration=0.05&numbytes=5&code=202&delay=0.01")
        .await;
    assert_eq!(
        (dripped.status, dripped.text().as_str()),
        (202, "*****"),
        "{}",
        bin.who
    );
    assert_eq!(dripped.header("content-length"), Some("5"), "{}", bin.who);
    let head = bin
        .ask("HEAD", "/drip?duration=0.05&numbytes=5", "", "")
        .await;
    assert_eq!(head.header("content-length"), Some("5"), "{}", bin.who);

    let one = bin.get("/bytes/5000?seed=7").await.body;
    let pieces = bin.get("/stream-bytes/5000?seed=7&chunk_size=7").await.body;
    assert_eq!(one.len(), 5_000, "{}", bin.who);
    assert!(one == pieces, "{}", bin.who);
    assert_eq!(bin.get("/bytes/0").await.body, b"", "{}", bin.who);
    assert_eq!(bin.get("/stream-bytes/0").await.body, b"", "{}", bin.who);

    ranges(bin).await;
    let late = bin.told("POST", "/delay/0.05", "", "data").await;
    assert_eq!(late["data"], "data", "{}", bin.who);
}

async fn ranges(bin: &Bin<'_>) {
    let all: String = ('a'..='z').cycle().take(1024).collect();
    let whole = bin.get("/range/1024?chunk_size=100").await;
    assert_eq!(
        (whole.status, whole.text().as_str()),
        (200, all.as_str()),
        "{}",
        bin.who
    );
    for (range, part) in [
        ("10-19", &all[10..20]),
        ("1000-", &all[1000..]),
        ("-5", &all[1019..]),
    ] {
        let answer = bin
            .ask(
                "GET",
                "/range/1024",
                &format!("Range: bytes={range}\r\n"),
                "",
            )
            .await;
        assert_eq!(answer.status, 206, "{} {range}", bin.who);
        assert_eq!(answer.text(), part, "{} {range}", bin.who);
        let length = part.len().to_string();
        assert_eq!(
            answer.header("content-length"),
            Some(length.as_str()),
            "{}",
            bin.who
        );
    }
    let none = bin
        .ask("GET", "/range/1024", "Range: bytes=2000-\r\n", "")
        .await;
    assert_eq!((none.status, none.body.len()), (416, 0), "{}", bin.who);
    assert_eq!(
        none.header("content-range"),
        Some("bytes */1024"),
        "{}",
        bin.who
    );
}
