#![allow(clippy::unwrap_used)]

use tokio::net::UnixStream;

use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_enter_where_workers_meet_and_nothing_is_left_of_it() {
    let meeting = Meeting::new().unwrap();
    let directory = meeting.directory.path().to_owned();
    assert_eq!(mode(&directory), 0o700);
    assert!(meeting.socket().exists());
    drop(meeting);
    assert!(!directory.exists());
}

#[tokio::test]
async fn where_a_path_would_be_too_long_for_a_socket_there_is_no_meeting() {
    let long = tempfile::tempdir().unwrap();
    let long = long.path().join("x".repeat(100));
    fs::create_dir(&long).unwrap();
    assert!(Meeting::at(&long).is_err());
    // Nor anything that is left of the attempt.
    assert_eq!(long.read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_cleared_away_is_made_anew_at_the_same_place() {
    let mut meeting = Meeting::new().unwrap();
    let (directory, socket) = (
        meeting.directory.path().to_owned(),
        meeting.socket().to_owned(),
    );
    assert!(!meeting.door.reopen().unwrap());
    for clear_away in [
        |directory: &Path| fs::remove_dir_all(directory).unwrap(),
        |directory: &Path| fs::remove_file(directory.join(SOCKET)).unwrap(),
        // Something else may lie there.
        |directory: &Path| {
            fs::remove_file(directory.join(SOCKET)).unwrap();
            fs::write(directory.join(SOCKET), "").unwrap();
        },
    ] {
        clear_away(&directory);
        assert!(UnixStream::connect(&socket).await.is_err());
        assert!(meeting.door.reopen().unwrap());
        assert_eq!(mode(&directory), 0o700);
        let _dialled = UnixStream::connect(&socket).await.unwrap();
        meeting.door.listener.accept().await.unwrap();
        assert!(!meeting.door.reopen().unwrap());
    }
    drop(meeting);
    assert!(!directory.exists());
}

#[tokio::test]
async fn what_others_could_enter_is_not_taken_for_it() {
    let mut meeting = Meeting::new().unwrap();
    let directory = meeting.directory.path().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &directory).unwrap();
    meeting.door.reopen().unwrap_err();
    fs::remove_file(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    meeting.door.reopen().unwrap_err();
    assert_eq!(directory.read_dir().unwrap().count(), 0);
    // Until that is gone.
    fs::remove_dir(&directory).unwrap();
    assert!(meeting.door.reopen().unwrap());
}
