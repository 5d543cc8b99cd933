//! Which mount a request belongs to.

use std::{borrow::Cow, collections::HashMap, fmt, mem};

use http::Method;

use super::pattern::{Host, LONGEST_NAME, Path, Pattern};
use crate::semantics::path::match_key;

/// All mounts, by number: exact hosts before wildcards (a long one before a short one) before every
/// host; of one host exact paths before prefixes, long before short; at one path, those for the
/// method before those for all.
///
/// The cost of a look-up grows with the length of the path, hardly with the number of mounts.
#[derive(Clone, Default)]
pub(super) struct Table {
    any_host: Node,
    hosts: HashMap<String, Node>,
    /// By the name that they are below.
    wildcards: HashMap<String, Node>,
}

/// What a table knows of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Mount(usize),
    /// There are mounts for its path, and all are for other methods: these.
    OtherMethods(Vec<Method>),
    Nothing,
}

impl Table {
    /// Leads `pattern` to a mount. The error is another one that is for the same requests.
    pub(super) fn insert(&mut self, pattern: &Pattern, mount: usize) -> Result<(), usize> {
        let node = match &pattern.host {
            Host::Any => &mut self.any_host,
            Host::Exact(name) => self.hosts.entry(name.clone()).or_default(),
            Host::Below(name) => self.wildcards.entry(name.clone()).or_default(),
        };
        let spot = match &pattern.path {
            Path::Exact(path) => &mut node.at(path.as_bytes()).exact,
            Path::Prefix(prefix) => &mut node.at(prefix.as_str().as_bytes()).below,
        };
        spot.insert(&pattern.methods, mount)
    }

    /// Whether it matters which host a request names.
    pub(super) fn has_hosts(&self) -> bool {
        !self.hosts.is_empty() || !self.wildcards.is_empty()
    }

    /// The mount for a canonical path, and for the name of a host without its port.
    pub(super) fn find(&self, host: Option<&str>, method: &Method, path: &str) -> Found {
        let key = match_key(path);
        // "*", or an authority: not a path.
        if !key.starts_with('/') {
            return Found::Nothing;
        }
        let mut others = Vec::new();
        let named = host.and_then(|host| self.find_host(host, method, &key, &mut others));
        match named.or_else(|| self.any_host.find(method, &key, &mut others)) {
            Some(mount) => Found::Mount(mount),
            None if others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(others),
        }
    }

    fn find_host(
        &self,
        host: &str,
        method: &Method,
        key: &str,
        others: &mut Vec<Method>,
    ) -> Option<usize> {
        // Longer than any name that is mounted, and each of its labels would be looked up.
        if host.len() > LONGEST_NAME {
            return None;
        }
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        let exact = self.hosts.get(&*host);
        if let Some(mount) = exact.and_then(|paths| paths.find(method, key, others)) {
            return Some(mount);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let dots = host.match_indices('.').filter(|(at, _)| *at > 0);
        let wildcards = dots.filter_map(|(at, _)| self.wildcards.get(&host[at + 1..]));
        wildcards
            .into_iter()
            .find_map(|paths| paths.find(method, key, others))
    }
}

/// A radix tree of paths: what the labels from the root to a node spell is mounted there.
#[derive(Clone, Default)]
struct Node {
    /// Not empty, but for the root.
    label: Box<[u8]>,
    exact: Spot,
    below: Spot,
    /// No two begin alike.
    children: Vec<Node>,
    /// With which byte the label of each begins: they lie side by side.
    firsts: Vec<u8>,
}

impl Node {
    /// The node of a path, which is made if it is not there.
    fn at(&mut self, path: &[u8]) -> &mut Self {
        let Some(first) = path.first() else {
            return self;
        };
        let place = self.child(*first).unwrap_or_else(|| {
            self.firsts.push(*first);
            self.children.push(Self {
                label: path.into(),
                ..Self::default()
            });
            self.children.len() - 1
        });
        let child = &mut self.children[place];
        let both = child.label.iter().zip(path);
        let common = both.take_while(|(ours, theirs)| ours == theirs).count();
        child.split(common);
        child.at(&path[common..])
    }

