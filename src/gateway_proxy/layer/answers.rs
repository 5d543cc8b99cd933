//! What becomes of answers on their way back, and of fields on both ways.

use super::GatewayProxy;
use crate::{
    body::buffer::Buffering,
    gateway_proxy::{AccelFields, ErrorAnswers, HeaderEdits, NamedFiles, Rewrites},
};

impl GatewayProxy {
    /// How answers are read ahead of slow clients, so that the upstream is done with them. See
    /// [`Buffering`] for its defaults (64 KiB in memory, then 1 GiB in a temporary file), which are
    /// also what a slow client costs.
    pub fn buffering(self, buffering: Buffering) -> Self {
        self.with(|config| config.buffering = buffering)
    }

    /// What is changed of references and cookies that lead past this gateway. See [`Rewrites`] for
    /// its defaults (redirects to the upstream's own name).
    pub fn rewrites(self, rewrites: Rewrites) -> Self {
        self.with(|config| config.rewrites = rewrites)
    }

    /// Fields that are put into requests, or taken out, after all else was decided: nginx's
    /// `proxy_set_header`. None by default.
    pub fn request_headers(self, edits: HeaderEdits) -> Self {
        self.with(|config| config.request_headers = edits)
    }

    /// Fields that are put into the upstream's answers, or taken out. None by default.
    pub fn response_headers(self, edits: HeaderEdits) -> Self {
        self.with(|config| config.response_headers = edits)
    }

    /// Draws answers to errors in place of the short texts of this crate, and, where told, of the
    /// upstream's. None by default. It costs a copy of each request's method, target and `Accept`.
    pub fn error_answers(self, answers: ErrorAnswers) -> Self {
        self.with(|config| config.error_answers = Some(answers))
    }

    /// What becomes of `X-Accel-Buffering`, `-Charset`, `-Expires` and `-Limit-Rate` in answers.
    /// Defaults to [`AccelFields::Take`]. The first is obeyed either way, the others mean nothing
    /// here.
    pub fn accel_fields(self, fields: AccelFields) -> Self {
        self.with(|config| config.accel_fields = fields)
    }

    /// What becomes of `X-Accel-Redirect` and `X-Sendfile` in answers. Defaults to
    /// [`NamedFiles::ToLayer`].
    pub fn named_files(self, files: NamedFiles) -> Self {
        self.with(|config| config.named_files = files)
    }
}
