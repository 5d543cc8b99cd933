//! The `Content-Type` of a file, by its name.

use std::{collections::HashMap, path::Path};

use http::HeaderValue;

/// What nothing better is known of.
const UNKNOWN: &str = "application/octet-stream";

#[derive(Clone, Debug)]
pub(super) struct MediaTypes {
    /// By extension, in lower case.
    own: HashMap<String, HeaderValue>,
    pub(super) charset: Option<Box<str>>,
}

impl Default for MediaTypes {
    fn default() -> Self {
        Self {
            own: HashMap::new(),
            charset: Some("utf-8".into()),
        }
    }
}

impl MediaTypes {
    pub(super) fn set(&mut self, extension: &str, media_type: HeaderValue) {
        let extension = extension.trim_start_matches('.').to_ascii_lowercase();
        self.own.insert(extension, media_type);
    }

    pub(super) fn of(&self, name: &Path) -> HeaderValue {
        let Some(extension) = name.extension().and_then(|extension| extension.to_str()) else {
            return HeaderValue::from_static(UNKNOWN);
        };
        if !self.own.is_empty()
            && let Some(media_type) = self.own.get(&extension.to_ascii_lowercase())
        {
            return media_type.clone();
        }
        let essence = essence(extension);
        match &self.charset {
            Some(charset) if is_text(essence) => with_charset(essence, charset),
            _ => HeaderValue::from_static(essence),
        }
    }
}

fn with_charset(essence: &str, charset: &str) -> HeaderValue {
    let ready = match (essence, charset) {
        ("text/css", "utf-8") => "text/css; charset=utf-8",
        ("text/html", "utf-8") => "text/html; charset=utf-8",
        ("text/javascript", "utf-8") => "text/javascript; charset=utf-8",
        ("text/plain", "utf-8") => "text/plain; charset=utf-8",
        _ => {
            let media_type = HeaderValue::try_from(format!("{essence}; charset={charset}"));
            return media_type.expect("both parts were checked");
        }
    };
    HeaderValue::from_static(ready)
}

/// What is meant today, where the table behind us is older (RFC 8081, 8216, 9239, 9512).
const TODAY: &[(&str, &str)] = &[
    ("cjs", "text/javascript"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("map", "application/json"),
    ("mjs", "text/javascript"),
    ("otf", "font/otf"),
    // Pieces of a video in most deployments; TypeScript is compiled before it is served.
    ("ts", "video/mp2t"),
    ("woff", "font/woff"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

fn essence(extension: &str) -> &'static str {
    let today = TODAY
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension));
    match today {
        Some((_, essence)) => essence,
        None => mime_guess::from_ext(extension)
            .first_raw()
            .unwrap_or(UNKNOWN),
    }
}

/// Whether a charset parameter says something about this type.
///
/// RFC 7303 §3.2 lets the parameter overrule what an XML document says of itself, so it is left
/// out there. RFC 8259 §11: "no "charset" parameter is defined for this registration" of JSON.
fn is_text(essence: &str) -> bool {
    essence.starts_with("text/") && essence != "text/xml"
}
