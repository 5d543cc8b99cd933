//! Python applications: this process starts, feeds, and supervises the workers that run them.
//!
//! ```
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_gateway::{Body, WsgiContainer};
//!
//! # let directory = tempfile::tempdir()?;
//! // greeting.py:
//! let source = "\
//! def application(environ, start_response):
//!     start_response('200 OK', [('Content-Type', 'text/plain')])
//!     return [b'hello, ' + environ['QUERY_STRING'].encode('latin-1')]
//! ";
//! # std::fs::write(directory.path().join("greeting.py"), source)?;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let container = WsgiContainer::new("greeting:application")
//!     .directory(directory.path())
//!     .workers(2)
//!     .spawn()
//!     .await?;
//!
//! let request = Request::get("/?world").header("host", "localhost").body(Body::empty())?;
//! let response = container.clone().oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello, world");
//!
//! let handle = container.handle();
//! assert_eq!(handle.status().workers.len(), 2);
//! handle.reload().await?;
//! assert_eq!(handle.status().generation, 2);
//! handle.shutdown().await;
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok::<(), tower_gateway::BoxError>(())
//! ```
//!
//! # Workers
//!
//! A worker is a process of CPython (3.9 or newer) with one or more threads, each of which works on one request at a
//! time. It imports the application itself, or is forked from a process that did
//! ([`preload`](Builder::preload)). What it needs beside the application is a single file of the standard
//! library's Python, which it is handed: nothing has to be installed. [`spawn`](Builder::spawn) is ready when all
//! workers are, and otherwise says what has to be mended, with the traceback.
//!
//! Each worker leads a process group of its own, and what it starts (a `subprocess`) belongs to that and ends with it, unless it
//! is started with `start_new_session=True`. Its standard input is empty, and ties it to this process: in whatever way
//! this one ends, SIGKILL too, the kernel ends all workers at once (on Linux; on other systems a thread of
//! each worker does). SIGINT, which a terminal sends to everybody, is nothing to a worker; SIGTERM lets it finish what it is at, and it is
//! replaced; SIGUSR2 writes the stacks of its threads to the log. All other signals are the application's.
//!
//! | a worker | what follows | what it costs |
//! |---|---|---|
//! | ends by itself | it is replaced at once; if boots fail, after 100 ms, 200 ms, … 30 s, one at a time | what ran in it is 502 |
//! | holds a request for longer than the [`timeout`](Builder::timeout) | the stacks of its threads go to the log, it gets no more requests, and is replaced at once; its other threads have the [`graceful_timeout`](Builder::graceful_timeout), then it is killed | that request is 504 |
//! | has a thread that does not come back for 10 s (for the timeout more, if the client had left) | the same | nothing |
//! | has worked enough ([`max_requests`](Builder::max_requests), [`max_lifetime`](Builder::max_lifetime), [`max_memory`](Builder::max_memory)) | its replacement is made ready, then it finishes what it is at | nothing |
//! | is of an old generation ([`Handle::reload`]) | the same, when all of the new generation are ready; if one of those does not come up, the old ones stay | nothing |
//! | is sent SIGTERM by hand | it finishes what it is at, and is replaced | nothing |
//! | is one too many ([`scale`](Builder::scale), [`Handle::resize`]) | it finishes what it is at | nothing |
//!
//! There are never more workers than two generations, and a quarter of one (at least one worker) for those that are recycled;
//! with [`preload`](Builder::preload), each generation has a process more, from which it is forked. Requests that find
//! nobody idle wait ([`queue`](Builder::queue), [`queue_timeout`](Builder::queue_timeout)); if there is nobody at all and
//! the next boot comes too late for them, they are refused at once (503).
//!
//! The container lives as long as it, a clone of it, a [`Handle`], or a request that has not been answered yet does. Then the
//! workers finish what they are at and end, in the background; [`Handle::shutdown`] waits for that. A runtime that is shut down kills them.
//!
//! # Requests and answers
//!
//! The application is given what PEP 3333 says, and besides `wsgi.input_terminated`, `REQUEST_URI`, `REMOTE_PORT`, `REQUEST_SCHEME`,
//! `HTTPS`, and what [`environ`](Builder::environ) adds. The path is read once ([`paths`](Builder::paths)); a mount is
//! `SCRIPT_NAME`; who asks, by what scheme, and for which host is what the connection says, or a
//! [trusted](Builder::trust) proxy. Fields whose names CGI confuses, `Proxy`, and those of the connection are not passed. A body is taken in
//! whole ([`spool`](Builder::spool)) before a thread is taken for it, and has a `CONTENT_LENGTH` also where the client
//! sent chunks, unless it is [streamed](Builder::stream_requests).
//!
//! An answer is sent piece by piece as the application makes it, and [read ahead](Builder::buffering) of a client that is slower. A file
//! (`wsgi.file_wrapper`) is handed to this process as it is, and the thread is idle at once. What is longer than its
//! `Content-Length` is cut; what is shorter, or ends by an exception, is broken off for the client.
//!
//! | status | kind ([`Error`](crate::Error) in the response's extensions) | when |
//! |---|---|---|
//! | 400, 405, 408, 413, 501 | as those of `GatewayProxy` | the request cannot be served; `TRACE` is 405, `CONNECT` 501 |
//! | 431 | `RequestHeadTooLarge` | its head is longer than 16 MiB |
//! | 500 | `Application` | the application raised an exception before its answer began; the traceback is in the log, and nowhere else ([`traceback_page`](Builder::traceback_page)) |
//! | 500 | `Io` | its body could not be written to a temporary file |
//! | 502 | `UpstreamReset` | the worker died, or let go of the request |
//! | 502 | `UpstreamProtocol` | the worker said what it may not |
//! | 503 | `QueueFull`, `QueueTimeout` | no thread came free |
//! | 503 | `Draining`, `UpstreamUnavailable` | the container ends; no worker comes up |
//! | 504 | `UpstreamTimeout` | the [`timeout`](Builder::timeout) |
//!
//! # What an operator sees
//!
//! What workers write to standard output and standard error is in the log line by line, at `info` (Python's logging
//! writes everything to standard error, the harmless most of all), with the target `tower_gateway::wsgi::worker` and
//! the worker's number and process. A line of more than 8 KiB is cut into several. All that workers are told and that becomes of them is at `info`, at `warn` if nobody meant it to
//! happen, and a boot that fails at `error`. [`Handle::status`] says what each of them is doing. With the feature `metrics`,
//! the `metrics` facade is told, each with the label `application`:
//!
//! | name | |
//! |---|---|
//! | `tower_gateway_wsgi_workers` | gauge: processes, by `state` (`starting`, `ready`, `leaving`, `draining`, `killed`) |
//! | `tower_gateway_wsgi_memory_bytes` | gauge: what they occupy together, shared pages counted for each (Linux) |
//! | `tower_gateway_wsgi_replaced_total` | counter: those that were replaced or did not come up, by `reason` (`crash`, `failed_boot`, `timed_out`, `lost_slot`, `max_requests`, `max_lifetime`, `max_memory`, `reload`, `surplus`, `asked`, `shutdown`) |
//! | `tower_gateway_wsgi_threads_busy`, `tower_gateway_wsgi_requests_waiting` | gauges |
//! | `tower_gateway_wsgi_requests_total` | counter, by `outcome` and `status` (its class) |
//! | `tower_gateway_wsgi_errors_total` | counter: requests that were answered with an error from here, by `kind` |
//! | `tower_gateway_wsgi_request_duration_seconds`, `tower_gateway_wsgi_wait_seconds` | histograms |
//! | `tower_gateway_wsgi_request_bytes_total`, `tower_gateway_wsgi_response_bytes_total` | counters |
//!
//! # Differences from Gunicorn
//!
//! - `timeout` is for a request, not for the worker's heartbeat: 504 for that one, and threads beside it go on.
//! - An application that breaks PEP 3333 is told so: a status without a reason, a name or a value of a field that cannot be, fields
//!   of the connection (`Connection`, `Proxy-Authenticate`, …), chunks that are not `bytes` are an exception.
//! - There is no keep-alive, no header limit, no TLS, and no access log here: those are of the server around it, and of
//!   `tower_http`'s `TraceLayer`.
//! - `wsgi.multiprocess` is always true: while one worker is replaced, there are two.
//! - There are no other kinds of worker: threads or processes. ASGI, gevent, and WebSockets are for a server behind
//!   `GatewayProxy`.
//!
//! # Deployment
//!
//! A list of processes shows a worker as `python3 -c … tower-gateway worker 3 board:application` (with [`preload`](Builder::preload),
//! as `… tower-gateway template board:application`, as which it was started), without the arguments of a call that makes the
//! application.
//!
//! The workers dial a Unix socket in a directory of its own in the temporary directory (`TMPDIR`; in `/tmp`, where that cannot
//! be written to or its path is too long for a socket), which only this user can enter and which is removed with the container. If
//! somebody else removes it, as a program that clears `/tmp` of what is old may, it is there again after a second, for which a worker
//! that has to dial waits. Who dials has to be one of the processes that were started here. Each worker takes five file descriptors
//! of this process, and one more for each thread after the first.
//!
//! If the temporary directory cannot be written to, and `/tmp` neither, [`spawn`](Builder::spawn) is an error. If it is full, what is in
//! memory goes on: a request whose body is longer than is kept there is 500 (`Io`), and an answer is read no further ahead of
//! its client than memory goes. [`spool`](Builder::spool) and [`buffering`](Builder::buffering) may be told another directory.

mod body;
mod builder;
mod call;
mod dispatch;
mod environ;
mod error;
mod exchange;
mod frame;
mod handle;
mod process;
mod request;
mod response;
mod seen;
mod service;
mod slot;
mod supervisor;
mod traceback;
mod upload;
mod worker;

pub use self::{
    builder::Builder,
    error::{SpawnError, SpawnErrorKind},
    handle::{Handle, State, Status, WorkerState, WorkerStatus},
    service::{ResponseFuture, WsgiContainer},
};
pub use crate::semantics::client::ForwardedHeaders;

#[cfg(test)]
mod tests;
