//! What one can say about what is sent of a file.

use std::time::Duration;

use super::{
    super::{
        cache::CacheOptions, cache_control::CacheControl, rules::Files, validators::EntityTags,
    },
    StaticFiles,
};
use crate::semantics::negotiate::Coding;

impl StaticFiles {
    /// What the `ETag` of a file is made of. Defaults to [`EntityTags::Modified`].
    pub fn entity_tags(mut self, tags: EntityTags) -> Self {
        self.config_mut().tags = tags;
        self
    }

    /// Sends the file beside a file in its place, to a client that accepts its coding:
    /// `style.css.br`, `style.css.zst` and `style.css.gz` for `style.css`. Those named count, and of
    /// several that a client likes as much the one named first. Defaults to none.
    ///
    /// ```
    /// use tower_gateway::{StaticFiles, semantics::negotiate::Coding};
    ///
    /// let files = StaticFiles::new("dist").precompressed([Coding::Brotli, Coding::Gzip]);
    /// ```
    ///
    /// A file that is older than the original does not count (see
    /// [`precompressed_older`](Self::precompressed_older)), nor does an empty one, nor one without
    /// an original in the same root. Without a [`cache`](Self::cache), which of them there are is
    /// looked up once a second; the one that is sent costs one attempt more to open.
    ///
    /// `Vary: accept-encoding` goes with every answer about a file that has one. A client that
    /// accepts none of them, not even the file as it is (`identity;q=0`), gets it as it is.
    ///
    /// Asked for by its own name, `style.css.br` is a file like others.
    pub fn precompressed(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        let mut once = Vec::new();
        for coding in codings {
            if !once.contains(&coding) {
                once.push(coding);
            }
        }
        self.config_mut().codings.precompressed = once;
        self
    }

    /// Whether a file beside a file counts that is older than it. Defaults to `false`: it is
    /// probably of a state before. `true` is for deployments that set times at random.
    ///
    /// A time that was copied from the file, as tools do, is not older, even if it was cut to whole
    /// seconds.
    pub fn precompressed_older(mut self, counts: bool) -> Self {
        self.config_mut().codings.older = counts;
        self
    }

    /// Compresses files, each once, in the background, and keeps up to `bytes` of what comes out.
    /// Defaults to none.
    ///
    /// Until a file is compressed it is sent as it is. Brotli and gzip, at levels that take time
    /// and are worth it for what is sent many times; at most half of the processors, and two, work
    /// on that at a time. What is less than 512 bytes or more than 16 MiB is left alone, and so is
    /// what is compressed already (pictures, videos, archives) or hardly shrinks. A file that was
    /// changed within the last ten seconds waits, since it may be a log.
    ///
    /// A file [beside the file](Self::precompressed) is preferred, and one that a build made at
    /// brotli's level 11 is about a tenth shorter. There is no zstd, whose compressor is C.
    ///
    /// Besides those `bytes`, the work on a file takes up to 65 MiB and the file's length twice.
    /// Files that do not fit into `bytes` together are compressed anew when they are asked for
    /// again; the work then rests ten times as long as it took, so that it never takes much.
    ///
    /// What is compressed has a tag of its own, so ranges and conditions count as for other files.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[cfg(feature = "compression")]
    #[track_caller]
    pub fn compress(mut self, bytes: u64) -> Self {
        assert!(
            bytes > 0,
            "nothing fits into no bytes; StaticFiles::compress takes how many bytes to keep, such \
             as 16 << 20"
        );
        self.config_mut().codings.compress = Some(bytes);
        self
    }

    /// Keeps up to this many bytes of files in memory, with the heads of their answers, and which
    /// paths have no file. Defaults to nothing.
    ///
    /// What is asked for least goes first. What is kept is compared with the disk once a second
    /// (see [`cache_fresh_for`](Self::cache_fresh_for)), so a change is seen a second late. Of
    /// files longer than [`cache_files_up_to`](Self::cache_files_up_to) no bytes are kept; they are
    /// kept open, up to 256 of them, and each counts as 64 KiB. One that nobody asked for in ten
    /// seconds is closed when the next request comes, for whatever; if it was deleted, its blocks
    /// on the disk are free only then.
    ///
    /// A request that finds another one looking at the same path waits for it, for ten seconds at
    /// most; the runtime needs its timer (`enable_time`) for that.
    ///
    /// Files that the service inside names ([`accel_redirect`](Self::accel_redirect)) are not kept.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    #[track_caller]
    pub fn cache(mut self, bytes: u64) -> Self {
        assert!(
            bytes > 0,
            "nothing fits into no bytes; StaticFiles::cache takes how many bytes to keep, such as \
             64 << 20"
        );
        self.cache_mut().bytes = bytes;
        self
    }

