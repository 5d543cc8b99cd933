//! Fields put into messages, and taken out.

use std::fmt::Display;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::semantics::hop;

/// Fields that are put into a message or taken out of it, in the order in which they are said.
///
/// ```
/// use http::HeaderMap;
/// use tower_gateway::gateway_proxy::HeaderEdits;
///
/// let edits = HeaderEdits::new()
///     .remove("server")
///     .set("x-frame-options", "DENY")
///     .set_if_absent("cache-control", "no-store")
///     .add("vary", "cookie");
///
/// let mut headers = HeaderMap::new();
/// headers.insert("server", "gunicorn".parse()?);
/// headers.insert("cache-control", "max-age=60".parse()?);
/// headers.insert("vary", "accept".parse()?);
/// edits.apply(&mut headers);
///
/// assert!(!headers.contains_key("server"));
/// assert_eq!(headers["x-frame-options"], "DENY");
/// assert_eq!(headers["cache-control"], "max-age=60");
/// assert_eq!(headers.get_all("vary").iter().count(), 2);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
///
/// # Panics
///
/// Every setter panics for a name that is not one, for a value that is not one, and for the fields
/// of one connection (`Connection`, `Upgrade`, `TE`, …), `Content-Length`, `Transfer-Encoding`,
/// `Trailer`, `Expect` and `Host`: the gateway writes these itself.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct HeaderEdits {
    edits: Vec<(HeaderName, Edit)>,
}

#[derive(Clone, Debug)]
enum Edit {
    Add(HeaderValue),
    Set(HeaderValue),
    SetIfAbsent(HeaderValue),
    Remove,
}

impl HeaderEdits {
    /// Nothing is changed.
    pub const fn new() -> Self {
        Self { edits: Vec::new() }
    }

    /// Adds a line, whatever lines of this name there are.
    #[track_caller]
    pub fn add<V>(self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue, Error: Display>,
    {
        let value = valid(name, value);
        self.with(name, Edit::Add(value))
    }

    /// Puts one line in place of all lines of this name.
    #[track_caller]
    pub fn set<V>(self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue, Error: Display>,
    {
        let value = valid(name, value);
        self.with(name, Edit::Set(value))
    }

    /// Puts one line where there is none of this name.
    #[track_caller]
    pub fn set_if_absent<V>(self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue, Error: Display>,
    {
        let value = valid(name, value);
        self.with(name, Edit::SetIfAbsent(value))
    }

    /// Takes all lines of this name out.
    #[track_caller]
    pub fn remove(self, name: &str) -> Self {
        self.with(name, Edit::Remove)
    }

    #[track_caller]
    fn with(mut self, name: &str, edit: Edit) -> Self {
        let Ok(parsed) = name.parse::<HeaderName>() else {
            panic!("{name:?} is not the name of a field; write one such as \"x-frame-options\"");
        };
        if let Some(instead) = refusal(&parsed) {
            panic!("{parsed} is written by the gateway itself; {instead}");
        }
        self.edits.push((parsed, edit));
        self
    }

    /// Changes the fields of a message.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, edit) in &self.edits {
            match edit {
                Edit::Add(value) => {
                    headers.append(name, value.clone());
                }
                Edit::Set(value) => {
                    headers.insert(name, value.clone());
                }
                Edit::SetIfAbsent(value) => {
                    headers.entry(name).or_insert_with(|| value.clone());
                }
                Edit::Remove => {
                    headers.remove(name);
                }
            }
        }
    }
}

#[track_caller]
fn valid<V>(name: &str, value: V) -> HeaderValue
where
    V: TryInto<HeaderValue, Error: Display>,
{
    match value.try_into() {
        Ok(value) => value,
        Err(error) => {
            panic!("{error}: the value of {name} is one line of visible characters")
        }
    }
}

/// What to do instead, of a field that is not to be edited.
fn refusal(name: &HeaderName) -> Option<&'static str> {
    if *name == header::HOST {
        return Some("say GatewayProxy::host");
    }
    if [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TRAILER,
    ]
    .contains(name)
    {
        return Some("it follows from the body");
    }
    if *name == header::EXPECT {
        return Some("leave it to the client");
    }
    hop::is_hop_by_hop(name).then_some("it is for one connection, and cannot be edited")
}

#[cfg(test)]
mod tests;
