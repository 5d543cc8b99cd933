//! A file as it is sent: in one coding, with the fields of its answer.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::{
    cache::Resource,
    codings::{offer, variant},
    find::Located,
    layer::Config,
    manifest::Manifest,
    source::{Content, Identity, Wait},
    validators::{Stated, validators},
};
use crate::{
    body::file::CHUNK,
    semantics::{
        conditional::Validators,
        negotiate::{Coding, choose_coding},
    },
};

/// One of the representations of a file. Clones share its bytes.
#[derive(Clone, Debug)]
pub(super) struct Representation {
    pub(super) content: Content,
    pub(super) length: u64,
    pub(super) validators: Validators,
    /// The fields of a 200.
    pub(super) headers: HeaderMap,
    /// Those of a 304, if it is to be sent more than once.
    pub(super) not_modified: Option<HeaderMap>,
    pub(super) coding: Option<Coding>,
    is_negotiated: bool,
    identity: Option<Identity>,
    /// What the build said when the fields were made.
    manifest: Option<Arc<Manifest>>,
    /// `false`: a moment later its validators would be others.
    is_settled: bool,
}

/// The representation that a client asks for, of a file that is not kept.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else the source's.
pub(super) fn choose(
    config: &Config,
    mut located: Located<'_>,
    request: &HeaderMap,
    wait: Wait,
) -> io::Result<Representation> {
    let media_type = config.media_types.of(&located.name);
    let mut offer = offer(config, &located, essence(&media_type), wait)?;
    let mut chosen = None;
    while let Some(coding) = choose_coding(request, offer.codings.iter().copied()) {
        if let Some(file) = variant(config, &located, coding, wait)? {
            located.file = file;
            chosen = Some(coding);
            break;
        }
        // It has gone since it was seen.
        offer.codings.retain(|other| *other != coding);
    }
    let stated = stated(config, &located, chosen, wait)?;
    let is_negotiated = offer.is_negotiated;
    Representation::new(
        config,
        located,
        stated,
        media_type,
        chosen,
        is_negotiated,
        wait,
    )
}

/// All that there are of a file, to be kept. Of `previous`, what is still right is used again.
///
/// # Errors
///
/// `WouldBlock`, if it is not to wait; else the source's.
pub(super) fn all(
    config: &Config,
    located: Located<'_>,
    previous: Option<&Resource>,
    wait: Wait,
) -> io::Result<Resource> {
    let media_type = config.media_types.of(&located.name);
    let offer = offer(config, &located, essence(&media_type), wait)?;
    let manifest = config.memory().manifest.get(config, wait)?;
    let is_negotiated = offer.is_negotiated;
    let is_growing = offer.is_growing;
    let keep = |coding, located: Located<'_>| {
        let stated = stated(config, &located, coding, wait)?;
        let previous = previous
            .into_iter()
            .flat_map(Resource::representations)
            .find(|previous| previous.is(coding, &located, &stated, is_negotiated))
            .filter(|previous| same(&previous.manifest, &manifest));
        if let Some(previous) = previous {
            return Ok(Arc::clone(previous));
        }
        let media_type = media_type.clone();
        Representation::new(
            config,
            located,
            stated,
            media_type,
            coding,
            is_negotiated,
            wait,
        )?
        .kept(config, wait)
        .map(Arc::new)
    };
    let mut coded = Vec::with_capacity(offer.codings.len());
    for coding in offer.codings {
        if let Some(file) = variant(config, &located, coding, wait)? {
            let name = located.name.clone();
            let beside = Located {
                file,
                name,
                ..located
            };
            coded.push(keep(Some(coding), beside)?);
        }
    }
    let plain = keep(None, located)?;
    let is_settled = plain.is_settled && coded.iter().all(|one| one.is_settled);
    Ok(Resource {
        plain,
        coded,
        is_passing: is_growing || !is_settled,
    })
}

fn stated(
    config: &Config,
    located: &Located<'_>,
    coding: Option<Coding>,
    wait: Wait,
) -> io::Result<Stated> {
    let suffix = match coding {
        None => "",
        Some(Coding::Brotli) => "-br",
        Some(Coding::Zstd) => "-zstd",
        Some(Coding::Gzip) => "-gzip",
    };
    let digests = &config.memory().digests;
    validators(config.tags, digests, located, suffix, wait)
}

