//! References in an answer that lead the client past a gateway, made to lead through it:
//! `Location`, `Content-Location`, `Refresh`, and the `Path` and `Domain` of cookies.
//!
//! Each function takes a value and returns the new one, or `None` where there is nothing to
//! change. What it does not understand it leaves as it is.
//!
//! ```
//! use http::HeaderValue;
//! use tower_gateway::semantics::rewrite;
//!
//! let location = b"http://127.0.0.1:8000/login?next=/";
//! let local = rewrite::relative(location, "127.0.0.1:8000").unwrap();
//! assert_eq!(local, b"/login?next=/");
//! assert_eq!(rewrite::prefixed(&local, "/site").unwrap(), b"/site/login?next=/");
//!
//! let cookie = HeaderValue::from_static("id=1; Path=/; HttpOnly");
//! let cookie = rewrite::cookie_path(&cookie, "/", "/site").unwrap();
//! assert_eq!(cookie, "id=1; Path=/site; HttpOnly");
//! // It has the prefix already.
//! assert_eq!(rewrite::cookie_path(&cookie, "/", "/site"), None);
//! ```

use std::ops::Range;

use http::HeaderValue;

#[cfg(test)]
mod tests;

/// An absolute reference to this authority, by `http`, `https` or neither, as a path of the host
/// that the client has asked.
///
/// RFC 9110 §10.2.2: "When it has the form of a relative reference, the final value is computed
/// by resolving it against the target URI", which is the client's.
///
/// A path that would be read as a host (`http://upstream//evil.test`) is written with a dot in
/// front of it, `/.//evil.test`: RFC 3986 §4.2.
#[must_use]
pub fn relative(reference: &[u8], authority: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = split_scheme(reference)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'))
        .unwrap_or(rest.len());
    let (named, below) = rest.split_at(end);
    if !is_same_authority(named, authority.as_bytes(), scheme) {
        return None;
    }
    // Browsers take tabs and line ends out of a URL before they read it.
    if below.iter().any(u8::is_ascii_control) {
        return None;
    }
    let front: &[u8] = match below {
        // Browsers read a backslash as a slash.
        [b'/', b'/' | b'\\', ..] => b"/.",
        [b'/', ..] => b"",
        [] | [b'?' | b'#', ..] => b"/",
        _ => return None,
    };
    Some([front, below].concat())
}

/// A path (and what follows it) below `prefix`, unless it is there already.
///
/// What is not a path that begins with one slash is left alone: it is relative to where the
/// client is, or leads to another host.
#[must_use]
pub fn prefixed(reference: &[u8], prefix: &str) -> Option<Vec<u8>> {
    let is_path =
        reference.starts_with(b"/") && !matches!(reference.get(1), Some(b'/' | b'\\' | b'\t'));
    if prefix.is_empty() || prefix == "/" || !is_path {
        return None;
    }
    let end = reference
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#'))
        .unwrap_or(reference.len());
    if below(&reference[..end], prefix).is_some() {
        return None;
    }
    Some([prefix.as_bytes(), reference].concat())
}

