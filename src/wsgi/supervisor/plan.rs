//! What is started: found out once, before the first worker.

mod import_path;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::super::{
    SpawnError,
    builder::{Processes, public_name},
    process::{self, Launch},
};

/// Everything that all workers have in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) application: String,
    pub(super) python: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) path: Vec<PathBuf>,
    env: Vec<(OsString, OsString)>,
    clears_env: bool,
    config: Map<String, Value>,
}

impl Plan {
    pub(super) fn new(
        processes: &Processes,
        environ: &[(String, String)],
        socket: &Path,
    ) -> Result<Self, SpawnError> {
        let application = processes.application.clone();
        import_path::check(&application)
            .map_err(|why| SpawnError::import_path(&application, why))?;
        let failed = |path: &Path| {
            let what = format!("the directory {} cannot be used", path.display());
            move |error| SpawnError::io(what, error)
        };
        let here = processes.directory.as_deref().unwrap_or(Path::new("."));
        let directory = process::absolute(here).map_err(failed(here))?;
        if !directory.metadata().map_err(failed(here))?.is_dir() {
            return Err(failed(here)(io::ErrorKind::NotADirectory.into()));
        }
        let path = processes.pythonpath.iter();
        let path = path.map(|path| process::absolute(path).map_err(failed(path)));
        let path = path.collect::<Result<Vec<_>, _>>()?;
        let said = processes.python.as_deref();
        let python = process::choose(said, &directory, std::env::var_os("VIRTUAL_ENV")).map_err(
            |error| SpawnError::interpreter(said.unwrap_or(Path::new("python3")), error),
        )?;
        let text = |path: &Path| match path.to_str() {
            Some(path) => Ok(path.to_owned()),
            // JSON has no other.
            None => Err(failed(path)(io::Error::other("its name is not UTF-8"))),
        };
        let environ = environ.iter();
        let environ: Map<_, _> = environ
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let paths = path.iter().map(|path| text(path));
        let config = [
            ("application", Value::from(&*application)),
            ("directory", text(&directory)?.into()),
            ("path", paths.collect::<Result<Vec<_>, _>>()?.into()),
            ("socket", text(socket)?.into()),
            ("threads", processes.threads.into()),
            ("environ", environ.into()),
            (
                "server_software",
                concat!("tower-gateway/", env!("CARGO_PKG_VERSION")).into(),
            ),
            ("switch_interval", Value::Null),
            ("tether", true.into()),
        ];
        let config = config.map(|(name, value)| (name.to_owned(), value));
        let config = Map::from_iter(config);
        Ok(Self {
            application,
            python,
            directory,
            path,
            env: processes.env.clone(),
            clears_env: processes.clears_env,
            config,
        })
    }

    /// How a worker, or a template, of this number is started.
    pub(super) fn launch(&self, id: u32, is_template: bool) -> Launch<'_> {
        let mut config = self.config.clone();
        config.insert("worker".to_owned(), id.into());
        config.insert("template".to_owned(), is_template.into());
        Launch {
            worker: id,
            title: self.title(id, is_template),
            python: &self.python,
            directory: &self.directory,
            env: &self.env,
            clears_env: self.clears_env,
            config: Value::Object(config).to_string(),
        }
    }
}

impl Plan {
    /// By what a process is known where all are listed, which anybody can read: not by what its
    /// application is made of.
    fn title(&self, id: u32, is_template: bool) -> Vec<String> {
        let mut title = vec!["tower-gateway".to_owned()];
        match is_template {
            true => title.push("template".to_owned()),
            false => title.extend(["worker".to_owned(), id.to_string()]),
        }
        title.push(public_name(&self.application));
        title
    }
}

#[cfg(test)]
mod tests;
