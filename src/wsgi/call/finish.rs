//! What comes behind an answer, for which its client does not wait.

use std::{
    error::Error as _,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::{runtime::Handle, time::timeout};
use tracing::Instrument;

use super::{Call, Failure, Nonsense};
use crate::wsgi::dispatch::Dispatch;

impl Call {
    /// Gives the slot back as soon as it is idle.
    ///
    /// A worker whose body is over may have something to do still (PEP 3333: "the server or gateway
    /// **must** call that method [close] upon completion of the current request"), for which the
    /// client does not wait. One whose body is not over is told by the connection's end that nobody
    /// waits for it, unless `is_complete`: who has asked has all there is for him.
    pub(in crate::wsgi) fn finish(mut self, dispatch: &Arc<Dispatch>, is_complete: bool) {
        if !self.is_over && !is_complete {
            return;
        }
        // Most are idle by now.
        match self.poll_free(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => self.give_back(dispatch),
            Poll::Ready(Err(failure)) => tell(&failure),
            Poll::Pending => {
                // Without a runtime there is nobody to wait.
                if let Ok(runtime) = Handle::try_current() {
                    let dispatch = Arc::clone(dispatch);
                    runtime.spawn(self.linger(dispatch).in_current_span());
                }
            }
        }
    }

    /// Waits until the worker is idle, but not for ever: it may go on to make a body that nobody
    /// wants.
    async fn linger(mut self, dispatch: Arc<Dispatch>) {
        let limit = self.timeout;
        let free = poll_fn(|cx| self.poll_free(cx));
        match timeout(limit, free).await {
            Ok(Ok(())) => self.give_back(&dispatch),
            Ok(Err(failure)) => tell(&failure),
            Err(_elapsed) => self.slot.worker().timed_out(),
        }
    }

    fn give_back(mut self, dispatch: &Dispatch) {
        if self.slot.is_clean() {
            dispatch.give_back(self.slot);
        } else {
            tell(&self.nonsense(Nonsense::Unasked));
        }
    }

    /// Reads on until the worker is idle. What comes of the body is not wanted.
    fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            self.piece.clear();
            if self.unread > 0 {
                ready!(self.poll_chunk(cx))?;
            } else if self.is_free {
                return Poll::Ready(Ok(()));
            } else {
                ready!(self.poll_next(cx))?;
            }
        }
    }
}

/// Nobody else is told: the client has its answer.
fn tell(failure: &Failure) {
    let cause = failure.error.source().map(tracing::field::display);
    tracing::warn!(reason = %failure.error, cause, "a worker failed behind its answer");
}
