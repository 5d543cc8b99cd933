//! A directory's entries as a page of HTML, or as JSON. Nothing here touches the disk.

use std::{collections::HashSet, ffi::OsString, io, path::Path, time::SystemTime};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::{
    digest,
    layer::{Config, PUBLIC},
    source::{Source as _, Wait},
};
use crate::{
    Body,
    body::answer::plain,
    semantics::{
        conditional::{Validators, Verdict, evaluate},
        mount::external_prefix,
        negotiate::choose_media_type,
    },
};

mod html;
mod json;
mod order;
mod style;
#[cfg(test)]
mod tests;
mod text;

pub(super) use self::order::is_shown;
use self::order::{Page, View};

/// How the entries of a directory are shown.
///
/// As HTML: a table that is sorted and paged by links, without a script, and that follows the
/// light or dark colours of the reader. Or as JSON:
///
/// ```json
/// {
///   "path": "/files/a%20b/",
///   "entries": [
///     { "name": "sub", "href": "./sub/", "kind": "directory", "size": null,
///       "modified": "2026-01-02T03:04:05Z" },
///     { "name": "c.txt", "href": "./c.txt", "kind": "file", "size": 1234,
///       "modified": "2026-01-02T03:04:05Z" }
///   ],
///   "page": 1, "pages": 1, "total": 2, "truncated": false
/// }
/// ```
///
/// `path` is the directory's as the client wrote it, in canonical form. `name` has U+FFFD where the
/// name is not UTF-8; `href`, a reference relative to `path`, is exact. `modified` is in UTC, `null`
/// if unknown. `total` counts the entries of all pages; `truncated` says that the directory has
/// more than were read. Members may be added.
///
/// Both obey the query: `sort=name|size|modified`, `order=asc|desc`, `page=N`. What is none of these
/// counts as not said: by name, ascending, the first page; of a page behind the last, the last is
/// shown. Directories come first, and digits in names count as numbers: `a2` comes before `a10`.
///
/// The answer has a strong `ETag` and `Cache-Control: no-cache`, so that a cache asks each time; and
/// `Vary: Accept`. The HTML has a `Content-Security-Policy` that lets it load nothing at all.
///
/// ```
/// use tower_gateway::static_files::Listing;
///
/// let listing = Listing::new().page_size(100).limit(50_000);
/// # let _ = listing;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Listing {
    page_size: usize,
    limit: usize,
}

impl Default for Listing {
    fn default() -> Self {
        Self::new()
    }
}

impl Listing {
    /// Pages of 1000, of at most 10,000 entries.
    pub const fn new() -> Self {
        Self {
            page_size: 1000,
            limit: 10_000,
        }
    }

    /// How many entries a page has. Defaults to 1000, which is about 200 KiB of HTML.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub const fn page_size(mut self, entries: usize) -> Self {
        assert!(
            entries > 0,
            "a page without entries shows nothing; Listing::page_size takes 1 or more"
        );
        self.page_size = entries;
        self
    }

    /// How many entries of a directory are read; a note says if there are more. Defaults to 10,000.
    ///
    /// Every page reads and sorts them all: each costs a system call, some two microseconds, and
    /// about a hundred bytes while it is shown. Which ones are read of a larger directory is
    /// the file system's choice. Hidden ones count.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub const fn limit(mut self, entries: usize) -> Self {
        assert!(
            entries > 0,
            "a directory of which nothing is read shows nothing; Listing::limit takes 1 or more"
        );
        self.limit = entries;
        self
    }

    /// How many entries to read.
    pub(super) fn entries_to_read(&self) -> usize {
        self.limit
    }
}

/// What a directory has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// In any order.
    pub entries: Vec<DirEntry>,
    /// Whether the directory has more of them.
    pub truncated: bool,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    name: OsString,
    kind: EntryKind,
    modified: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    Directory,
    File { length: u64 },
}

impl DirEntry {
    /// A file, its length in bytes, and when it was last modified.
    pub fn file(name: impl Into<OsString>, length: u64, modified: Option<SystemTime>) -> Self {
        Self {
            name: name.into(),
            kind: EntryKind::File { length },
            modified,
        }
    }

    /// A directory, and when it was last modified.
    pub fn directory(name: impl Into<OsString>, modified: Option<SystemTime>) -> Self {
        Self {
            name: name.into(),
            kind: EntryKind::Directory,
            modified,
        }
    }

    fn is_directory(&self) -> bool {
        self.kind == EntryKind::Directory
    }

    /// `None` of a directory.
    fn length(&self) -> Option<u64> {
        match self.kind {
            EntryKind::Directory => None,
            EntryKind::File { length } => Some(length),
        }
    }

