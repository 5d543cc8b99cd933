//! Which files are worth compressing.

use std::time::{Duration, SystemTime};

/// Shorter files are left as they are. Head and body of such an answer fit into one packet with or
/// without compression, so that it arrives no sooner; but the client would have to decompress it,
/// and an entry would be kept whose key takes as much as it saves.
const MIN_LENGTH: u64 = 512;

/// Whether files of this media type (parameters do not count) and length tend to shrink.
///
/// What is compressed by its own format does not: images, audio, video, archives, `woff2`.
pub(in crate::static_files) fn is_compressible(media_type: &str, length: u64) -> bool {
    if length < MIN_LENGTH {
        return false;
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    // RFC 9110 §8.3.1: "The type and subtype tokens are case-insensitive."
    let essence = essence.to_ascii_lowercase();
    essence.starts_with("text/")
        // RFC 6838 §4.2.8: a suffix names the structure of what is inside.
        || SUFFIXES.iter().any(|suffix| essence.ends_with(suffix))
        || TYPES.contains(&essence.as_str())
}

const SUFFIXES: &[&str] = &["+json", "+xml", "+json-seq", "+yaml"];

const TYPES: &[&str] = &[
    "application/ecmascript",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-subrip",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    // Not woff, whose tables are deflated, and not woff2, which is brotli inside.
    "application/font-sfnt",
    "application/x-font-opentype",
    "application/x-font-otf",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    // The images that are not compressed. SVG is XML.
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
];

/// Whether a file is likely to change again: each state of a log that is written to all the time
/// would be compressed for nothing. `start` is not for such a file, until it has been as it is for
/// ten seconds.
///
/// Of a time in the future, or none, nothing follows.
pub(in crate::static_files) fn is_in_flux(modified: Option<SystemTime>, now: SystemTime) -> bool {
    const SETTLED_AFTER: Duration = Duration::from_secs(10);

    modified
        .and_then(|modified| now.duration_since(modified).ok())
        .is_some_and(|age| age < SETTLED_AFTER)
}

/// The longest result of `length` bytes that is worth having: 5 % less. What saves less costs
/// memory here and time in the client for next to nothing.
pub(super) fn at_most(length: usize) -> usize {
    length - length.div_ceil(20)
}
