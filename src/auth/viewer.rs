//! [`Viewer`]: the authenticated caller.

use time::OffsetDateTime;

use crate::version::UserId;

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The user whose library they may use.
    pub user: UserId,
    /// When the credential expires (the token's `exp` plus the leeway). A stream ends then.
    pub expires_at: OffsetDateTime,
    /// When the credential was issued (the token's `iat`). `None` if it does not say so.
    pub issued_at: Option<OffsetDateTime>,
    /// The kind of credential.
    pub credential: Credential,
}

/// The kind of credential of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A token that the client sent explicitly: in `Authorization: Bearer`, or in `connection_init`.
    Bearer,
    /// A token in the session cookie. Browsers send it with cross-site requests too, so
    /// [`Origins::admits`](super::Origins::admits) must accept the request.
    Cookie,
    /// A [`Ticket`](super::Ticket), which can only open one stream.
    Ticket,
}
