//! Everything behind flags: a web server in front of applications.
//!
//! ```text
//! cargo run --release --all-features --example gateway -- --listen 127.0.0.1:8000 \
//!     --static /static=examples/mysite/staticfiles --proxy /=http://127.0.0.1:8001
//! ```
//!
//! serves files below `/static` itself and hands the rest to Gunicorn at port 8001. `--help`
//! lists the flags. SIGTERM and Ctrl-C drain: what runs is finished within 30 seconds.

use std::{
    convert::Infallible, num::ParseIntError, process::ExitCode, str::FromStr, time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
};
use tower::{Layer, Service, ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_gateway::{
    Body, BoxError, ConcurrencyLimit, GatewayProxy, PathDispatch, SpoolRequests, StaticFiles,
    WsgiContainer,
    serve::{Listener, RequestBody, serve},
    static_files::Listing,
};

const HELP: &str = "\
A web server in front of applications: files are answered here, the rest is handed on.

usage: gateway --listen ADDR [flags]

  --listen ADDR          host:port, or unix:PATH; port 0 picks one
  --static PREFIX=DIR    files of DIR at PREFIX; repeatable, the first that has the file answers
  --proxy PREFIX=URL[,URL...]
                         paths below PREFIX go to URL; repeatable, the longest prefix counts:
                           http://host:port, http+unix:/path.sock     Gunicorn and other servers
                           uwsgi://host:port, uwsgi+unix:/path.sock   uWSGI by its own protocol
                           https://host[:port]                        with the system's roots
                           h2://host[:port], h2c://host[:port], h2c+unix:/path.sock
                                                                      HTTP/2, with TLS and without
                         of several URLs, one that fails is left alone for a while
  --wsgi PREFIX=MODULE:CALLABLE
                         a WSGI application at PREFIX (its SCRIPT_NAME), run by workers that are
                         started here; repeatable. SIGHUP reloads it. For all of them:
  --wsgi-dir DIR           where MODULE is (default: the current folder)
  --python PATH            the interpreter (default: that of a .venv in the folder or of VIRTUAL_ENV,
                           or else python3)
  --workers N              processes for each application (default: 2)
  --threads N              threads of each process (default: 1)
  --timeout SECS           a request that takes longer is answered 504, and its worker replaced
                           (default: 30)
  --prefetch N             requests that each thread is sent ahead of their turn, for applications
                           that take less than a millisecond (default: 0)
  --limit N              at most N requests with all applications at once (default: no limit)
  --queue N              how many may wait for that (default: 256)
  --queue-timeout SECS   and how long (default: 5)
  --listing              shows what is in folders without an index.html
  --spa FILE             the page of an application of one page: FILE of the folder answers a person
                         where there would be a 404
  --cache                keeps up to 64 MiB of files of each folder in memory
  --runtime-threads N    threads of the server (default: one for each processor)
  --help                 this text
";

/// What was asked for on the command line.
#[derive(Default)]
struct Flags {
    listen: Option<String>,
    files: Vec<(String, String)>,
    proxies: Vec<(String, String)>,
    wsgi: Wsgi,
    limit: Option<usize>,
    queue: Option<usize>,
    queue_timeout: Option<Duration>,
    listing: bool,
    spa: Option<String>,
    cache: bool,
    runtime_threads: Option<usize>,
}

/// Applications that run here, and how.
#[derive(Default)]
struct Wsgi {
    applications: Vec<(String, String)>,
    directory: Option<String>,
    python: Option<String>,
    workers: Option<usize>,
    threads: Option<u16>,
    timeout: Option<Duration>,
    prefetch: usize,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    match parse(lexopt::Parser::from_env()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

fn parse(mut arguments: lexopt::Parser) -> Result<Flags, BoxError> {
    use lexopt::{Arg::Long, ValueExt};

    let mut flags = Flags::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => flags.listen = Some(arguments.value()?.string()?),
            Long("static") => flags.files.push(at_prefix(&arguments.value()?.string()?)?),
            Long("proxy") => flags
                .proxies
                .push(at_prefix(&arguments.value()?.string()?)?),
            Long("limit") => flags.limit = Some(arguments.value()?.parse()?),
            Long("queue") => flags.queue = Some(arguments.value()?.parse()?),
            Long("queue-timeout") => {
                let seconds = arguments.value()?.parse()?;
                flags.queue_timeout = Some(Duration::try_from_secs_f64(seconds)?);
            }
            Long("listing") => flags.listing = true,
            Long("spa") => flags.spa = Some(arguments.value()?.string()?),
            Long("cache") => flags.cache = true,
            Long("runtime-threads") => {
                flags.runtime_threads = Some(arguments.value()?.parse()?);
            }
            Long("help") => {
                print!("{HELP}");
                std::process::exit(0);
            }
            Long("wsgi") => {
                let application = at_prefix(&arguments.value()?.string()?)?;
                flags.wsgi.applications.push(application);
            }
            Long("wsgi-dir") => flags.wsgi.directory = Some(arguments.value()?.string()?),
            Long("python") => flags.wsgi.python = Some(arguments.value()?.string()?),
            Long("workers") => flags.wsgi.workers = Some(number("--workers", &mut arguments)?),
            Long("threads") => flags.wsgi.threads = Some(number("--threads", &mut arguments)?),
            Long("prefetch") => flags.wsgi.prefetch = arguments.value()?.parse()?,
            Long("timeout") => {
                let seconds: f64 = arguments.value()?.parse()?;
                if seconds <= 0.0 {
                    return Err("--timeout 0 would let nothing finish".into());
                }
                flags.wsgi.timeout = Some(Duration::try_from_secs_f64(seconds)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(flags)
}

/// How many of something there are to be: one at least.
fn number<N>(flag: &str, arguments: &mut lexopt::Parser) -> Result<N, BoxError>
where
    N: FromStr<Err = ParseIntError> + Default + PartialEq,
{
    use lexopt::ValueExt;

    let number: N = arguments.value()?.parse()?;
    if number == N::default() {
        return Err(format!("{flag} 0 would be nobody").into());
    }
    Ok(number)
}

/// `PREFIX=VALUE`.
fn at_prefix(argument: &str) -> Result<(String, String), BoxError> {
    match argument.split_once('=') {
        Some((prefix, value)) => Ok((prefix.to_owned(), value.to_owned())),
        None => Err(format!("{argument:?} is not of the form PREFIX=VALUE").into()),
    }
}

fn run(flags: Flags) -> Result<(), BoxError> {
    let mut runtime = match flags.runtime_threads {
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(threads @ 2..) = flags.runtime_threads {
        runtime.worker_threads(threads);
    }
    runtime.enable_all().build()?.block_on(start(flags))
}

async fn start(flags: Flags) -> Result<(), BoxError> {
    let listen = flags
        .listen
        .clone()
        .ok_or("--listen ADDR is missing; see --help")?;
    // The stack first: a flag that is wrong is found before a port is taken, and so is an
    // application that cannot be imported.
    let containers = containers(&flags.wsgi).await?;
    let handles: Vec<_> = containers.iter().map(|(_, wsgi)| wsgi.handle()).collect();
    let dynamic = dynamic(&flags, containers)?;
    let result = listen_and_serve(listen, &flags, dynamic).await;
    for handle in handles {
        handle.shutdown().await;
    }
    result
}

async fn listen_and_serve(listen: String, flags: &Flags, dynamic: App) -> Result<(), BoxError> {
    match listen.strip_prefix("unix:") {
        Some(path) => {
            let listener = UnixListener::bind(path)?;
            println!("listening on unix:{path}");
            let result = serve_files(listener, flags, dynamic).await;
            std::fs::remove_file(path)?;
            result
        }
        None => {
            let listener = TcpListener::bind(listen).await?;
            println!("listening on http://{}", listener.local_addr()?);
            serve_files(listener, flags, dynamic).await
        }
    }
}

/// A service whose type is forgotten, since the flags decide on what is in it.
type App = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

/// The applications, all behind one limit.
fn dynamic(flags: &Flags, containers: Containers) -> Result<App, BoxError> {
    Ok(match limit(flags)? {
        Some(limit) => BoxCloneSyncService::new(
            ServiceBuilder::new()
                // An upload counts when it is here, not while a slow client sends it.
                .layer(SpoolRequests::default())
                .layer(limit)
                .service(applications(flags, containers)?.layer(service_fn(not_found))),
        ),
        None => {
            BoxCloneSyncService::new(applications(flags, containers)?.layer(service_fn(not_found)))
        }
    })
}

/// Each application behind its prefix.
fn applications<B>(flags: &Flags, containers: Containers) -> Result<PathDispatch<B>, BoxError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut dispatch = PathDispatch::new();
    for (prefix, urls) in &flags.proxies {
        let proxy = GatewayProxy::to_all(urls.split(','))?;
        dispatch = dispatch.mount_unstripped(prefix, proxy)?;
    }
    for (prefix, container) in containers {
        dispatch = dispatch.mount(&prefix, container)?;
    }
    Ok(dispatch)
}

/// The applications that run here, with their prefixes.
type Containers = Vec<(String, WsgiContainer)>;

async fn containers(wsgi: &Wsgi) -> Result<Containers, BoxError> {
    let mut containers = Vec::new();
    for (prefix, application) in &wsgi.applications {
        let mut container = WsgiContainer::new(application)
            .workers(wsgi.workers.unwrap_or(2))
            .threads(wsgi.threads.unwrap_or(1))
            .prefetch(wsgi.prefetch)
            .reload_on_signal(SignalKind::hangup());
        if let Some(directory) = &wsgi.directory {
            container = container.directory(directory);
        }
        if let Some(python) = &wsgi.python {
            container = container.python(python);
        }
        if let Some(timeout) = wsgi.timeout {
            container = container.timeout(timeout);
        }
        containers.push((prefix.clone(), container.spawn().await?));
    }
    Ok(containers)
}

fn limit(flags: &Flags) -> Result<Option<ConcurrencyLimit>, BoxError> {
    let Some(max) = flags.limit else {
        return match (flags.queue, flags.queue_timeout) {
            (None, None) => Ok(None),
            _ => Err("--queue and --queue-timeout need --limit".into()),
        };
    };
    if max == 0 {
        return Err("--limit 0 would let nothing in".into());
    }
    let mut limit = ConcurrencyLimit::new(max);
    if let Some(length) = flags.queue {
        limit = limit.queue(length);
    }
    if let Some(timeout) = flags.queue_timeout {
        limit = limit.queue_timeout(timeout);
    }
    Ok(Some(limit))
}

async fn not_found<B>(_: Request<B>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Not Found"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}

async fn serve_files<L: Listener>(
    listener: L,
    flags: &Flags,
    dynamic: App,
) -> Result<(), BoxError> {
    // Files stand outside: they are answered whatever the applications are busy with. The first
    // folder stays a type of its own, so that the usual case boxes nothing for a file.
    match &*flags.files {
        [] => serve_until_told(listener, dynamic).await,
        [first, rest @ ..] => {
            let mut app = dynamic;
            for folder in rest.iter().rev() {
                app = BoxCloneSyncService::new(static_files(flags, folder)?.layer(app));
            }
            serve_until_told(listener, static_files(flags, first)?.layer(app)).await
        }
    }
}

fn static_files(
    flags: &Flags,
    (prefix, directory): &(String, String),
) -> Result<StaticFiles, BoxError> {
    if !std::fs::metadata(directory)?.is_dir() {
        return Err(format!("--static {prefix}={directory}: that is not a folder").into());
    }
    // `at` panics on a prefix that is not a path; from a command line, that is an error.
    prefix.parse::<tower_gateway::semantics::mount::Prefix>()?;
    let mut files = StaticFiles::new(directory).at(prefix);
    if flags.cache {
        files = files.cache(64 << 20);
    }
    if flags.listing {
        files = files.listing(Listing::new());
    }
    if let Some(page) = &flags.spa {
        if !std::fs::metadata(std::path::Path::new(directory).join(page))?.is_file() {
            return Err(format!("--spa {page}: {directory} has no such file").into());
        }
        files = files.spa(page);
    }
    Ok(files)
}

async fn serve_until_told<L, S>(listener: L, app: S) -> Result<(), BoxError>
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    serve(listener, app)
        .graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("draining: what runs is finished");
        })
        .await?;
    Ok(())
}
