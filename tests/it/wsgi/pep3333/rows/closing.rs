//! `close()`, once, whatever happens.

use super::super::{
    row::{Row, row},
    sides::Stage,
};

const DETAILS: &str = "PEP 3333, Specification Details";

pub fn rows() -> Vec<Row> {
    let close = "If the iterable returned by the application has a close() method, the server or \
                 gateway must call that method upon completion of the current request, whether the \
                 request was completed normally, or terminated early due to an application error \
                 during iteration or an early disconnect of the browser.";
    vec![
        row(DETAILS, close, "a generator is closed at its end")
            .get("/generator")
            .body("hello")
            .notes(["close"]),
        row(DETAILS, close, "a list is closed")
            .get("/closes_a_list")
            .body("hello")
            .notes(["close"]),
        row(DETAILS, close, "what yields nothing is closed")
            .get("/closes_nothing")
            .body("")
            .notes(["close"]),
        row(
            DETAILS,
            close,
            "what was returned is closed, not its iterator",
        )
        .get("/closes_the_iterable")
        .body("ab")
        .notes(["close"]),
        row(
            DETAILS,
            close,
            "a client that goes in the middle ends the iteration",
        )
        .story(|stage| Box::pin(goes(stage, "/endless")))
        .notes(["close"]),
        row(DETAILS, close, "a client that goes ends what is written")
            .story(|stage| Box::pin(goes(stage, "/endless_write")))
            .notes(["raised"]),
        row(
            DETAILS,
            close,
            "a client that goes before the first block ends the iteration",
        )
        .story(|stage| Box::pin(goes_early(stage)))
        .notes(["began", "close"]),
        row(
            DETAILS,
            "completing the transmission of each bytestring before requesting another one",
            "the body does not wait for close()",
        )
        .story(|stage| Box::pin(before_close(stage)))
        .notes(["close"]),
    ]
}

async fn goes(stage: &Stage, path: &str) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(stage.named(request)).await?;
    client.wait_for("xxx").await
}

async fn goes_early(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = "GET /left_early HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(stage.named(request)).await?;
    stage.noted(&["began"]).await?;
    drop(client);
    stage.go("go");
    Ok(())
}

async fn before_close(stage: &Stage) -> Result<(), String> {
    let mut client = stage.client().await;
    let request = "GET /closed_after_the_body HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(stage.named(request)).await?;
    let answer = client.expect(false).await?;
    stage.noted(&[]).await?;
    stage.go("go");
    match answer.body == b"hello" {
        true => Ok(()),
        false => Err(answer.text()),
    }
}
