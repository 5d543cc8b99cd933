//! What one can say about paths that are no file's, and answers of the service inside.

use std::path::PathBuf;

use http::StatusCode;

use super::{
    super::{listing::Listing, open::Root, source::Origin, target::Attempt},
    StaticFiles,
};

impl StaticFiles {
    /// The names to try for a path, in this order; `{path}` stands for the path below the mount.
    /// Defaults to `["{path}"]`.
    ///
    /// `["{path}", "{path}.html"]` are [clean URLs](Self::clean_urls); a name without `{path}` is a
    /// file that answers whatever nothing else answers (but see [`spa`](Self::spa), which tells a
    /// page from a missing script). A directory counts only for `{path}` itself, and a path with a
    /// slash behind it only for that and for names below it (`{path}/index.html`): `/about/` is no
    /// `about.html`. Hidden names ([`dotfiles`](Self::dotfiles)) are not tried at all.
    ///
    /// Each name is looked for in all roots before the next one is; each costs a miss one attempt to
    /// open in each root.
    ///
    /// # Panics
    ///
    /// If a name has an empty segment, `.`, or `..`, `{path}` twice, or another brace; or if there
    /// is none.
    #[track_caller]
    pub fn try_files<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tries = Vec::new();
        for name in names {
            match Attempt::read(name) {
                Ok(attempt) => tries.push(attempt),
                Err(why) => panic!(
                    "{name:?} {why}; StaticFiles::try_files takes names below the root, such as \
                     \"{{path}}.html\""
                ),
            }
        }
        assert!(
            !tries.is_empty(),
            "StaticFiles::try_files takes at least one name, such as \"{{path}}\""
        );
        self.config_mut().tries = tries;
        self
    }

    /// Answers `/about` with `about.html`, if there is no file `about`. The same as
    /// [`try_files`](Self::try_files) with `["{path}", "{path}.html"]`.
    pub fn clean_urls(mut self) -> Self {
        self.config_mut().tries = vec![Attempt::path(), Attempt::with_extension("html")];
        self
    }

    /// Shows what is in a directory that has no index file. Defaults to not.
    ///
    /// As a page, or as JSON to who prefers it; see [`Listing`]. It costs a trip to the blocking
    /// pool, and reading the directory.
    pub fn listing(mut self, listing: Listing) -> Self {
        self.config_mut().listing = Some(listing);
        self
    }

    /// The page of an application of one page (SPA): this file (a name below the root) takes the
    /// place of a 404 where a person wants a page, for paths below the mount. Defaults to none.
    ///
    /// A person wants a page if the browser says so (`Sec-Fetch-Mode`, `Sec-Fetch-Dest`), or else
    /// if `Accept` names HTML and the path has no extension. So a script or picture that is missing
    /// stays a 404, and so does what a script fetches. Both answers say what they `Vary` with.
    ///
    /// The service inside is asked first, so its own paths stay its own; of its 404 nothing is kept.
    /// In front of one that has an answer to everything, use [`try_files`](Self::try_files). The
    /// page is a 200 with what the rules say of the file itself, not of the path: give it
    /// `Cache-Control: no-cache`. It costs opening the file, and a copy of a few of the request's
    /// fields for each request that no file answers.
    ///
    /// # Panics
    ///
    /// If `page` is no name below the root.
    #[track_caller]
    pub fn spa(mut self, page: &str) -> Self {
        let page = super::file_below(page, "spa", "index.html");
        self.config_mut().fallbacks.spa = Some(page);
        self
    }

    /// The page of an error: a file (a name below the root) as the body of this layer's own answers
    /// with this status, such as 404. Defaults to none, which is a line of text. May be called once
    /// for each status; the last page for one counts.
    ///
    /// Only the content is the page's (`Content-Type`, `-Encoding`, `-Language`). Status and fields
    /// stay the error's (`Allow`, `Content-Range`, `Retry-After`), and the page's tag, time, and
    /// `Cache-Control` are not sent, nor its ranges. If the page itself cannot be read, that is a
    /// `warn` event, and the line of text is sent.
    ///
    /// Own answers are those of a path that is refused (400), of a miss and another method that are
    /// not left to the service inside ([`fall_through`](Self::fall_through)) or have none to be left
    /// to, of conditions and ranges (412, 416), and of a disk that fails (500); also those about a
    /// file that the service inside [names](Self::accel_redirect). Its own errors are left alone,
    /// unless [`intercept_errors`](Self::intercept_errors) says otherwise.
    ///
    /// # Panics
    ///
    /// If the status is none of an error, or `page` no name below the root.
    #[track_caller]
    pub fn error_page(mut self, status: StatusCode, page: &str) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "{status} is no error; StaticFiles::error_page takes one of 400 to 599"
        );
        let page = super::file_below(page, "error_page", "404.html");
        let pages = &mut self.config_mut().fallbacks.pages;
        pages.retain(|(of, _)| *of != status);
        pages.push((status, page));
        self
    }

    /// Whether errors of the service inside get the [pages](Self::error_page) too, for paths below
    /// the mount. Defaults to `false`.
    ///
    /// Status and fields of such an answer (cookies, `Retry-After`) stay, but for those of its
    /// content; its body is dropped unread. Answers of an API for programs have pages then, too.
    pub fn intercept_errors(mut self, intercepted: bool) -> Self {
        self.config_mut().fallbacks.intercept = intercepted;
        self
    }

    /// What below the mount is left to the service inside: `404` is a path without a file, `405` a
    /// method other than `GET` and `HEAD`. Defaults to both; what is left out is answered here, with
    /// that status.
    ///
    /// `[]` is for a mount that has files and nothing else, so that no missing file wakes the
    /// application. `OPTIONS` counts as another method; answered here, it is a 204 with `Allow`.
    ///
    /// # Panics
    ///
    /// If a status is another.
    #[track_caller]
    pub fn fall_through(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        let statuses: Vec<_> = statuses.into_iter().collect();
        for status in &statuses {
            assert!(
                [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(status),
                "{status} is never left to the service inside; StaticFiles::fall_through takes \
                 404 and 405"
            );
        }
        self.config_mut().fallbacks.to_inner = statuses;
        self
    }

    /// Lets the service inside answer with a file that no request reaches: it names it in
    /// `X-Accel-Redirect`, as a path below `prefix`, and the file is looked for below `root`.
    /// Defaults to none; may be called several times, and the longest prefix counts.
    ///
    /// As nginx does: the file takes the place of the answer, whatever its status was and wherever
    /// the request went (also outside of the [mount](Self::at)), with ranges, conditions, `HEAD`,
    /// and [codings](Self::precompressed). Of the answer, `Content-Type`, `Content-Disposition`,
    /// `Set-Cookie`, `Cache-Control` and `Expires` are kept; tag and time are those of the file. The
    /// path is percent-decoded, and ends at a `?`: a name with `%`, `?`, or bytes beyond ASCII is to
    /// be encoded. What leads to no file (another prefix, a directory, `..`) is a 404 and a `warn`
    /// event. The field, and nginx's others (`X-Accel-Buffering`, `-Charset`, `-Expires`,
    /// `-Limit-Rate`), which have no effect, never reach the client.
    ///
    /// Other than nginx, `Vary` is kept too, and conditions and ranges of a method other than `GET`
    /// and `HEAD` are ignored: they were for the application. A file that is missing keeps
    /// `Set-Cookie` and `Vary` alone, so that no `Cache-Control` makes its 404 last.
    ///
    /// A framework that gives every answer a `Content-Type` has to take it off, or to give it that
    /// of the file. None of the rules for headers count for these files, and no cache keeps them.
    /// Services inside are told that files are sent
    /// ([`SendsFiles`](crate::semantics::send_file::SendsFiles)), so that a proxy passes the field on.
    /// Each request costs a copy of the few fields of it that a file is answered by.
    ///
    /// # Panics
    ///
    /// If `prefix` is not an absolute path in canonical form.
    #[track_caller]
    pub fn accel_redirect(mut self, prefix: &str, root: impl Into<PathBuf>) -> Self {
        let prefix = match prefix.parse() {
            Ok(prefix) => prefix,
            Err(invalid) => panic!(
                "{invalid}; StaticFiles::accel_redirect takes the path that the application names, \
                 such as \"/protected\""
            ),
        };
        let shelf = self.add_shelf(root.into());
        self.config_mut().fallbacks.accel.push((prefix, shelf));
        self
    }

    /// The same for `X-Sendfile`, in which the service inside names a path of the file system,
    /// which has to be below `root`; as text, without looking at symbolic links above it. A relative
    /// root counts from the working directory of this moment.
    ///
    /// As with Apache and lighttpd, the path is percent-decoded; a `?` is a letter like others. Where
    /// an answer has both fields, this one counts.
    pub fn sendfile(mut self, root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let root = std::path::absolute(&root).unwrap_or(root);
        let shelf = self.add_shelf(root.clone());
        self.config_mut().fallbacks.sendfile.push((root, shelf));
        self
    }

    fn add_shelf(&mut self, root: PathBuf) -> usize {
        let shelves = &mut self.config_mut().shelves;
        shelves.push(vec![Origin::Directory(Root::new(root))]);
        shelves.len() - 1
    }
}