    /// Its path, relative to the directory.
    ///
    /// RFC 3986 §4.2: "A path segment that contains a colon character [...] cannot be used as
    /// the first segment of a relative-path reference, as it would be mistaken for a scheme name.
    /// Such a segment must be preceded by a dot-segment". Colons are escaped besides.
    pub(super) fn href(&self) -> String {
        let name = text::percent_encoded(self.name.as_encoded_bytes());
        let slash = if self.is_directory() { "/" } else { "" };
        format!("./{name}{slash}")
    }
}

/// In which form the entries are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
}

/// What of a request the answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// The path of the directory, as the client has to write it: the mount and the canonical path.
    /// A slash is at its end.
    pub(super) path: &'a str,
    /// As much of the path as leads to the outermost directory that can be listed.
    pub(super) root: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) format: Format,
}

/// The answer to a request for the directory of this name; `None` if it is there no more.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait: reading a directory does. Else the source's.
pub(super) fn answer(
    config: &Config,
    request: &Parts,
    name: &Path,
    wait: Wait,
) -> io::Result<Option<Response<Body>>> {
    let Some(options) = &config.listing else {
        return Ok(None);
    };
    if wait == Wait::Never {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Some(listed) = list(config, options, name)? else {
        return Ok(None);
    };
    let path = request.uri.path();
    let prefix = external_prefix(&request.extensions, path);
    let offered = ["text/html", "application/json"];
    let asked = Asked {
        method: &request.method,
        headers: &request.headers,
        path: &format!("{prefix}{path}"),
        root: &format!("{prefix}{}", config.at),
        query: request.uri.query(),
        format: match choose_media_type(&request.headers, &offered) {
            Some(1) => Format::Json,
            // Who accepts neither can read HTML best.
            _ => Format::Html,
        },
    };
    let mut response = render(options, &listed, &asked);
    if request.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    Ok(Some(response))
}

/// What all roots together have in a directory: of a name that several have, the first counts.
fn list(config: &Config, options: &Listing, name: &Path) -> io::Result<Option<Listed>> {
    let mut all: Option<Listed> = None;
    for source in &config.shelves[PUBLIC] {
        let limit = options.entries_to_read();
        let Some(mut listed) = source.list(name, limit, config.dotfiles)? else {
            continue;
        };
        // A source of the user's may not know what is hidden, or how many are enough.
        listed.truncated |= listed.entries.len() > limit;
        listed.entries.truncate(limit);
        listed
            .entries
            .retain(|entry| is_shown(&entry.name, config.dotfiles));
        match &mut all {
            None => all = Some(listed),
            Some(all) => {
                let known: HashSet<_> = all.entries.iter().map(|one| one.name.clone()).collect();
                let new = listed.entries.into_iter();
                all.entries
                    .extend(new.filter(|one| !known.contains(&one.name)));
                all.truncated |= listed.truncated;
            }
        }
    }
    Ok(all)
}

/// The answer to `GET`: 200, or what a condition in the request makes of it.
pub(super) fn render(options: &Listing, listed: &Listed, asked: &Asked<'_>) -> Response<Body> {
    let page = Page::of(options.page_size, listed, View::of(asked.query));
    let (text, media_type) = match asked.format {
        Format::Html => (html::page(&page, asked), "text/html; charset=utf-8"),
        Format::Json => (json::page(&page, asked), "application/json"),
    };
    // From the bytes themselves: no time says when an entry's size changed.
    let etag = digest::of_bytes(text.as_bytes());
    let tag = etag.to_header();
    let validators = Validators {
        etag: Some(etag),
        last_modified: None,
    };
    let vary = HeaderValue::from_static("accept");
    let (status, text) = match evaluate(asked.method, asked.headers, &validators) {
        Verdict::Proceed => (StatusCode::OK, text),
        Verdict::NotModified => (StatusCode::NOT_MODIFIED, String::new()),
        Verdict::Failed => {
            let mut refusal = plain(StatusCode::PRECONDITION_FAILED);
            refusal.headers_mut().insert(header::VARY, vary);
            return refusal;
        }
    };

    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::ETAG, tag);
    headers.insert(header::VARY, vary);
    let no_cache = HeaderValue::from_static("no-cache");
    headers.insert(header::CACHE_CONTROL, no_cache);
    if status == StatusCode::OK {
        let media_type = HeaderValue::from_static(media_type);
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CONTENT_LENGTH, text.len().into());
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if asked.format == Format::Html {
            let policy = style::CONTENT_SECURITY_POLICY.clone();
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
