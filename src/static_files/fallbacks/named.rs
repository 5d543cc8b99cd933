//! What file the service inside names in its answer, in `X-Accel-Redirect` or `X-Sendfile`.

use std::{
    borrow::Cow,
    path::{Component, PathBuf},
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;

use super::Fallbacks;
use crate::{
    semantics::{
        mount::Prefix,
        path::decode,
        send_file::{SendsFiles, X_ACCEL_REDIRECT, X_SENDFILE},
    },
    static_files::target::file_name,
};

/// What nginx takes from the application besides, and keeps for itself.
const X_ACCEL: [HeaderName; 4] = [
    HeaderName::from_static("x-accel-expires"),
    HeaderName::from_static("x-accel-limit-rate"),
    HeaderName::from_static("x-accel-buffering"),
    HeaderName::from_static("x-accel-charset"),
];

/// A file on the shelf of this number.
#[derive(Debug)]
pub(super) struct OnShelf {
    pub(super) shelf: usize,
    pub(super) name: PathBuf,
}

/// Tells the service inside what it may name, so that it does not keep it to itself.
pub(super) fn announce(fallbacks: &Fallbacks, extensions: &mut Extensions) {
    if fallbacks.accel.is_empty() && fallbacks.sendfile.is_empty() {
        return;
    }
    // Another layer of this kind may stand outside.
    let mut sends = SendsFiles::of(extensions);
    if !fallbacks.accel.is_empty() {
        sends = sends.accel_redirect();
    }
    if !fallbacks.sendfile.is_empty() {
        sends = sends.sendfile();
    }
    extensions.insert(sends);
}

/// Takes out of an answer what is for this layer alone. `None` if that names no file,
/// `Some(None)` if it names one that may not be sent.
pub(super) fn take_named(
    fallbacks: &Fallbacks,
    headers: &mut HeaderMap,
) -> Option<Option<OnShelf>> {
    let mut named = None;
    if !fallbacks.accel.is_empty() {
        for name in &X_ACCEL {
            headers.remove(name);
        }
        if let Some(value) = headers.remove(X_ACCEL_REDIRECT) {
            named = Some(found(accel(fallbacks, &value), &X_ACCEL_REDIRECT, &value));
        }
    }
    if !fallbacks.sendfile.is_empty()
        && let Some(value) = headers.remove(X_SENDFILE)
    {
        named = Some(found(sendfile(fallbacks, &value), &X_SENDFILE, &value));
    }
    named
}

fn found(found: Option<OnShelf>, header: &HeaderName, value: &HeaderValue) -> Option<OnShelf> {
    if found.is_none() {
        tracing::warn!(%header, ?value, "names nothing that may be sent");
    }
    found
}

/// A path as in URLs, with or without a query: the longest prefix counts.
fn accel(fallbacks: &Fallbacks, value: &HeaderValue) -> Option<OnShelf> {
    let path = value.as_bytes().split(|byte| *byte == b'?').next()?;
    let path: Cow<'_, [u8]> = percent_decode(path).into();
    let below = |prefix: &Prefix| {
        let below = path.strip_prefix(&*decode(prefix.as_str()))?;
        relative(below.strip_prefix(b"/")?)
    };
    let (_, shelf, name) = fallbacks
        .accel
        .iter()
        .filter_map(|(prefix, shelf)| Some((prefix.as_str().len(), *shelf, below(prefix)?)))
        .max_by_key(|(length, _, _)| *length)?;
    Some(OnShelf { shelf, name })
}

/// The name that segments make; several slashes are one. `None` if it leads elsewhere, or has a
/// slash behind it: no file does.
fn relative(path: &[u8]) -> Option<PathBuf> {
    let segments: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let leads_elsewhere = |segment: &&[u8]| matches!(*segment, b"." | b"..");
    if segments.is_empty() || path.ends_with(b"/") || segments.iter().any(leads_elsewhere) {
        return None;
    }
    file_name(segments.join(&b'/').into())
}

/// A path of the file system: the longest root counts.
fn sendfile(fallbacks: &Fallbacks, value: &HeaderValue) -> Option<OnShelf> {
    let path: Cow<'_, [u8]> = percent_decode(value.as_bytes()).into();
    if path.ends_with(b"/") {
        return None;
    }
    let path = file_name(path)?;
    let (root, shelf) = fallbacks
        .sendfile
        .iter()
        .filter(|(root, _)| path.starts_with(root))
        .max_by_key(|(root, _)| root.components().count())?;
    let mut name = PathBuf::new();
    for part in path.strip_prefix(root).ok()?.components() {
        match part {
            Component::Normal(part) => name.push(part),
            _ => return None,
        }
    }
    let shelf = *shelf;
    (!name.as_os_str().is_empty()).then_some(OnShelf { shelf, name })
}
