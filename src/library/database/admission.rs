//! Per-user admission to the database: connections for reads, and turns for writes and queries.

use std::sync::Arc;

use sea_orm::{DatabaseConnection, DbBackend};

use super::{
    fair_queue::{Act, Admission, FairQueue, reads_of_one_user},
    kept_connections::KeptConnections,
    options::DatabaseOptions,
    pool_options::{Access, sqlite},
    pools::Database,
    read_connection::{Origin, Reader, Readers},
    statement_metrics::observed,
    transaction::{
        Purpose, Source, Transaction,
        write_group::{Alone, MAX_AGE, MAX_WRITES, WriteGroups},
    },
};
use crate::{address::DatabaseAddress, library::error::Error, version::UserId};

/// The readers and queues of a database.
#[derive(Debug, Clone)]
pub(super) struct AdmissionControl {
    /// Read the newest committed state.
    fresh: Arc<Readers>,
    /// Read for queries: from the replica, if one is configured.
    queried: Arc<Readers>,
    writes: Arc<FairQueue>,
    /// Shares commits between the writes of a SQLite file.
    groups: Option<WriteGroups>,
    /// FairQueue to run a whole query. Limited per user only.
    queries: Arc<FairQueue>,
}

impl AdmissionControl {
    /// Creates the readers of `fresh` and of the replica's pool, and the queue of those who write to `write`.
    pub fn new(
        options: &DatabaseOptions,
        write: &DatabaseConnection,
        fresh: &KeptConnections,
        replica: Option<&DatabaseConnection>,
    ) -> Self {
        let connections = options.max_connections as usize;
        let is_sqlite = matches!(options.address, DatabaseAddress::Sqlite(_));
        let reads = reads_of_one_user(options.max_user_reads, connections, is_sqlite);
        let turns = FairQueue::new(connections, reads);
        let writes = if is_sqlite {
            FairQueue::new(MAX_WRITES, reads)
        } else {
            // Reads and writes share one pool, so they share its turns.
            Arc::clone(&turns)
        };
        let fresh = readers(options, &options.address, fresh.clone(), turns);
        let queried = match (&options.replica, replica) {
            (Some(address), Some(replica)) => readers(
                options,
                address,
                KeptConnections::of(replica.clone(), options.max_connections),
                FairQueue::new(connections, reads),
            ),
            _ => Arc::clone(&fresh),
        };
        Self {
            fresh,
            queried,
            writes,
            groups: is_sqlite.then(|| WriteGroups::new(write.clone(), options, MAX_AGE)),
            queries: FairQueue::new(usize::MAX, reads),
        }
    }

    /// Drops the replica: queries read the primary.
    pub fn without_replica(self) -> Self {
        Self {
            queried: Arc::clone(&self.fresh),
            ..self
        }
    }

    /// Waits until no other write of a user runs on SQLite.
    async fn alone(&self) -> Result<Option<Alone>, Error> {
        match &self.groups {
            Some(groups) => Ok(Some(groups.alone().await?)),
            None => Ok(None),
        }
    }

    /// Closes the idle connections.
    pub async fn close(&self) -> Result<(), sea_orm::DbErr> {
        self.queried.close().await?;
        self.fresh.close().await
    }
}

/// Creates the readers at `address`, whose connections `kept` has.
fn readers(
    options: &DatabaseOptions,
    address: &DatabaseAddress,
    kept: KeptConnections,
    turns: Arc<FairQueue>,
) -> Arc<Readers> {
    let origin = match address {
        DatabaseAddress::Sqlite(file) => Origin::Sqlite {
            connect: Box::new(sqlite(options, file, Access::Read)),
            timeout: options.statement_timeout,
            observe: observed,
        },
        DatabaseAddress::Postgres(_) => Origin::Postgres(kept),
    };
    Readers::new(origin, turns, options.acquire_timeout)
}

impl Database {
    /// Waits for a connection to read for a query of `user`.
    pub(in crate::library) async fn reader(&self, user: &UserId) -> Result<Reader, Error> {
        self.lending.queried.lend(user).await
    }

    /// Waits for a connection to read the newest committed state for `user`.
    pub(in crate::library) async fn fresh_reader(&self, user: &UserId) -> Result<Reader, Error> {
        self.lending.fresh.lend(user).await
    }

    /// Waits for the turn of `user` to write.
    pub(in crate::library) async fn admit_write(&self, user: &UserId) -> Result<Admission, Error> {
        self.lending.writes.take(user, Act::Write, self.wait).await
    }

    /// Waits for the turn of `user` to write by other means than [`Self::begin_write`].
    pub(in crate::library) async fn admit_write_alone(
        &self,
        user: &UserId,
    ) -> Result<(Admission, Option<Alone>), Error> {
        let turn = self.admit_write(user).await?;
        Ok((turn, self.lending.alone().await?))
    }

    /// Begins a write of a library. On SQLite it shares its commit with concurrent writes, unless `is_long`.
    pub(in crate::library) async fn begin_write(
        &self,
        is_long: bool,
    ) -> Result<Transaction, Error> {
        if let (Some(groups), false) = (&self.lending.groups, is_long) {
            return Transaction::join(groups).await;
        }
        let alone = self.lending.alone().await?;
        let source: Source<'_> = match self.backend() {
            DbBackend::Postgres => (&self.kept).into(),
            _ => (&self.write).into(),
        };
        let begun = Transaction::begin(source, Purpose::Write).await?;
        Ok(begun.in_turn(alone))
    }

    /// Waits for the turn of `user` to run a query.
    pub(in crate::library) async fn admit_query(&self, user: &UserId) -> Result<Admission, Error> {
        self.lending.queries.take(user, Act::Query, self.wait).await
    }
}
