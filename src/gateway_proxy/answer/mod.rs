//! What applications expect on the way back: answers read ahead of slow clients, references and
//! cookies that keep to the mount, fields put in and taken out, and pages for errors.

pub(super) mod accel;
pub(super) mod layer;
