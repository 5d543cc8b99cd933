//! The `Cookie` field, as a user agent writes it.

use http::{HeaderMap, header::COOKIE};

/// The values of all cookies of a name, in the order of the request.
///
/// RFC 6265 §5.4: "cookies with longer paths are listed before cookies with shorter paths", so
/// the first is the one that is closest to what is asked.
///
/// HTTP/2 may split the field into several (RFC 9113 §8.2.3), and some clients of HTTP/1 send
/// several lines: all are read. What is no `name=value` is skipped. A pair of quotes around a
/// value is not a part of it here.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
        })
        // RFC 6265 has no words on case, and user agents treat names as the bytes they are.
        .filter(move |(found, _)| *found == name.as_bytes())
        .map(|(_, value)| unquoted(value))
}

/// RFC 6265 §4.1.1: `cookie-value = *cookie-octet / ( DQUOTE *cookie-octet DQUOTE )`
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}
