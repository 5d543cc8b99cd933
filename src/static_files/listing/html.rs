//! The entries for a reader.

use std::fmt::{self, Write};

use super::{
    Asked, DirEntry,
    order::{Order, Page, Sort, View},
    style::STYLE,
    text::{Escaped, Utc, grouped, human, percent_encoded},
};
use crate::semantics::path::decode;

pub(super) fn page(page: &Page<'_>, asked: &Asked<'_>) -> String {
    let mut html = String::with_capacity(2048 + STYLE.len() + page.entries.len() * 256);
    write(&mut html, page, asked).expect("a String takes everything");
    html
}

fn write(html: &mut String, page: &Page<'_>, asked: &Asked<'_>) -> fmt::Result {
    let path = shown(asked.path);
    let path = Escaped(&path);
    write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>Index of {path}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )?;
    breadcrumbs(html, asked)?;
    writeln!(html, "<main>\n<h1>Index of <bdi>{path}</bdi></h1>")?;
    if page.truncated {
        let total = grouped(page.total as u64);
        writeln!(
            html,
            "<p role=\"note\">There is more in this directory: only the first {total} entries \
             are listed.</p>"
        )?;
    }
    match page.entries.is_empty() {
        true => writeln!(html, "<p>There is nothing in this directory.</p>")?,
        false => table(html, page)?,
    }
    pages(html, page)?;
    html.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// A path as a reader knows it.
fn shown(path: &str) -> String {
    String::from_utf8_lossy(&decode(path)).into_owned()
}

/// The way from the outermost directory to this one. Every link climbs from here, so none can name
/// another host.
fn breadcrumbs(html: &mut String, asked: &Asked<'_>) -> fmt::Result {
    let root = asked.root.trim_end_matches('/');
    let below = asked.path.strip_prefix(root).unwrap_or_default();
    let segments: Vec<&str> = below.split('/').filter(|name| !name.is_empty()).collect();
    html.push_str("<header>\n<nav aria-label=\"Breadcrumb\">\n<ol>\n");
    let root = shown(root);
    let names = std::iter::once(if root.is_empty() { "Root".into() } else { root })
        .chain(segments.iter().map(|segment| shown(segment)));
    for (depth, name) in names.enumerate() {
        let name = Escaped(&name);
        match segments.len() - depth {
            0 => writeln!(
                html,
                "<li><a href=\"./\" aria-current=\"page\"><bdi>{name}</bdi></a></li>"
            )?,
            up => writeln!(
                html,
                "<li><a href=\"{}\"><bdi>{name}</bdi></a></li>",
                "../".repeat(up)
            )?,
        }
    }
    html.push_str("</ol>\n</nav>\n</header>\n");
    Ok(())
}

fn table(html: &mut String, page: &Page<'_>) -> fmt::Result {
    let total = page.total;
    let entries = if total == 1 { "entry" } else { "entries" };
    write!(
        html,
        "<table>\n<caption>{} {entries}",
        grouped(total as u64)
    )?;
    if page.pages > 1 {
        write!(html, ", page {} of {}", page.view.page + 1, page.pages)?;
    }
    html.push_str("</caption>\n<thead>\n<tr>\n");
    column(html, page.view, Sort::Name, "Name")?;
    column(html, page.view, Sort::Size, "Size")?;
    column(html, page.view, Sort::Modified, "Modified (UTC)")?;
    html.push_str("</tr>\n</thead>\n<tbody>\n");
    for entry in &page.entries {
        row(html, entry)?;
    }
    html.push_str("</tbody>\n</table>\n");
    Ok(())
}

/// The head of a column: a link that sorts by it, and, if it is sorted by it, turns the order.
fn column(html: &mut String, view: View, sort: Sort, label: &str) -> fmt::Result {
    let (state, order) = match (view.sort == sort, view.order) {
        (true, Order::Ascending) => (" aria-sort=\"ascending\"", Order::Descending),
        (true, Order::Descending) => (" aria-sort=\"descending\"", Order::Ascending),
        (false, _) if sort == Sort::Name => ("", Order::Ascending),
        // The largest and the newest are what one looks for.
        (false, _) => ("", Order::Descending),
    };
    let query = View {
        sort,
        order,
        page: 0,
    }
    .query();
    let query = Escaped(&query);
    writeln!(
        html,
        "<th scope=\"col\"{state}><a href=\"{query}\">{label}</a></th>"
    )
}

fn row(html: &mut String, entry: &DirEntry) -> fmt::Result {
    let name = entry.name.to_string_lossy();
    let slash = if entry.is_directory() { "/" } else { "" };
    write!(
        html,
        "<tr><th scope=\"row\"><a href=\"./{}{slash}\"><bdi>{}</bdi>{slash}</a></th><td>",
        percent_encoded(entry.name.as_encoded_bytes()),
        Escaped(&name)
    )?;
    match entry.length() {
        Some(length) => write!(
            html,
            "<data value=\"{length}\" title=\"{} bytes\">{}</data>",
            grouped(length),
            human(length)
        )?,
        None => html.push('\u{2014}'),
    }
    html.push_str("</td><td>");
    match entry.modified.and_then(Utc::of) {
        Some(time) => write!(
            html,
            "<time datetime=\"{}\">{}</time>",
            time.rfc3339(),
            time.short()
        )?,
        None => html.push('\u{2014}'),
    }
    html.push_str("</td></tr>\n");
    Ok(())
}

/// Links to the pages around this one.
fn pages(html: &mut String, page: &Page<'_>) -> fmt::Result {
    if page.pages == 1 {
        return Ok(());
    }
    html.push_str("<nav aria-label=\"Pages\">\n<ul>\n");
    let here = page.view.page;
    let last = page.pages - 1;
    let links = [
        (here > 0).then_some((0, "", "First")),
        (here > 0).then(|| (here - 1, " rel=\"prev\"", "Previous")),
        (here < last).then_some((here + 1, " rel=\"next\"", "Next")),
        (here < last).then_some((last, "", "Last")),
    ];
    for (number, rel, label) in links.into_iter().flatten() {
        let query = View {
            page: number,
            ..page.view
        }
        .query();
        let query = Escaped(&query);
        writeln!(html, "<li><a href=\"{query}\"{rel}>{label}</a></li>")?;
    }
    html.push_str("</ul>\n</nav>\n");
    Ok(())
}
