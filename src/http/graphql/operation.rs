//! One operation of one viewer: what of it is allowed, and how a socket runs it.

use async_graphql::{Request, parser::types::OperationType};
use futures_util::stream::BoxStream;
use uuid::Uuid;

use crate::{
    auth::{Credential, Viewer},
    graphql::{Answer, Operation},
    http::{rate_limiter::RateLimited, state::Node},
};

/// One result of an operation.
pub(in crate::http) type Outcome = Answer;

/// An operation that was found valid and runs.
pub(in crate::http) struct Begun {
    /// Whether it has results until somebody ends it: a subscription.
    pub lasts: bool,
    /// Its results; of a query or a mutation, the one.
    pub outcomes: BoxStream<'static, Outcome>,
}

/// Checks an operation and runs it.
///
/// # Errors
/// The request error to answer with.
pub(in crate::http) fn begin(
    node: &Node,
    viewer: &Viewer,
    request: Request,
) -> Result<Begun, Outcome> {
    let request_id = Uuid::now_v7().to_string();
    let operation = node.api.operation(viewer, request, &request_id)?;
    let operation = allow(viewer, operation)?;
    Ok(Begun {
        lasts: operation.kind() == OperationType::Subscription,
        outcomes: node.api.stream(viewer, operation, &request_id),
    })
}

/// The answer to an operation that comes too soon after others.
pub(in crate::http) fn refused(rate_limited: RateLimited) -> Outcome {
    Outcome::error("TOO_MANY_REQUESTS", rate_limited.to_string())
}

/// Lets an operation pass that the viewer's credential is good for.
pub(in crate::http) fn allow(viewer: &Viewer, operation: Operation) -> Result<Operation, Outcome> {
    if viewer.credential == Credential::Ticket && operation.kind() != OperationType::Subscription {
        let message = "a ticket opens subscriptions and nothing else";
        return Err(Outcome::error("FORBIDDEN", message));
    }
    Ok(operation)
}
