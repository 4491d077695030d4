//! [`Viewer`]: the authenticated caller.

use time::OffsetDateTime;

use crate::version::UserId;

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// Whose library they may use.
    pub user: UserId,
    /// From when on the credential is refused (the token's `exp` plus the leeway). A stream ends then.
    pub expires_at: OffsetDateTime,
    /// What they showed.
    pub credential: Credential,
}

/// What a caller showed to prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A token that the program itself sent: `Authorization: Bearer`, or in `connection_init`.
    Bearer,
    /// A token in the session cookie. Browsers attach it to requests of other sites too, so it counts
    /// only where [`Origins::admits`](super::Origins::admits) says so.
    Cookie,
    /// A [`Ticket`](super::Ticket): good for opening one stream, and for nothing else.
    Ticket,
}
