//! What of a directory is shown, and in which order.

use std::{cmp::Ordering, ffi::OsStr};

use super::{DirEntry, Listed};

/// Whether a name is one that a request may name.
pub(in super::super) fn is_shown(name: &OsStr, dotfiles: bool) -> bool {
    let bytes = name.as_encoded_bytes();
    let is_hidden = bytes.starts_with(b".") && bytes != b".well-known";
    // Elsewhere than on Unix, a path is text.
    let is_text = cfg!(unix) || name.to_str().is_some();
    is_text && is_segment(bytes) && (dotfiles || !is_hidden)
}

/// Whether a canonical path can have it as a segment: `semantics::path` refuses the others.
fn is_segment(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| b"/\\\0".contains(byte))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Name,
    Size,
    Modified,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Ascending,
    Descending,
}

/// What the query asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) sort: Sort,
    pub(super) order: Order,
    /// From zero.
    pub(super) page: usize,
}

impl View {
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut view = Self::default();
        let fields = query.unwrap_or_default().split('&');
        for (name, value) in fields.filter_map(|field| field.split_once('=')) {
            match (name, value) {
                ("sort", "name") => view.sort = Sort::Name,
                ("sort", "size") => view.sort = Sort::Size,
                ("sort", "modified") => view.sort = Sort::Modified,
                ("order", "asc") => view.order = Order::Ascending,
                ("order", "desc") => view.order = Order::Descending,
                ("page", number) => {
                    view.page = number
                        .parse()
                        .map_or(0, |page: usize| page.saturating_sub(1));
                }
                _ => {}
            }
        }
        view
    }

    /// The query that asks for it.
    pub(super) fn query(self) -> String {
        let sort = match self.sort {
            Sort::Name => "name",
            Sort::Size => "size",
            Sort::Modified => "modified",
        };
        let order = match self.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        match self.page {
            0 => format!("?sort={sort}&order={order}"),
            page => format!("?sort={sort}&order={order}&page={}", page + 1),
        }
    }
}

/// The entries of one page.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) entries: Vec<&'a DirEntry>,
    pub(super) view: View,
    pub(super) pages: usize,
    pub(super) total: usize,
    pub(super) truncated: bool,
}

impl<'a> Page<'a> {
    pub(super) fn of(size: usize, listed: &'a Listed, mut view: View) -> Self {
        let mut entries: Vec<&DirEntry> = listed
            .entries
            .iter()
            // A source of somebody else's may not have asked.
            .filter(|entry| is_shown(&entry.name, true))
            .collect();
        let total = entries.len();
        let pages = total.div_ceil(size).max(1);
        view.page = view.page.min(pages - 1);
        entries.sort_by(|a, b| compare(a, b, view));
        let entries = entries.into_iter().skip(view.page * size).take(size);
        Self {
            entries: entries.collect(),
            view,
            pages,
            total,
            truncated: listed.truncated,
        }
    }
}

/// Directories first, whatever the order; entries that are equal by name.
fn compare(a: &DirEntry, b: &DirEntry, view: View) -> Ordering {
    let by_name = || natural(a.name.as_encoded_bytes(), b.name.as_encoded_bytes());
    let by_kind = b.is_directory().cmp(&a.is_directory());
    let asked = match view.sort {
        Sort::Name => by_name(),
        Sort::Size => a.length().cmp(&b.length()),
        Sort::Modified => a.modified.cmp(&b.modified),
    };
    let asked = match view.order {
        Order::Ascending => asked,
        Order::Descending => asked.reverse(),
    };
    by_kind.then(asked).then_with(by_name)
}

/// Digits count as numbers, and letters of ASCII without their case; names that differ in nothing
/// else are compared as bytes, so that the order is total.
pub(super) fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(&x), Some(&y)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (take_number(&mut left), take_number(&mut right));
            // Without leading zeros the longer number is the larger one.
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase())
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the digits at the beginning, and gives them without leading zeros.
fn take_number<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    *bytes = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}
