//! How much memory a process occupies.

/// The resident pages of a process, in bytes; `None` where that is not known.
pub(super) fn resident(pid: u32) -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    parse(&statm)?.checked_mul(rustix::param::page_size() as u64)
}

/// proc(5): "size resident shared text lib data dt", in pages.
fn parse(statm: &str) -> Option<u64> {
    statm.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
