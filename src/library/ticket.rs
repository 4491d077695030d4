//! The tickets that wait to be redeemed, where every node finds them.
//!
//! What a ticket is, `auth` knows; here it is a digest that stands for a user, for a while.
//!
//! **Invariant:** a ticket is redeemed at most once, over all nodes: the statement that finds it removes it.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};
use time::OffsetDateTime;

use super::{
    Library,
    entity::{millis, now, ticket},
    error::Error,
};
use crate::version::UserId;

/// What is kept of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTicket {
    /// What it is found by.
    pub digest: String,
    /// Whom it stands for.
    pub user: UserId,
    /// When the credential expires that it was minted with, and with it a stream that it opened.
    pub expires_at: OffsetDateTime,
    /// From when on it opens nothing.
    pub lapses_at: OffsetDateTime,
}

impl Library {
    /// Keeps a ticket, unless its user has `most` that wait to be redeemed; `false` then. Users who mint several at the
    /// same moment may get a few more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_ticket(&self, kept: KeptTicket, most: u64) -> Result<bool, Error> {
        let db = self.db.write.clone();
        self.write_apart(async move {
            let of_user = ticket::Column::UserId.eq(kept.user.as_str());
            let lapsed = ticket::Column::LapsesAt.lte(millis(now()));
            ticket::Entity::delete_many()
                .filter(of_user.clone())
                .filter(lapsed)
                .exec(&db)
                .await?;
            if ticket::Entity::find().filter(of_user).count(&db).await? >= most {
                return Ok(false);
            }
            let row = ticket::ActiveModel {
                digest: Set(kept.digest),
                user_id: Set(kept.user.as_str().to_owned()),
                expires_at: Set(millis(kept.expires_at)),
                lapses_at: Set(millis(kept.lapses_at)),
            };
            ticket::Entity::insert(row).exec(&db).await?;
            Ok(true)
        })
        .await
    }

    /// Takes a ticket away, and returns it if it has not lapsed. `None` also when it was redeemed, or never was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn redeem_ticket(&self, digest: String) -> Result<Option<KeptTicket>, Error> {
        let db = self.db.write.clone();
        self.write_apart(async move {
            let redeemed = ticket::Entity::delete_many()
                .filter(ticket::Column::Digest.eq(digest))
                .exec_with_returning(&db)
                .await?;
            let Some(row) = redeemed.into_iter().next() else {
                return Ok(None);
            };
            unlapsed(row)
        })
        .await
    }

    /// Finds a ticket that has not lapsed, and leaves it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_ticket(&self, digest: String) -> Result<Option<KeptTicket>, Error> {
        let row = ticket::Entity::find()
            .filter(ticket::Column::Digest.eq(digest))
            .one(&self.db.write)
            .await?;
        row.map_or(Ok(None), unlapsed)
    }
}

/// What a row keeps, unless it has lapsed.
fn unlapsed(row: ticket::Model) -> Result<Option<KeptTicket>, Error> {
    let kept = KeptTicket {
        digest: row.digest,
        user: UserId::new(&row.user_id).map_err(Error::fault)?,
        expires_at: row.expires_at.0,
        lapses_at: row.lapses_at.0,
    };
    let now = now();
    Ok((now < kept.lapses_at && now < kept.expires_at).then_some(kept))
}
