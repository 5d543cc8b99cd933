//! For any mounts and any request: what a walk over all of them finds.

use futures_util::FutureExt;
use http::{Method, Request};
use proptest::prelude::*;
use tower::Layer;
use tower_gateway::{Body, PathDispatch, path_dispatch::Place};

use super::{erased, send, tell};

#[derive(Clone, Debug)]
struct Mounted {
    host: Option<&'static str>,
    is_exact: bool,
    path: String,
    methods: Vec<Method>,
}

impl Mounted {
    fn place(&self) -> Place {
        let mut place = match self.is_exact {
            true => Place::exact(&*self.path),
            false => Place::prefix(&*self.path).unstripped(),
        };
        if let Some(host) = self.host {
            place = place.host(host);
        }
        self.methods.iter().cloned().fold(place, Place::method)
    }

    /// How well it matches, the method aside.
    fn matches(&self, host: &str, path: &str) -> Option<(usize, bool, usize)> {
        let of_host = match self.host {
            None => 0,
            Some(name) => match name.strip_prefix("*.") {
                Some(name) => host.ends_with(&format!(".{name}")).then_some(name.len())?,
                None => (name == host).then_some(usize::MAX)?,
            },
        };
        let prefix = self.path.strip_suffix('/').unwrap_or(&self.path);
        let is_below = match self.is_exact {
            true => self.path == path,
            false => path == prefix || path.starts_with(&format!("{prefix}/")),
        };
        is_below.then_some((of_host, self.is_exact, prefix.len()))
    }

    fn takes(&self, method: &Method) -> Option<u8> {
        let has = |method| self.methods.contains(method);
        match method {
            _ if has(method) => Some(2),
            &Method::HEAD if has(&Method::GET) => Some(1),
            _ => self.methods.is_empty().then_some(0),
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("ab"), Just("aa")];
    (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, slash)| {
        let path = format!("/{}", segments.join("/"));
        if slash && path != "/" {
            path + "/"
        } else {
            path
        }
    })
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST])
}

const HOSTS: [&str; 5] = ["b.test", "a.b.test", "*.test", "*.b.test", "*.a.b.test"];

fn mounted() -> impl Strategy<Value = Mounted> {
    (
        prop::option::weighted(0.4, prop::sample::select(&HOSTS[..])),
        any::<bool>(),
        path(),
        prop::collection::vec(method(), 0..3),
    )
        .prop_map(|(host, is_exact, path, methods)| Mounted {
            host,
            is_exact,
            path,
            methods,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn dispatch_with_hosts_and_methods_is_what_a_slow_oracle_says(
        wanted in prop::collection::vec(mounted(), 0..14),
        hosts in prop::collection::vec(prop::sample::select(vec!["test", "b.test", "a.b.test", "c.b.test", "x.a.b.test", "other"]), 1..4),
        paths in prop::collection::vec(path(), 1..4),
        method in method(),
    ) {
        let mut dispatch = PathDispatch::new();
        let mut mounts = Vec::new();
        for (number, mount) in wanted.into_iter().enumerate() {
            let next = dispatch.clone().mount_at(mount.place(), tell(number.to_string()));
            let is_taken = mounts.iter().any(|(_, other): &(_, Mounted)| {
                let same = |path: &str, exact| if exact { path.to_owned() } else { path.trim_end_matches('/').to_owned() };
                other.host == mount.host
                    && other.is_exact == mount.is_exact
                    && same(&other.path, other.is_exact) == same(&mount.path, mount.is_exact)
                    && (other.methods.is_empty() && mount.methods.is_empty()
                        || other.methods.iter().any(|method| mount.methods.contains(method)))
            });
            prop_assert_eq!(next.is_err(), is_taken);
            if let Ok(next) = next {
                dispatch = next;
                mounts.push((number, mount));
            }
        }
        let app = erased(dispatch.layer(tell("inner")));
        for (host, path) in hosts.iter().zip(&paths) {
            let matching: Vec<_> = mounts
                .iter()
                .filter_map(|(number, mount)| Some((mount.matches(host, path)?, number, mount)))
                .collect();
            let best = matching
                .iter()
                .filter_map(|(rank, number, mount)| Some((*rank, mount.takes(&method)?, *number)))
                .max();
            let expected = match best {
                Some((_, _, number)) => format!("{number} - {path}"),
                None if matching.is_empty() => format!("inner - {path}"),
                None => "Method Not Allowed".to_owned(),
            };
            let request = Request::builder().method(&method).uri(path).header("host", *host);
            let request = request.body(Body::empty()).unwrap();
            let (_, headers, told) = send(&app, request).now_or_never().unwrap();
            prop_assert_eq!(&told, &expected);
            if told == "Method Not Allowed" {
                let mut allowed: Vec<_> = matching.iter().flat_map(|(_, _, mount)| &mount.methods).map(Method::as_str).collect();
                if allowed.contains(&"GET") {
                    allowed.push("HEAD");
                }
                allowed.sort();
                allowed.dedup();
                let allowed = allowed.join(", ");
                prop_assert_eq!(headers["allow"].to_str().unwrap(), allowed);
            }
        }
    }
}
