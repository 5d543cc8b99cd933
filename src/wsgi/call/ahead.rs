//! What a worker is sent before it has answered.

use std::sync::Arc;

use super::Call;
use crate::wsgi::{dispatch::Dispatch, frame};

impl Call {
    /// Sends the worker up to so many requests of those who wait, behind this one.
    pub(in crate::wsgi) fn prefetch(mut self, depth: usize, dispatch: &Arc<Dispatch>) -> Self {
        // Where the worker may ask for a body, what comes next on the connection is the body.
        if depth > 0 && self.upload.inline().is_some() {
            self.prefetch = Some((depth, Arc::clone(dispatch)));
        }
        self
    }

    pub(super) fn send_ahead(&mut self) {
        // Nobody is to wait behind an answer that may go on for ever.
        if self.was_heard() && !self.is_here() {
            return;
        }
        if let Some((depth, dispatch)) = &self.prefetch {
            while self.slot.ahead() < *depth {
                let Some((number, letter)) = dispatch.ahead(self.slot.worker().id) else {
                    break;
                };
                self.slot.send_ahead(number, &letter, dispatch);
            }
        }
    }

    /// Whether a byte of the answer came, be it with the answer before it.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard || !self.slot.bytes().is_empty()
    }

    /// Whether all of the answer came with the one before it.
    fn is_here(&self) -> bool {
        let header = self.slot.header();
        !self.was_heard && matches!(header, Ok(Ok(header)) if header.flags & frame::FREE != 0)
    }
}
