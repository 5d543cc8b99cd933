//! What one can say about the files to serve.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use http::StatusCode;
use tower_layer::Layer;

use super::{
    cache::{Cache, CacheOptions},
    codings::{Codings, Siblings},
    digest::Digests,
    fallbacks::Fallbacks,
    listing::Listing,
    media_type::MediaTypes,
    open::{Root, Symlinks},
    policy::{Policy, Remembered},
    service::{NotFound, StaticFilesService},
    source::{Identity, Origin, Source},
    target::Attempt,
    validators::EntityTags,
};
#[cfg(feature = "compression")]
use super::{codings::Key, compress::Compressed};
use crate::semantics::{mount::Prefix, path::PathPolicy};

mod contents;
mod elsewhere;

/// Serves files: those of a directory, or of whatever is a [`Source`]. See the [module docs](super) for an example.
///
/// It is a layer, and also a service that ends a stack. Clones share one configuration.
#[derive(Clone, Debug)]
#[must_use]
pub struct StaticFiles {
    config: Arc<Config>,
}

/// What was said, and what is remembered between requests. A clone begins with nothing to remember:
/// what is said of it next may be something else.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) at: Prefix,
    pub(super) paths: PathPolicy,
    pub(super) dotfiles: bool,
    pub(super) index: Vec<String>,
    pub(super) directory_redirect: Option<StatusCode>,
    pub(super) tries: Vec<Attempt>,
    pub(super) listing: Option<Listing>,
    /// Roots, each in the order in which its sources are looked in: first the one for everybody,
    /// then those for what the service inside answers.
    pub(super) shelves: Vec<Vec<Origin>>,
    pub(super) media_types: MediaTypes,
    pub(super) tags: EntityTags,
    pub(super) codings: Codings,
    pub(super) policy: Policy,
    pub(super) cache: Option<CacheOptions>,
    pub(super) fallbacks: Fallbacks,
    memory: OnceLock<Memory>,
}

/// The shelf for everybody.
pub(super) const PUBLIC: usize = 0;

/// What is remembered between requests.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) cache: Option<Cache>,
    pub(super) digests: Digests<Identity>,
    pub(super) siblings: Siblings,
    pub(super) manifest: Remembered,
    #[cfg(feature = "compression")]
    pub(super) compressed: Option<Compressed<Key>>,
}

impl Config {
    pub(super) fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| Memory {
            cache: self.cache.map(Cache::new),
            digests: Digests::new(),
            siblings: Siblings::new(),
            manifest: Remembered::default(),
            #[cfg(feature = "compression")]
            compressed: self.codings.compress.map(Compressed::new),
        })
    }
}

impl Clone for Config {
    fn clone(&self) -> Self {
        Self {
            at: self.at.clone(),
            paths: self.paths,
            dotfiles: self.dotfiles,
            index: self.index.clone(),
            directory_redirect: self.directory_redirect,
            tries: self.tries.clone(),
            listing: self.listing.clone(),
            shelves: self.shelves.clone(),
            media_types: self.media_types.clone(),
            tags: self.tags,
            codings: self.codings.clone(),
            policy: self.policy.clone(),
            cache: self.cache,
            fallbacks: self.fallbacks.clone(),
            memory: OnceLock::new(),
        }
    }
}

