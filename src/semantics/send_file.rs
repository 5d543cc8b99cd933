//! Who sends the file that an application names in its answer.
//!
//! ```
//! use http::Extensions;
//! use tower_gateway::semantics::send_file::{SendsFiles, X_ACCEL_REDIRECT, X_SENDFILE};
//!
//! let mut extensions = Extensions::new();
//! assert!(!SendsFiles::of(&extensions).by(&X_ACCEL_REDIRECT));
//!
//! extensions.insert(SendsFiles::new().accel_redirect());
//! assert!(SendsFiles::of(&extensions).by(&X_ACCEL_REDIRECT));
//! assert!(!SendsFiles::of(&extensions).by(&X_SENDFILE));
//! ```

use http::{Extensions, HeaderName};

/// A path below a prefix that is agreed upon.
pub const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
/// A path of the file system.
pub const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// An extension of requests: a layer outside reads these fields of the answer, sends the file, and
/// takes the field out.
///
/// `StaticFiles` puts it there when it is told to (`accel_redirect`, `sendfile`). Where nobody does,
/// such a field would tell the client where files lie, and nothing would be sent: `GatewayProxy`
/// then takes it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SendsFiles {
    accel_redirect: bool,
    sendfile: bool,
}

impl SendsFiles {
    /// Nothing is sent.
    pub const fn new() -> Self {
        Self {
            accel_redirect: false,
            sendfile: false,
        }
    }

    /// What a layer outside of this request sends.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// Also what is named in `X-Accel-Redirect`.
    pub const fn accel_redirect(mut self) -> Self {
        self.accel_redirect = true;
        self
    }

    /// Also what is named in `X-Sendfile`.
    pub const fn sendfile(mut self) -> Self {
        self.sendfile = true;
        self
    }

    /// Whether a file that is named in this field is sent.
    #[must_use]
    pub fn by(self, name: &HeaderName) -> bool {
        self.accel_redirect && *name == X_ACCEL_REDIRECT || self.sendfile && *name == X_SENDFILE
    }
}
