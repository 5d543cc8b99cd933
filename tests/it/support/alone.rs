//! Tests that count what belongs to the whole process.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use tokio::time::interval;

use super::{process::say, raw::PATIENCE};

const ALONE: &str = "TOWER_GATEWAY_TEST_ALONE";

/// Whether this process runs this test and nothing else, so that its descriptors and its memory
/// are the test's. If not, such a process is run to its end, and there is nothing left to do.
pub fn is_alone(test: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "no such test: {printed}");
    for line in printed.lines().filter(|line| line.starts_with("  ")) {
        say(format_args!("{}", line.trim_start()));
    }
    false
}

/// How many descriptors this process has open.
pub fn descriptors() -> usize {
    // The one that reads the folder is one of them, each time.
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The memory that this process occupies, in bytes.
pub fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Waits until `like` gives nothing; what it gives otherwise is what is wrong.
pub async fn settled(mut like: impl FnMut() -> Option<String>) -> Result<(), String> {
    let start = Instant::now();
    let mut looks = interval(Duration::from_millis(2));
    while let Some(wrong) = like() {
        if start.elapsed() > PATIENCE / 4 {
            return Err(wrong);
        }
        looks.tick().await;
    }
    Ok(())
}
