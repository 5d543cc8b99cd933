//! What takes more than one request to see.

use std::time::{Duration, SystemTime};

use super::{
    always, deeds,
    probe::{Request, ask, get},
    servers::Server,
    site::{MODIFIED, coded},
    wire::Connection,
};
use crate::support::raw::Answer;

pub struct Told {
    pub rule: &'static str,
    pub name: &'static str,
    pub outcome: Result<(), String>,
}

pub async fn tell(server: &Server) -> Vec<Told> {
    let mut all = Vec::new();
    let mut told = |rule, name, outcome| {
        all.push(Told {
            rule,
            name,
            outcome,
        });
    };
    let many = "ten requests in one packet";
    told("RFC 9112 §9.3.2", many, pipelined(server).await);
    let changes = "another content has another tag";
    told("RFC 9110 §8.8.1", changes, changed(server).await);
    let joined = "no two states are joined";
    told("RFC 9110 §13.1.5", joined, resumed(server).await);
    told(
        "RFC 9110 §14.4",
        "a file in ten parts",
        in_parts(server).await,
    );
    let head = "HEAD says what GET says";
    told("RFC 9110 §9.3.2", head, heads(server).await);

    let epoch = SystemTime::UNIX_EPOCH;
    let second = Duration::from_secs(1);
    for (name, time) in [
        ("a time of 0 tells no content from another", epoch),
        ("nor does a time of 1", epoch + second),
        (
            "nor a time of the future",
            SystemTime::now() + second * 1_000_000,
        ),
    ] {
        told("RFC 9110 §8.8.1", name, useless_time(server, time).await);
    }
    let coarse = "the clock is too coarse for a young file";
    told("RFC 9110 §8.8.1", coarse, young(server).await);
    let distinct = "each coding has its tag";
    told("RFC 9110 §8.8.3.3", distinct, tags_of_codings(server).await);
    let foreign = "a tag of one coding is none of another";
    told("RFC 9110 §8.8.3.3", foreign, foreign_tag(server).await);
    all
}

