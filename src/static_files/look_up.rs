//! From a request to the answer that a file, or a directory, is.

use std::{borrow::Cow, io};

use http::{Response, request::Parts};

use super::{
    answer::{answer, to_directory},
    find::{Located, Place, find},
    layer::{Config, PUBLIC},
    listing,
    representation::{Representation, all, choose},
    seen::{self, Outcome},
    service::failed,
    source::Wait,
    target::Target,
    turns::Turn,
};
use crate::{Body, semantics::mount::is_bare_mount};

/// What came of looking for a file.
#[derive(Debug)]
pub(super) enum Lookup {
    Answer(Response<Body>),
    Miss,
    /// The disk has to be asked, by the one whose turn it is.
    Wait(Turn),
}

/// How often a file is opened that becomes shorter before its first bytes are read.
const ATTEMPTS: u32 = 3;

/// Looks for the file of a path, which is below the mount from byte `below` on.
pub(super) fn look_up(config: &Config, head: &Parts, below: usize, wait: Wait) -> Lookup {
    let path = head.uri.path();
    let below = path.get(below..).unwrap_or_default();
    let mut attempts = 1..ATTEMPTS;
    let place = loop {
        match place(config, head, below, wait) {
            // It was emptied, to be written anew, after it was opened.
            Err(error)
                if wait == Wait::Blocking
                    && error.kind() == io::ErrorKind::UnexpectedEof
                    && attempts.next().is_some() => {}
            place => break place,
        }
    };
    match place {
        Ok(Some((outcome, response))) => {
            seen::answered(outcome, path, &response);
            Lookup::Answer(response)
        }
        Ok(None) => Lookup::Miss,
        Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {
            let cache = config.memory().cache.as_ref();
            let turn = cache.map_or(Turn::Free, |cache| cache.turn(below));
            Lookup::Wait(turn)
        }
        Err(error) => Lookup::Answer(failed(Some(path), error)),
    }
}

/// `None` is a miss.
fn place(
    config: &Config,
    head: &Parts,
    below: &str,
    wait: Wait,
) -> io::Result<Option<(Outcome, Response<Body>)>> {
    let Some(cache) = &config.memory().cache else {
        return match looked_for(config, below, wait)? {
            Place::File(located) => {
                let representation =
                    || choose(config, located, &head.headers, wait).map(Cow::Owned);
                file(config, head, below, representation, false, wait).map(Some)
            }
            other => directory(config, head, &other, wait),
        };
    };
    let (entry, is_known) = cache.get(below, wait, |known| {
        looked_for(config, below, wait)?.try_map(|located| all(config, located, known, wait))
    })?;
    match &entry.place {
        Place::File(resource) => {
            let representation = || Ok(Cow::Borrowed(resource.choose(&head.headers)));
            file(config, head, below, representation, is_known, wait).map(Some)
        }
        other => directory(config, head, other, wait),
    }
}

fn looked_for<'a>(config: &'a Config, below: &str, wait: Wait) -> io::Result<Place<Located<'a>>> {
    match Target::of(below, config.dotfiles) {
        Some(target) => find(config, PUBLIC, target, wait),
        None => Ok(Place::Nothing),
    }
}

/// The answer to a path that is a file's.
fn file<'a>(
    config: &Config,
    head: &Parts,
    below: &str,
    representation: impl FnOnce() -> io::Result<Cow<'a, Representation>>,
    is_known: bool,
    wait: Wait,
) -> io::Result<(Outcome, Response<Body>)> {
    // The mount, named without the slash behind it, is a directory's path.
    if let Some(status) = config.directory_redirect
        && below.ends_with('/')
        && is_bare_mount(&head.extensions, head.uri.path())
    {
        return Ok((Outcome::Redirect, to_directory(status, head)));
    }
    let response = answer(representation()?, head, wait)?;
    let outcome = Outcome::of_file(response.status(), is_known);
    Ok((outcome, response))
}

/// The answer to a path that is no file's.
fn directory<F>(
    config: &Config,
    head: &Parts,
    place: &Place<F>,
    wait: Wait,
) -> io::Result<Option<(Outcome, Response<Body>)>> {
    match (place, config.directory_redirect) {
        (Place::Redirect, Some(status)) => {
            Ok(Some((Outcome::Redirect, to_directory(status, head))))
        }
        (Place::Listing(name), _) => {
            let listing = listing::answer(config, head, name, wait)?;
            Ok(listing.map(|response| (Outcome::Listing, response)))
        }
        _ => Ok(None),
    }
}
