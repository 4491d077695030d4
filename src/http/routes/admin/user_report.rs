//! `POST /admin/api/user`: the devices of a user with their verdicts, and the user's last writes without their content.
//!
//! The subject is in the body, so the logs of a proxy do not contain it.

use axum::{
    Json,
    extract::{Request, State},
};
use serde::Serialize;
use time::{OffsetDateTime, serde::rfc3339};

use super::named_user::named_user;
use crate::{
    http::{error::HttpError, state::Node},
    library::{HistoryFilter, PastWrite, ViewedDevice},
    version::UserId,
};

/// Number of writes that are listed.
const WRITES: u32 = 20;

/// A user as an operator sees them.
#[derive(Serialize)]
pub(super) struct UserReport {
    sub: UserId,
    head: String,
    devices: Vec<DeviceReport>,
    /// The last writes, newest first.
    writes: Vec<WriteReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceReport {
    id: String,
    name: Option<String>,
    platform: Option<String>,
    client: Option<String>,
    #[serde(with = "rfc3339::option")]
    last_seen_at: Option<OffsetDateTime>,
    applied: Option<String>,
    behind: Option<i32>,
    pending: Option<PendingReport>,
    streams: Vec<StreamReport>,
    push: Option<PushReport>,
    verdict: &'static str,
    /// What the verdict means, and what to do about it.
    meaning: &'static str,
    advice: &'static str,
    #[serde(with = "rfc3339::option")]
    since: Option<OffsetDateTime>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PendingReport {
    count: u32,
    #[serde(with = "rfc3339::option")]
    oldest_at: Option<OffsetDateTime>,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamReport {
    transport: String,
    node: String,
    #[serde(with = "rfc3339")]
    opened_at: OffsetDateTime,
}

/// A push endpoint without its address.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushReport {
    pace: &'static str,
    #[serde(with = "rfc3339::option")]
    sent_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    failing_since: Option<OffsetDateTime>,
}

#[derive(Serialize)]
struct WriteReport {
    version: i32,
    #[serde(with = "rfc3339")]
    at: OffsetDateTime,
    /// Name or else id of the device that made it.
    device: Option<String>,
    kinds: Vec<&'static str>,
}

/// `POST /admin/api/user`.
pub(super) async fn report(
    State(node): State<Node>,
    request: Request,
) -> Result<Json<UserReport>, HttpError> {
    let user = named_user(&node, request).await?;
    let library = &node.library;
    let devices = library.viewed_devices(&user).await?;
    let all = HistoryFilter::default();
    let writes = library.history(&user, &all, None, WRITES).await?;
    let head = library.head(&user).await?;
    tracing::info!(
        user.id = user.as_str(),
        admin.action = "look_up",
        "an operator looked up a user"
    );
    Ok(Json(UserReport {
        sub: user,
        head: head.to_string(),
        devices: devices.into_iter().map(DeviceReport::from).collect(),
        writes: writes.into_iter().map(WriteReport::from).collect(),
    }))
}

impl From<ViewedDevice> for DeviceReport {
    fn from(device: ViewedDevice) -> Self {
        Self {
            id: device.id,
            name: device.name,
            platform: device.platform,
            client: device.client,
            last_seen_at: device.last_seen_at,
            applied: device.applied.map(|head| head.to_string()),
            behind: device.behind,
            pending: device.pending.map(|pending| PendingReport {
                count: pending.count,
                oldest_at: pending.oldest_at,
                error: pending.error,
            }),
            streams: device
                .streams
                .into_iter()
                .map(|stream| StreamReport {
                    transport: stream.transport,
                    node: stream.node,
                    opened_at: stream.opened_at,
                })
                .collect(),
            push: device.endpoint.map(|endpoint| PushReport {
                pace: <&str>::from(endpoint.pace),
                sent_at: endpoint.sent_at,
                failing_since: endpoint.failing_since,
            }),
            verdict: device.verdict.into(),
            meaning: device.verdict.meaning(),
            advice: device.verdict.advice(),
            since: device.since,
        }
    }
}

impl From<PastWrite> for WriteReport {
    fn from(write: PastWrite) -> Self {
        let device = write.device.as_ref();
        Self {
            version: write.version.number(),
            at: write.at,
            device: device.map(|device| device.name().unwrap_or(device.id()).to_owned()),
            kinds: write.kinds.into_iter().map(<&str>::from).collect(),
        }
    }
}
