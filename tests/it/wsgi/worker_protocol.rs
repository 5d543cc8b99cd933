//! The worker's half of `src/wsgi/frames.md`, by one of each minor version of CPython that is there.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::support::{
    process::{say, tethered},
    python,
};

/// The oldest that a worker runs on.
const OLDEST: (u32, u32) = (3, 9);

/// Of these tests on one Python, that hang or are on a very busy machine.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_worker_keeps_to_the_protocol_on_every_python_that_is_there() {
    let pythons = pythons();
    assert!(
        !pythons.is_empty(),
        "there is no CPython of at least {OLDEST:?} (Debian: apt-get install python3)"
    );
    let versions: Vec<_> = pythons.values().map(|(version, _)| &**version).collect();
    say(format_args!(
        "the worker's protocol by CPython {}",
        versions.join(", ")
    ));

    // Mostly they wait.
    // They wait more than they compute.
    let outcomes = stream::iter(pythons.values()).map(async |(version, python)| {
        let told = test(python).await;
        told.map_err(|reason| format!("CPython {version} ({}): {reason}", python.display()))
    });
    let outcomes: Vec<_> = outcomes.buffer_unordered(pythons.len()).collect().await;
    let wrong: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn test(python: &Path) -> Result<(), String> {
    let mut command = tethered(python);
    command
        .arg("worker_protocol.py")
        // What this one was told of modules is for this one alone.
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(python::applications())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let mut child = command.spawn().unwrap();
    // It is ended, with all that it has started, when this is let go.
    let tether = child.stdin.take();
    let output = timeout(LIMIT, child.wait_with_output()).await;
    drop(tether);
    let output = output
        .map_err(|_late| format!("it takes longer than {LIMIT:?}"))?
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    match output.status.success() && ran_some(&printed) {
        true => Ok(()),
        false => Err(format!("{}\n{printed}", output.status)),
    }
}

/// `Ran 42 tests in 1.234s`: a file without tests is no proof.
fn ran_some(printed: &str) -> bool {
    let ran = printed.lines().find_map(|line| line.strip_prefix("Ran "));
    let count = ran.and_then(|ran| ran.split(' ').next()?.parse::<u32>().ok());
    count.is_some_and(|count| count > 0)
}

/// By version: of each minor one, the first that is found.
fn pythons() -> BTreeMap<(u32, u32), (String, PathBuf)> {
    let mut found = BTreeMap::new();
    for python in candidates() {
        if let Some((version, number)) = ask(&python)
            && number >= OLDEST
        {
            found.entry(number).or_insert((version, python));
        }
    }
    found
}

fn candidates() -> Vec<PathBuf> {
    let mut candidates = vec![PathBuf::from("python3")];
    let pyenv = match env::var_os("PYENV_ROOT") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".pyenv"),
    };
    candidates.extend(entries(&pyenv.join("versions")).map(|version| version.join("bin/python")));
    candidates.extend(entries(&PathBuf::from("/usr/bin")).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let minor = name.strip_prefix("python3.").unwrap_or_default();
        !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit())
    }));
    candidates
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// Its version, as text and to be compared; `None` if it is no CPython.
fn ask(python: &Path) -> Option<(String, (u32, u32))> {
    let ask = "import platform; print(platform.python_implementation(), platform.python_version())";
    let output = Command::new(python).args(["-c", ask]).output().ok()?;
    let told = String::from_utf8(output.stdout).ok()?;
    let version = told.trim().strip_prefix("CPython ")?;
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let number = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((version.to_owned(), number))
}
