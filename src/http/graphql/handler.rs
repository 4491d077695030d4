//! GraphQL over HTTP (the draft of its specification of August 2026).
//!
//! In the flow: headers to a media type and a viewer, then the body or the URL to a request, which `graphql` runs.
//! Single responses are sent here. [`streaming`] sends subscriptions, and all results to clients that accept only streams.
//!
//! | status | when |
//! |---|---|
//! | 200 | the operation was executed; with `application/json`, also a request error in the document |
//! | 294 | partial success: the operation was executed and a field failed |
//! | 400 | invalid JSON, a malformed request, a syntax error in the document, or an invalid variable |
//! | 401, 403 | not authenticated, or signed out; not allowed from this origin or with this credential |
//! | 405 | a method other than GET, HEAD and POST, or a mutation by GET |
//! | 406 | the client accepts no media type of this route |
//! | 408, 413 | the body takes too long, or exceeds the limit |
//! | 415 | the body is not JSON in UTF-8, or has a content coding |
//! | 422 | the document is invalid, exceeds a limit, or does not identify one operation |
//! | 500 | internal error |
//! | 503 | the database does not answer or rejects writes, and no field has a value; with `Retry-After` |
//!
//! 294, 422, and 400 for the document apply only to `application/graphql-response+json`. The draft asks for 422 also for
//! malformed requests and variables; the audits of graphql-http ask for 400.
//!
//! **Invariant:** GET changes nothing.
//! **Invariant:** a request that a browser sends for a foreign page without a CORS preflight (a form, text, an image) is
//! not executed with a cookie.

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
        device::RequestDevice,
        error::{HttpError, OUTAGE},
        state::Node,
    },
    library::Session,
    trace::OpenSpan,
    version::Version,
};

/// The media type of a single response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `application/json`, for older clients.
    Json,
    /// `application/graphql-response+json`.
    Graphql,
}

/// JSON is first, because the specification requires it for requests without `Accept`.
const FORMS: Offer<'_, Form> = &[
    (Form::Json, "application/json"),
    (Form::Graphql, "application/graphql-response+json"),
];

/// Returns the route `/graphql`, for all methods.
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

/// What the client accepts: at least one of the two.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    form: Option<Form>,
    stream: Option<streaming::Kind>,
}

impl Accepted {
    fn form(self) -> Form {
        self.form.unwrap_or(Form::Json)
    }

