//! Runs one operation of one viewer, the same way for every transport.

use std::sync::Arc;

use async_graphql::{Request, Response};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{Limits, Schema, builder, context::Caller, error};
use crate::{auth::Viewer, feed::Feed, library::Library};

/// The GraphQL API over one library. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    schema: Schema,
    library: Library,
    feed: Feed,
    limits: Arc<Limits>,
}

impl Api {
    /// The API over `library`, with subscriptions from `feed`.
    pub fn new(library: Library, feed: Feed, limits: Limits) -> Self {
        let mut builder = builder()
            .limit_depth(limits.depth)
            .limit_complexity(limits.complexity)
            .limit_aliases(limits.aliases)
            .limit_directives(limits.directives);
        if !limits.introspection {
            builder = builder.disable_introspection();
        }
        Self {
            schema: builder.finish(),
            library,
            feed,
            limits: Arc::new(limits),
        }
    }

    /// Runs a query or a mutation. `request_id` is what a fault is logged under and shown as.
    pub async fn execute(&self, viewer: &Viewer, request: Request, request_id: &str) -> Response {
        let caller = match self.caller(viewer).await {
            Ok(caller) => caller,
            Err(response) => return present(response, request_id),
        };
        let response = self.schema.execute(request.data(Arc::clone(&caller))).await;
        let version = caller.answered().version.number();
        present(response, request_id).extension("libraryVersion", version.into())
    }

    /// Runs a subscription; of a query or a mutation, the stream is its one response.
    pub fn subscribe(
        &self,
        viewer: &Viewer,
        request: Request,
        request_id: &str,
    ) -> BoxStream<'static, Response> {
        let (api, viewer, request_id) = (self.clone(), viewer.clone(), request_id.to_owned());
        let responses = async move {
            match api.caller(&viewer).await {
                Ok(caller) => api.schema.execute_stream(request.data(caller)),
                Err(response) => stream::iter([response]).boxed(),
            }
            .map(move |response| present(response, &request_id))
        };
        stream::once(responses).flatten().boxed()
    }

    async fn caller(&self, viewer: &Viewer) -> Result<Arc<Caller>, Response> {
        match self.library.head(&viewer.user).await {
            Ok(head) => {
                let limits = Arc::clone(&self.limits);
                Ok(Arc::new(Caller::new(
                    viewer.clone(),
                    head,
                    self.library.clone(),
                    self.feed.clone(),
                    limits,
                )))
            }
            Err(error) => {
                let error = async_graphql::Error::from(error)
                    .into_server_error(async_graphql::Pos::default());
                Err(Response::from_errors(vec![error]))
            }
        }
    }
}

fn present(mut response: Response, request_id: &str) -> Response {
    error::present(&mut response.errors, request_id);
    response
}
