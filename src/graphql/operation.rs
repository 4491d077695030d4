//! [`Operation`]: a validated operation, and how new its response must be.

use async_graphql::{Request, ServerError, Value as ConstValue, parser::types::OperationType};

use super::{coercion_error::CoercionError, error};
use crate::{
    trace::OpenSpan,
    version::{Head, Version},
};

/// Name of the request extension with the minimum version of the response.
const MIN_VERSION: &str = "minLibraryVersion";

/// Where an operation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// A replica may answer.
    Replica,
    /// The primary. Mutations return what they wrote, and streams report the current state. The rows that are selected
    /// beside `libraryChanges` must be of the same database as the changes.
    Primary,
    /// The primary. Each field itself reads the head, and refuses a session that is signed out.
    PrimaryWithHead,
}

/// A validated operation.
pub struct Operation {
    pub(super) request: Request,
    kind: OperationType,
    pub(super) reads: Reads,
    /// Minimum version of a query's response.
    at_least: Option<Version>,
    /// The span of its request, if it is traced.
    pub(super) span: Option<OpenSpan>,
    /// The transport of a stream, for measurements.
    pub(super) transport: &'static str,
    /// Head of the copy of the device that sends it.
    pub(super) copy: Option<Head>,
}

impl Operation {
    pub(super) fn new(
        request: Request,
        kind: OperationType,
        reads: Reads,
        at_least: Option<Version>,
    ) -> Self {
        Self {
            request,
            kind,
            reads,
            at_least,
            span: None,
            transport: "websocket",
            copy: None,
        }
    }

    /// Sets the span of its request.
    #[must_use]
    pub fn traced(self, span: Option<OpenSpan>) -> Self {
        Self { span, ..self }
    }

    /// Sets the transport of a stream that is not a WebSocket.
    #[must_use]
    pub fn over(self, transport: &'static str) -> Self {
        Self { transport, ..self }
    }

    /// Sets the head of the copy that the sending device reports.
    #[must_use]
    pub fn from_copy(self, copy: Option<Head>) -> Self {
        Self { copy, ..self }
    }

    /// Returns whether it is a query, a mutation or a subscription.
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    /// Returns the minimum version of a query's response.
    pub(super) fn at_least(&self) -> Option<Version> {
        self.at_least
    }

    /// Raises the minimum version of the response to `version`.
    #[must_use]
    pub fn no_older_than(self, version: Option<Version>) -> Self {
        Self {
            at_least: self.at_least.max(version),
            ..self
        }
    }
}

/// Reads `extensions.minLibraryVersion`, for clients that cannot send a header.
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
