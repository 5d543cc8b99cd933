//! zsync, which fetches of a file only the blocks that an older copy does not have: in few
//! requests, each for many ranges.

use tower_gateway::StaticFiles;

use super::files::{Files, is_there, noise, run, write};

const LENGTH: usize = 2 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn zsync_fetches_what_has_changed_and_no_more() {
    if !is_there("zsync", "zsync", "a client that asks for many ranges") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let client = tempfile::tempdir().unwrap();
    let new = noise(LENGTH);
    write(&root.path().join("new.bin"), &new);
    let made = ["-u", "new.bin", "-o", "new.bin.zsync", "new.bin"];
    let (code, log) = run("zsyncmake", &made, root.path()).await;
    assert_eq!(code, 0, "{log}");
    // A piece in every sixteenth of it was another.
    let mut old = new.clone();
    for piece in old.chunks_mut(LENGTH / 16) {
        piece[5000..5100].fill(0);
    }
    write(&client.path().join("old.bin"), &old);

    let files = Files::serve(StaticFiles::new(root.path())).await;
    let url = files.url("/new.bin.zsync");
    let fetch = ["-i", "old.bin", "-o", "fetched.bin", &url];
    let (code, log) = run("zsync", &fetch, client.path()).await;
    assert_eq!(code, 0, "{log}");
    let fetched = std::fs::read(client.path().join("fetched.bin")).unwrap();
    assert!(fetched == new, "what was put together is the new file");

    let seen = files.seen("/new.bin");
    let sent: u64 = seen.iter().map(|seen| seen.length()).sum();
    assert!(
        sent > 0 && sent < LENGTH as u64 / 4,
        "{sent} bytes were sent for 16 pieces: {seen:#?}"
    );
    let asked_for_several = |range: &str| range.contains(',');
    assert!(
        seen.iter()
            .any(|seen| seen.range().is_some_and(asked_for_several)),
        "several ranges were asked for at once: {seen:#?}"
    );
    assert!(seen.iter().all(|seen| seen.status == 206), "{seen:#?}");
}
