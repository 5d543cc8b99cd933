//! What kind of file it is: its type, its time, and whether it is a file at all.

use super::{
    always::date,
    probe::{Expected, Probe, ask, get, probe, status},
    site::{MODIFIED, TEN, TYPES},
};
use crate::support::process::say;

pub fn probes() -> Vec<Probe> {
    let mut probes = types();
    probes.extend(times());
    probes.extend(special());
    probes
}

fn types() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (extension, media_type) in TYPES {
        let typed = |value: String| status([200]).body("typed").has("content-type", value);
        let with_charset = format!("{media_type}; charset=utf-8");
        let request = get(&format!("/type.{extension}"));
        let name = format!(".{extension} is {media_type}");
        let right = typed((*media_type).to_owned()).or(typed(with_charset.clone()));
        let probe = probe("RFC 9110 §8.3", name, request, right);
        probes.push(match media_type.starts_with("text/") {
            // What a browser takes for the default is not what the file is in.
            true => probe.ours(typed(with_charset)),
            false => probe.ours(typed((*media_type).to_owned())),
        });
    }
    // "If a Content-Type header field is not present, the recipient MAY either assume a media
    // type of "application/octet-stream" [...] or examine the data".
    let unknown = |body: &'static str| {
        let answer = || status([200]).body(body);
        answer()
            .has("content-type", "application/octet-stream")
            .or(answer().lacks("content-type"))
    };
    probes.push(probe(
        "RFC 9110 §8.3",
        "an extension that nobody knows",
        get("/type.unheard-of"),
        unknown("typed"),
    ));
    probes.push(probe(
        "RFC 9110 §8.3",
        "no extension",
        get("/untyped"),
        unknown("untyped"),
    ));
    probes
}

fn times() -> Vec<Probe> {
    let timed = || status([200]).body("timed");
    let not_later = || {
        timed().holds(|answer| {
            let modified = date(answer, "last-modified");
            match modified.is_none_or(|modified| Some(modified) <= date(answer, "date")) {
                true => Ok(()),
                false => Err("Last-Modified is in the future".to_owned()),
            }
        })
    };
    let tagged = |request| {
        probe(
            "RFC 9110 §8.8.3",
            "it has a tag all the same",
            request,
            timed().has_any("etag"),
        )
    };
    vec![
        probe(
            "RFC 9110 §8.8.2",
            "when it was modified",
            get("/ten.txt"),
            status([200]).has("last-modified", MODIFIED),
        ),
        probe(
            "RFC 9110 §8.8.2",
            "HEAD says so as well",
            ask("HEAD", "/ten.txt"),
            status([200]).has("last-modified", MODIFIED),
        ),
        probe(
            "RFC 9110 §8.8.2.1",
            "a file of the future",
            get("/time-future.txt"),
            not_later(),
        ),
        probe(
            "RFC 9110 §8.8.2",
            "a file of the first second of 1970",
            get("/time-0.txt"),
            timed(),
        )
        .ours(timed().lacks("last-modified")),
        probe(
            "RFC 9110 §8.8.2",
            "a file of the next one",
            get("/time-1.txt"),
            timed(),
        )
        .ours(timed().lacks("last-modified")),
        probe(
            "RFC 9110 §15.6",
            "a file of before",
            get("/time-before-1970.txt"),
            timed(),
        )
        .ours(timed().lacks("last-modified")),
        tagged(get("/time-0.txt")),
        tagged(get("/time-1.txt")),
        tagged(get("/time-before-1970.txt")),
        tagged(get("/time-future.txt")),
    ]
}

fn special() -> Vec<Probe> {
    let nothing = || status([404]);
    let no_file = || status([403, 404]);
    // Where links may lead is for a server to say.
    let any = || status([200, 403, 404]);
    let ten = || status([200]).body(TEN);
    let line = |name: &str, target: &str, right: Expected| {
        probe("RFC 9110 §17.3", name, get(target), right)
    };
    let mut probes = vec![
        line(
            "a link to a file inside",
            "/link-in.txt",
            ten().or(no_file()),
        )
        .ours(ten()),
        line("a link to a file outside", "/link-out.txt", any()).ours(nothing()),
        line(
            "a link to a directory outside",
            "/link-out/elsewhere.txt",
            any(),
        )
        .ours(nothing()),
        line("a link to nothing", "/link-dangling.txt", no_file()).ours(nothing()),
        line("a link to itself", "/link-loop.txt", no_file()).ours(nothing()),
        line("a link to a device", "/link-zero.bin", any()).ours(nothing()),
        line("a socket", "/socket", no_file()).ours(nothing()),
        line("a FIFO", "/fifo", no_file()).ours(nothing()),
        probe(
            "RFC 9110 §17.3",
            "HEAD of a FIFO",
            ask("HEAD", "/fifo"),
            any(),
        )
        .ours(nothing()),
        line("a FIFO as a directory", "/fifo/", no_file()).ours(nothing()),
    ];
    match rustix::process::geteuid().is_root() {
        true => say(format_args!(
            "NOT TESTED: a file that may not be read; root may read all"
        )),
        false => probes.push(line(
            "a file that may not be read",
            "/unreadable.txt",
            no_file(),
        )),
    }
    probes
}
