//! What an operator should know of an open database: version, latency, clock, write-ahead log, and whether it takes writes.
//!
//! In the flow: only `library-sync doctor` calls this.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TryGetable};
use tokio::time::timeout;

use super::{clock::MAX_SKEW, pools::Database, write_probe::PROBE_PATIENCE};
use crate::{
    address::DatabaseAddress,
    library::{
        database::sqlite_file::beside,
        error::{Error, Unanswered},
    },
};

/// Statements of which the median latency is taken.
const SAMPLES: usize = 5;

/// The clock of this machine compared with the database's.
#[derive(Debug, Clone, Copy)]
pub struct ClockSkew {
    /// How far this machine's clock is ahead, in seconds.
    pub ahead_seconds: f64,
    /// Whether the difference is too large to serve well.
    pub is_off: bool,
}

/// The write-ahead log of a database.
#[derive(Debug, Clone)]
pub struct WriteAheadLog {
    /// Its size in bytes. `None` if the role may not see it.
    pub bytes: Option<u64>,
    /// The inactive replication slot that keeps most of it, and how many bytes.
    pub slot: Option<(String, u64)>,
}

impl Database {
    /// Returns the name and version of the database's program, and the version as a number for PostgreSQL, such as 160002.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn server_version(&self) -> Result<(String, Option<i32>), DbErr> {
        if self.write.get_database_backend() != DbBackend::Postgres {
            let name = self.value("SELECT 'SQLite ' || sqlite_version()").await?;
            return Ok((name, None));
        }
        let name = self.value("SELECT 'PostgreSQL ' || current_setting('server_version')");
        let number = self.value("SELECT current_setting('server_version_num')::integer");
        Ok((name.await?, Some(number.await?)))
    }

    /// Returns the median time of a statement that reads nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn latency(&self) -> Result<Duration, DbErr> {
        let mut times = [Duration::ZERO; SAMPLES];
        for time in &mut times {
            let began = Instant::now();
            self.value::<i32>("SELECT 1").await?;
            *time = began.elapsed();
        }
        times.sort();
        Ok(times[SAMPLES / 2])
    }

    /// Compares this machine's clock with the database's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clock_skew(&self) -> Result<ClockSkew, DbErr> {
        let reading = self.skew.ask(&self.write).await?;
        Ok(ClockSkew {
            ahead_seconds: reading.ahead.as_seconds_f64(),
            is_off: reading.ahead.abs() > MAX_SKEW,
        })
    }

    /// Writes and deletes a row in one transaction.
    ///
    /// # Errors
    /// With the cause, if the database does not accept writes.
    pub async fn probe_writes(&self) -> Result<(), Error> {
        match timeout(PROBE_PATIENCE, self.write_probe()).await {
            Ok(written) => written.map_err(Error::from),
            Err(_) => Err(Error::unavailable(Unanswered(PROBE_PATIENCE))),
        }
    }

    /// Returns the size of the write-ahead log.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn write_ahead_log(&self) -> Result<WriteAheadLog, DbErr> {
        if let DatabaseAddress::Sqlite(file) = &self.address {
            let log = std::fs::metadata(beside(&file.path, "-wal"));
            return Ok(WriteAheadLog {
                bytes: Some(log.map_or(0, |log| log.len())),
                slot: None,
            });
        }
        // Only members of pg_monitor may list the files.
        let bytes = self.value::<i64>("SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir()");
        let slot = "SELECT slot_name::text AS name, \
            pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS kept \
            FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY kept DESC LIMIT 1";
        let backend = self.write.get_database_backend();
        let slot = Statement::from_string(backend, slot);
        let bytes = bytes.await.ok();
        let slot = self.write.query_one_raw(slot).await?;
        let slot = slot.map(|row| {
            let kept: i64 = row.try_get("", "kept")?;
            Ok::<_, DbErr>((
                row.try_get("", "name")?,
                u64::try_from(kept).unwrap_or_default(),
            ))
        });
        Ok(WriteAheadLog {
            bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            slot: slot.transpose()?,
        })
    }

    /// Returns the data directory of PostgreSQL, if the role may see it.
    pub async fn data_directory(&self) -> Option<String> {
        self.address.postgres()?;
        self.value("SELECT current_setting('data_directory')")
            .await
            .ok()
    }

    /// Returns the single value that `sql` selects.
    async fn value<T: TryGetable>(&self, sql: &str) -> Result<T, DbErr> {
        let select = Statement::from_string(self.write.get_database_backend(), sql);
        let row = self.write.query_one_raw(select).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("a value".to_owned()))?;
        row.try_get_by_index(0)
    }
}
