//! [`Api`]: executes one operation of one viewer, the same way for every transport.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::AtomicBool},
};

use async_graphql::{Request, Response, ValidationMode, parser::types::OperationType};
use futures_util::{
    FutureExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    code,
    context::{Allowance, Caller, Reached},
    error::{self, Asker},
    limits::{Limits, MAX_NESTING},
    named_documents::Documents,
    operation::{Operation, Reads},
    prepare::preparer::Preparer,
    response::Answer,
    schema::{Schema, builder},
    version_stream,
};
use crate::{
    auth::Viewer,
    feed::Feed,
    library::{Error, Library, Session},
    push::Push,
    version::{Head, Version},
};

/// The GraphQL API over one library. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    preparer: Arc<Preparer>,
    /// The engine's schema without validation rules, for operations that were validated before.
    schema: Schema,
    library: Library,
    feed: Feed,
    limits: Arc<Limits>,
    push: Option<Push>,
}

impl Api {
    /// Creates the API over `library`. Subscriptions follow `feed`. Clients send their documents, or reference trusted
    /// or persisted `documents` by name.
    pub fn new(library: Library, feed: Feed, limits: Limits, documents: Documents) -> Self {
        // The engine counts the braces of fragments too, and an interface is converted to one fragment for each type.
        let mut schema = builder()
            .validation_mode(ValidationMode::Fast)
            .limit_recursive_depth(2 * MAX_NESTING);
        if limits.no_introspection {
            schema = schema.disable_introspection();
        }
        let limits = Arc::new(limits);
        Self {
            preparer: Arc::new(Preparer::new(Arc::clone(&limits), documents)),
            schema: schema.finish(),
            library,
            feed,
            limits,
            push: None,
        }
    }

    /// Sets the sender of push messages. `None` switches Web Push off.
    #[must_use]
    pub fn with_push(self, push: Option<Push>) -> Self {
        Self { push, ..self }
    }

    /// Validates a request and returns its operation.
    ///
    /// # Errors
    /// The request error to send.
    pub fn operation(
        &self,
        viewer: &Viewer,
        request: Request,
        request_id: &str,
    ) -> Result<Operation, Answer> {
        let read = AssertUnwindSafe(|| self.preparer.operation(&viewer.user, request));
        catch_unwind(read)
            .unwrap_or_else(|_| Err(error::panicked(asker(viewer, request_id)).into()))
    }

    /// Executes a validated query or mutation.
    pub async fn run(&self, viewer: &Viewer, operation: Operation, request_id: &str) -> Answer {
        if operation.kind() == OperationType::Subscription {
            let message = "a subscription needs a WebSocket or an event stream";
            return Answer::error(code::NO_SUBSCRIPTION, message);
        }
        let caller = match self.caller(viewer, &operation, request_id).await {
            Ok(caller) => caller,
            Err(refused) => return refused,
        };
        let is_query = operation.kind() == OperationType::Query;
        let request = operation.request.data(Arc::clone(&caller));
        let response = AssertUnwindSafe(self.schema.execute(request)).catch_unwind();
        let response = async {
            let response = response.await;
            caller.read_missing_head().await?;
            Ok(response)
        };
        let response = response.boxed();
        let response = if is_query {
            self.run_query(&caller, response).await
        } else {
            // A write has separate limits, and completes even if the client disconnects.
            response.await
        };
        match response {
            Ok(Ok(response)) => answer(response, &caller, request_id),
            Ok(Err(_)) => error::panicked(asker(viewer, request_id)).into(),
            Err(stopped) => stopped.answer(asker(viewer, request_id)),
        }
    }

    /// Executes a query when it is the viewer's turn. Stops it when it takes too long or its response is too large.
    /// Dropping the future stops the query, so it also stops when the client disconnects.
    async fn run_query<T>(
        &self,
        caller: &Caller,
        response: impl Future<Output = Result<T, Stopped>>,
    ) -> Result<T, Stopped> {
        let _turn = self.library.admit_query(&caller.viewer.user).await?;
        tokio::select! {
            biased;
            () = caller.allowance.overdrawn() => Err(Stopped::TooLarge(self.limits.max_answer)),
            response = timeout(self.library.patience(), response) => {
                response.map_err(|_| Error::unavailable("the query took too long"))?
            }
        }
    }

