//! Real Python applications behind real servers.
//!
//! The environment is made once, under `target/`, from `tests/python/requirements.txt`.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use rustix::fs::{FlockOperation, flock};

use super::process::{self, Process, say};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where the interop applications are.
pub fn applications() -> PathBuf {
    Path::new(ROOT).join("tests/python")
}

pub fn mysite() -> PathBuf {
    Path::new(ROOT).join("examples/mysite")
}

/// A program of the environment, to be run from `directory`, and ended when the test lets go of
/// it or is killed.
pub fn command(program: &str, directory: &Path) -> Command {
    let program = environment().join("bin").join(program);
    let mut command = process::tethered(program);
    // What the tests run must not leave anything in the source tree.
    command
        .current_dir(directory)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1");
    command
}

/// The virtual environment with everything that the tests run; made if it is not there.
pub fn environment() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let requirements = applications().join("requirements.txt");
        let mut hash = DefaultHasher::new();
        fs::read(&requirements).unwrap().hash(&mut hash);
        let directory = target().join(format!("python-{:016x}", hash.finish()));
        let ready = directory.join("ready");

        // Other test processes wait here until the first has made it.
        let _lock = lock("python");
        if !ready.exists() {
            make(&directory, &requirements);
            fs::write(ready, "").unwrap();
        }
        directory
    })
}

fn make(directory: &Path, requirements: &Path) {
    say(format_args!(
        "making a Python environment for the interop tests (once, a minute) ..."
    ));
    // What an interrupted run left is not trusted.
    fs::remove_dir_all(directory).ok();
    step(
        Command::new("python3").args(["-m", "venv"]).arg(directory),
        "`python3 -m venv` (Debian: apt-get install python3 python3-venv)",
    );
    step(
        Command::new(directory.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "-q",
                "-r",
            ])
            .arg(requirements),
        "`pip install` of tests/python/requirements.txt (it needs PyPI)",
    );
    say(format_args!(
        "the Python environment is made: {}",
        directory.display()
    ));
}

fn step(command: &mut Command, what: &str) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            std::io::stderr().write_all(&output.stderr).unwrap();
            panic!(
                "the interop tests cannot run: {what} failed with {}",
                output.status
            );
        }
        Err(error) => panic!("the interop tests cannot run: {what}: {error}"),
    }
}

/// Gunicorn on a Unix socket in a directory of its own.
pub struct Gunicorn {
    pub process: Process,
    pub socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Gunicorn {
    /// `command` is what `command("gunicorn", …)` gave, with the application and its options.
    pub fn start(mut command: Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        command
            .arg("--no-control-socket")
            .args(["--access-logfile", "-", "--graceful-timeout", "2", "--bind"])
            .arg(format!("unix:{}", socket.display()));
        let mut process = Process::start(command);
        process.wait_for("Listening at:");
        Self {
            process,
            socket,
            _directory: directory,
        }
    }

    pub fn url(&self) -> String {
        format!("http+unix:{}", self.socket.display())
    }
}

/// The Tornado application on a port of its choice.
pub struct Tornado {
    pub process: Process,
    pub url: String,
}

pub fn tornado() -> Tornado {
    let mut command = command("python", &applications());
    command.args(["tornado_app.py", "--port=0"]);
    let mut process = Process::start(command);
    let line = process.wait_for("listening on ");
    let port = line.strip_prefix("listening on ").unwrap().trim();
    let url = format!("http://127.0.0.1:{port}");
    Tornado { process, url }
}

/// A database with the example's questions and an administrator, and all static files.
pub struct Site {
    directory: tempfile::TempDir,
}

/// The password of the user `admin`.
pub const PASSWORD: &str = "correct horse";

impl Site {
    pub fn new() -> Self {
        let site = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let template = template();
        fs::copy(
            template.join("db.sqlite3"),
            site.directory.path().join("db.sqlite3"),
        )
        .unwrap();
        site
    }

    /// What `collectstatic` gathered: the site's own files and the admin's.
    pub fn static_root(&self) -> PathBuf {
        template().join("static")
    }

    pub fn gunicorn(&self, options: &[&str]) -> Gunicorn {
        let mut command = self.command("gunicorn");
        command.arg("config.wsgi").args(options);
        Gunicorn::start(command)
    }

    /// Where its database is.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("db.sqlite3")
    }

    /// A program of the environment, to be run as this site behind a gateway.
    pub fn command(&self, program: &str) -> Command {
        let mut command = command(program, &mysite());
        command.envs(self.variables());
        command
    }

    /// A program that starts Python itself, to be run as this site.
    pub fn container(&self, mut command: Command) -> Command {
        command
            .envs(self.variables())
            .env("VIRTUAL_ENV", environment())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn variables(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("MYSITE_DATABASE", self.database()),
            ("MYSITE_WHOAMI", "1".into()),
            ("MYSITE_ACCEL", "/protected".into()),
            ("MYSITE_BEHIND_GATEWAY", "1".into()),
        ]
    }
}

/// A migrated database and collected static files, for tests to copy; made again when the
/// example has changed.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let mut hash = DefaultHasher::new();
        hash_files(&mysite(), &mut hash);
        let environment = environment();
        let site = environment.join(format!("mysite-{:016x}", hash.finish()));
        let _lock = lock("mysite");
        if !site.exists() {
            let new = tempfile::tempdir_in(environment).unwrap();
            for arguments in [
                &["migrate", "-v", "0"][..],
                &["seed", "--admin-password", PASSWORD],
                &["collectstatic", "--noinput", "-v", "0"],
            ] {
                let mut manage = Command::new(environment.join("bin/python"));
                manage
                    .arg("manage.py")
                    .args(arguments)
                    .current_dir(mysite())
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .env("MYSITE_DATABASE", new.path().join("db.sqlite3"))
                    .env("MYSITE_STATIC_ROOT", new.path().join("static"));
                step(&mut manage, "`manage.py` of examples/mysite");
            }
            // Whole or not at all. Each command closed the database, so no journal is left.
            fs::rename(new.keep(), &site).unwrap();
        }
        site
    })
}

fn hash_files(directory: &Path, hash: &mut DefaultHasher) {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let made = ["__pycache__", "staticfiles", ".venv"]
            .iter()
            .any(|made| name == *made);
        if made || name.to_string_lossy().starts_with("db.sqlite3") {
            continue;
        }
        name.hash(hash);
        match entry.file_type().unwrap().is_dir() {
            true => hash_files(&entry.path(), hash),
            false => fs::read(entry.path()).unwrap().hash(hash),
        }
    }
}

/// Keeps other test processes from making the same thing, until it is dropped.
fn lock(what: &str) -> fs::File {
    let lock = fs::File::create(target().join(format!("{what}.lock"))).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    lock
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}