/// The same `Refresh` with the reference in it changed: `5; url=/x`, `5;URL='/x'`, `0, /x`.
///
/// The field is no standard's; it is read as browsers read it (HTML, "shared declarative refresh
/// steps").
#[must_use]
pub fn refresh(
    value: &HeaderValue,
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<HeaderValue> {
    let bytes = value.as_bytes();
    let reference = refresh_reference(bytes)?;
    let changed = change(&bytes[reference.clone()])?;
    splice(bytes, reference, &changed)
}

/// The same `Set-Cookie` with a `Path` at or below `from` moved to `to`, unless it is there
/// already. Both are absolute paths; a slash at their end does not count.
///
/// A cookie without a `Path` is left alone: the browser takes that of the request. So is one
/// whose name begins with `__Host-`, which a browser refuses with any path but `/`.
#[must_use]
pub fn cookie_path(cookie: &HeaderValue, from: &str, to: &str) -> Option<HeaderValue> {
    if is_bound_to_host(cookie.as_bytes()) {
        return None;
    }
    change_attribute(cookie, "path", |path| moved(path, from, to))
}

/// The same `Set-Cookie` with the `Domain` `from` replaced by `to`, or taken out if that is
/// `None`: then the cookie is for the host that the client has asked, and no other.
///
/// RFC 6265 §5.2.3: a dot in front of a domain is ignored, and case does not count.
#[must_use]
pub fn cookie_domain(cookie: &HeaderValue, from: &str, to: Option<&str>) -> Option<HeaderValue> {
    let from = without_dot(from.as_bytes());
    let is_from = |domain: &[u8]| without_dot(domain).eq_ignore_ascii_case(from);
    match to {
        Some(to) => change_attribute(cookie, "domain", |domain| {
            let changed = is_from(domain) && domain != to.as_bytes();
            changed.then(|| to.as_bytes().to_vec())
        }),
        None => {
            let bytes = cookie.as_bytes();
            let condemned = attributes(bytes)
                .filter(|attribute| attribute.is_named(bytes, "domain"))
                .filter(|attribute| is_from(&bytes[attribute.value.clone()]));
            remove(bytes, condemned.map(|attribute| attribute.whole))
        }
    }
}

/// `http`, `https` or a network-path reference: which, and what follows the two slashes.
fn split_scheme(reference: &[u8]) -> Option<(Option<Scheme>, &[u8])> {
    if let Some(rest) = reference.strip_prefix(b"//") {
        return Some((None, rest));
    }
    [
        (&b"http://"[..], Scheme::Http),
        (b"https://", Scheme::Https),
    ]
    .into_iter()
    .find_map(|(text, scheme)| {
        let (front, rest) = reference.split_at_checked(text.len())?;
        front
            .eq_ignore_ascii_case(text)
            .then_some((Some(scheme), rest))
    })
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

/// Whether two authorities are one; a port that is the scheme's own need not be said.
fn is_same_authority(named: &[u8], ours: &[u8], scheme: Option<Scheme>) -> bool {
    let (named_host, named_port) = split_port(named);
    let (host, port) = split_port(ours);
    let default: &[u8] = match scheme {
        Some(Scheme::Http) => b"80",
        Some(Scheme::Https) => b"443",
        None => b"",
    };
    !host.is_empty()
        && named_host.eq_ignore_ascii_case(host)
        && (named_port == port
            || named_port.is_empty() && port == default
            || port.is_empty() && named_port == default)
}

/// RFC 3986 §3.2.3: an empty port, with or without its colon, is the default one.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    match authority.iter().rposition(|byte| *byte == b':') {
        Some(at) if authority[at + 1..].iter().all(u8::is_ascii_digit) => {
            (&authority[..at], &authority[at + 1..])
        }
        _ => (authority, b""),
    }
}

/// What of a path is below a prefix, on segment boundaries: empty, or beginning with a slash.
fn below<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let below = path.strip_prefix(prefix.as_bytes())?;
    (below.is_empty() || below.starts_with(b"/")).then_some(below)
}

fn moved(path: &[u8], from: &str, to: &str) -> Option<Vec<u8>> {
    let rest = path.starts_with(b"/").then(|| below(path, from))??;
    let to = to.strip_suffix('/').unwrap_or(to);
    // Of what is inside of `from` already, nobody can tell whether it was moved before; where
    // the one contains the other, it is taken for done.
    let grows = below(to.as_bytes(), from).is_some();
    if grows && below(path, to).is_some() {
        return None;
    }
    let moved = match rest {
        // RFC 6265 §5.1.4: "/site" matches "/site" and what is below; "/site/" the latter alone.
        b"" | b"/" if from.is_empty() || from == "/" => to.as_bytes().to_vec(),
        rest => [to.as_bytes(), rest].concat(),
    };
    Some(match moved.is_empty() {
        true => b"/".to_vec(),
        false => moved,
    })
}

