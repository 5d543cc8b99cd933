#![allow(clippy::unwrap_used)]

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
