//! Who a request of an operator concerns. The subject is in the body, so the logs of a proxy do not contain it.
//!
//! **Invariant:** a request never creates a user.

use axum::extract::Request;
use serde::Deserialize;

use crate::{
    http::{error::HttpError, graphql::request::read_json, state::Node},
    library::Device,
    version::UserId,
};

/// The body of a request: the subject (`sub`) of a user's token, and a device of the user if the route needs one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    sub: String,
    device: Option<String>,
}

/// Returns the user that the request names.
///
/// # Errors
/// When the body is invalid or the user does not exist.
pub(super) async fn named_user(node: &Node, request: Request) -> Result<UserId, HttpError> {
    let named = read(node, request).await?;
    if named.device.is_some() {
        let message = "this route takes no `device`".to_owned();
        return Err(HttpError::BadRequest(message));
    }
    existing_user(node, &named.sub).await
}

/// Returns the user and the device that the request names. The user may not have the device.
///
/// # Errors
/// When the body is invalid or the user does not exist.
pub(super) async fn named_device(
    node: &Node,
    request: Request,
) -> Result<(UserId, Device), HttpError> {
    let named = read(node, request).await?;
    let missing = || HttpError::BadRequest("missing field `device`".to_owned());
    let device = Device::new(named.device.ok_or_else(missing)?, None);
    let device = device.map_err(|error| HttpError::BadRequest(error.to_string()))?;
    let user = existing_user(node, &named.sub).await?;
    Ok((user, device))
}

async fn read(node: &Node, request: Request) -> Result<Named, HttpError> {
    let (parts, body) = request.into_parts();
    let json = read_json(&parts.headers, body, &node.settings).await?;
    serde_json::from_value(json).map_err(|error| HttpError::BadRequest(error.to_string()))
}

async fn existing_user(node: &Node, sub: &str) -> Result<UserId, HttpError> {
    let user = UserId::new(sub).map_err(|error| HttpError::BadRequest(error.to_string()))?;
    if node.library.exists(&user).await? {
        Ok(user)
    } else {
        Err(HttpError::NotFound("the user does not exist"))
    }
}
