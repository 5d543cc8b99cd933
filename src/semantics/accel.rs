//! What an application tells nginx, and what stands in its place, in fields of its answer.

use http::{HeaderMap, HeaderName};

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) static FIELDS: [HeaderName; 4] = [
    X_ACCEL_BUFFERING,
    HeaderName::from_static("x-accel-charset"),
    HeaderName::from_static("x-accel-expires"),
    HeaderName::from_static("x-accel-limit-rate"),
];

/// Reads `X-Accel-Buffering` (`yes` or `no`), and takes it and its like out if they are not for the
/// client.
pub(crate) fn take_fields(headers: &mut HeaderMap, are_taken: bool) -> Option<bool> {
    // Most answers have none of them, and a look at each name is cheaper than five look-ups.
    if !headers.keys().any(|name| FIELDS.contains(name)) {
        return None;
    }
    let said = headers.get(X_ACCEL_BUFFERING).and_then(|value| {
        let said = value.as_bytes();
        match () {
            () if said.eq_ignore_ascii_case(b"yes") => Some(true),
            () if said.eq_ignore_ascii_case(b"no") => Some(false),
            () => None,
        }
    });
    if are_taken {
        for name in &FIELDS {
            headers.remove(name);
        }
    }
    said
}
