//! RFC 9110 §13: preconditions.

use super::{
    dates,
    probe::{Expected, Probe, Request, ask, get, probe, status},
    site::{EARLIER, LATER, MODIFIED, TEN},
};

pub const IM: &str = "If-Match";
pub const IUS: &str = "If-Unmodified-Since";
pub const INM: &str = "If-None-Match";
pub const IMS: &str = "If-Modified-Since";

pub fn whole() -> Expected {
    status([200]).body(TEN)
}

/// "The server generating a 304 response MUST generate any of the following header fields that
/// would have been sent in a 200 (OK) response to the same request: Content-Location, Date, ETag,
/// and Vary; Cache-Control and Expires".
pub fn not_modified() -> Expected {
    status([304]).has_any("etag")
}

pub fn failed() -> Expected {
    status([412])
}

pub fn ten(fields: &[(&str, &str)]) -> Request {
    let request = get("/ten.txt");
    fields
        .iter()
        .fold(request, |request, (name, value)| request.with(name, value))
}

pub fn probes() -> Vec<Probe> {
    let mut probes = tags();
    probes.extend(dates::probes());
    probes.extend(together());
    probes.extend(elsewhere());
    probes
}

fn tags() -> Vec<Probe> {
    let lines: &[(&'static str, &str, &[(&str, &str)], Expected)] = &[
        (
            "RFC 9110 §13.1.1",
            "the tag matches",
            &[(IM, "{etag}")],
            whole(),
        ),
        (
            "RFC 9110 §13.1.1",
            "another does not",
            &[(IM, "\"other\"")],
            failed(),
        ),
        // "An origin server MUST use the strong comparison function".
        (
            "RFC 9110 §13.1.1",
            "nor a weak one",
            &[(IM, "W/{opaque}")],
            failed(),
        ),
        ("RFC 9110 §13.1.1", "a star does", &[(IM, "*")], whole()),
        (
            "RFC 9110 §13.1.1",
            "a list with it",
            &[(IM, "\"a\", {etag}, \"b\"")],
            whole(),
        ),
        (
            "RFC 9110 §13.1.1",
            "a list without it",
            &[(IM, "\"a\", \"b\"")],
            failed(),
        ),
        (
            "RFC 9110 §5.3",
            "the second of two lines",
            &[(IM, "\"a\""), (IM, "{etag}")],
            whole(),
        ),
        (
            "RFC 9110 §8.8.3",
            "a star in quotes is a tag",
            &[(IM, "\"*\"")],
            failed(),
        ),
        ("RFC 9110 §8.8.3", "an empty tag", &[(IM, "\"\"")], failed()),
        (
            "RFC 9110 §13.1.2",
            "the tag is none of those",
            &[(INM, "\"other\"")],
            whole(),
        ),
        (
            "RFC 9110 §13.1.2",
            "it is one of them",
            &[(INM, "{etag}")],
            not_modified(),
        ),
        // "A recipient MUST use the weak comparison function".
        (
            "RFC 9110 §13.1.2",
            "weakly as well",
            &[(INM, "W/{opaque}")],
            not_modified(),
        ),
        (
            "RFC 9110 §13.1.2",
            "a star is every one",
            &[(INM, "*")],
            not_modified(),
        ),
        (
            "RFC 9110 §13.1.2",
            "the last of a list",
            &[(INM, "\"a\", W/\"b\", {etag}")],
            not_modified(),
        ),
        (
            "RFC 9110 §13.1.2",
            "a list without a space",
            &[(INM, "\"a\",{etag},\"b\"")],
            not_modified(),
        ),
        (
            "RFC 9110 §5.3",
            "in the second line",
            &[(INM, "\"a\""), (INM, "{etag}")],
            not_modified(),
        ),
        (
            "RFC 9110 §5.3",
            "in the first of three",
            &[(INM, "{etag}"), (INM, "\"a\""), (INM, "\"b\"")],
            not_modified(),
        ),
        // "MUST parse and ignore a reasonable number of empty list elements".
        (
            "RFC 9110 §5.6.1.2",
            "empty members",
            &[(INM, " , ,{etag}, ,")],
            not_modified(),
        ),
        (
            "RFC 9110 §8.8.3",
            "a comma is of the tag",
            &[(INM, "\"a,b\", {etag}")],
            not_modified(),
        ),
        // An opaque tag is no quoted-string: a backslash escapes nothing.
        (
            "RFC 9110 §8.8.3",
            "so is a backslash",
            &[(INM, "\"a\\\", {etag}")],
            not_modified(),
        ),
        (
            "RFC 9110 §8.8.3",
            "W/ of another tag",
            &[(INM, "W/\"other\"")],
            whole(),
        ),
        (
            "RFC 9110 §8.8.3",
            "none of a star in quotes",
            &[(INM, "\"*\"")],
            whole(),
        ),
    ];
    let mut probes: Vec<_> = lines
        .iter()
        .map(|(rule, name, fields, right)| probe(rule, *name, ten(fields), right.clone()))
        .collect();
    let anything = || status([200, 304, 400, 412]);
    probes.push(
        probe(
            "RFC 9110 §8.8.3",
            "a tag without quotes",
            ten(&[(INM, "tag")]),
            anything(),
        )
        .ours(whole()),
    );
    probes.push(
        probe(
            "RFC 9110 §8.8.3",
            "it matches nothing",
            ten(&[(IM, "tag")]),
            anything(),
        )
        .ours(failed()),
    );
    probes
}

/// §13.2.2: which goes first.
fn together() -> Vec<Probe> {
    let lines: Vec<(&'static str, &str, &[(&str, &str)], Expected)> = vec![
        (
            "RFC 9110 §13.1.3",
            "a tag decides over a date",
            &[(INM, "\"other\""), (IMS, MODIFIED)],
            whole(),
        ),
        (
            "RFC 9110 §13.1.3",
            "in both directions",
            &[(INM, "{etag}"), (IMS, EARLIER)],
            not_modified(),
        ),
        (
            "RFC 9110 §13.1.4",
            "so does a tag to match",
            &[(IM, "{etag}"), (IUS, EARLIER)],
            whole(),
        ),
        (
            "RFC 9110 §13.2.2",
            "412 goes before 304",
            &[(IM, "\"other\""), (INM, "{etag}")],
            failed(),
        ),
        (
            "RFC 9110 §13.2.2",
            "and 304 after a match",
            &[(IM, "{etag}"), (INM, "{etag}")],
            not_modified(),
        ),
        (
            "RFC 9110 §13.2.2",
            "412 by date goes before 304",
            &[(IUS, EARLIER), (INM, "{etag}")],
            failed(),
        ),
        (
            "RFC 9110 §13.2.2",
            "304 by date after a match",
            &[(IM, "{etag}"), (IMS, MODIFIED)],
            not_modified(),
        ),
        (
            "RFC 9110 §13.2.2",
            "all four, fulfilled",
            &[
                (IM, "{etag}"),
                (IUS, MODIFIED),
                (INM, "\"other\""),
                (IMS, EARLIER),
            ],
            whole(),
        ),
    ];
    lines
        .into_iter()
        .map(|(rule, name, fields, right)| probe(rule, name, ten(fields), right))
        .collect()
}

fn elsewhere() -> Vec<Probe> {
    let head = |name, value| ask("HEAD", "/ten.txt").with(name, value);
    vec![
        probe(
            "RFC 9110 §13.1.2",
            "HEAD, the tag",
            head(INM, "{etag}"),
            not_modified(),
        ),
        probe(
            "RFC 9110 §13.1.3",
            "HEAD, the date",
            head(IMS, MODIFIED),
            not_modified(),
        ),
        probe(
            "RFC 9110 §13.1.1",
            "HEAD, another tag",
            head(IM, "\"other\""),
            failed(),
        ),
        probe(
            "RFC 9110 §13.1.2",
            "an empty file",
            get("/empty.txt").with(INM, "{etag}"),
            not_modified(),
        ),
        probe(
            "RFC 9110 §13.1.2",
            "an index file",
            get("/dir/").with(INM, "{etag}"),
            not_modified(),
        ),
        // "A server MUST ignore all received preconditions if its response to the same request
        // without those conditions, prior to processing the request content, would have been a
        // status code other than a 2xx (Successful) or 412 (Precondition Failed)."
        probe(
            "RFC 9110 §13.2.1",
            "a miss stays one",
            get("/nothing").with(IM, "*"),
            status([404]),
        ),
        probe(
            "RFC 9110 §13.2.1",
            "with a star for none",
            get("/nothing").with(INM, "*"),
            status([404]),
        ),
        probe(
            "RFC 9110 §13.2.1",
            "a redirect stays one",
            get("/dir").with(INM, "*"),
            status([301, 302, 303, 307, 308]),
        ),
        probe(
            "RFC 9110 §13.2.1",
            "what is not allowed stays so",
            ask("PUT", "/ten.txt").with(INM, "*"),
            status([405]),
        ),
        probe(
            "RFC 9110 §13.2.1",
            "and POST",
            ask("POST", "/ten.txt").with(IM, "\"other\""),
            status([405]),
        ),
    ]
}

/// Every combination of the four, with the answer by the steps of §13.2.2.
pub fn matrix() -> Vec<Probe> {
    // Of a tag: whether it names the file strongly, and weakly. Of a date: whether the file was
    // modified after it.
    let matches = [
        None,
        Some(("{etag}", true)),
        Some(("\"other\"", false)),
        Some(("W/{opaque}", false)),
        Some(("*", true)),
    ];
    let none_matches = [
        None,
        Some(("{etag}", true)),
        Some(("\"other\"", false)),
        Some(("W/{opaque}", true)),
        Some(("*", true)),
    ];
    let dates = [
        None,
        Some((EARLIER, Some(true))),
        Some((MODIFIED, Some(false))),
        Some((LATER, Some(false))),
        Some(("never", None)),
    ];
    let mut probes = Vec::new();
    for im in matches {
        for ius in dates {
            for inm in none_matches {
                for ims in dates {
                    for method in ["GET", "HEAD"] {
                        let right = match (im, ius, inm, ims) {
                            (Some((_, false)), ..) => failed(),
                            (None, Some((_, Some(true))), ..) => failed(),
                            (_, _, Some((_, true)), _) => not_modified(),
                            (_, _, None, Some((_, Some(false)))) => not_modified(),
                            _ if method == "HEAD" => status([200]),
                            _ => whole(),
                        };
                        let given = [
                            im.map(|(value, _)| (IM, value)),
                            ius.map(|(value, _)| (IUS, value)),
                            inm.map(|(value, _)| (INM, value)),
                            ims.map(|(value, _)| (IMS, value)),
                        ];
                        let given: Vec<_> = given.into_iter().flatten().collect();
                        let request = given
                            .iter()
                            .fold(ask(method, "/ten.txt"), |request, field| {
                                request.with(field.0, field.1)
                            });
                        let name = format!("{method} {given:?}");
                        probes.push(probe("RFC 9110 §13.2.2", name, request, right));
                    }
                }
            }
        }
    }
    probes
}