    /// The longest file of which [`cache`](Self::cache) keeps the bytes. Defaults to 1 MiB; it is
    /// never more than an eighth of the cache.
    ///
    /// # Panics
    ///
    /// If `cache` was not called before.
    #[track_caller]
    pub fn cache_files_up_to(mut self, bytes: u64) -> Self {
        self.must_have_cache();
        self.cache_mut().files_up_to = bytes;
        self
    }

    /// For how long [`cache`](Self::cache) takes things for what they were. Defaults to one second;
    /// zero compares with the disk at each request, and no request waits for another's look. What
    /// will be another in a moment (a file that is being compressed, or was changed just now) is
    /// looked at again within a second all the same.
    ///
    /// # Panics
    ///
    /// If `cache` was not called before.
    #[track_caller]
    pub fn cache_fresh_for(mut self, time: Duration) -> Self {
        self.must_have_cache();
        self.cache_mut().fresh_for = time;
        self
    }

    #[track_caller]
    fn must_have_cache(&self) {
        assert!(
            self.config.cache.is_some(),
            "there is no cache to say this of; call StaticFiles::cache before"
        );
    }

    fn cache_mut(&mut self) -> &mut CacheOptions {
        self.config_mut().cache.get_or_insert(CacheOptions {
            bytes: 0,
            files_up_to: 1 << 20,
            fresh_for: Duration::from_secs(1),
        })
    }

    /// The `Cache-Control` of some files. Defaults to none for any: a browser then guesses from
    /// the age of the file (RFC 9111 §4.2.2), and asks again when it thinks best. A
    /// [list](Self::listing) is no file.
    ///
    /// Of several that are said of a file, the last counts: the general comes first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_gateway::static_files::{CacheControl, Files, StaticFiles};
    ///
    /// let hour = CacheControl::max_age(Duration::from_secs(3600));
    /// let files = StaticFiles::new("dist")
    ///     .cache_control(Files::all(), CacheControl::no_cache())
    ///     .cache_control(Files::media_type("image/*"), hour)
    ///     .cache_control(Files::glob("assets/**"), CacheControl::immutable());
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
    pub fn cache_control(mut self, files: Files, value: CacheControl) -> Self {
        let rules = &mut self.config_mut().policy.rules;
        rules.cache_control(files, &value);
        self
    }

    /// `Cache-Control: public, max-age=31536000, immutable` for files with a hash of their content
    /// in the name: those that `manifest` lists, which a build writes (Django's
    /// `staticfiles.json`, Vite's `.vite/manifest.json`, webpack's), a name below the root. It is
    /// read anew within a second when it changes; if there is none, or it cannot be understood, that
    /// is a `warn` event, and no file is immutable for it.
    ///
    /// It is a rule as those of [`cache_control`](Self::cache_control): say it after the general
    /// ones.
    ///
    /// For builds that write none: `.cache_control(Files::hashed(), CacheControl::immutable())`
    /// goes by the look of the names, see [`Files::hashed`].
    ///
    /// # Panics
    ///
    /// If `manifest` is no name below the root.
    #[track_caller]
    pub fn immutable_in(mut self, manifest: &str) -> Self {
        let name = super::file_below(manifest, "immutable_in", "staticfiles.json");
        let policy = &mut self.config_mut().policy;
        policy.manifest = Some(name);
        policy
            .rules
            .cache_control(Files::in_manifest(), &CacheControl::immutable());
        self
    }

    /// A field in the head of some files' answers (200 and 206). Of several that are said of a
    /// file, the last counts; names in `Vary` add up.
    ///
    /// # Panics
    ///
    /// If it is no field, or one that this layer sets itself: the message says what to use
    /// instead. Also `Expires`, since a fixed date is right only until then.
    #[track_caller]
    pub fn header(mut self, files: Files, name: &str, value: &str) -> Self {
        let rules = &mut self.config_mut().policy.rules;
        rules.header(files, name, value);
        self
    }

    /// Whether `X-Content-Type-Options: nosniff` goes with each file, so that no browser takes text
    /// for a script. Defaults to `true`; [untrusted](Self::untrusted) files have it always.
    pub fn nosniff(mut self, sent: bool) -> Self {
        self.config_mut().policy.nosniff = sent;
        self
    }

    /// Whether anybody may have put files here, as with uploads. Defaults to `false`.
    ///
    /// Then each is sent with `Content-Disposition: attachment` and `Content-Security-Policy:
    /// default-src 'none'; sandbox`: a browser stores it, and where it shows it all the same, it
    /// runs no script and belongs to no site. Serve such files from a host name of their own if
    /// you can. [`header`](Self::header) can say otherwise of files that you check, such as
    /// pictures.
    ///
    /// It does not count for what the service inside names
    /// ([`accel_redirect`](Self::accel_redirect)), which has the fields of that service's answer,
    /// nor for the [pages of errors](Self::error_page), which are shown: keep those out of a root
    /// that others write into.
    pub fn untrusted(mut self, are: bool) -> Self {
        self.config_mut().policy.untrusted = are;
        self
    }
}