    /// Executes a validated subscription. For a query or a mutation, the stream has a single response.
    pub fn stream(
        &self,
        viewer: &Viewer,
        mut operation: Operation,
        request_id: &str,
    ) -> BoxStream<'static, Answer> {
        let (api, viewer, request_id) = (self.clone(), viewer.clone(), request_id.to_owned());
        let answers = async move {
            if operation.kind() != OperationType::Subscription {
                let answer = api.run(&viewer, operation, &request_id).await;
                return stream::iter([answer]).boxed();
            }
            let caller = match api.caller(&viewer, &operation, &request_id).await {
                Ok(caller) => caller,
                Err(refused) => return stream::iter([refused]).boxed(),
            };
            if let Some(versions) = version_stream::open(&mut operation.request, &caller).await {
                // Without the caller, whose library and limits this stream does not use again.
                return versions
                    .map(|(response, head)| at_head(response, head))
                    .boxed();
            }
            let request = operation.request.data(Arc::clone(&caller));
            let responses = api.schema.execute_stream(request);
            AssertUnwindSafe(responses)
                .catch_unwind()
                .map(move |response| match response {
                    Ok(response) => answer(response, &caller, &request_id),
                    Err(_) => error::panicked(asker(&viewer, &request_id)).into(),
                })
                .boxed()
        };
        // The future is boxed, so that its memory is released when the stream begins.
        answers.boxed().flatten_stream().boxed()
    }

    /// Returns the errors of the trusted documents, by id. Check them before serving.
    pub fn invalid_documents(&self) -> Vec<(String, Answer)> {
        self.preparer.invalid_documents()
    }

    async fn caller(
        &self,
        viewer: &Viewer,
        operation: &Operation,
        request_id: &str,
    ) -> Result<Arc<Caller>, Answer> {
        let is_query = operation.kind() == OperationType::Query;
        let at_least = operation.at_least().filter(|_| is_query);
        let found = self.library_for(viewer, operation, at_least).await;
        let (library, before) = found.map_err(|error| refused(error, asker(viewer, request_id)))?;
        let allowance = if is_query {
            Allowance::of_query(&self.limits)
        } else {
            Allowance::of_other(&self.limits)
        };
        Ok(Arc::new(Caller {
            viewer: viewer.clone(),
            before,
            at_least,
            copy: operation.copy,
            library,
            feed: self.feed.clone(),
            limits: Arc::clone(&self.limits),
            push: self.push.clone(),
            reached: Reached::default(),
            unread: Mutex::default(),
            is_signed_out: AtomicBool::default(),
            allowance,
            span: operation.span,
            transport: operation.transport,
        }))
    }

    /// Returns the library that an operation uses, and its head, unless its fields read it.
    async fn library_for(
        &self,
        viewer: &Viewer,
        operation: &Operation,
        at_least: Option<Version>,
    ) -> Result<(Library, Option<Head>), Error> {
        // Changes whose heads were read together share a commit more often: 10 % more changes each second on SQLite, with
        // 64 connections.
        let is_together =
            operation.kind() == OperationType::Mutation && self.library.shares_commits();
        let library = match operation.reads {
            Reads::PrimaryWithHead if !is_together => return Ok((self.library.on_primary(), None)),
            Reads::Replica => self.library.clone(),
            _ => self.library.on_primary(),
        };
        let session = Session::new(&viewer.user, viewer.issued_at);
        let (library, head) = library.for_query(session, at_least).await?;
        Ok((library, Some(head)))
    }
}

/// Reason why a query was stopped.
enum Stopped {
    Failed(Error),
    /// The response would contain more than this number of bytes of text.
    TooLarge(usize),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stopped {
    fn answer(self, asker: Asker<'_>) -> Answer {
        match self {
            Self::Failed(error) => refused(error, asker),
            Self::TooLarge(most) => Answer::error(
                code::ANSWER_TOO_LARGE,
                format!(
                    "the answer would hold more than {most} bytes of text; ask for less at once, such as a smaller `first`"
                ),
            ),
        }
    }
}

fn asker<'a>(viewer: &'a Viewer, request_id: &'a str) -> Asker<'a> {
    let user = &viewer.user;
    Asker { user, request_id }
}

/// Returns the response of an executed operation. `libraryVersion` and `libraryHead` say how new its data is at least.
fn answer(mut response: Response, caller: &Caller, request_id: &str) -> Answer {
    error::present(&mut response.errors, asker(&caller.viewer, request_id));
    match caller.answered() {
        Some(head) => at_head(response, head),
        None => Answer::ran(response),
    }
}

/// Returns the response of an executed operation whose data is at least as new as `head`.
fn at_head(response: Response, head: Head) -> Answer {
    let response = response
        .extension("libraryVersion", head.version.number().into())
        .extension("libraryHead", head.to_string().into());
    Answer::ran(response)
}

/// Returns the response to an operation that could not be executed.
fn refused(error: Error, asker: Asker<'_>) -> Answer {
    let error = async_graphql::Error::from(error);
    let mut errors = [error.into_server_error(async_graphql::Pos::default())];
    errors[0].locations.clear();
    error::present(&mut errors, asker);
    Answer::refused(errors.into())
}