fn require(holds: bool, otherwise: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn tag(answer: &Answer) -> Result<String, String> {
    answer
        .header("etag")
        .map(str::to_owned)
        .ok_or("no tag".to_owned())
}

/// "A server MAY process a sequence of pipelined requests in parallel [...] but it MUST send the
/// corresponding responses in the same order that the requests were received."
async fn pipelined(server: &Server) -> Result<(), String> {
    let targets = ["/ten.txt", "/nothing", "/big.bin", "/dir/", "/empty.txt"];
    let mut packet = Vec::new();
    for target in targets.iter().chain(&targets) {
        packet.extend(get(target).bytes(""));
    }
    let mut connection = Connection::open(&server.address, server.patience).await;
    connection.send(&packet).await?;
    for target in targets.iter().chain(&targets) {
        let answer = connection.read(false).await?;
        let right = match *target {
            "/ten.txt" => answer.text() == super::site::TEN,
            "/nothing" => answer.status == 404,
            "/big.bin" => answer.body == super::site::big(),
            "/dir/" => answer.text() == "in a directory",
            _ => answer.status == 200 && answer.body.is_empty(),
        };
        require(
            right,
            format!("{target} is answered with {}", answer.status),
        )?;
    }
    Ok(())
}

/// Of the same length, and a nanosecond apart.
async fn changed(server: &Server) -> Result<(), String> {
    let time = super::site::modified();
    server.site.write_at("changing.txt", "AAAA", time);
    let before = deeds::ask(server, &get("/changing.txt")).await?;
    let newer = time + Duration::from_nanos(1);
    server.site.write_at("changing.txt", "BBBB", newer);
    let after = deeds::ask(server, &get("/changing.txt")).await?;
    require(after.text() == "BBBB", "the old content is sent")?;
    require(
        tag(&before)?.starts_with("W/") || tag(&before)? != tag(&after)?,
        format!("the tag {} stays", tag(&before)?),
    )
}

/// The beginning of one state, and what is asked for after it has changed.
async fn resumed(server: &Server) -> Result<(), String> {
    let time = super::site::modified();
    server.site.write_at("resumed.txt", "AAAAAAAA", time);
    let first = get("/resumed.txt").with("Range", "bytes=0-3");
    let before = deeds::ask(server, &first).await?;
    let later = time + Duration::from_secs(60);
    server.site.write_at("resumed.txt", "BBBBBBBB", later);
    for validator in [tag(&before)?, MODIFIED.to_owned()] {
        let rest = get("/resumed.txt")
            .with("Range", "bytes=4-")
            .with("If-Range", &validator);
        let after = deeds::ask(server, &rest).await?;
        require(
            after.status == 200 && after.text() == "BBBBBBBB",
            format!("status {} with If-Range: {validator}", after.status),
        )?;
    }
    Ok(())
}

async fn in_parts(server: &Server) -> Result<(), String> {
    let mut joined = Vec::new();
    for n in 0..10 {
        let range = format!("bytes={}-{}", n * 30_000, n * 30_000 + 29_999);
        let part = get("/big.bin")
            .with("Range", &range)
            .with("If-Range", "{etag}");
        let answer = deeds::ask(server, &part).await?;
        require(answer.status == 206, format!("status {}", answer.status))?;
        joined.extend(answer.body);
    }
    require(joined == super::site::big(), "the parts are not the whole")
}

async fn heads(server: &Server) -> Result<(), String> {
    for target in [
        "/ten.txt",
        "/big.bin",
        "/empty.txt",
        "/",
        "/type.html",
        "/dir",
        "/nothing",
    ] {
        let get = deeds::ask(server, &get(target)).await?;
        let head = deeds::ask(server, &ask("HEAD", target)).await?;
        require(get.status == head.status, format!("{target}: other status"))?;
        // "except that a server MAY omit header fields for which a value is determined only while
        // generating the content": the length of an error's text is.
        let said = |answer: &Answer| {
            let mut fields = answer.headers.clone();
            fields.retain(|(name, _)| name != "date" && name != "connection");
            fields.sort();
            fields
        };
        require(
            said(&get) == said(&head),
            format!("{target}: GET {:?}, HEAD {:?}", said(&get), said(&head)),
        )?;
    }
    Ok(())
}

/// A build gives every file the same time; then the validators of one content must not stand for
/// another of the same length.
async fn useless_time(server: &Server, time: SystemTime) -> Result<(), String> {
    server.site.write_at("useless.txt", "AAAA", time);
    let before = deeds::ask(server, &get("/useless.txt")).await?;
    server.site.write_at("useless.txt", "BBBB", time);
    for (field, validator) in [
        ("If-None-Match", "etag"),
        ("If-Modified-Since", "last-modified"),
    ] {
        let Some(value) = before.header(validator) else {
            continue;
        };
        let request = get("/useless.txt").with(field, value);
        let after = deeds::ask(server, &request).await?;
        require(
            after.status == 200 && after.text() == "BBBB",
            format!("status {} with {field}: {value}", after.status),
        )?;
    }
    Ok(())
}

/// "an origin server that [...] could change twice within the resolution of its clock" has only
/// a weak validator to give.
async fn young(server: &Server) -> Result<(), String> {
    server.site.write_at("young.txt", "AAAA", SystemTime::now());
    let answer = deeds::ask(server, &get("/young.txt")).await?;
    let etag = answer.header("etag").unwrap_or_default();
    require(!etag.starts_with('"'), format!("the tag {etag} is strong"))?;
    // §8.8.2.2: a date is strong only where it is a second older than Date.
    if let Some(modified) = answer.header("last-modified") {
        let part = get("/young.txt")
            .with("Range", "bytes=0-1")
            .with("If-Range", modified);
        let part = deeds::ask(server, &part).await?;
        require(part.status == 200, "If-Range takes a date of this second")?;
    }
    require(always::date(&answer, "date").is_some(), "no Date")
}

async fn of_coding(server: &Server, coding: &str) -> Result<Answer, String> {
    deeds::ask(server, &get("/coded.css").with("Accept-Encoding", coding)).await
}

async fn tags_of_codings(server: &Server) -> Result<(), String> {
    let mut seen: Vec<(String, String)> = Vec::new();
    for coding in ["identity", "gzip", "br", "zstd"] {
        let answer = of_coding(server, coding).await?;
        let (etag, text) = (tag(&answer)?, answer.text());
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == etag) {
            // What has no such sibling answers with the original again.
            require(
                *other == text,
                format!("{etag} is that of {coding} as well"),
            )?;
        }
        seen.push((etag, text));
    }
    require(
        seen.iter().any(|(_, text)| *text == coded(".gz")),
        "no coding is sent",
    )
}

async fn foreign_tag(server: &Server) -> Result<(), String> {
    let plain = of_coding(server, "identity").await?;
    let request = |field: &str| -> Request {
        get("/coded.css")
            .with("Accept-Encoding", "gzip")
            .with(field, &tag(&plain).unwrap_or_default())
    };
    let answer = deeds::ask(server, &request("If-None-Match")).await?;
    require(answer.status == 200, "304 to the tag of another coding")?;
    let answer = deeds::ask(server, &request("If-Range").with("Range", "bytes=0-3")).await?;
    require(answer.status == 200, "a part to the tag of another coding")
}
