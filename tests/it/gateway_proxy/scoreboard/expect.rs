//! `Expect: 100-continue`, from one end to the other.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::{
    sides::{Side, nothing, script},
    stories::status,
};
use crate::support::upstream::Conn;

const EXPECTS: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

/// However the 100 comes about, the client gets one, and the upstream the body.
pub async fn continue_at_all(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            while let Some(head) = conn.head().await {
                if head
                    .to_ascii_lowercase()
                    .contains("\r\nexpect: 100-continue\r\n")
                {
                    conn.write("HTTP/1.1 100 Continue\r\n\r\n").await;
                }
                while conn.buffered().len() < 5 {
                    if conn.fill().await.is_none() {
                        return;
                    }
                }
                let body = String::from_utf8(conn.take()).unwrap();
                conn.answer(&body).await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    for _ in 0..2 {
        client.send(EXPECTS).await?;
        let interim = client.expect_interim().await?;
        if interim != 100 {
            return Err(format!("status {interim}, not 100"));
        }
        client.send("hello").await?;
        let answer = client.expect(false).await?;
        if answer.text() != "hello" {
            return Err(format!("{answer:?}"));
        }
    }
    Ok(())
}

pub async fn impatient(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            while conn.request().await.is_some() {
                conn.answer("ok").await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    for _ in 0..2 {
        client.send(format!("{EXPECTS}hello")).await?;
        status(&mut client, 200).await?;
    }
    Ok(())
}

/// RFC 9110 §10.1.1: "A client that sends a 100-continue expectation is not required to wait for
/// any specific length of time", and an upstream may know nothing of it: nobody waits for ever.
pub async fn silent_of_100(side: &Side) -> Result<(), String> {
    let stage = side
        .stage(script(|mut conn: Conn| async move {
            while conn.request().await.is_some() {
                conn.answer("ok").await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    client.send(EXPECTS).await?;
    // It has waited for long enough.
    timeout(Duration::from_millis(100), nothing()).await.ok();
    client.send("hello").await?;
    status(&mut client, 200).await
}

pub async fn continue_of_upstream(side: &Side) -> Result<(), String> {
    let (go, may_go) = watch::channel(false);
    let stage = side
        .stage(script(move |mut conn: Conn| {
            let mut may_go = may_go.clone();
            async move {
                let Some(head) = conn.head().await else {
                    return;
                };
                if !head
                    .to_ascii_lowercase()
                    .contains("\r\nexpect: 100-continue\r\n")
                {
                    conn.write("HTTP/1.1 500 Not Asked\r\nContent-Length: 0\r\n\r\n")
                        .await;
                    return;
                }
                may_go.wait_for(|go| *go).await.ok();
                conn.write("HTTP/1.1 100 Continue\r\n\r\n").await;
                while conn.buffered().len() < 5 {
                    if conn.fill().await.is_none() {
                        return;
                    }
                }
                conn.answer("ok").await;
                conn.closed().await;
            }
        }))
        .await;
    let before = stage.upstream.counts().requests;
    let mut client = stage.client().await;
    client.send(EXPECTS).await?;
    let arrives = stage.upstream.until(|counts| counts.requests > before);
    timeout(Duration::from_secs(2), arrives)
        .await
        .map_err(|_late| "the head waits for the body")?;
    // The upstream has the head, and has not made up its mind.
    if let Ok(early) = timeout(Duration::from_millis(100), client.expect_interim()).await {
        return Err(format!("{early:?} before the upstream said so"));
    }
    go.send_replace(true);
    match client.expect_interim().await? {
        100 => {}
        status => return Err(format!("status {status}, not 100")),
    }
    client.send("hello").await?;
    status(&mut client, 200).await
}

pub async fn expectation_failed(side: &Side) -> Result<(), String> {
    without_a_body(side, "417 Expectation Failed", 417).await
}

pub async fn unwanted_body(side: &Side) -> Result<(), String> {
    without_a_body(side, "401 Unauthorized", 401).await
}

/// The upstream answers to the head, and the client has sent no more than that.
async fn without_a_body(side: &Side, says: &str, expected: u16) -> Result<(), String> {
    let says = format!("HTTP/1.1 {says}\r\nContent-Length: 2\r\n\r\nno");
    let stage = side
        .stage(script(move |mut conn: Conn| {
            let says = says.clone();
            async move {
                conn.head().await;
                conn.write(says).await;
                conn.closed().await;
            }
        }))
        .await;
    let mut client = stage.client().await;
    client.send(EXPECTS).await?;
    let answer = timeout(Duration::from_secs(2), client.expect(false))
        .await
        .map_err(|_late| "the answer waits for the body")??;
    if !client.interim.is_empty() {
        return Err(format!("{:?} before {expected}", client.interim));
    }
    match answer.status == expected && answer.text() == "no" {
        // The connection it came on has a request that is not over.
        true => stage.is_deserted_within_a_second().await,
        false => Err(format!("{answer:?}")),
    }
}
