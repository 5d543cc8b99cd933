//! What an application tells a gateway in its answer.

use http::HeaderMap;

use super::layer::{AccelFields, NamedFiles};
use crate::semantics::{
    accel,
    send_file::{SendsFiles, X_ACCEL_REDIRECT, X_SENDFILE},
};

/// Reads `X-Accel-Buffering` (`yes` or `no`), and takes it and its like out.
pub(in crate::gateway_proxy) fn take_fields(
    headers: &mut HeaderMap,
    fields: AccelFields,
) -> Option<bool> {
    accel::take_fields(headers, fields == AccelFields::Take)
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
