//! From a request to the answer that a file, or a directory, is.

use std::{borrow::Cow, io};

use http::{Response, request::Parts};

use super::{
    answer::{answer, to_directory},
    find::{Located, Place, find},
    layer::{Config, PUBLIC},
    listing,
    representation::{all, choose},
    service::failed,
    source::Wait,
    target::Target,
};
use crate::{Body, semantics::mount::is_bare_mount};

/// What came of looking for a file.
#[derive(Debug)]
pub(super) enum Lookup {
    Answer(Response<Body>),
    Miss,
    /// The disk has to be asked.
    Wait,
}

/// Looks for the file of a path, which is below the mount from byte `below` on.
pub(super) fn look_up(config: &Config, head: &Parts, below: usize, wait: Wait) -> Lookup {
    match place(config, head, below, wait) {
        Ok(Some(response)) => {
            let status = response.status().as_u16();
            tracing::debug!(path = head.uri.path(), status, "answered with a file");
            Lookup::Answer(response)
        }
        Ok(None) => Lookup::Miss,
        Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {
            Lookup::Wait
        }
        Err(error) => Lookup::Answer(failed(error)),
    }
}

/// `None` is a miss.
fn place(
    config: &Config,
    head: &Parts,
    below: usize,
    wait: Wait,
) -> io::Result<Option<Response<Body>>> {
    let below = head.uri.path().get(below..).unwrap_or_default();
    let Some(cache) = &config.memory().cache else {
        return match looked_for(config, below, wait)? {
            Place::File(located) => {
                if let Some(redirect) = to_mount(config, head, below) {
                    return Ok(Some(redirect));
                }
                let representation = choose(config, located, &head.headers, wait)?;
                answer(Cow::Owned(representation), head, wait).map(Some)
            }
            other => directory(config, head, &other, wait),
        };
    };
    let entry = cache.get(below, wait, |known| {
        looked_for(config, below, wait)?.try_map(|located| all(config, located, known, wait))
    })?;
    match &entry.place {
        Place::File(resource) => {
            if let Some(redirect) = to_mount(config, head, below) {
                return Ok(Some(redirect));
            }
            let representation = Cow::Borrowed(resource.choose(&head.headers));
            answer(representation, head, wait).map(Some)
        }
        other => directory(config, head, other, wait),
    }
}

fn looked_for<'a>(config: &'a Config, below: &str, wait: Wait) -> io::Result<Place<Located<'a>>> {
    match Target::of(below, config.dotfiles) {
        Some(target) => find(config, PUBLIC, &target, wait),
        None => Ok(Place::Nothing),
    }
}

/// A redirect to the mount with a slash behind it, if the client named it without.
fn to_mount(config: &Config, head: &Parts, below: &str) -> Option<Response<Body>> {
    let status = config.directory_redirect?;
    let is_bare = below.ends_with('/') && is_bare_mount(&head.extensions, head.uri.path());
    is_bare.then(|| to_directory(status, head))
}

/// The answer to a path that is no file's.
fn directory<F>(
    config: &Config,
    head: &Parts,
    place: &Place<F>,
    wait: Wait,
) -> io::Result<Option<Response<Body>>> {
    match (place, config.directory_redirect) {
        (Place::Redirect, Some(status)) => Ok(Some(to_directory(status, head))),
        (Place::Listing(name), _) => listing::answer(config, head, name, wait),
        _ => Ok(None),
    }
}
