//! Which files get which headers.

use std::{error, fmt, path::Path, str::FromStr};

use glob::{MatchOptions, Pattern};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{cache_control::CacheControl, hashed::is_hashed, manifest::Manifest};

/// Some of the files below a root, for a rule.
///
/// What counts is the file that is found, not the path of the request: `index.html` for `/`, and
/// never the `.br` that is sent in its place.
///
/// ```
/// use tower_gateway::static_files::Files;
///
/// Files::all();
/// Files::glob("*.html");            // in any directory
/// Files::glob("/robots.txt");       // in the root only
/// Files::glob("_app/immutable/**"); // all that is below it
/// Files::extensions(["woff", "woff2"]);
/// Files::media_type("image/*");
/// Files::hashed();                  // main.8f3b1c2d.js
///
/// // What comes from a configuration file is a glob, and may be wrong.
/// assert!("assets/**".parse::<Files>().is_ok());
/// assert_eq!(
///     "*.{js,css}".parse::<Files>().unwrap_err().to_string(),
///     "\"*.{js,css}\" is no pattern for files: braces do not list alternatives; \
///      write one rule for each, or [{] for a brace",
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Files {
    which: Which,
}

#[derive(Clone, Debug)]
enum Which {
    All,
    /// Of the last segment, if the pattern has no slash.
    FileName(Pattern),
    Path(Pattern),
    /// In lower case, without the dot.
    Extensions(Vec<Box<str>>),
    /// In lower case; of the second, `None` for `*`.
    MediaType(Box<str>, Option<Box<str>>),
    Hashed,
    InManifest,
}

/// As the shell: `*` and `?` stay in their segment, and match a dot at its beginning as well (the
/// hidden files are hidden before any rule is asked).
const GLOB: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl Files {
    /// All files.
    pub fn all() -> Self {
        Self::new(Which::All)
    }

    /// Those whose name below the root matches a pattern: `*` is any part of a segment, `?` one
    /// character, `[a-z]` and `[!a-z]` one of some, and a segment `**` any number of segments.
    /// A pattern without a slash is one for the last segment; a slash at the beginning says "in
    /// the root". Upper and lower case differ.
    ///
    /// A name that is not Unicode is matched with U+FFFD in place of what cannot be read.
    ///
    /// # Panics
    ///
    /// If the pattern is wrong. To handle that, parse it: `pattern.parse::<Files>()`.
    #[track_caller]
    pub fn glob(pattern: &str) -> Self {
        match pattern.parse() {
            Ok(files) => files,
            Err(invalid) => panic!("{invalid}"),
        }
    }

    /// Those with this extension, without its dot, in any case. It is what stands behind the last
    /// dot: `gz` of `a.tar.gz`.
    ///
    /// # Panics
    ///
    /// If it is empty, or has a dot, a slash, or a `*`.
    #[track_caller]
    pub fn extension(extension: &str) -> Self {
        Self::extensions([extension])
    }

    /// Those with one of these extensions; see [`extension`](Self::extension).
    ///
    /// # Panics
    ///
    /// If one is empty, or has a dot, a slash, or a `*`.
    #[track_caller]
    pub fn extensions(extensions: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut lower = Vec::new();
        for extension in extensions {
            let extension = extension.as_ref();
            assert!(
                !extension.is_empty() && !extension.contains(['.', '/', '*', '\\']),
                "{extension:?} is no extension; Files::extension takes what stands behind the \
                 last dot, such as \"css\", and Files::glob takes patterns"
            );
            lower.push(extension.to_ascii_lowercase().into());
        }
        Self::new(Which::Extensions(lower))
    }

    /// Those that are sent with this `Content-Type`, whatever its parameters: `text/css`, or all
    /// of one kind with `image/*`.
    ///
    /// # Panics
    ///
    /// If it has no slash, parameters, or another `*`.
    #[track_caller]
    pub fn media_type(range: &str) -> Self {
        let lower = range.to_ascii_lowercase();
        // RFC 9110 §5.6.2: "tchar", without the `*`.
        let is_token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte))
        };
        match lower.split_once('/') {
            Some((kind, "*")) if is_token(kind) => Self::new(Which::MediaType(kind.into(), None)),
            Some((kind, subtype)) if is_token(kind) && is_token(subtype) => {
                Self::new(Which::MediaType(kind.into(), Some(subtype.into())))
            }
            _ => panic!(
                "{range:?} is no media type; Files::media_type takes one without parameters, such \
                 as \"text/css\" or \"image/*\", and Files::all takes everything"
            ),
        }
    }

    /// Those with a hash of their content in the name, as builds write it: `main.8f3b1c2d.js`,
    /// `index-BG8BsC3m.js`.
    ///
    /// Scripts, styles, source maps, WebAssembly, fonts, images, sound, and video only. What might
    /// be a word, a date, a number, or a UUID is not taken for a hash, so some names with a hash
    /// (one half of Vite's) are not among them; a manifest knows all. It is not for files that users
    /// upload, whose names are anything.
    pub fn hashed() -> Self {
        Self::new(Which::Hashed)
    }

    /// Those that the manifest of a build lists with a hash in their names. None, if there is no
    /// manifest.
    pub fn in_manifest() -> Self {
        Self::new(Which::InManifest)
    }

    fn new(which: Which) -> Self {
        Self { which }
    }

    fn contain(&self, file: &File<'_>) -> bool {
        match &self.which {
            Which::All => true,
            Which::FileName(pattern) => file
                .name
                .file_name()
                .is_some_and(|name| pattern.matches_with(&name.to_string_lossy(), GLOB)),
            Which::Path(pattern) => pattern.matches_with(&file.name.to_string_lossy(), GLOB),
            Which::Extensions(extensions) => file
                .name
                .extension()
                .and_then(|extension| extension.to_str())
                .is_some_and(|extension| {
                    extensions
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(extension))
                }),
            Which::MediaType(kind, subtype) => {
                let essence = file.media_type.split(';').next().unwrap_or_default();
                let (of, sub) = essence.trim().split_once('/').unwrap_or_default();
                kind.eq_ignore_ascii_case(of)
                    && subtype
                        .as_ref()
                        .is_none_or(|subtype| subtype.eq_ignore_ascii_case(sub))
            }
            Which::Hashed => is_hashed(file.name),
            Which::InManifest => file
                .manifest
                .is_some_and(|manifest| manifest.contains(file.name)),
        }
    }
}

