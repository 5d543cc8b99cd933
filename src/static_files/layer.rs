//! What one can say about the files to serve.

use std::{path::PathBuf, sync::Arc};

use http::StatusCode;
use tower_layer::Layer;

use super::{
    media_type::MediaTypes,
    open::{Root, Symlinks},
    service::{NotFound, StaticFilesService},
};
use crate::semantics::{mount::Prefix, path::PathPolicy};

/// Serves the files of one directory. See the [module docs](super) for an example.
///
/// It is a layer, and also a service that ends a stack. Clones share one configuration.
#[derive(Clone, Debug)]
#[must_use]
pub struct StaticFiles {
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) root: Root,
    pub(super) at: Prefix,
    pub(super) paths: PathPolicy,
    pub(super) index: Vec<String>,
    pub(super) directory_redirect: Option<StatusCode>,
    pub(super) dotfiles: bool,
    pub(super) media_types: MediaTypes,
}

impl StaticFiles {
    /// Serves what is below `root`.
    ///
    /// A relative path counts from the working directory of this moment. The directory need not
    /// exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            config: Arc::new(Config {
                root: Root::new(root.into()),
                at: Prefix::root(),
                paths: PathPolicy::new(),
                index: vec!["index.html".to_owned()],
                directory_redirect: Some(StatusCode::PERMANENT_REDIRECT),
                dotfiles: false,
                media_types: MediaTypes::default(),
            }),
        }
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

    /// Which symbolic links below the root are followed. Defaults to [`Symlinks::Within`]: those
    /// that end within it.
    pub fn symlinks(mut self, followed: Symlinks) -> Self {
        self.config_mut().root.set_symlinks(followed);
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

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }

    /// The service that this is without one inside.
    pub(super) fn ending(&self) -> StaticFilesService<NotFound> {
        self.layer(NotFound::new())
    }
}

impl<S> Layer<S> for StaticFiles {
    type Service = StaticFilesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StaticFilesService::new(inner, Arc::clone(&self.config))
    }
}
