//! One operation of one viewer, as every stream transport runs it.

use async_graphql::{
    ErrorExtensionValues, Request, Response, ServerError, Value, parser::types::OperationType,
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde::Serialize;
use uuid::Uuid;

use super::Node;
use crate::auth::{Credential, Viewer};

/// One result of an operation.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Outcome(Response);

impl Outcome {
    /// An outcome that is one error.
    pub(super) fn error(code: &str, message: &str) -> Self {
        let mut error = ServerError::new(message, None);
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", code);
        error.extensions = Some(extensions);
        Self(Response::from_errors(vec![error]))
    }

    /// The errors for which the operation was not run at all.
    pub(super) fn request_errors(&self) -> Option<&[ServerError]> {
        let was_run = self.0.data != Value::Null || self.0.errors.is_empty();
        (!was_run).then_some(&self.0.errors)
    }
}

/// Runs an operation. Of a query or a mutation, the stream is its one result.
pub(super) fn run(
    node: &Node,
    viewer: &Viewer,
    mut request: Request,
) -> BoxStream<'static, Outcome> {
    let kind = kind(&mut request);
    if viewer.credential == Credential::Ticket && kind != Some(OperationType::Subscription) {
        let refused = Outcome::error("FORBIDDEN", "a ticket opens subscriptions and nothing else");
        return stream::iter([refused]).boxed();
    }
    let request_id = Uuid::now_v7().to_string();
    if kind == Some(OperationType::Subscription) {
        let answers = node.api.subscribe(viewer, request, &request_id);
        return answers.map(Outcome).boxed();
    }
    let (node, viewer) = (node.clone(), viewer.clone());
    stream::once(async move { Outcome(node.api.execute(&viewer, request, &request_id).await) })
        .boxed()
}

/// What the request's operation is; `None` when its document has none of that name, or is none.
fn kind(request: &mut Request) -> Option<OperationType> {
    let name = request.operation_name.clone();
    let document = request.parsed_query().ok()?;
    let mut operations = document.operations.iter();
    let operation = match name {
        Some(name) => operations.find(|(found, _)| found.is_some_and(|found| *found == name)),
        None => operations.next(),
    };
    operation.map(|(_, operation)| operation.node.ty)
}
