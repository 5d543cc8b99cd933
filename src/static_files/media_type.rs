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
        if !self.own.is_empty() {
            if let Some(media_type) = self.own.get(&extension.to_ascii_lowercase()) {
                return media_type.clone();
            }
        }
        let essence = essence(extension);
        match &self.charset {
            Some(charset) if is_text(essence) => {
                HeaderValue::try_from(format!("{essence}; charset={charset}"))
                    .expect("both parts were checked")
            }
            _ => HeaderValue::from_static(essence),
        }
    }
}

/// The type of an extension, and where the table is behind the times (RFC 9239, ECMA-426, IANA),
/// what is meant today.
fn essence(extension: &str) -> &'static str {
    let is = |other: &str| extension.eq_ignore_ascii_case(other);
    if is("mjs") || is("cjs") {
        "text/javascript"
    } else if is("map") {
        "application/json"
    } else if is("ts") {
        // Pieces of a video in most deployments; TypeScript is compiled before it is served.
        "video/mp2t"
    } else {
        mime_guess::from_ext(extension)
            .first_raw()
            .unwrap_or(UNKNOWN)
    }
}

/// Whether a charset parameter says something about this type.
///
/// RFC 7303 §3.2 lets the parameter overrule what an XML document says of itself, so it is left
/// out there. RFC 8259 §11: "no "charset" parameter is defined for this registration" of JSON.
fn is_text(essence: &str) -> bool {
    essence.starts_with("text/") && essence != "text/xml"
}
