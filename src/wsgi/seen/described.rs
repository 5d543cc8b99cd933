//! What the numbers mean, for those who export them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// To be called once for each recorder; more often does no harm.
pub(super) fn describe() {
    macro_rules! describe {
        ($($describe:ident, $name:literal, $unit:ident, $text:literal;)*) => {
            $($describe!(concat!("tower_gateway_wsgi_", $name), Unit::$unit, $text);)*
        };
    }
    describe! {
        describe_counter, "requests_total", Count, "Requests that are over, by outcome and class of status.";
        describe_counter, "errors_total", Count, "Requests that were answered with an error from here, by kind.";
        describe_histogram, "request_duration_seconds", Seconds, "From the call to the end of the answer.";
        describe_histogram, "wait_seconds", Seconds, "For a worker's thread to come free, where none was.";
        describe_counter, "request_bytes_total", Bytes, "Bytes of requests' bodies.";
        describe_counter, "response_bytes_total", Bytes, "Bytes of answers' bodies.";
        describe_gauge, "threads_busy", Count, "Workers' threads that have a request.";
        describe_gauge, "requests_waiting", Count, "Requests that wait for a worker's thread.";
    }
}
