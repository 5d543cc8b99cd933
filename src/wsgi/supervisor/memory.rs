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
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_what_is_resident() {
        assert_eq!(parse("3057 1270 1116 5 0 424 0\n"), Some(1270));
        assert_eq!(parse(""), None);
        assert_eq!(parse("3057 x"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_occupies_some() {
        let resident = resident(std::process::id()).unwrap();
        assert!(resident > 1 << 20, "{resident}");
        assert_eq!(super::resident(u32::MAX), None);
    }
}
