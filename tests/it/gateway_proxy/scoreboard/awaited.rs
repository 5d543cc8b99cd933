//! What the table expects of this crate that it is still to learn.
//!
//! A probe or story that is named here must fail, in one of the two ways of passing requests on at
//! least: what comes counts from the moment on in which its line here is gone.

pub const AWAITED: &[&str] = &[
    // Via, and what it is for.
    "a request is passed on with Via",
    "Via of others is kept, and continued",
    "Via says by which version a request came",
    "an answer is passed on with Via",
    "a loop is 508",
    // Max-Forwards and TRACE.
    "OPTIONS that may go no further is answered here",
    "OPTIONS that may go further counts down",
    "OPTIONS that may go once more arrives with 0",
    "TRACE is not allowed",
    "TRACE with Max-Forwards: 0 is not either",
    // Expect, when requests are streamed.
    "100 is the upstream's to say",
    "417 is the upstream's to say",
    "a final answer saves the body",
    // A request that may not be repeated, on a connection that is about to be closed.
    "a POST on a connection that the upstream closes now",
];
