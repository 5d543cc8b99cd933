//! Whether a request is a person's way to a page, or a page's way to one of its parts.
//!
//! An application of one page (SPA) has the same HTML for all its paths. Who answers with it where
//! a script is missing gives the browser HTML to run, and a cache something to keep under the
//! script's name. So a missing file is answered with the page only for a navigation:
//!
//! | method | path | `Sec-Fetch-Mode` | `Sec-Fetch-Dest` | `Accept` | navigation |
//! |---|---|---|---|---|---|
//! | not `GET`, `HEAD` | | | | | no |
//! | | a segment begins with a dot | | | | no |
//! | | ends in an extension of assets | | | | no |
//! | | | `navigate` | `embed`, `object` | | no |
//! | | | `navigate` | another, or none | | yes |
//! | | | another | | | no |
//! | | | none | `document`, `iframe`, `frame`, `fencedframe` | | yes |
//! | | | none | another | | no |
//! | | has an extension, not HTML's | none | none | | no |
//! | | | none | none | names HTML | yes |
//! | | | none | none | does not | no |
//!
//! Browsers send `Sec-Fetch-*` only to origins they trust, so not over plain HTTP to another
//! machine: then `Accept` has to do. A service worker that hands a navigation on sends it with the
//! mode `navigate` and an empty destination, which is why the mode comes first.

use http::{HeaderMap, HeaderName, Method};

use crate::semantics::negotiate::accepts_by_name;

/// What an answer that depends on [`is_navigation`] varies with; the one for "no" too.
pub(super) const VARY: &str = "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode";

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Files that a page loads or offers for download, and programs of others that scanners look for.
///
/// A table of media types knows too much for this: by it `/users/jane.me` is troff,
/// `/sites/example.com.au` a sound, and `/sites/example.com` a program.
const ASSETS: &[&str] = &[
    // Scripts, styles, data
    "cjs",
    "css",
    "csv",
    "js",
    "json",
    "jsx",
    "less",
    "map",
    "mjs",
    "scss",
    "ts",
    "tsx",
    "txt",
    "wasm",
    "webmanifest",
    "xml",
    "yaml",
    "yml",
    // Images
    "apng",
    "avif",
    "bmp",
    "gif",
    "heic",
    "ico",
    "jpeg",
    "jpg",
    "jxl",
    "png",
    "svg",
    "tif",
    "tiff",
    "webp",
    // Fonts
    "eot",
    "otf",
    "ttf",
    "woff",
    "woff2",
    // Sound and video
    "aac",
    "avi",
    "flac",
    "m3u8",
    "m4a",
    "m4v",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "mpd",
    "oga",
    "ogg",
    "ogv",
    "opus",
    "srt",
    "vtt",
    "wav",
    "weba",
    "webm",
    // Documents and archives
    "7z",
    "atom",
    "br",
    "bz2",
    "doc",
    "docx",
    "epub",
    "gz",
    "pdf",
    "ppt",
    "pptx",
    "rar",
    "rss",
    "tar",
    "tgz",
    "xls",
    "xlsx",
    "xz",
    "zip",
    "zst",
    // What is no path of an application of one page
    "asp",
    "aspx",
    "bak",
    "cgi",
    "jsp",
    "php",
    "sql",
];

const PAGES: &[&str] = &["htm", "html", "xhtml"];

/// Whether a page may be the answer where `path` names no file.
pub(super) fn is_navigation(method: &Method, headers: &HeaderMap, path: &str) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    // What is missing in `.well-known` (RFC 8615) is asked for by programs, which read the status.
    if path.split('/').any(|segment| segment.starts_with('.')) {
        return false;
    }
    let extension = extension(path);
    if extension.is_some_and(|extension| is_one_of(ASSETS, extension)) {
        return false;
    }
    let fetch = (
        token(headers, SEC_FETCH_MODE),
        token(headers, SEC_FETCH_DEST),
    );
    match fetch {
        // What `<embed>` and `<object>` show is a part of a page, though they navigate to it.
        (Some("navigate"), destination) => !matches!(destination, Some("embed" | "object")),
        (Some(_), _) => false,
        (None, Some(destination)) => {
            matches!(destination, "document" | "iframe" | "frame" | "fencedframe")
        }
        (None, None) => {
            extension.is_none_or(|extension| is_one_of(PAGES, extension)) && names_html(headers)
        }
    }
}

/// What stands behind the last dot of the last segment.
fn extension(path: &str) -> Option<&str> {
    let (_, segment) = path.rsplit_once('/').unwrap_or(("", path));
    segment.rsplit_once('.').map(|(_, extension)| extension)
}

fn is_one_of(extensions: &[&str], extension: &str) -> bool {
    extensions
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
}

/// The value of a field that is a single token; of another kind, it is as if it were not there.
fn token(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    // RFC 8941 §3.3: parameters that are not known do not change the item.
    let item = line.to_str().ok()?.split(';').next()?.trim();
    let is_token = !item.is_empty()
        && item
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_token.then_some(item)
}

/// Whether `Accept` names HTML itself: `*/*` is what programs say that know of no pages.
fn names_html(headers: &HeaderMap) -> bool {
    accepts_by_name(headers, "text/html") || accepts_by_name(headers, "application/xhtml+xml")
}

#[cfg(test)]
mod tests;
