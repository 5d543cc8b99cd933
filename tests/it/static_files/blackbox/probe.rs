//! One question, the rule, and what a right answer to it is.

use crate::support::{awaited::Feature, raw::Answer};

/// A request, written as it goes over the wire.
///
/// In values of fields, `{etag}` is the tag that the server itself gave for the target, and
/// `{opaque}` the same without a `W/`.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub version: &'static str,
    /// Fields in order; without a `Host`, one is added.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub without_host: bool,
}

pub fn ask(method: &str, target: &str) -> Request {
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        version: "HTTP/1.1",
        fields: Vec::new(),
        body: Vec::new(),
        without_host: false,
    }
}

pub fn get(target: &str) -> Request {
    ask("GET", target)
}

impl Request {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    pub fn without_host(mut self) -> Self {
        self.without_host = true;
        self
    }

    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(given, _)| given == name);
        field.map(|(_, value)| value.as_str())
    }

    /// Whether a value names a tag of the server's.
    pub fn names_tag(&self) -> bool {
        let mut values = self.fields.iter().map(|(_, value)| value);
        values.any(|value| value.contains("{etag}") || value.contains("{opaque}"))
    }

    pub fn bytes(&self, etag: &str) -> Vec<u8> {
        let opaque = etag.strip_prefix("W/").unwrap_or(etag);
        let mut bytes = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if !self.without_host && self.field("Host").is_none() {
            bytes.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.fields {
            let value = value.replace("{etag}", etag).replace("{opaque}", opaque);
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// One line of the table.
pub struct Probe {
    /// The section that says what is right.
    pub rule: &'static str,
    pub name: String,
    pub request: Request,
    /// What the RFC lets anybody answer.
    pub right: Expected,
    /// What of that this crate answers, where the RFC leaves it open.
    pub ours: Option<Expected>,
    /// What this crate has to have learnt before.
    pub needs: Option<Feature>,
}

pub fn probe(
    rule: &'static str,
    name: impl Into<String>,
    request: Request,
    right: Expected,
) -> Probe {
    Probe {
        rule,
        name: name.into(),
        request,
        right,
        ours: None,
        needs: None,
    }
}

impl Probe {
    pub fn ours(mut self, ours: Expected) -> Self {
        self.ours = Some(ours);
        self
    }

    pub fn needs(mut self, feature: Feature) -> Self {
        self.needs = Some(feature);
        self
    }
}

/// Answers of which one has to be given.
#[derive(Clone)]
pub struct Expected(Vec<(Vec<u16>, Vec<Check>)>);

#[derive(Clone)]
enum Check {
    Has(&'static str, String),
    Begins(&'static str, String),
    HasAny(&'static str),
    Lacks(&'static str),
    Lists(&'static str, Vec<&'static str>),
    Body(Vec<u8>),
    Holds(fn(&Answer) -> Result<(), String>),
}

/// One of these statuses.
pub fn status<const N: usize>(statuses: [u16; N]) -> Expected {
    Expected(vec![(statuses.to_vec(), Vec::new())])
}

impl Expected {
    /// Or this.
    pub fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn and(mut self, check: &Check) -> Self {
        for (_, checks) in &mut self.0 {
            checks.push(check.clone());
        }
        self
    }

    pub fn has(self, name: &'static str, value: impl Into<String>) -> Self {
        self.and(&Check::Has(name, value.into()))
    }

    pub fn begins(self, name: &'static str, value: impl Into<String>) -> Self {
        self.and(&Check::Begins(name, value.into()))
    }

    pub fn has_any(self, name: &'static str) -> Self {
        self.and(&Check::HasAny(name))
    }

    pub fn lacks(self, name: &'static str) -> Self {
        self.and(&Check::Lacks(name))
    }

    /// All of these are members of the list that the field is.
    pub fn lists(self, name: &'static str, members: &[&'static str]) -> Self {
        self.and(&Check::Lists(name, members.to_vec()))
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.and(&Check::Body(body.into()))
    }

    pub fn holds(self, check: fn(&Answer) -> Result<(), String>) -> Self {
        self.and(&Check::Holds(check))
    }

    pub fn check(&self, answer: &Answer) -> Result<(), String> {
        let statuses: Vec<u16> = self.0.iter().flat_map(|(any, _)| any).copied().collect();
        let mut wrong = format!("status {}, not {statuses:?}", answer.status);
        for (statuses, checks) in &self.0 {
            if !statuses.contains(&answer.status) {
                continue;
            }
            match checks.iter().try_for_each(|check| check.passes(answer)) {
                Ok(()) => return Ok(()),
                Err(reason) => wrong = format!("status {}, but {reason}", answer.status),
            }
        }
        Err(wrong)
    }
}

impl Check {
    fn passes(&self, answer: &Answer) -> Result<(), String> {
        let given = |name: &str| answer.header_all(name).join(", ");
        let is_right = match self {
            Self::Has(name, value) => given(name) == *value,
            Self::Begins(name, value) => given(name).starts_with(value),
            Self::HasAny(name) => answer.header(name).is_some(),
            Self::Lacks(name) => answer.header(name).is_none(),
            Self::Lists(name, members) => {
                let given = given(name).to_ascii_lowercase();
                let given: Vec<_> = given.split(',').map(str::trim).collect();
                members
                    .iter()
                    .all(|member| given.contains(&member.to_ascii_lowercase().as_str()))
            }
            Self::Body(body) => answer.body == *body,
            Self::Holds(check) => return check(answer),
        };
        if is_right {
            return Ok(());
        }
        Err(match self {
            Self::Has(name, value) => format!("{name} is {:?}, not {value:?}", given(name)),
            Self::Begins(name, value) => {
                format!(
                    "{name} is {:?}, and does not begin with {value:?}",
                    given(name)
                )
            }
            Self::HasAny(name) => format!("there is no {name}"),
            Self::Lacks(name) => format!("there is {name}: {}", given(name)),
            Self::Lists(name, members) => {
                format!("{name} is {:?}, and lacks one of {members:?}", given(name))
            }
            Self::Body(body) => format!(
                "the body is {}, not {}",
                excerpt(&answer.body),
                excerpt(body)
            ),
            Self::Holds(_) => String::new(),
        })
    }
}

fn excerpt(body: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
    format!("{beginning:?} ({} bytes)", body.len())
}
