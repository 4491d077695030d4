//! Documents that clients name instead of sending: trusted ones, given to the server at start, and persisted ones,
//! kept from clients that sent the text along with its hash (Apollo's "automatic persisted queries").
//!
//! In the flow: [`Documents::resolve`] puts the text into the request, which then goes the way of every other.
//!
//! | the request has | a client of |
//! |---|---|
//! | `documentId` | Relay, GraphQL Code Generator, the appendix "Persisted Documents" of GraphQL over HTTP |
//! | `extensions.persistedQuery {version: 1, sha256Hash}` | Apollo |
//!
//! **Invariant:** a text is kept only after it was found valid, and under the hash of itself, so that no client can
//! change what another one's hash means.
//! **Invariant:** kept texts are bounded in number and in bytes; the one unused for longest goes first.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
};

use async_graphql::{Request, ServerError, Value};
use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;
use parking_lot::Mutex;

use super::error::{code, refusal};

/// The name of the extension under which [`request`](super::request()) hands on a `documentId`.
pub(super) const DOCUMENT_ID: &str = "documentId";

type Hash = [u8; 32];

/// How much is kept from clients.
#[derive(Debug, Clone, Copy)]
pub struct KeepLimits {
    /// How many documents. 0 keeps none, and says so to clients that ask.
    pub entries: usize,
    /// How many bytes of documents in all.
    pub bytes: usize,
}

impl Default for KeepLimits {
    fn default() -> Self {
        Self {
            entries: 1_000,
            bytes: 4 << 20,
        }
    }
}

/// The documents that are known by name.
#[derive(Default)]
pub struct Documents {
    /// By the id of the manifest, which in practice is a hash in hexadecimal.
    trusted: HashMap<String, Arc<str>>,
    trusted_texts: HashSet<Hash>,
    only_trusted: bool,
    kept: Option<Mutex<Kept>>,
}

/// A document to keep once it is found valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ToKeep(Hash);

impl Documents {
    /// Keeps what clients send, within `limits`.
    pub fn new(limits: KeepLimits) -> Self {
        let kept = NonZeroUsize::new(limits.entries).map(|entries| {
            Mutex::new(Kept {
                texts: LruCache::new(entries),
                bytes: 0,
                most_bytes: limits.bytes,
            })
        });
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Knows the documents of a manifest, by id; if `only`, no other is run.
    #[must_use]
    pub fn trust(mut self, manifest: HashMap<String, String>, only: bool) -> Self {
        for (id, text) in manifest {
            self.trusted_texts.insert(hash(&text));
            self.trusted.insert(id, text.into());
        }
        self.only_trusted = only;
        self
    }

    /// The trusted documents, by id.
    pub fn trusted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.trusted
            .iter()
            .map(|(id, text)| (id.as_str(), text.as_ref()))
    }

    /// Puts the text that a request names into it. Returns what is to be kept if the text proves valid.
    pub(super) fn resolve(&self, request: &mut Request) -> Result<Option<ToKeep>, ServerError> {
        let to_keep = match named(request)? {
            None => None,
            Some(Named::Id(id)) => {
                self.resolve_trusted(request, &id)?;
                None
            }
            Some(Named::Hash(text)) if self.trusted.contains_key(&text) => {
                self.resolve_trusted(request, &text)?;
                None
            }
            Some(Named::Hash(text)) => self.resolve_kept(request, &text)?,
        };
        if self.only_trusted && !self.trusted_texts.contains(&hash(&request.query)) {
            let message = "this server runs only the documents it was given";
            return Err(refusal(code::UNTRUSTED_DOCUMENT, message, None));
        }
        Ok(to_keep)
    }

    fn resolve_trusted(&self, request: &mut Request, id: &str) -> Result<(), ServerError> {
        let text = self.trusted.get(id).ok_or_else(unknown)?;
        if request.query.is_empty() {
            request.query = text.to_string();
        } else if *request.query != **text {
            return Err(other());
        }
        Ok(())
    }

    fn resolve_kept(
        &self,
        request: &mut Request,
        text: &str,
    ) -> Result<Option<ToKeep>, ServerError> {
        let Some(kept) = &self.kept else {
            // Apollo's clients look for this message, and then send texts from the start.
            let message = "PersistedQueryNotSupported";
            return Err(refusal(code::KEEPS_NO_DOCUMENTS, message, None));
        };
        let hash_named = parse_hash(text);
        if request.query.is_empty() {
            let text = hash_named.and_then(|hash| kept.lock().texts.get(&hash).cloned());
            request.query = text.ok_or_else(unknown)?.to_string();
            return Ok(None);
        }
        match hash_named {
            Some(named) if named == hash(&request.query) => Ok(Some(ToKeep(named))),
            _ => Err(other()),
        }
    }

    /// Keeps a text that proved valid.
    pub(super) fn keep(&self, ToKeep(hash): ToKeep, text: &str) {
        if let Some(kept) = &self.kept {
            kept.lock().put(hash, text);
        }
    }
}

/// What clients sent.
struct Kept {
    texts: LruCache<Hash, Arc<str>>,
    bytes: usize,
    most_bytes: usize,
}

impl Kept {
    fn put(&mut self, hash: Hash, text: &str) {
        if self.texts.get(&hash).is_some() || text.len() > self.most_bytes {
            return;
        }
        while self.bytes + text.len() > self.most_bytes
            && let Some((_, oldest)) = self.texts.pop_lru()
        {
            self.bytes -= oldest.len();
        }
        self.bytes += text.len();
        if let Some((_, oldest)) = self.texts.push(hash, text.into()) {
            self.bytes -= oldest.len();
        }
    }
}

enum Named {
    Id(String),
    Hash(String),
}

/// The name that a request gives its document, if it does.
fn named(request: &Request) -> Result<Option<Named>, ServerError> {
    if let Some(Value::String(id)) = request.extensions.0.get(DOCUMENT_ID) {
        return Ok(Some(Named::Id(id.clone())));
    }
    let Some(Value::Object(persisted)) = request.extensions.0.get("persistedQuery") else {
        return Ok(None);
    };
    let is_known = matches!(persisted.get("version"), Some(Value::Number(version)) if version.as_u64() == Some(1));
    match persisted.get("sha256Hash") {
        Some(Value::String(hash)) if is_known => Ok(Some(Named::Hash(hash.clone()))),
        _ => {
            let message = "`extensions.persistedQuery` must have `version` 1 and a `sha256Hash`";
            Err(refusal(code::BAD_INPUT, message, None))
        }
    }
}

fn unknown() -> ServerError {
    // Apollo's clients look for this message, and then send the text along.
    refusal(code::UNKNOWN_DOCUMENT, "PersistedQueryNotFound", None)
}

fn other() -> ServerError {
    let message = "the document is not the one that its hash or id names";
    refusal(code::OTHER_DOCUMENT, message, None)
}

fn hash(text: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// Reads 64 hexadecimal digits.
fn parse_hash(text: &str) -> Option<Hash> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut hash = Hash::default();
    if pairs.len() != hash.len() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(hash)
}
