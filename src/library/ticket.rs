//! Unredeemed tickets, stored in the database that all nodes share.
//!
//! `auth` mints tickets. A ticket here is a digest that identifies a user for a limited time.
//!
//! **Invariant:** a ticket expires by the database's clock, so at the same time on every node.
//! **Invariant:** a ticket is redeemed at most once over all nodes: the statement that finds it deletes it.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult as _,
    QueryResult, Statement,
};
use time::OffsetDateTime;
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{
    database::clock,
    entity::{columns::millis, ticket},
    error::Error,
    handle::Library,
};
use crate::{unix_time, version::UserId};

/// A stored ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTicket {
    /// Digest of the ticket, its lookup key.
    pub digest: String,
    /// The user that it authenticates.
    pub user: UserId,
    /// Expiry of the credential that minted it, and of a stream that it opens.
    pub expires_at: OffsetDateTime,
    /// When the credential that minted it was issued.
    pub issued_at: Option<OffsetDateTime>,
}

impl Library {
    /// Stores a ticket for `life`. Returns `false` if its user already has `most` unredeemed ones. Concurrent requests may
    /// exceed `most` by a few.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_ticket(
        &self,
        kept: KeptTicket,
        life: Duration,
        most: u64,
    ) -> Result<bool, Error> {
        let db = self.db.clone();
        self.write_apart(async move {
            let _turn = db.admit_write_alone(&kept.user).await?;
            let db = &db.write;
            let backend = db.get_database_backend();
            let of_user = [kept.user.as_str().into()];
            let clock = clock::sql(backend);
            let purge =
                format!("DELETE FROM topaz_ticket WHERE user_id = $1 AND lapses_at <= {clock}");
            db.execute_raw(Statement::from_sql_and_values(
                backend,
                purge,
                of_user.clone(),
            ))
            .await?;
            let count = format!(
                "SELECT count(*) AS waiting, {clock} AS {} FROM topaz_ticket WHERE user_id = $1",
                clock::NOW
            );
            let count = Statement::from_sql_and_values(backend, count, of_user);
            let row = db.query_one_raw(count).await?;
            let row = row.ok_or_else(|| Error::fault("a count without a row"))?;
            let waiting: i64 = row.try_get("", "waiting")?;
            if waiting.unsigned_abs() >= most {
                return Ok(false);
            }
            let lapses_at = clock::of_row(&row)? + life;
            let row = ticket::ActiveModel {
                digest: Set(kept.digest),
                user_id: Set(kept.user.as_str().to_owned()),
                expires_at: Set(millis(kept.expires_at)),
                lapses_at: Set(millis(lapses_at)),
                issued_at: Set(kept.issued_at.map(unix_time::millis)),
            };
            ticket::Entity::insert(row).exec(db).await?;
            Ok(true)
        })
        .await
    }

    /// Deletes a ticket and returns it. `None` if it is invalid, expired or already used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn redeem_ticket(&self, digest: String) -> Result<Option<KeptTicket>, Error> {
        let _lookup = self.ticket_lookup().await?;
        let db = self.db.write.clone();
        self.write_apart(async move {
            let backend = db.get_database_backend();
            let take = format!(
                "DELETE FROM topaz_ticket WHERE digest = $1 RETURNING {}",
                columns(backend)
            );
            let take = Statement::from_sql_and_values(backend, take, [digest.into()]);
            let row = db.query_one_raw(take).await?;
            row.map_or(Ok(None), |row| unlapsed(&row))
        })
        .await
    }

    /// Waits until a ticket may be looked up. Lookups are unauthenticated, so they share a few connections: forged tickets
    /// can delay real ones, but no other requests.
    async fn ticket_lookup(&self) -> Result<SemaphorePermit<'_>, Error> {
        let permit = timeout(self.db.wait, self.ticket_lookups.acquire()).await;
        let permit =
            permit.map_err(|_| Error::unavailable("too many concurrent ticket lookups"))?;
        permit.map_err(Error::fault)
    }

    /// Finds an unexpired ticket without redeeming it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_ticket(&self, digest: String) -> Result<Option<KeptTicket>, Error> {
        let _lookup = self.ticket_lookup().await?;
        let db = &self.db.write;
        let backend = db.get_database_backend();
        let find = format!(
            "SELECT {} FROM topaz_ticket WHERE digest = $1",
            columns(backend)
        );
        let find = Statement::from_sql_and_values(backend, find, [digest.into()]);
        let row = self.db.in_time(db.query_one_raw(find)).await?;
        row.map_or(Ok(None), |row| unlapsed(&row))
    }
}

/// The columns of a ticket, and the database's time.
fn columns(backend: DbBackend) -> String {
    format!(
        "digest, user_id, expires_at, lapses_at, issued_at, {} AS {}",
        clock::sql(backend),
        clock::NOW
    )
}

/// Converts a row, unless the ticket has expired.
fn unlapsed(row: &QueryResult) -> Result<Option<KeptTicket>, Error> {
    let now = clock::of_row(row)?;
    let row = ticket::Model::from_query_result(row, "")?;
    let kept = KeptTicket {
        digest: row.digest,
        user: UserId::new(&row.user_id).map_err(Error::fault)?,
        expires_at: row.expires_at.0,
        issued_at: row.issued_at.and_then(unix_time::time_of),
    };
    Ok((now < row.lapses_at.0 && now < kept.expires_at).then_some(kept))
}
