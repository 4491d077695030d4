//! GraphQL over HTTP (the draft of its specification of August 2026).
//!
//! In the flow: headers to a form of answer and a viewer, the body or the address to a request, which `graphql` runs.
//! What has one answer is answered here; [`streaming`] takes what has more, and clients that take nothing but streams.
//!
//! | status | when |
//! |---|---|
//! | 200 | the operation was run; or, where the answer is `application/json`, a request error that the document has |
//! | 294 | it was run and a field failed: partial success |
//! | 400 | no JSON, no well-formed request, a document that cannot be parsed, a variable that does not fit |
//! | 401, 403 | no viewer; a viewer, but not from there |
//! | 405 | a method other than GET, HEAD and POST, or a mutation by GET |
//! | 406 | the client takes neither form |
//! | 408, 413 | a body that takes too long, or is too long |
//! | 415 | a body that is not JSON in UTF-8 without a coding |
//! | 422 | the document is not valid, past a limit, or does not tell its operation |
//! | 500 | our fault |
//! | 503 | the database does not answer, or takes no writes, and no field has a value; `Retry-After` says when to try again |
//!
//! 294 and 422, and 400 for what is in the document, are said where the answer is `application/graphql-response+json`.
//! The draft would have 422 also for malformed requests and variables; the audits of graphql-http ask for 400.
//!
//! **Invariant:** nothing changes by GET.
//! **Invariant:** a request that a browser would send for a foreign page without asking first (a form, text, an image)
//! is not run for a cookie.

use async_graphql::parser::types::OperationType;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Method, Request, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};
use futures_util::StreamExt as _;
use serde::Serialize;
use tower_http::request_id::RequestId;
use uuid::Uuid;

use super::{
    accept_header::{Offer, preferred},
    operation,
    request::{Asked, asked},
    streaming,
    websocket::upgrade,
};
use crate::{
    auth::Viewer,
    graphql::{Answer, Operation},
    http::{
        error::{HttpError, OUTAGE},
        state::Node,
    },
    version::Version,
};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `application/json`, for clients that know no other.
    Json,
    /// `application/graphql-response+json`.
    Graphql,
}

/// Plain JSON comes first, because the specification wants it for those who do not say.
const FORMS: Offer<'_, Form> = &[
    (Form::Json, "application/json"),
    (Form::Graphql, "application/graphql-response+json"),
];

/// `/graphql`, for all methods.
pub(in crate::http) fn route() -> MethodRouter<Node> {
    get(serve)
        .post(serve)
        .fallback(async || HttpError::Method("GET, HEAD, POST"))
}

async fn serve(State(node): State<Node>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if upgrade::is_wanted(&parts) {
        return upgrade::upgrade(&node, parts).await;
    }
    let accepted = Accepted {
        form: preferred(&parts.headers, FORMS),
        stream: streaming::wanted(&parts.headers),
    };
    if accepted.form.is_none() && accepted.stream.is_none() {
        return HttpError::NotAcceptable.into_response();
    }
    let response = answer(&node, &parts, body, accepted).await;
    response.unwrap_or_else(|error| accepted.form_of(&error).dress(error.into_response()))
}

/// What the client takes; at least one of the two.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    form: Option<Form>,
    stream: Option<streaming::Kind>,
}

impl Accepted {
    fn form(self) -> Form {
        self.form.unwrap_or(Form::Json)
    }

    /// The form of a refusal. Of a subscription, Apollo's client takes a GraphQL response for the end, and no GraphQL
    /// response with a status such as 503 for a reason to try again.
    fn form_of(self, refusal: &HttpError) -> Form {
        match refusal.status() {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                if self.stream.is_some() =>
            {
                Form::Json
            }
            _ => self.form(),
        }
    }

    /// How to stream, unless one answer will do.
    fn stream_of(self, kind: Option<OperationType>) -> Option<streaming::Kind> {
        let is_needed = kind == Some(OperationType::Subscription) || self.form.is_none();
        self.stream.filter(|_| is_needed)
    }
}

async fn answer(
    node: &Node,
    parts: &Parts,
    body: Body,
    accepted: Accepted,
) -> Result<Response, HttpError> {
    let caller = Requester {
        viewer: node
            .authenticate_operation(parts, accepted.stream.is_some())
            .await?,
        method: parts.method.clone(),
        at_least: at_least(parts)?,
        request_id: request_id(parts),
    };
    match asked(parts, body, &node.settings).await? {
        Asked::One(request) => caller.run(node, *request, accepted).await,
        Asked::Batch(requests) => {
            let mut answers = Vec::with_capacity(requests.len());
            for (at, request) in requests.into_iter().enumerate() {
                // The first was counted with the request.
                if at > 0
                    && let Err(rate_limited) = node.count_operation(&caller.viewer)
                {
                    answers.push(operation::refused(rate_limited));
                    continue;
                }
                answers.push(match caller.read(node, request)? {
                    Ok(operation) => caller.run_once(node, operation).await,
                    Err(refused) => refused,
                });
            }
            // No specification has batches; what clients of them read is this.
            let status = if answers.iter().all(Answer::is_unavailable) {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            };
            Ok(Form::Json.response(status, &answers))
        }
    }
}

