//! One operation of one viewer: authorization, and execution on a socket.

use async_graphql::{Request, Value, parser::types::OperationType};
use futures_util::{StreamExt as _, stream::BoxStream};
use uuid::Uuid;

use crate::{
    auth::{Credential, Viewer},
    graphql::{Answer, Operation},
    http::{rate_limiter::RateLimited, state::Node},
    trace::OpenSpan,
};

/// One result of an operation.
pub(in crate::http) type Outcome = Answer;

/// A valid operation that runs.
pub(in crate::http) struct Begun {
    /// Whether it is a subscription, which has results until the client or the server ends it.
    pub lasts: bool,
    /// Its results. A query or a mutation has one.
    pub outcomes: BoxStream<'static, Outcome>,
}

/// Validates an operation and runs it.
///
/// # Errors
/// The request error to answer with.
pub(in crate::http) fn begin(
    node: &Node,
    viewer: &Viewer,
    request: Request,
) -> Result<Begun, Outcome> {
    let request_id = Uuid::now_v7().to_string();
    let span = OpenSpan::of_request(traceparent(&request));
    let operation = node.api.operation(viewer, request, &request_id)?;
    let operation = allow(viewer, operation)?.traced(span);
    let lasts = operation.kind() == OperationType::Subscription;
    let outcomes = node.api.stream(viewer, operation, &request_id);
    let outcomes = match span {
        Some(span) if !lasts => outcomes.inspect(move |_| span.end("request")).boxed(),
        _ => outcomes,
    };
    Ok(Begun { lasts, outcomes })
}

/// Returns the position of an operation in the client's trace, from `extensions.traceparent`.
fn traceparent(request: &Request) -> Option<&str> {
    match request.extensions.get("traceparent")? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Returns the answer to an operation over the rate limit.
pub(in crate::http) fn refused(rate_limited: RateLimited) -> Outcome {
    Outcome::error("TOO_MANY_REQUESTS", rate_limited.to_string())
}

/// Refuses an operation that the viewer's credential does not allow.
pub(in crate::http) fn allow(viewer: &Viewer, operation: Operation) -> Result<Operation, Outcome> {
    if viewer.credential == Credential::Ticket && operation.kind() != OperationType::Subscription {
        let message = "a ticket allows only subscriptions; send a token";
        return Err(Outcome::error("FORBIDDEN", message));
    }
    Ok(operation)
}
