//! What the numbers mean, for those who export them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// To be called once for each recorder; more often does no harm.
pub(super) fn describe() {
    macro_rules! describe {
        ($($describe:ident, $name:literal, $unit:ident, $text:literal;)*) => {
            $($describe!(concat!("tower_gateway_proxy_", $name), Unit::$unit, $text);)*
        };
    }
    describe! {
        describe_counter, "requests_total", Count, "Requests that are over, by outcome and class of status.";
        describe_counter, "errors_total", Count, "Requests that were answered with an error from here, by kind.";
        describe_histogram, "request_duration_seconds", Seconds, "From the call to the end of the answer or of the tunnel.";
        describe_counter, "request_bytes_total", Bytes, "Bytes of requests' bodies, and of what clients sent through tunnels.";
        describe_counter, "response_bytes_total", Bytes, "Bytes of answers' bodies, and of what upstreams sent through tunnels.";
        describe_counter, "dropped_fields_total", Count, "Fields of requests that were dropped, since a CGI application takes their names for others.";
        describe_gauge, "tunnels", Count, "Upgraded connections that are open.";
        describe_counter, "tries_total", Count, "Requests sent to an upstream, each try for one.";
        describe_counter, "retries_total", Count, "Tries that were followed by another, by reason.";
        describe_counter, "failures_total", Count, "Answers that an upstream did not give, or not to the end, by kind.";
        describe_histogram, "first_byte_seconds", Seconds, "From the beginning of a try to the head of its answer.";
        describe_histogram, "wait_seconds", Seconds, "For a connection to come free, where there was none.";
        describe_histogram, "connect_seconds", Seconds, "To make a connection, with TLS.";
        describe_counter, "connections_opened_total", Count, "Connections that were made.";
        describe_gauge, "connections_in_use", Count, "Connections in use, or being made.";
        describe_gauge, "connections_idle", Count, "Connections that are kept for the next requests.";
        describe_gauge, "requests_waiting", Count, "Requests that wait for a connection.";
        describe_counter, "ejections_total", Count, "How often an upstream failed too often and was left alone for a while.";
        describe_counter, "health_changes_total", Count, "How often an upstream went down or came back, by where it went.";
    }
}