impl StaticFiles {
    /// Serves what is below `root`.
    ///
    /// A relative path counts from the working directory of this moment. The directory need not
    /// exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::of(Origin::Directory(Root::new(root.into())))
    }

    /// Serves what a [`Source`] of your own has.
    pub fn from_source(source: impl Source) -> Self {
        Self::of(Origin::Other(Arc::new(source)))
    }

    fn of(origin: Origin) -> Self {
        Self {
            config: Arc::new(Config {
                at: Prefix::root(),
                paths: PathPolicy::new(),
                dotfiles: false,
                index: vec!["index.html".to_owned()],
                directory_redirect: Some(StatusCode::PERMANENT_REDIRECT),
                tries: vec![Attempt::path()],
                listing: None,
                shelves: vec![vec![origin]],
                media_types: MediaTypes::default(),
                tags: EntityTags::default(),
                codings: Codings::default(),
                policy: Policy::default(),
                cache: None,
                fallbacks: Fallbacks::default(),
                memory: OnceLock::new(),
            }),
        }
    }

    /// Looks into this directory too, for what those before do not have. May be called several
    /// times; each costs a miss one attempt to open more.
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        let root = Root::new(root.into());
        self.config_mut().shelves[PUBLIC].push(Origin::Directory(root));
        self
    }

    /// Looks into this source too, for what those before do not have.
    pub fn source(mut self, source: impl Source) -> Self {
        let source = Origin::Other(Arc::new(source));
        self.config_mut().shelves[PUBLIC].push(source);
        self
    }

    /// Serves them below this path: with `/static`, the file `a/b.css` is `/static/a/b.css`.
    /// Defaults to `/`.
    ///
    /// A path that is not below it goes to the service inside at once. It matches on segment
    /// boundaries; its form is that of a [`Prefix`].
    ///
    /// # Panics
    ///
    /// If `prefix` is not an absolute path in canonical form.
    #[track_caller]
    pub fn at(mut self, prefix: &str) -> Self {
        match prefix.parse() {
            Ok(prefix) => self.config_mut().at = prefix,
            Err(invalid) => panic!(
                "{invalid}; StaticFiles::at takes the path where the files appear, \
                 such as \"/static\""
            ),
        }
        self
    }

    /// The files that stand for their directory, the first that exists first.
    /// Defaults to `["index.html"]`; empty (`None::<&str>`) for none, so that a directory is
    /// always a miss.
    ///
    /// Each costs one attempt to open it, when a directory is asked for.
    ///
    /// # Panics
    ///
    /// If a name is not that of a file in the directory itself: empty, `.`, `..`, or with a slash.
    #[track_caller]
    pub fn index(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        for name in &names {
            assert!(
                !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\\', '\0']),
                "{name:?} cannot be an index file; StaticFiles::index takes bare file names, \
                 such as \"index.html\""
            );
        }
        self.config_mut().index = names;
        self
    }

    /// How a directory that is asked for without a slash behind it redirects to the path with it.
    /// Defaults to 308, which clients may keep for ever; `None` makes it a miss.
    ///
    /// # Panics
    ///
    /// If the status is not 301, 302, 303, 307, or 308.
    #[track_caller]
    pub fn directory_redirect(mut self, status: impl Into<Option<StatusCode>>) -> Self {
        let status = status.into();
        if let Some(status) = status {
            assert!(
                matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308),
                "{status} redirects nowhere; StaticFiles::directory_redirect takes 301, 302, 303, \
                 307, or 308"
            );
        }
        self.config_mut().directory_redirect = status;
        self
    }

    /// Whether names that begin with a dot are served. Defaults to `false`: `.git` and `.env` are
    /// a miss.
    ///
    /// `.well-known` (RFC 8615) is always served. What a symbolic link points to may have any
    /// name.
    pub fn dotfiles(mut self, served: bool) -> Self {
        self.config_mut().dotfiles = served;
        self
    }

    /// What a path that is not canonical means. Defaults to [`PathPolicy::new`]: it is rewritten,
    /// and an encoded slash is refused. A segment with an encoded slash never names a file.
    pub fn paths(mut self, policy: PathPolicy) -> Self {
        self.config_mut().paths = policy;
        self
    }

    /// The `Content-Type` of files with this extension (without its dot, in any case), in place
    /// of the one that is usual. No charset is added to it.
    ///
    /// # Panics
    ///
    /// If `media_type` cannot be a field value.
    #[track_caller]
    pub fn content_type(mut self, extension: &str, media_type: &str) -> Self {
        match media_type.parse() {
            Ok(media_type) => self.config_mut().media_types.set(extension, media_type),
            Err(_) => panic!(
                "{media_type:?} cannot be sent in a header; StaticFiles::content_type takes an \
                 extension and a media type, such as (\"wasm\", \"application/wasm\")"
            ),
        }
        self
    }

    /// The charset that the `Content-Type` of text names. Defaults to `utf-8`; `None` names none,
    /// and leaves it to the documents to say.
    ///
    /// # Panics
    ///
    /// If `charset` is not the name of a charset.
    #[track_caller]
    pub fn charset<'a>(mut self, charset: impl Into<Option<&'a str>>) -> Self {
        let charset = charset.into();
        if let Some(name) = charset {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
            assert!(
                !name.is_empty() && name.bytes().all(is_name),
                "{name:?} is no charset; StaticFiles::charset takes a name such as \"utf-8\""
            );
        }
        self.config_mut().media_types.charset = charset.map(Into::into);
        self
    }

    /// Which symbolic links below the roots are followed. Defaults to [`Symlinks::Within`]: those
    /// that end within it. It counts for all directories that were named before.
    pub fn symlinks(mut self, followed: Symlinks) -> Self {
        for origin in self.config_mut().shelves.iter_mut().flatten() {
            if let Origin::Directory(root) = origin {
                root.set_symlinks(followed);
            }
        }
        self
    }

    pub(super) fn config_mut(&mut self) -> &mut Config {
        let config = Arc::make_mut(&mut self.config);
        // What is remembered may be wrong under what is said next.
        config.memory = OnceLock::new();
        config
    }

    /// The service that this is without one inside.
    pub(super) fn ending(&self) -> StaticFilesService<NotFound> {
        StaticFilesService::ending(Arc::clone(&self.config))
    }
}

/// A file's name below the root, as a setter takes it.
#[track_caller]
fn file_below(name: &str, setter: &str, example: &str) -> PathBuf {
    let below = name.strip_prefix('/').unwrap_or(name);
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    assert!(
        below.split('/').all(is_plain) && !below.contains(['\0', '\\']),
        "{name:?} is no file below the root; StaticFiles::{setter} takes a name such as \
         {example:?}"
    );
    below.into()
}

impl<S> Layer<S> for StaticFiles {
    type Service = StaticFilesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StaticFilesService::new(inner, Arc::clone(&self.config))
    }
}