fn refresh_reference(value: &[u8]) -> Option<Range<usize>> {
    let skip = |at: usize, what: fn(&u8) -> bool| {
        at + value[at..].iter().take_while(|byte| what(byte)).count()
    };
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');

    let start = skip(0, is_space);
    let seconds = skip(start, |byte| byte.is_ascii_digit() || *byte == b'.');
    let separator = skip(seconds, is_space);
    if seconds == start || separator == value.len() {
        return None;
    }
    let mut at = separator;
    match value[at] {
        b';' | b',' => at = skip(at + 1, is_space),
        _ if separator > seconds => {}
        _ => return None,
    }
    if let Some(name) = value.get(at..at + 3)
        && name.eq_ignore_ascii_case(b"url")
    {
        let equals = skip(at + 3, is_space);
        if value.get(equals) == Some(&b'=') {
            at = skip(equals + 1, is_space);
        }
    }
    let mut end = value.len();
    if let Some(quote @ (b'"' | b'\'')) = value.get(at) {
        at += 1;
        end = value[at..]
            .iter()
            .position(|byte| byte == quote)
            .map_or(end, |length| at + length);
    }
    (at < end).then_some(at..end)
}

/// An attribute of a cookie, as positions in the field's value.
struct Attribute {
    /// From its semicolon on.
    whole: Range<usize>,
    name: Range<usize>,
    value: Range<usize>,
}

impl Attribute {
    fn is_named(&self, cookie: &[u8], name: &str) -> bool {
        cookie[self.name.clone()].eq_ignore_ascii_case(name.as_bytes())
    }
}

/// RFC 6265 §5.2: attributes are what stands between semicolons, quoted or not; whitespace around
/// their names and values does not count.
fn attributes(cookie: &[u8]) -> impl Iterator<Item = Attribute> {
    let mut at = end_of_pair(cookie, 0);
    std::iter::from_fn(move || {
        if at >= cookie.len() {
            return None;
        }
        let whole = at..end_of_pair(cookie, at + 1);
        at = whole.end;
        let equals = cookie[whole.clone()].iter().position(|byte| *byte == b'=');
        let equals = equals.map_or(whole.end, |length| whole.start + length);
        Some(Attribute {
            name: trimmed(cookie, whole.start + 1..equals),
            value: trimmed(cookie, (equals + 1).min(whole.end)..whole.end),
            whole,
        })
    })
}

fn end_of_pair(cookie: &[u8], from: usize) -> usize {
    let length = cookie[from..].iter().position(|byte| *byte == b';');
    length.map_or(cookie.len(), |length| from + length)
}

fn trimmed(cookie: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &cookie[range.clone()];
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    start..start + text.trim_ascii().len()
}

fn change_attribute(
    cookie: &HeaderValue,
    name: &str,
    change: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<HeaderValue> {
    let bytes = cookie.as_bytes();
    // RFC 6265 §5.3: the last attribute of a name counts.
    let attribute = attributes(bytes)
        .filter(|attribute| attribute.is_named(bytes, name))
        .last()?;
    let changed = change(&bytes[attribute.value.clone()])?;
    splice(bytes, attribute.value, &changed)
}

/// RFC 6265bis §4.1.3.2: a name that begins with `__Host-`, in whatever case, has the path `/`.
fn is_bound_to_host(cookie: &[u8]) -> bool {
    let name = cookie.trim_ascii_start();
    name.get(..7)
        .is_some_and(|front| front.eq_ignore_ascii_case(b"__Host-"))
}

fn without_dot(domain: &[u8]) -> &[u8] {
    domain.strip_prefix(b".").unwrap_or(domain)
}

fn splice(value: &[u8], range: Range<usize>, with: &[u8]) -> Option<HeaderValue> {
    let changed = [&value[..range.start], with, &value[range.end..]].concat();
    HeaderValue::from_bytes(&changed).ok()
}

fn remove(value: &[u8], ranges: impl Iterator<Item = Range<usize>>) -> Option<HeaderValue> {
    let mut left = Vec::with_capacity(value.len());
    let mut at = 0;
    for range in ranges {
        left.extend_from_slice(&value[at..range.start]);
        at = range.end;
    }
    if at == 0 {
        return None;
    }
    left.extend_from_slice(&value[at..]);
    HeaderValue::from_bytes(&left).ok()
}
