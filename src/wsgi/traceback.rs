//! A traceback as a page, for those who develop the application.

use std::borrow::Cow;

use http::{HeaderValue, Response, header};

use crate::Body;

/// A page with this text.
pub(super) fn page(text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Internal Server Error</title>\
         </head><body><h1>Internal Server Error</h1><pre>{}</pre></body></html>\n",
        escape(text)
    )
}

/// Sends this page in place of the body.
pub(super) fn show(page: String, response: &mut Response<Body>) {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    *response.body_mut() = Body::from(page);
}

/// As text between tags.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_traceback_is_markup() {
        let page = page("File \"a.py\", in <module>\nValueError: <script>&amp;");
        assert!(page.contains(
            "<pre>File \"a.py\", in &lt;module&gt;\nValueError: &lt;script&gt;&amp;amp;</pre>"
        ));
    }
}
