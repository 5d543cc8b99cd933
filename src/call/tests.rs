use std::{
    convert::Infallible,
    future::{Pending, pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tower::{Service, limit::ConcurrencyLimit, service_fn};

use super::*;

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A service that says how often it was cloned and called.
struct Counts {
    clones: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Clone for Counts {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Relaxed);
        Self {
            clones: Arc::clone(&self.clones),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<u8> for Counts {
    type Response = u8;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u8, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u8) -> Self::Future {
        self.calls.fetch_add(1, Relaxed);
        ready(Ok(request))
    }
}

#[test]
fn a_service_that_is_ready_is_called_at_once_and_not_cloned() {
    let mut service = Counts {
        clones: Arc::default(),
        calls: Arc::default(),
    };
    let mut call = Call::new(&mut service, 7);
    assert_eq!(service.calls.load(Relaxed), 1);
    assert_eq!(service.clones.load(Relaxed), 0);
    assert_eq!(poll(&mut call), Poll::Ready(Ok(7)));
    // It is no more than the service's own future, whatever a request is.
    let own = size_of::<std::future::Ready<Result<u8, Infallible>>>();
    assert!(size_of::<Call<Counts, u8>>() <= own.next_multiple_of(8) + 8);
}

#[test]
fn who_is_not_ready_waits_and_leaves_no_place_in_a_line_behind() {
    let never = |_| -> Pending<Result<(), Infallible>> { pending() };
    let service = ConcurrencyLimit::new(service_fn(never), 1);
    let (mut first, mut second, mut third) = (service.clone(), service.clone(), service);
    let held = Call::new(&mut first, ());
    let mut waits = Box::pin(Call::new(&mut second, ()));
    assert_eq!(poll(&mut waits), Poll::Pending);
    // Who goes away takes the place along, and what is left behind has none.
    drop(waits);
    drop(held);
    let ready = third.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(ready.is_ready());
}

/// Ready after so many questions, if it does not fail.
#[derive(Clone)]
struct After(usize, Result<(), &'static str>);

impl Service<u8> for After {
    type Response = u8;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u8, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match self.0 {
            0 => Poll::Ready(self.1),
            left => {
                self.0 = left - 1;
                Poll::Pending
            }
        }
    }

    fn call(&mut self, request: u8) -> Self::Future {
        ready(Ok(request))
    }
}

#[test]
fn one_that_is_ready_later_is_called_then() {
    let mut call = Call::new(&mut After(2, Ok(())), 7);
    assert_eq!(poll(&mut call), Poll::Pending);
    assert_eq!(poll(&mut call), Poll::Ready(Ok(7)));
}

#[test]
fn one_that_will_never_be_ready_says_so() {
    for questions in [0, 1] {
        let mut call = Call::new(&mut After(questions, Err("closed")), 7);
        assert_eq!(poll(&mut call), Poll::Ready(Err("closed")));
    }
}
