//! From a path to the file that it leads to.

use std::{io, path::PathBuf};

use super::{
    layer::Config,
    source::{Found, Origin, Source, SourceFile, Wait},
    target::{Attempt, Target},
};

/// What a path leads to. What stands for a file depends on whether it is kept.
#[derive(Debug)]
pub(super) enum Place<F> {
    File(F),
    /// A directory whose path lacks the slash.
    Redirect,
    /// A directory without an index file, of which a list is to be shown.
    Listing(PathBuf),
    Nothing,
}

impl<F> Place<F> {
    /// With something else for the file.
    pub(super) fn try_map<T>(self, map: impl FnOnce(F) -> io::Result<T>) -> io::Result<Place<T>> {
        Ok(match self {
            Self::File(file) => Place::File(map(file)?),
            Self::Redirect => Place::Redirect,
            Self::Listing(name) => Place::Listing(name),
            Self::Nothing => Place::Nothing,
        })
    }
}

/// A file, and where it was found.
#[derive(Debug)]
pub(super) struct Located<'a> {
    pub(super) file: SourceFile,
    pub(super) name: PathBuf,
    /// What lies beside it is looked for here.
    pub(super) source: &'a Origin,
    pub(super) shelf: usize,
}

/// Looks for what a target stands for, in the sources of a shelf in their order.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else a source's.
pub(super) fn find<'a>(
    config: &'a Config,
    shelf: usize,
    mut target: Target,
    wait: Wait,
) -> io::Result<Place<Located<'a>>> {
    for attempt in &config.tries {
        let place = if attempt.is_path() {
            find_path(config, shelf, &mut target, wait)?
        } else {
            find_name(config, shelf, attempt, &target, wait)?
        };
        if !matches!(place, Place::Nothing) {
            return Ok(place);
        }
    }
    Ok(Place::Nothing)
}

/// A file that is always the same, whatever the path was.
pub(super) fn find_fixed<'a>(
    config: &'a Config,
    shelf: usize,
    name: PathBuf,
    wait: Wait,
) -> io::Result<Option<Located<'a>>> {
    for source in &config.shelves[shelf] {
        if let Found::File(file) = source.open(&name, wait)? {
            return Ok(Some(Located {
                file,
                name,
                source,
                shelf,
            }));
        }
    }
    Ok(None)
}

fn find_name<'a>(
    config: &'a Config,
    shelf: usize,
    attempt: &Attempt,
    target: &Target,
    wait: Wait,
) -> io::Result<Place<Located<'a>>> {
    let Some(name) = attempt.name(target) else {
        return Ok(Place::Nothing);
    };
    let found = find_fixed(config, shelf, name.into_owned(), wait)?;
    Ok(found.map_or(Place::Nothing, Place::File))
}

/// Takes the name out of the target, if it is a file's.
fn find_path<'a>(
    config: &'a Config,
    shelf: usize,
    target: &mut Target,
    wait: Wait,
) -> io::Result<Place<Located<'a>>> {
    if target.has_slash {
        return match index_file(config, shelf, target, wait)? {
            Some(located) => Ok(Place::File(located)),
            None if config.listing.is_some() && is_directory(config, shelf, target, wait)? => {
                Ok(Place::Listing(target.name.clone()))
            }
            None => Ok(Place::Nothing),
        };
    }
    let mut is_directory = false;
    for source in &config.shelves[shelf] {
        match source.open(&target.name, wait)? {
            Found::File(file) => {
                let name = std::mem::take(&mut target.name);
                return Ok(Place::File(Located {
                    file,
                    name,
                    source,
                    shelf,
                }));
            }
            Found::Directory => is_directory = true,
            Found::Nothing => {}
        }
    }
    // Without an index file (or a list) the slash would lead to a miss, and the path may well be
    // one of the application's.
    let leads_on = is_directory
        && config.directory_redirect.is_some()
        && (config.listing.is_some() || index_file(config, shelf, target, wait)?.is_some());
    Ok(match leads_on {
        true => Place::Redirect,
        false => Place::Nothing,
    })
}

/// The first index file that the directory has, in whatever source.
fn index_file<'a>(
    config: &'a Config,
    shelf: usize,
    target: &Target,
    wait: Wait,
) -> io::Result<Option<Located<'a>>> {
    for index in &config.index {
        if let Some(located) = find_fixed(config, shelf, target.name.join(index), wait)? {
            return Ok(Some(located));
        }
    }
    Ok(None)
}

fn is_directory(config: &Config, shelf: usize, target: &Target, wait: Wait) -> io::Result<bool> {
    for source in &config.shelves[shelf] {
        if matches!(source.open(&target.name, wait)?, Found::Directory) {
            return Ok(true);
        }
    }
    Ok(false)
}
