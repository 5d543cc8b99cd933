//! Asking.

use super::{
    always,
    probe::{Probe, Request, get},
    servers::Server,
    site::TEN,
    wire::Connection,
};
use crate::support::raw::Answer;

/// Asks on a new connection, and gives what came if it is in keeping with [`always`].
pub async fn ask(server: &Server, request: &Request) -> Result<Answer, String> {
    let (answer, mut connection) = exchange(server, request).await?;
    always::check(request, &answer)?;
    follow_up(server, &mut connection, request, &answer).await?;
    Ok(answer)
}

/// Whether a server answers a probe as it is right.
pub async fn try_probe(server: &Server, probe: &Probe) -> Result<(), String> {
    let (answer, mut connection) = exchange(server, &probe.request).await?;
    probe.right.check(&answer)?;
    if let Some(ours) = &probe.ours
        && server.is_ours()
    {
        ours.check(&answer)?;
    }
    always::check(&probe.request, &answer)?;
    follow_up(server, &mut connection, &probe.request, &answer).await
}

async fn exchange(server: &Server, request: &Request) -> Result<(Answer, Connection), String> {
    let etag = match request.names_tag() {
        true => tag_of(server, request).await?,
        false => String::new(),
    };
    let mut connection = Connection::open(&server.address, server.patience).await;
    connection.send(&request.bytes(&etag)).await?;
    let answer = connection.read(request.is_head()).await?;
    Ok((answer, connection))
}

/// The tag that the server gives for what is asked for.
async fn tag_of(server: &Server, request: &Request) -> Result<String, String> {
    let mut plain = get(&request.target);
    if let Some(codings) = request.field("Accept-Encoding") {
        plain = plain.with("Accept-Encoding", codings);
    }
    let mut connection = Connection::open(&server.address, server.patience).await;
    connection.send(&plain.bytes("")).await?;
    let answer = connection.read(false).await?;
    let etag = answer.header("etag");
    etag.map(str::to_owned).ok_or("it gives no tag".to_owned())
}

/// RFC 9112 §9.3: the connection persists, unless an answer says that it does not; and then it
/// ends.
async fn follow_up(
    server: &Server,
    connection: &mut Connection,
    request: &Request,
    answer: &Answer,
) -> Result<(), String> {
    let closes = answer.header_all("connection").join(",");
    let closes = closes.to_ascii_lowercase().contains("close");
    if closes || request.version == "HTTP/1.0" {
        return connection.ends().await;
    }
    let next = async {
        connection.send(&get("/ten.txt").bytes("")).await?;
        connection.read(false).await
    };
    match next.await {
        Ok(next) if next.status == 200 && next.text() == TEN => Ok(()),
        Ok(next) => Err(format!("the next request is answered with {}", next.status)),
        // §9.5: anybody "MAY close the transport connection at any time". We do not without a word.
        Err(reason) if server.is_ours() => Err(format!("the next request is lost: {reason}")),
        Err(_) => Ok(()),
    }
    .map_err(|reason| format!("status {}, but {reason}", answer.status))
}
