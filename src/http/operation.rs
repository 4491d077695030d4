//! One operation of one viewer, as every stream transport runs it.

use async_graphql::{Request, parser::types::OperationType};
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use uuid::Uuid;

use super::Node;
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
        match node.api.operation(request, &request_id).await {
            Ok(operation) => run_valid(&node, &viewer, operation, &request_id),
            Err(refused) => stream::iter([refused]).boxed(),
        }
    };
    outcomes.flatten_stream().boxed()
}

/// Runs an operation that was found valid.
pub(super) fn run_valid(
    node: &Node,
    viewer: &Viewer,
    operation: Operation,
    request_id: &str,
) -> BoxStream<'static, Outcome> {
    if viewer.credential == Credential::Ticket && operation.kind() != OperationType::Subscription {
        let refused = Outcome::error("FORBIDDEN", "a ticket opens subscriptions and nothing else");
        return stream::iter([refused]).boxed();
    }
    node.api.stream(viewer, operation, request_id)
}