/// Who asks, and what for they may.
struct Requester {
    viewer: Viewer,
    method: Method,
    at_least: Option<Version>,
    request_id: String,
}

impl Requester {
    async fn run(
        &self,
        node: &Node,
        request: async_graphql::Request,
        accepted: Accepted,
    ) -> Result<Response, HttpError> {
        let read = self.read(node, request)?;
        let kind = read.as_ref().ok().map(Operation::kind);
        if let Some(kind) = accepted.stream_of(kind) {
            if read.is_ok() {
                // Told by the status, it makes clients come back; told in the stream, it would end the subscription.
                node.library.head(&self.viewer.user).await?;
            }
            if self.method == Method::HEAD {
                return Ok(streaming::head(kind));
            }
            let answers = match read {
                Ok(operation) => node.api.stream(&self.viewer, operation, &self.request_id),
                Err(refused) => futures_util::stream::iter([refused]).boxed(),
            };
            return streaming::respond(node, &self.viewer, answers, kind);
        }
        let answer = match read {
            Ok(operation) => self.run_once(node, operation).await,
            Err(refused) => refused,
        };
        let form = accepted.form();
        Ok(form.response(status(&answer, form), &answer))
    }

    /// The operation of a request, unless this caller may not run it.
    fn read(
        &self,
        node: &Node,
        request: async_graphql::Request,
    ) -> Result<Result<Operation, Answer>, HttpError> {
        match node.api.operation(&self.viewer, request, &self.request_id) {
            Ok(operation)
                if operation.kind() == OperationType::Mutation && self.method != Method::POST =>
            {
                Err(HttpError::Method("POST"))
            }
            Ok(operation) => Ok(operation::allow(
                &self.viewer,
                operation.no_older_than(self.at_least),
            )),
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn run_once(&self, node: &Node, operation: Operation) -> Answer {
        let (viewer, request_id) = (&self.viewer, &self.request_id);
        node.api.run(viewer, operation, request_id).await
    }
}

/// The version that the client knows of, as `X-Min-Library-Version`: what it reads must not be older.
fn at_least(parts: &Parts) -> Result<Option<Version>, HttpError> {
    let Some(header) = parts.headers.get("x-min-library-version") else {
        return Ok(None);
    };
    let version = header.to_str().ok().and_then(|text| text.parse().ok());
    let version = version
        .ok_or_else(|| HttpError::BadRequest("X-Min-Library-Version is no version".to_owned()))?;
    Ok(Some(Version::new(version)))
}

/// The id that the request was given where it came in, or one of our own.
fn request_id(parts: &Parts) -> String {
    let given = parts.extensions.get::<RequestId>();
    let given = given.and_then(|id| id.header_value().to_str().ok());
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// What the status of an answer is; see the table above.
fn status(answer: &Answer, form: Form) -> StatusCode {
    if answer.is_unavailable() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if answer.request_errors().is_none() {
        return if form == Form::Graphql && !answer.errors().is_empty() {
            // A code of the draft's own making, of which axum has no name.
            StatusCode::from_u16(294).unwrap_or_default()
        } else {
            StatusCode::OK
        };
    }
    match answer.code().unwrap_or_default() {
        "INTERNAL_SERVER_ERROR" => StatusCode::INTERNAL_SERVER_ERROR,
        "FORBIDDEN" => StatusCode::FORBIDDEN,
        _ if form == Form::Json => StatusCode::OK,
        "GRAPHQL_PARSE_FAILED"
        | "BAD_USER_INPUT"
        | "PERSISTED_QUERY_NOT_FOUND"
        | "PERSISTED_QUERY_NOT_SUPPORTED"
        | "PERSISTED_QUERY_HASH_MISMATCH" => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl Form {
    fn response(self, status: StatusCode, body: &impl Serialize) -> Response {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let mut response = self.dress((status, body).into_response());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, OUTAGE.into());
        }
        response
    }

    /// Says of a response what form it has, and that it is nobody else's.
    fn dress(self, mut response: Response) -> Response {
        let form = match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Graphql => "application/graphql-response+json; charset=utf-8",
        };
        let said = [
            (header::CONTENT_TYPE, form),
            // A library is private and may change at any time.
            (header::CACHE_CONTROL, "no-store"),
            (header::VARY, "accept"),
        ];
        for (name, value) in said {
            let headers = response.headers_mut();
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