/// A glob.
impl FromStr for Files {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, InvalidPattern> {
        let invalid = |why: &str| {
            Err(InvalidPattern {
                pattern: pattern.to_owned(),
                why: why.to_owned(),
            })
        };
        let below = pattern.strip_prefix('/').unwrap_or(pattern);
        if below.is_empty() {
            return invalid("it is empty; Files::all takes everything");
        }
        if below.ends_with('/') {
            return invalid("it names a directory; put ** behind it for all that is below");
        }
        if below
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return invalid("a file's name below the root has no empty, . or .. segment");
        }
        if below.contains('\\') {
            return invalid("segments are separated by /, and [*] stands for a * itself");
        }
        // `[{]` is how to write one that is meant.
        if below.replace("[{]", "").contains('{') {
            return invalid(
                "braces do not list alternatives; write one rule for each, or [{] for a brace",
            );
        }
        match Pattern::new(below) {
            Ok(glob) if pattern.contains('/') => Ok(Self::new(Which::Path(glob))),
            Ok(glob) => Ok(Self::new(Which::FileName(glob))),
            Err(error) => invalid(&format!("{} (at {})", error.msg, error.pos)),
        }
    }
}

/// A pattern that names no files; its text says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPattern {
    pattern: String,
    why: String,
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no pattern for files: {}",
            self.pattern, self.why
        )
    }
}

impl error::Error for InvalidPattern {}

/// What rules ask of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'a> {
    /// Below its root.
    pub(super) name: &'a Path,
    /// As it is sent, with or without parameters.
    pub(super) media_type: &'a str,
    /// That of its root, if there is one.
    pub(super) manifest: Option<&'a Manifest>,
}

/// What is said about which files, in the order in which it was written. Of two rules for one
/// field the later one counts, so the general comes first.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    files: Files,
    name: HeaderName,
    value: HeaderValue,
}

impl Rules {
    pub(super) fn cache_control(&mut self, files: Files, value: &CacheControl) {
        self.rules.push(Rule {
            files,
            name: header::CACHE_CONTROL,
            value: value.header_value(),
        });
    }

    /// # Panics
    ///
    /// If it is no field, or one that is not for a rule to set.
    #[track_caller]
    pub(super) fn header(&mut self, files: Files, name: &str, value: &str) {
        let (Ok(field), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) else {
            panic!(
                "{name:?}: {value:?} cannot be sent in a header; StaticFiles::header takes the \
                 name of a field and its value, such as (\"x-robots-tag\", \"noindex\")"
            );
        };
        if let Some(instead) = reserved(field.as_str()) {
            panic!("StaticFiles::header does not set {name}: {instead}");
        }
        self.rules.push(Rule {
            files,
            name: field,
            value,
        });
    }

    /// Sets what is said about this file, in place of what is in `headers`. To a `Vary` that is
    /// there, the new names are added.
    pub(super) fn apply(&self, file: &File<'_>, headers: &mut HeaderMap) {
        for Rule { files, name, value } in &self.rules {
            if !files.contain(file) {
                continue;
            }
            if name == header::VARY {
                vary(headers, value);
            } else {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Adds the names that are not there yet.
pub(super) fn vary(headers: &mut HeaderMap, more: &HeaderValue) {
    let names = |value: &HeaderValue| -> Vec<String> {
        let text = value.to_str().unwrap_or_default();
        let names = text.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut all: Vec<String> = headers
        .get_all(header::VARY)
        .iter()
        .flat_map(names)
        .collect();
    for name in names(more) {
        if !all.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            all.push(name);
        }
    }
    if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
        headers.insert(header::VARY, value);
    }
}

/// What to say instead, of a field that follows from the file or from other options.
fn reserved(name: &str) -> Option<&'static str> {
    Some(match name {
        "cache-control" => "it is StaticFiles::cache_control that does, from a CacheControl",
        // RFC 9111 §5.3: "If a response includes a Cache-Control header field with the max-age
        // directive (…), a recipient MUST ignore the Expires header field."
        "expires" => {
            "a date that is written down passes, and then every copy is stale; say how long with \
             StaticFiles::cache_control"
        }
        "pragma" => "RFC 9111 gives it no meaning in a response; use StaticFiles::cache_control",
        "age" => "it is for caches to set; use StaticFiles::cache_control",
        "content-type" => "it is StaticFiles::content_type that does, by extension",
        "content-encoding" => "it follows from the variant of the file that is sent",
        "content-length" | "content-range" | "accept-ranges" => {
            "it follows from the file's length and the request"
        }
        "etag" | "last-modified" => {
            "it is made from the file, and what is the same for all would make wrong answers (304)"
        }
        "date" => "the server around the service sends the time of each response",
        "location" | "allow" | "www-authenticate" | "proxy-authenticate" => {
            "it has no meaning in an answer that has a file"
        }
        // RFC 9110 §7.6.1, and the framing of messages.
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" => {
            "it is about the connection, which is the server's around the service"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