impl Representation {
    fn new(
        config: &Config,
        located: Located<'_>,
        stated: Stated,
        media_type: HeaderValue,
        coding: Option<Coding>,
        is_negotiated: bool,
        wait: Wait,
    ) -> io::Result<Self> {
        let validators = stated.validators;

        let mut headers = HeaderMap::with_capacity(12);
        if let Some(coding) = coding {
            let token = HeaderValue::from_static(coding.token());
            headers.insert(header::CONTENT_ENCODING, token);
        }
        let length = HeaderValue::from(located.file.length);
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(etag) = &validators.etag {
            headers.insert(header::ETAG, etag.to_header());
        }
        if let Some(date) = validators.last_modified {
            headers.insert(header::LAST_MODIFIED, date.to_header());
        }
        if is_negotiated {
            // Also without a coding, and with a 304: a cache must know that others get others.
            let accept_encoding = HeaderValue::from_static("accept-encoding");
            headers.insert(header::VARY, accept_encoding);
        }
        let manifest = config.memory().manifest.get(config, wait)?;
        let essence = essence(&media_type);
        config
            .policy
            .apply(&located, essence, manifest.as_deref(), &mut headers);
        headers.insert(header::CONTENT_TYPE, media_type);

        Ok(Self {
            length: located.file.length,
            identity: located.file.identity,
            content: located.file.content,
            validators,
            headers,
            not_modified: None,
            coding,
            is_negotiated,
            manifest,
            is_settled: stated.is_settled,
        })
    }

    /// With all that is done once for many answers.
    fn kept(mut self, config: &Config, wait: Wait) -> io::Result<Self> {
        self.not_modified = Some(not_modified(&self.headers));
        // A copy has no more room than it needs.
        self.headers = self.headers.clone();
        if self.length > config.cache.map_or(0, |cache| cache.longest()) {
            return Ok(self);
        }
        let length = usize::try_from(self.length).map_err(io::Error::other)?;
        if wait == Wait::Never && length > CHUNK {
            // It takes longer than others should wait.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.content.read(0, length, wait)?;
        let bytes = match self.content {
            // The buffer that it was read into is larger, and used again.
            Content::File(_) if length <= CHUNK => Bytes::copy_from_slice(&read),
            _ => read,
        };
        // What was written to meanwhile is not what its tag says; it stays a file, of which a
        // moment later more is known.
        if self.content.identity()? == self.identity {
            self.content = Content::Bytes(bytes);
        } else {
            self.is_settled = false;
        }
        Ok(self)
    }

    /// Whether it is this file in this coding, as it is now. What its tag is made of may lie
    /// elsewhere (beside the file), and change without it.
    fn is(
        &self,
        coding: Option<Coding>,
        located: &Located<'_>,
        stated: &Stated,
        is_negotiated: bool,
    ) -> bool {
        self.coding == coding
            && self.is_settled
            && self.identity.is_some()
            && self.identity == located.file.identity
            && self.validators == stated.validators
            && self.is_negotiated == is_negotiated
    }

    /// How many bytes it takes to keep.
    pub(super) fn weight(&self) -> u64 {
        /// Fields of two answers, their values, and what holds them.
        const HEAD: u64 = 2048;
        /// Of these a process may have few.
        const DESCRIPTOR: u64 = 64 << 10;

        match self.content {
            Content::Bytes(_) => HEAD + self.length,
            Content::File(_) => HEAD + DESCRIPTOR,
        }
    }
}

/// RFC 9110 §15.4.5: "The server generating a 304 response MUST generate any of the following
/// header fields that would have been sent in a 200 (OK) response to the same request:
/// Content-Location, Date, ETag, and Vary; Cache-Control and Expires". Last-Modified "might be
/// useful if the response does not have an ETag field".
pub(super) fn not_modified(of_ok: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    for name in [
        header::CONTENT_LOCATION,
        header::ETAG,
        header::VARY,
        header::CACHE_CONTROL,
        header::EXPIRES,
    ] {
        for value in of_ok.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    if !headers.contains_key(header::ETAG)
        && let Some(date) = of_ok.get(header::LAST_MODIFIED)
    {
        headers.insert(header::LAST_MODIFIED, date.clone());
    }
    headers
}

/// Whether nothing new was read.
fn same<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
}

/// A media type without its parameters.
pub(super) fn essence(media_type: &HeaderValue) -> &str {
    let text = media_type.to_str().unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim_end()
}
