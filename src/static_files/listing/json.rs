//! The entries for a program.

use serde_json::{Value, json};

use super::{Asked, DirEntry, order::Page, text::Utc};

pub(super) fn page(page: &Page<'_>, asked: &Asked<'_>) -> String {
    let entries: Vec<Value> = page.entries.iter().copied().map(entry).collect();
    json!({
        "path": asked.path,
        "entries": entries,
        "page": page.view.page + 1,
        "pages": page.pages,
        "total": page.total,
        "truncated": page.truncated,
    })
    .to_string()
}

fn entry(entry: &DirEntry) -> Value {
    json!({
        "name": entry.name.to_string_lossy(),
        "href": entry.href(),
        "kind": if entry.is_directory() { "directory" } else { "file" },
        "size": entry.length(),
        "modified": entry.modified.and_then(Utc::of).map(Utc::rfc3339),
    })
}
