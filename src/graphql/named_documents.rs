//! Documents that clients reference by name. Trusted documents come from a manifest at startup. Persisted documents
//! were sent by clients together with their hash (Apollo's automatic persisted queries).
//!
//! In the flow: [`Documents::resolve`] puts the text into the request. Later steps handle it like a text that was sent.
//!
//! | request parameter | clients |
//! |---|---|
//! | `documentId` | Relay, GraphQL Code Generator, the appendix "Persisted Documents" of GraphQL over HTTP |
//! | `extensions.persistedQuery {version: 1, sha256Hash}` | Apollo |
//!
//! **Invariant:** a text is kept only after it was validated, and only under its own hash. So no client can change the
//! document that another client's hash names.
//! **Invariant:** kept texts are bounded in number and in bytes, and no user can evict those of the others.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_graphql::{Request, ServerError, Value};
use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use super::{code, error::refusal, fair_cache::FairCache};
use crate::version::UserId;

/// Name of the extension in which [`request`](super::request()) passes on a `documentId`.
pub(super) const DOCUMENT_ID: &str = "documentId";

type Hash = [u8; 32];

/// Limits on the documents that are kept from clients.
#[derive(Debug, Clone, Copy)]
pub struct KeepLimits {
    /// Maximum number of documents. 0 keeps none, and clients get `PERSISTED_QUERY_NOT_SUPPORTED`.
    pub entries: usize,
    /// Maximum total size of the documents, in bytes.
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

/// The trusted and the persisted documents.
#[derive(Default)]
pub struct Documents {
    /// Trusted documents by manifest id, which is a hexadecimal hash in practice.
    trusted: HashMap<String, Arc<str>>,
    trusted_texts: HashSet<Hash>,
    only_trusted: bool,
    /// Persisted documents of clients. `None` if none are kept.
    kept: Option<Mutex<FairCache<Hash, Arc<str>>>>,
}

/// Hash of a document to keep after validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ToKeep(Hash);

impl Documents {
    /// Keeps documents of clients, within `limits`.
    pub fn new(limits: KeepLimits) -> Self {
        let KeepLimits { entries, bytes } = limits;
        let kept = (entries > 0).then(|| Mutex::new(FairCache::new(entries, bytes)));
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Adds the documents of a manifest, by id. If `only` is true, other documents are refused.
    #[must_use]
    pub fn trust(mut self, manifest: HashMap<String, String>, only: bool) -> Self {
        for (id, text) in manifest {
            self.trusted_texts.insert(hash(&text));
            self.trusted.insert(id, text.into());
        }
        self.only_trusted = only;
        self
    }

    /// Returns the trusted documents with their ids.
    pub fn trusted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.trusted
            .iter()
            .map(|(id, text)| (id.as_str(), text.as_ref()))
    }

    /// Replaces the document name in a request by its text. Returns the hash to keep the text under once it was
    /// validated.
    pub(super) fn resolve(
        &self,
        user: &UserId,
        request: &mut Request,
    ) -> Result<Option<ToKeep>, ServerError> {
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
            Some(Named::Hash(text)) => self.resolve_kept(user, request, &text)?,
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
        user: &UserId,
        request: &mut Request,
        text: &str,
    ) -> Result<Option<ToKeep>, ServerError> {
        let Some(kept) = &self.kept else {
            // Apollo's clients recognise this message, and then send texts from the start.
            let message = "PersistedQueryNotSupported";
            return Err(refusal(code::KEEPS_NO_DOCUMENTS, message, None));
        };
        let hash_named = parse_hash(text);
        if request.query.is_empty() {
            let text = hash_named.and_then(|hash| kept.lock().find(user, &hash).cloned());
            request.query = text.ok_or_else(unknown)?.to_string();
            return Ok(None);
        }
        match hash_named {
            Some(named) if named == hash(&request.query) => Ok(Some(ToKeep(named))),
            _ => Err(other()),
        }
    }

