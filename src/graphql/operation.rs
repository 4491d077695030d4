//! An operation that was found valid, and what it asks of its answer.

use async_graphql::{Request, ServerError, Value as ConstValue, parser::types::OperationType};

use super::{coercion_error::CoercionError, error};
use crate::version::Version;

/// The name, among a request's extensions, of the version that its answer must be at least as new as.
const MIN_VERSION: &str = "minLibraryVersion";

/// An operation that was found valid.
pub struct Operation {
    pub(super) request: Request,
    kind: OperationType,
    /// Whether all that it reads must be what was written last, because it says of what version that is.
    pub(super) is_fresh: bool,
    /// The version that a query's answer must be at least as new as.
    at_least: Option<Version>,
}

impl Operation {
    pub(super) fn new(
        request: Request,
        kind: OperationType,
        is_fresh: bool,
        at_least: Option<Version>,
    ) -> Self {
        Self {
            request,
            kind,
            is_fresh,
            at_least,
        }
    }

    /// Whether it is a query, a mutation or a subscription.
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    /// The version that a query's answer must be at least as new as.
    pub(super) fn at_least(&self) -> Option<Version> {
        self.at_least
    }

    /// The same, whose answer must not be older than `version` either.
    #[must_use]
    pub fn no_older_than(self, version: Option<Version>) -> Self {
        Self {
            at_least: self.at_least.max(version),
            ..self
        }
    }
}

/// The version that a client knows of, where it can send no header: `extensions.minLibraryVersion`.
pub(super) fn at_least(request: &Request) -> Result<Option<Version>, ServerError> {
    let version = match request.extensions.get(MIN_VERSION) {
        None | Some(ConstValue::Null) => return Ok(None),
        Some(ConstValue::Number(number)) => number.as_i64().and_then(|it| i32::try_from(it).ok()),
        Some(_) => None,
    };
    let message = || format!("`extensions.{MIN_VERSION}` must be a version");
    let version = version.ok_or_else(|| {
        let coercion_error = CoercionError::of(MIN_VERSION, message());
        error::coercion_error(&coercion_error, coercion_error.of_literal(), None)
    })?;
    Ok(Some(Version::new(version)))
}
