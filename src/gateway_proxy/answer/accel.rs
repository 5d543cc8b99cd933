//! What an application tells a gateway in its answer.

use http::{HeaderMap, HeaderName};

use super::layer::{AccelFields, NamedFiles};
use crate::semantics::send_file::{SendsFiles, X_ACCEL_REDIRECT, X_SENDFILE};

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const FIELDS: [HeaderName; 4] = [
    X_ACCEL_BUFFERING,
    HeaderName::from_static("x-accel-charset"),
    HeaderName::from_static("x-accel-expires"),
    HeaderName::from_static("x-accel-limit-rate"),
];

/// Reads `X-Accel-Buffering` (`yes` or `no`), and takes it and its like out.
pub(in crate::gateway_proxy) fn take_fields(
    headers: &mut HeaderMap,
    fields: AccelFields,
) -> Option<bool> {
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
    if fields == AccelFields::Take {
        for name in &FIELDS {
            headers.remove(name);
        }
    }
    said
}

/// Takes out what names a file that nobody outside sends.
pub(in crate::gateway_proxy) fn take_named_files(
    headers: &mut HeaderMap,
    sends: SendsFiles,
    files: NamedFiles,
) {
    for name in [X_ACCEL_REDIRECT, X_SENDFILE] {
        let is_kept = match files {
            NamedFiles::ToLayer => sends.by(&name),
            NamedFiles::Pass => true,
            NamedFiles::Take => false,
        };
        if !is_kept && headers.remove(&name).is_some() && files == NamedFiles::ToLayer {
            tracing::warn!(
                header = %name,
                "an answer names a file that no layer outside sends: see StaticFiles::accel_redirect and ::sendfile"
            );
        }
    }
}

#[cfg(test)]
mod tests;
