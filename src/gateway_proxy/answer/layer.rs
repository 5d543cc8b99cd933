//! What you can say about answers.

mod edits;
mod errors;
mod rewrites;

pub use self::{
    edits::HeaderEdits,
    errors::{Asked, ErrorAnswers, Refused},
    rewrites::Rewrites,
};

/// What becomes of the fields of an answer that speak to nginx: `X-Accel-Buffering`,
/// `X-Accel-Charset`, `X-Accel-Expires` and `X-Accel-Limit-Rate`.
///
/// Either way, `X-Accel-Buffering: no` has the answer sent as it comes, and `yes` has it
/// [read ahead](crate::body::buffer::Buffering) where that is off. The others have no effect: this gateway keeps no
/// answers, throttles none, and changes no character set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccelFields {
    /// They are taken out. The default, as nginx does.
    #[default]
    Take,
    /// They are passed on: nginx stands in front of this gateway.
    Pass,
}

/// What becomes of `X-Accel-Redirect` and `X-Sendfile` in an answer, in which an application names
/// a file to be sent in place of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamedFiles {
    /// Passed on to a layer outside that [says](crate::semantics::send_file::SendsFiles) it sends
    /// the file, as `StaticFiles` does where it is told to. Where none does, the field is taken
    /// out, with a `warn` event: it would tell the client where files lie. The default.
    #[default]
    ToLayer,
    /// Passed on: somebody in front of this process sends the file, or a layer that does not say
    /// so.
    Pass,
    /// Taken out: this upstream is not to name files.
    Take,
}
