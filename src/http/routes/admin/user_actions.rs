//! What an operator does to a user: ends streams of a device, signs out everywhere, begins a new epoch.
//!
//! **Invariant:** each action that was done is logged, with the user and without a secret.

use axum::{
    Json,
    extract::{Request, State},
};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::named_user::{named_device, named_user};
use crate::http::{error::HttpError, state::Node};

/// When the user was signed out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedOut {
    #[serde(with = "time::serde::rfc3339")]
    signed_out_at: OffsetDateTime,
}

/// `POST /admin/api/user/end-streams`.
pub(super) async fn end_streams(
    State(node): State<Node>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let (user, device) = named_device(&node, request).await?;
    if !node.library.end_streams(&user, &device).await? {
        let message = "the user has no device with this id";
        return Err(HttpError::NotFound(message));
    }
    tracing::info!(
        user.id = user.as_str(),
        device.id = device.id(),
        admin.action = "end_streams",
        "an operator ended the streams of a device"
    );
    Ok(Json(json!({"device": device.id()})))
}

/// `POST /admin/api/user/sign-out-everywhere`.
pub(super) async fn sign_out_everywhere(
    State(node): State<Node>,
    request: Request,
) -> Result<Json<SignedOut>, HttpError> {
    let user = named_user(&node, request).await?;
    let signed_out_at = node.library.sign_out_everywhere(&user, true).await?;
    tracing::info!(
        user.id = user.as_str(),
        admin.action = "sign_out_everywhere",
        "an operator signed a user out everywhere"
    );
    Ok(Json(SignedOut { signed_out_at }))
}

/// `POST /admin/api/user/new-epoch`.
pub(super) async fn new_epoch(
    State(node): State<Node>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let user = named_user(&node, request).await?;
    node.library.begin_epoch(Some(&user)).await?;
    let head = node.library.head(&user).await?;
    tracing::info!(
        user.id = user.as_str(),
        library.begun = %head,
        admin.action = "new_epoch",
        "an operator began a new epoch for a user"
    );
    Ok(Json(json!({"head": head.to_string()})))
}
