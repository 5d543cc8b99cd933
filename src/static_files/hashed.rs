//! Names that say by themselves that they change with the content.
//!
//! | tool | name | hash |
//! |---|---|---|
//! | Django's `ManifestStaticFilesStorage` | `base.27e20196a850.css` | 12 hex digits |
//! | webpack, Angular, Parcel | `main.8f3b1c2d.js`, `787.28cb0dcd.chunk.js` | 8 to 64 hex digits |
//! | Propshaft, Sprockets, mdBook, Trunk | `app-6d58c9e6.css` | 8 to 64 hex digits |
//! | Vite, Rollup, Rolldown | `index-BG8BsC3m.js` | 8 of base64url |
//! | esbuild, Angular | `chunk-4XK2D7QF.js` | 8 of base32 |
//!
//! A name that is missed costs its readers a question with a short answer (304). One that is
//! taken for hashed and is not is stale for a year, and nobody can call it back. So what might be
//! a word, a date, or a number is none. By these rules about 85 of 100 names with 8 hex digits are
//! found, 97 of those with 12, all with 20, 45 of Vite's, and 35 of esbuild's code; a manifest
//! finds the rest.

use std::path::Path;

/// What builds put a hash into and pages load. Documents, data, and pages are not in it: their
/// names have numbers of many kinds.
const BUILT: &[&str] = &[
    "js", "mjs", "cjs", "css", "map", "wasm", // code
    "woff", "woff2", "ttf", "otf", "eot", // fonts
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", // images
    "mp3", "m4a", "ogg", "wav", "mp4", "webm", // sound and video
];

const CODE: &[&str] = &["js", "mjs", "css", "map"];

/// What may stand between the hash and the extension.
const QUALIFIERS: &[&str] = &[
    ".bundle", ".chunk", ".esm", ".legacy", ".min", ".module", ".worker",
];

/// How many characters of base64url or base32 there are.
const SHORT: usize = 8;

/// Whether a file of this name, below its root, has a hash of its content in the name.
///
/// Only the last segment counts: a directory may be named after a commit, but what is in it may
/// have been written later.
pub(super) fn is_hashed(name: &Path) -> bool {
    let Some(file) = name.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let Some((stem, extension)) = split(file) else {
        return false;
    };
    if !BUILT.contains(&extension) || is_uuid(stem) {
        return false;
    }
    let long = stem.rsplit_once(['.', '-']);
    let short = short_token(stem);
    // Capitals with digits are the names of things as well (`CANON5D2`), of which there are
    // pictures.
    let is_code = CODE.contains(&extension);
    long.is_some_and(|(before, token)| !before.is_empty() && is_hex_hash(token))
        || short.is_some_and(|token| is_base64_hash(token) || is_code && is_base32_hash(token))
}

/// Whether a name that a build's manifest lists has a hash in it.
///
/// Words are no danger there, as the name before the build is known too. But builds can be told
/// to leave the hash out, and list the name all the same.
pub(super) fn has_token(file: &str) -> bool {
    let Some((stem, _)) = split(file) else {
        return false;
    };
    let long = stem
        .rsplit_once(['.', '-'])
        .map_or(stem, |(_, token)| token);
    let short = short_token(stem).unwrap_or_default();
    [long, short].into_iter().any(|token| {
        let has = |class: fn(&u8) -> bool| token.as_bytes().iter().any(class);
        (SHORT..=64).contains(&token.len())
            && token.bytes().all(is_base64_url)
            && (has(u8::is_ascii_digit)
                || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
    })
}

/// A file's name without what stands behind a hash, and its extension.
pub(super) fn split(file: &str) -> Option<(&str, &str)> {
    let (mut stem, extension) = file.rsplit_once('.')?;
    if extension == "map" {
        stem = [".js", ".mjs", ".cjs", ".css"]
            .iter()
            .find_map(|of| stem.strip_suffix(of))
            .unwrap_or(stem);
    }
    while let Some(rest) = QUALIFIERS.iter().find_map(|end| stem.strip_suffix(end)) {
        stem = rest;
    }
    Some((stem, extension))
}

/// The last eight characters, if a name and a separator are before them. They may contain a
/// hyphen of their own.
fn short_token(stem: &str) -> Option<&str> {
    let (before, token) = stem.split_at_checked(stem.len().checked_sub(SHORT)?)?;
    (before.len() > 1 && before.ends_with(['.', '-'])).then_some(token)
}

/// Not `20240131` (no letter), `20feb2024` (a word among digits), `facade01` (a word and a
/// number).
fn is_hex_hash(token: &str) -> bool {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !(8..=64).contains(&token.len()) || !token.bytes().all(is_hex) {
        return false;
    }
    let longest_word = runs(token)
        .filter(|run| run.starts_with(|first: char| first.is_ascii_alphabetic()))
        .map(str::len)
        .max();
    match runs(token).count() {
        0..=2 => false,
        3 => longest_word.is_some_and(|length| length < 3),
        _ => true,
    }
}

/// Not `Chapter1`, `Q3Draft2`, or `Mp3ToWav`: names in camel case have fewer words.
fn is_base64_hash(token: &str) -> bool {
    let has = |class: fn(&u8) -> bool| token.as_bytes().iter().any(class);
    token.bytes().all(is_base64_url)
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && camel_case_words(token) >= 5
}

/// Not `VERSION2`, or `Q2REPORT`: digits stand in two places at least.
fn is_base32_hash(token: &str) -> bool {
    let is_base32 = |byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
    token.bytes().all(is_base32) && runs(token).count() >= 4
}

fn is_base64_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Letters, digits, letters, …
fn runs(token: &str) -> impl Iterator<Item = &str> {
    token
        .as_bytes()
        .chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit())
        .filter_map(|run| str::from_utf8(run).ok())
}

/// Words, acronyms, and numbers: `Mp3ToWav` has four. Of several capitals the last belongs to the
/// word behind it: `JSONFile` has two.
fn camel_case_words(token: &str) -> usize {
    let mut words = 0;
    let mut before = [b'-'; 2];
    for byte in token.bytes() {
        let [_, last] = before;
        let begins = match byte {
            b'0'..=b'9' => !last.is_ascii_digit(),
            b'A'..=b'Z' => !last.is_ascii_uppercase(),
            b'a'..=b'z' => match before {
                [first, b'A'..=b'Z'] => first.is_ascii_uppercase(),
                [_, b'a'..=b'z'] => false,
                _ => true,
            },
            _ => false,
        };
        words += usize::from(begins);
        before = [last, byte];
    }
    words
}

/// `…8-4-4-4-12`: the name of one object among many, which says nothing of its content.
fn is_uuid(stem: &str) -> bool {
    let bytes = stem.as_bytes();
    let Some(uuid) = bytes.len().checked_sub(36).map(|start| &bytes[start..]) else {
        return false;
    };
    uuid.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests;