    /// Keeps a text that was validated.
    pub(super) fn keep(&self, user: &UserId, ToKeep(hash): ToKeep, text: &str) {
        if let Some(kept) = &self.kept {
            kept.lock().put(user, hash, text.into(), text.len());
        }
    }
}

enum Named {
    Id(String),
    Hash(String),
}

/// Returns the document name in a request, or `None` if it has only a text.
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
    // Apollo's clients recognise this message, and then retry with the text.
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

/// Parses a hash of 64 hexadecimal digits.
fn parse_hash(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use async_graphql::Value;
    use serde_json::{Value as Json, json};

    use super::*;

    fn request(query: &str, extensions: Json) -> Request {
        let mut request = Request::new(query);
        let Json::Object(extensions) = extensions else {
            panic!("extensions are an object");
        };
        for (name, json) in extensions {
            let value = Value::from_json(json).unwrap();
            request.extensions.0.insert(name, value);
        }
        request
    }

    fn ann() -> UserId {
        UserId::new("ann").unwrap()
    }

    fn persisted(query: &str, hash: &str) -> Request {
        let extension = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
        request(query, extension)
    }

    fn hex(text: &str) -> String {
        hex::encode(hash(text))
    }

    fn code(result: Result<Option<ToKeep>, ServerError>) -> String {
        let extensions = result.expect_err("it is refused").extensions.unwrap();
        match extensions.get("code") {
            Some(Value::String(code)) => code.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn trusting(only: bool) -> Documents {
        let manifest = [("one".to_owned(), "{ one }".to_owned())].into();
        Documents::new(KeepLimits::default()).trust(manifest, only)
    }

    #[test]
    fn a_hash_is_read_in_the_format_of_other_clients() {
        // Example of FIPS 180-4, in lower and upper case.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(parse_hash(abc), Some(hash("abc")));
        assert_eq!(parse_hash(&abc.to_uppercase()), Some(hash("abc")));
        for text in [
            "",
            "b7",
            &abc[1..],
            &format!("{abc}00"),
            &abc.replace('b', "g"),
            &"é".repeat(32),
        ] {
            assert_eq!(parse_hash(text), None, "{text}");
        }
    }

    #[test]
    fn a_persisted_text_is_found_by_its_hash() {
        let documents = Documents::new(KeepLimits::default());
        let hash = hex("{ a }");
        assert_eq!(
            code(documents.resolve(&ann(), &mut persisted("", &hash))),
            "PERSISTED_QUERY_NOT_FOUND"
        );
        let to_keep = documents
            .resolve(&ann(), &mut persisted("{ a }", &hash))
            .unwrap();
        // A text is not kept before it was validated.
        assert_eq!(
            code(documents.resolve(&ann(), &mut persisted("", &hash))),
            "PERSISTED_QUERY_NOT_FOUND"
        );
        documents.keep(&ann(), to_keep.unwrap(), "{ a }");
        let mut named = persisted("", &hash.to_uppercase());
        assert_eq!(documents.resolve(&ann(), &mut named).unwrap(), None);
        assert_eq!(named.query, "{ a }");
    }

    #[test]
    fn a_text_under_another_hash_is_refused() {
        let documents = Documents::new(KeepLimits::default());
        for hash in [hex("{ b }"), String::new(), "é".repeat(32)] {
            let refused = documents.resolve(&ann(), &mut persisted("{ a }", &hash));
            assert_eq!(code(refused), "PERSISTED_QUERY_HASH_MISMATCH", "{hash}");
        }
    }

    #[test]
    fn an_extension_of_another_form_is_refused() {
        let documents = Documents::new(KeepLimits::default());
        for persisted in [
            json!({}),
            json!({"version": 2, "sha256Hash": "a"}),
            json!({"version": 1}),
            json!({"version": 1, "sha256Hash": 1}),
            json!({"version": "1", "sha256Hash": "a"}),
        ] {
            let mut request = request("{ a }", json!({"persistedQuery": persisted}));
            assert_eq!(
                code(documents.resolve(&ann(), &mut request)),
                "BAD_USER_INPUT",
                "{persisted}"
            );
        }
    }

    #[test]
    fn a_server_without_persisted_documents_reports_it() {
        let documents = Documents::default();
        let refused = documents.resolve(&ann(), &mut persisted("{ a }", &hex("{ a }")));
        assert_eq!(code(refused), "PERSISTED_QUERY_NOT_SUPPORTED");
        assert_eq!(
            documents
                .resolve(&ann(), &mut Request::new("{ a }"))
                .unwrap(),
            None
        );
    }

    #[test]
    fn a_trusted_document_is_found_by_its_id_in_either_form() {
        for only in [false, true] {
            let documents = trusting(only);
            for mut named in [
                request("", json!({"documentId": "one"})),
                persisted("", "one"),
            ] {
                assert_eq!(documents.resolve(&ann(), &mut named).unwrap(), None);
                assert_eq!(named.query, "{ one }");
                // A name and its text resolve to the same request.
                assert!(documents.resolve(&ann(), &mut named).is_ok());
                named.query = "{ two }".to_owned();
                assert_eq!(
                    code(documents.resolve(&ann(), &mut named)),
                    "PERSISTED_QUERY_HASH_MISMATCH"
                );
            }
            let mut unknown = request("", json!({"documentId": "two"}));
            assert_eq!(
                code(documents.resolve(&ann(), &mut unknown)),
                "PERSISTED_QUERY_NOT_FOUND"
            );
        }
    }

    #[test]
    fn only_trusted_documents_run_if_required() {
        let documents = trusting(true);
        assert!(
            documents
                .resolve(&ann(), &mut Request::new("{ one }"))
                .is_ok()
        );
        for mut other in [
            Request::new("{ two }"),
            Request::new("{ one } "),
            Request::new(""),
            persisted("{ two }", &hex("{ two }")),
        ] {
            assert_eq!(
                code(documents.resolve(&ann(), &mut other)),
                "DOCUMENT_NOT_TRUSTED",
                "{other:?}"
            );
        }
        assert!(
            trusting(false)
                .resolve(&ann(), &mut Request::new("{ two }"))
                .is_ok()
        );
    }
}
