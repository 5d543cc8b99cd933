//! Git's smart protocol, spoken by `git` itself: dulwich answers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::super::application::{Application, WAYS};

#[tokio::test(flavor = "multi_thread")]
async fn git_pushes_clones_and_fetches() {
    for way in WAYS {
        let home = tempfile::tempdir().unwrap();
        let git = Git {
            home: home.path().to_owned(),
            // dulwich decodes chunks where it is told of them: once more, under Gunicorn, which has
            // decoded them and tells of them yet.
            chunks: way.is_ours(),
        };
        git.run(
            ".",
            &["init", "-q", "--bare", "-b", "main", "served/project"],
        );
        let application =
            Application::new("git_app:application").env("GIT_ROOT", home.path().join("served"));
        let running = way.start(&application).await;
        let (url, who) = (
            format!("http://{}/project", running.addr),
            running.who.clone(),
        );
        // Git waits for an answer, and so does this thread.
        tokio::task::spawn_blocking(move || tell(&git, &url, &who))
            .await
            .unwrap();
        running.is_valid();
    }
}

fn tell(git: &Git, url: &str, who: &str) {
    git.run(".", &["init", "-q", "-b", "main", "work"]);
    let work = git.home.join("work");
    // Nothing that could be packed more tightly.
    let mut state = 1_u64;
    let noise = (0..1_000_000).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    fs::write(work.join("noise"), noise.collect::<Vec<u8>>()).unwrap();
    fs::write(work.join("text"), "a line\n".repeat(1_000)).unwrap();
    git.commit("work", "first");

    // More than http.postBuffer goes in chunks.
    let pushed = git.run("work", &["push", "-q", url, "main"]);
    let chunked = pushed.sent("transfer-encoding: chunked");
    assert_eq!(chunked, git.chunks, "{who}: {}", pushed.trace);
    for version in ["0", "1", "2"] {
        let to = format!("clone-{version}");
        let version = format!("protocol.version={version}");
        git.run(".", &["-c", &version, "clone", "-q", url, &to]);
        git.run(&to, &["fsck", "--strict"]);
        for name in ["noise", "text"] {
            let cloned = fs::read(git.home.join(&to).join(name)).unwrap();
            assert!(
                cloned == fs::read(work.join(name)).unwrap(),
                "{who} {version} {name}"
            );
        }
    }

    // Who has much of its own tells it compressed.
    git.import("clone-2", &own_commits());
    fs::write(work.join("more"), "more\n").unwrap();
    git.commit("work", "second");
    git.run("work", &["push", "-q", url, "main"]);
    let fetched = git.run("clone-2", &["fetch", "-q", url, "main"]);
    assert!(
        fetched.sent("content-encoding: gzip"),
        "{who}: {}",
        fetched.trace
    );
    git.run("clone-2", &["merge", "-q", "-m", "merged", "FETCH_HEAD"]);
    git.run("clone-2", &["push", "-q", url, "HEAD:refs/heads/merged"]);
    let seen = git.run(".", &["ls-remote", url]).stdout;
    assert!(seen.contains("refs/heads/merged"), "{who} {seen}");
    git.run("work", &["push", "-q", url, "--delete", "merged"]);
    let seen = git.run(".", &["ls-remote", url]).stdout;
    assert!(!seen.contains("refs/heads/merged"), "{who} {seen}");
    git.run("served/project", &["fsck", "--strict"]);
}

/// Sixty commits on top of what was cloned, as `git fast-import` reads them. The newest are told of
/// first, so these are of the year 2096.
fn own_commits() -> String {
    let commit = |number| {
        let from = match number {
            0 => "from refs/heads/main^0\n",
            _ => "",
        };
        format!(
            "commit refs/heads/main\ncommitter c <c@example.org> {} +0000\n\
             data <<END\nown {number}\nEND\n{from}\n",
            4_000_000_000_u64 + number
        )
    };
    (0..60).map(commit).collect()
}

struct Git {
    home: PathBuf,
    chunks: bool,
}

struct Done {
    stdout: String,
    /// What `git` says of its requests.
    trace: String,
}

impl Done {
    fn sent(&self, field: &str) -> bool {
        let mut lines = self.trace.lines();
        lines.any(|line| line.contains("Send header") && line.to_lowercase().contains(field))
    }
}

impl Git {
    fn commit(&self, work: &str, message: &str) {
        self.run(work, &["add", "-A"]);
        self.run(work, &["commit", "-q", "-m", message]);
    }

    fn import(&self, directory: &str, stream: &str) {
        let file = self.home.join("stream");
        fs::write(&file, stream).unwrap();
        let stream = fs::File::open(&file).unwrap();
        self.run_with(directory, &["fast-import", "--quiet"], stream.into());
    }

    fn run(&self, directory: &str, arguments: &[&str]) -> Done {
        self.run_with(directory, arguments, Stdio::null())
    }

    fn run_with(&self, directory: &str, arguments: &[&str], stdin: Stdio) -> Done {
        let trace = self.home.join("trace");
        let buffer = if self.chunks { "200000" } else { "10000000" };
        fs::remove_file(&trace).ok();
        let mut command = Command::new("git");
        command
            .current_dir(self.home.join(directory))
            .args(arguments)
            .stdin(stdin)
            // Nothing of whoever runs the tests.
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "http.postBuffer")
            .env("GIT_CONFIG_VALUE_0", buffer)
            .env("GIT_CONFIG_KEY_1", "gc.auto")
            .env("GIT_CONFIG_VALUE_1", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_TRACE_CURL", &trace)
            .env("GIT_TRACE_CURL_NO_DATA", "1");
        for (who, name) in [("AUTHOR", "a"), ("COMMITTER", "c")] {
            command
                .env(format!("GIT_{who}_NAME"), name)
                .env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        for proxy in ["http_proxy", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let output = command.output().expect("git (Debian: apt-get install git)");
        let trace = read(&trace);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}\n{trace}",
            String::from_utf8_lossy(&output.stderr)
        );
        Done {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            trace,
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
