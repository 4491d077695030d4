//! Reads heads: one user's, those of many users, and the one that a query is answered at.

use std::{collections::HashMap, time::Duration};

use sea_orm::{ConnectionTrait, EntityTrait as _};

use super::head_reader::Reason;
use crate::{
    library::{
        database::replica::count_query, entity::user, error::Error, handle::Library,
        session::Session, write::user_row::find_rows,
    },
    version::{Head, UserId, Version},
};

/// Waits of a query for a replica that is behind, before each read of its head.
const REPLICA_WAITS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(80),
];

/// Waits of a query for a primary that is behind, before each further read of its head.
const PRIMARY_WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

impl Library {
    /// Returns the user's head. Creates the user at their first request.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] when another app creates the users and has not created this one, and [`Error::SignedOut`]
    /// when the session began before its user signed out everywhere.
    pub async fn head<'s>(&self, session: impl Into<Session<'s>>) -> Result<Head, Error> {
        self.head_given(session.into(), None).await
    }

    /// Like [`Library::head`], given the head that a client claims to have received, if any.
    ///
    /// # Errors
    /// As [`Library::head`].
    pub async fn head_given<'s>(
        &self,
        session: impl Into<Session<'s>>,
        claims: Option<Head>,
    ) -> Result<Head, Error> {
        self.read_head(session.into(), claims, Reason::Request)
            .await
    }

    /// Like [`Library::head_given`], for a stream that opens: it may wait a few milliseconds, to share a statement with
    /// others.
    ///
    /// # Errors
    /// As [`Library::head`].
    pub async fn head_for_stream(
        &self,
        session: Session<'_>,
        claims: Option<Head>,
    ) -> Result<Head, Error> {
        self.read_head(session, claims, Reason::Stream).await
    }

    async fn read_head(
        &self,
        session: Session<'_>,
        claims: Option<Head>,
        reason: Reason,
    ) -> Result<Head, Error> {
        let user = session.user;
        let known = self.known.of(user);
        let row = self.head_reader.read(user, reason).await?;
        if session.issued_at.is_signed_out(row.signed_out_at) {
            return Err(Error::SignedOut);
        }
        self.settle(user, row.head(), known, claims).await
    }

    /// Returns the library for a query, and a head that the query reads at or after: the replica's, if one is configured
    /// and reaches `at_least` within a moment.
    ///
    /// # Errors
    /// [`Error::Behind`] when the primary does not reach `at_least` either, and [`Error::SignedOut`].
    pub async fn for_query<'s>(
        &self,
        session: impl Into<Session<'s>>,
        at_least: Option<Version>,
    ) -> Result<(Self, Head), Error> {
        let session = session.into();
        let is_reached = |head: Head| at_least.is_none_or(|version| head.version >= version);
        if self.db.replica_may_answer() {
            // Boxed, because the future is large and most servers have no replica.
            let head = Box::pin(self.replica_head(session, is_reached)).await?;
            if let Some(head) = head {
                count_query("replica");
                return Ok((self.clone(), head));
            }
        }
        if self.has_replica() {
            count_query("primary");
        }
        let library = self.on_primary();
        // No client received a version that is not committed. But during a failover, a new epoch may be about to
        // begin.
        for wait in PRIMARY_WAITS {
            let head = library.head(session).await?;
            if is_reached(head) {
                return Ok((library, head));
            }
            tokio::time::sleep(wait).await;
        }
        let head = library.head(session).await?;
        match at_least.filter(|version| head.version < *version) {
            None => Ok((library, head)),
            Some(asked) => Err(Error::Behind {
                asked,
                at: head.version,
            }),
        }
    }

    /// Returns the head of a replica that `is_reached` within a moment. A replica that does not answer, or does not have
    /// the user, is skipped.
    async fn replica_head(
        &self,
        session: Session<'_>,
        is_reached: impl Fn(Head) -> bool,
    ) -> Result<Option<Head>, Error> {
        for wait in REPLICA_WAITS {
            tokio::time::sleep(wait).await;
            let Ok(reader) = self.db.reader(session.user).await else {
                break;
            };
            let head = self.db.ask_replica(find_head_for(&reader, session));
            match head.await {
                Err(Error::SignedOut) => return Err(Error::SignedOut),
                Ok(Some(head)) if is_reached(head) => return Ok(Some(head)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        Ok(None)
    }

    /// Returns whether a replica is configured.
    pub fn has_replica(&self) -> bool {
        self.db.has_replica()
    }

    /// Returns the heads of the `users` that exist, in one statement unless some heads fell.
    pub async fn heads(&self, users: &[UserId]) -> Result<Vec<(UserId, Head)>, Error> {
        let known: HashMap<_, _> = users
            .iter()
            .filter_map(|user| Some((user, self.known.of(user)?)))
            .collect();
        let rows = self.db.in_time(find_rows(&self.db.kept, users)).await?;
        self.end_streams_of(&rows).await?;
        let rows: HashMap<_, _> = rows
            .iter()
            .map(|row| (row.subject.as_str(), row.head()))
            .collect();
        let of = |user: &UserId| Some((user.clone(), *rows.get(user.as_str())?));
        let mut heads: Vec<_> = users.iter().filter_map(of).collect();
        for (user, head) in &mut heads {
            let known = known.get(user).copied();
            match self.settle(user, *head, known, None).await {
                Ok(settled) => *head = settled,
                // Other users are unaffected. The next read detects it again.
                Err(error) => tracing::error!(
                    user.id = user.as_str(),
                    error.causes = error.causes(),
                    "this user's head has fallen, but a new epoch cannot begin"
                ),
            }
        }
        Ok(heads)
    }
}

/// Finds the head of a session's user.
///
/// # Errors
/// [`Error::SignedOut`] when the session began before its user signed out everywhere.
async fn find_head_for(
    db: &impl ConnectionTrait,
    session: Session<'_>,
) -> Result<Option<Head>, Error> {
    let row = user::Entity::find_by_id(session.user.as_str())
        .one(db)
        .await?;
    match row {
        Some(row) if session.issued_at.is_signed_out(row.signed_out_at) => Err(Error::SignedOut),
        row => Ok(row.map(|row| row.head())),
    }
}

/// Finds the user's head.
pub(in crate::library) async fn find_head(
    db: &impl ConnectionTrait,
    user: &UserId,
) -> Result<Option<Head>, Error> {
    let row = user::Entity::find_by_id(user.as_str()).one(db).await?;
    Ok(row.map(|row| row.head()))
}