    /// Returns the media type of a refusal. Apollo's client ends a subscription at a GraphQL response, and retries it
    /// at a status such as 503 with another media type.
    fn form_of(self, refusal: &HttpError) -> Form {
        let is_temporary = matches!(
            refusal.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if is_temporary && self.stream.is_some() {
            Form::Json
        } else {
            self.form()
        }
    }

    /// Returns the format of the stream, or `None` for a single response.
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
    let span = OpenSpan::of_request(traceparent(parts));
    let requester = Requester {
        span,
        viewer: node
            .authenticate_operation(parts, accepted.stream.is_some())
            .await?,
        method: parts.method.clone(),
        device: RequestDevice::of_stream(parts)?,
        at_least: at_least(parts)?,
        request_id: request_id(parts),
    };
    let answer = match asked(parts, body, &node.settings).await? {
        Asked::One(request) => requester.run(node, *request, accepted).await,
        Asked::Batch(requests) => requester.run_batch(node, requests).await,
    };
    if let Some(span) = span {
        span.end("request");
    }
    answer
}

/// Returns the position of the request in the client's trace.
fn traceparent(parts: &Parts) -> Option<&str> {
    parts.headers.get("traceparent")?.to_str().ok()
}

/// The viewer and the conditions of one HTTP request.
struct Requester {
    span: Option<OpenSpan>,
    viewer: Viewer,
    device: RequestDevice,
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
                // Clients retry after an error status; an error in the stream would end the subscription.
                let session = Session::new(&self.viewer.user, self.viewer.issued_at);
                node.library.head(session).await?;
            }
            if self.method == Method::HEAD {
                return Ok(streaming::head(kind));
            }
            let (answers, device) = match read {
                Ok(operation) => {
                    let operation = operation.over(kind.transport().into());
                    let answers = node.api.stream(&self.viewer, operation, &self.request_id);
                    (answers, self.device.clone())
                }
                Err(refused) => {
                    let answers = futures_util::stream::iter([refused]).boxed();
                    (answers, RequestDevice::default())
                }
            };
            return streaming::respond(node, &self.viewer, &device, answers, kind);
        }
        let answer = self.run_once(node, read).await;
        let form = accepted.form();
        Ok(form.response(status(&answer, form), &answer))
    }

    /// Runs a batch in sequence. GraphQL over HTTP does not specify batches; this is the de facto format.
    async fn run_batch(
        &self,
        node: &Node,
        requests: Vec<async_graphql::Request>,
    ) -> Result<Response, HttpError> {
        let mut answers = Vec::with_capacity(requests.len());
        for (at, request) in requests.into_iter().enumerate() {
            // Authentication has counted the first.
            let counted = if at == 0 {
                Ok(())
            } else {
                node.count_operation(&self.viewer)
            };
            answers.push(match counted {
                Ok(()) => self.run_once(node, self.read(node, request)?).await,
                Err(rate_limited) => operation::refused(rate_limited),
            });
        }
        let status = if answers.iter().all(Answer::is_unavailable) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        Ok(Form::Json.response(status, &answers))
    }

    /// Validates and authorizes a request. The inner error is a request error.
    fn read(
        &self,
        node: &Node,
        request: async_graphql::Request,
    ) -> Result<Result<Operation, Answer>, HttpError> {
        let operation = match node.api.operation(&self.viewer, request, &self.request_id) {
            Ok(operation) => operation
                .no_older_than(self.at_least)
                .from_copy(self.device.applied())
                .traced(self.span),
            Err(refused) => return Ok(Err(refused)),
        };
        if operation.kind() == OperationType::Mutation && self.method != Method::POST {
            return Err(HttpError::Method("POST"));
        }
        Ok(operation::allow(&self.viewer, operation))
    }

    async fn run_once(&self, node: &Node, read: Result<Operation, Answer>) -> Answer {
        let operation = match read {
            Ok(operation) => operation,
            Err(refused) => return refused,
        };
        let answer = node.api.run(&self.viewer, operation, &self.request_id);
        let answer = answer.await;
        if answer.request_errors().is_none() {
            node.note_device(&self.viewer, &self.device);
        }
        answer
    }
}

/// Parses `X-Min-Library-Version`: the result must not be older than this version.
fn at_least(parts: &Parts) -> Result<Option<Version>, HttpError> {
    let Some(header) = parts.headers.get("x-min-library-version") else {
        return Ok(None);
    };
    let version = header.to_str().ok().and_then(|text| text.parse().ok());
    let message = "header `x-min-library-version` must be a version, such as 41";
    let version = version.ok_or_else(|| HttpError::BadRequest(message.to_owned()))?;
    Ok(Some(Version::new(version)))
}

/// Returns the request id from the middleware, or a new one.
fn request_id(parts: &Parts) -> String {
    let given = parts.extensions.get::<RequestId>();
    let given = given.and_then(|id| id.header_value().to_str().ok());
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Returns the status of an answer, by the table of this module.
fn status(answer: &Answer, form: Form) -> StatusCode {
    if answer.is_unavailable() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if answer.request_errors().is_none() {
        return if form == Form::Graphql && !answer.errors().is_empty() {
            // The `http` crate has no constant for the draft's code.
            StatusCode::from_u16(294).unwrap_or_default()
        } else {
            StatusCode::OK
        };
    }
    match answer.code().unwrap_or_default() {
        "INTERNAL_SERVER_ERROR" => StatusCode::INTERNAL_SERVER_ERROR,
        "FORBIDDEN" => StatusCode::FORBIDDEN,
        "SIGNED_OUT" => StatusCode::UNAUTHORIZED,
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
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, OUTAGE.into());
        }
        response
    }

    /// Adds the headers of all responses: the media type, and that caches must not store it.
    fn dress(self, mut response: Response) -> Response {
        let form = match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Graphql => "application/graphql-response+json; charset=utf-8",
        };
        let fixed = [
            (header::CONTENT_TYPE, form),
            // A library is private and can change at any time.
            (header::CACHE_CONTROL, "no-store"),
            (header::VARY, "accept"),
        ];
        for (name, value) in fixed {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}
