//! One operation of one viewer, as every stream transport runs it.

use async_graphql::{Request, parser::types::OperationType};
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use uuid::Uuid;

use super::{Node, TooFast};
use crate::{
    auth::{Credential, Viewer},
    graphql::{Answer, Operation},
};

/// One result of an operation.
pub(super) type Outcome = Answer;

/// Checks and runs an operation. Of a query or a mutation, the stream is its one result.
pub(super) fn run(node: &Node, viewer: &Viewer, request: Request) -> BoxStream<'static, Outcome> {
    let (node, viewer) = (node.clone(), viewer.clone());
    let request_id = Uuid::now_v7().to_string();
    let outcomes = async move {
        if let Err(too_fast) = node.pace.user(&viewer.user) {
            return stream::iter([refused(too_fast)]).boxed();
        }
        let read = node.api.operation(request, &request_id).await;
        match read.and_then(|operation| allow(&viewer, operation)) {
            Ok(operation) => node.api.stream(&viewer, operation, &request_id),
            Err(refused) => stream::iter([refused]).boxed(),
        }
    };
    outcomes.flatten_stream().boxed()
}

/// The answer to an operation that comes too soon after others.
pub(super) fn refused(too_fast: TooFast) -> Outcome {
    Outcome::error("TOO_MANY_REQUESTS", too_fast.to_string())
}

/// Lets an operation pass that the viewer's credential is good for.
pub(super) fn allow(viewer: &Viewer, operation: Operation) -> Result<Operation, Outcome> {
    if viewer.credential == Credential::Ticket && operation.kind() != OperationType::Subscription {
        let message = "a ticket opens subscriptions and nothing else";
        return Err(Outcome::error("FORBIDDEN", message));
    }
    Ok(operation)
}