    /// Shortens the label to so many bytes. The rest of it becomes a child's.
    fn split(&mut self, length: usize) {
        let (label, rest) = self.label.split_at(length);
        if rest.is_empty() {
            return;
        }
        let (label, first, rest) = (label.into(), rest[0], rest.into());
        let child = Self {
            label: rest,
            ..mem::take(self)
        };
        *self = Self {
            label,
            children: vec![child],
            firsts: vec![first],
            ..Self::default()
        };
    }

    /// The place of the child whose label begins with this byte.
    fn child(&self, first: u8) -> Option<usize> {
        self.firsts.iter().position(|byte| *byte == first)
    }

    /// The mount for a path: the exact one, or the longest prefix that has one for the method.
    fn find(&self, method: &Method, key: &str, others: &mut Vec<Method>) -> Option<usize> {
        let (exact, mut below) = self.walk(key.as_bytes());
        if let Some(mount) = exact.and_then(|spot| spot.find(method, others)) {
            return Some(mount);
        }
        while let Some((spot, end)) = below {
            if let Some(mount) = spot.find(method, others) {
                return Some(mount);
            }
            // A shorter one ends before the last segment of this one.
            let shorter = key[..end].rfind('/')?;
            (_, below) = self.walk(&key.as_bytes()[..shorter]);
        }
        None
    }

    /// What is mounted at a path, and at the longest prefix of it, which ends there.
    fn walk(&self, path: &[u8]) -> (Option<&Spot>, Option<(&Spot, usize)>) {
        let (mut node, mut rest) = (self, path);
        let mut longest = None;
        loop {
            // A prefix ends where a segment ends.
            if !node.below.is_empty() && matches!(rest.first(), None | Some(b'/')) {
                longest = Some((&node.below, path.len() - rest.len()));
            }
            let Some(first) = rest.first() else {
                return (Some(&node.exact), longest);
            };
            let Some(child) = node.child(*first).map(|place| &node.children[place]) else {
                return (None, longest);
            };
            let Some(below) = rest.strip_prefix(&*child.label) else {
                return (None, longest);
            };
            (node, rest) = (child, below);
        }
    }
}

/// The mounts at one place, which differ by their methods.
#[derive(Clone, Debug, Default)]
struct Spot {
    by_method: Vec<(Method, usize)>,
    any_method: Option<usize>,
}

impl Spot {
    fn is_empty(&self) -> bool {
        self.any_method.is_none() && self.by_method.is_empty()
    }

    fn insert(&mut self, methods: &[Method], mount: usize) -> Result<(), usize> {
        if methods.is_empty() {
            return match self.any_method {
                Some(other) => Err(other),
                None => {
                    self.any_method = Some(mount);
                    Ok(())
                }
            };
        }
        if let Some(other) = methods.iter().find_map(|method| self.of(method)) {
            return Err(other);
        }
        let methods = methods.iter().map(|method| (method.clone(), mount));
        self.by_method.extend(methods);
        Ok(())
    }

    fn of(&self, method: &Method) -> Option<usize> {
        let mut mounts = self.by_method.iter();
        mounts
            .find(|(other, _)| other == method)
            .map(|(_, mount)| *mount)
    }

    /// The mount for a method; where there is none, the methods that there are mounts for are added
    /// to the others.
    fn find(&self, method: &Method, others: &mut Vec<Method>) -> Option<usize> {
        if self.by_method.is_empty() {
            return self.any_method;
        }
        // RFC 9110 §9.3.2: "The HEAD method is identical to GET except that the server MUST NOT
        // send content in the response."
        let get = || (method == Method::HEAD).then(|| self.of(&Method::GET))?;
        let mount = self.of(method).or_else(get).or(self.any_method);
        if mount.is_none() {
            others.extend(self.by_method.iter().map(|(method, _)| method.clone()));
        }
        mount
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}
