//! The database: connection, version, latency, clock, schema, pooler, writes, disk and write-ahead log.

use std::time::Duration;

use super::{
    disk,
    finding::{Check, Finding},
    remedy,
};
use crate::{
    address::DatabaseAddress,
    app::{
        check_broker,
        open_database::{database_options, open_database},
    },
    config::Serve,
    error_chain::in_one_line,
    library::{Database, DatabaseOptions, Opening},
    schema_migration,
};

const CONNECTION: Check = Check("database.connection");
const VERSION: Check = Check("database.version");
const LATENCY: Check = Check("database.latency");
const CLOCK: Check = Check("database.clock");
const SCHEMA: Check = Check("database.schema");
const POOLER: Check = Check("database.pooler");
const WRITES: Check = Check("database.writes");
const REPLICA: Check = Check("database.replica");
const WAL: Check = Check("database.wal");

/// The oldest supported PostgreSQL.
const OLDEST: i32 = 130_000;

/// Latency of a statement above which the database is too far away: a mutation takes about five round trips.
const SLOW: Duration = Duration::from_millis(20);
const TOO_SLOW: Duration = Duration::from_millis(250);

/// Size of a write-ahead log that shows that something keeps it, in bytes.
const LARGE_LOG: u64 = 4 << 30;

/// What an inactive replication slot may keep, in bytes.
const LARGE_SLOT: u64 = 1 << 30;

pub(super) async fn examine(serve: &Serve, limit: Duration) -> Vec<Finding> {
    let options = match database_options(&serve.database, Opening::Change) {
        Ok(options) => options,
        Err(error) => {
            let error = in_one_line(error.as_ref());
            return vec![
                CONNECTION.failed(&error, remedy::of_connection(&error, "--database-url")),
            ];
        }
    };
    let opening = tokio::time::timeout(limit, open_database(&serve.database, &options));
    match opening.await {
        Ok(Ok(db)) => examine_open(serve, &options, &db, limit).await,
        Ok(Err(error)) => {
            let error = in_one_line(error.as_ref());
            let fix = remedy::of_connection(&error, serve.database.setting());
            vec![CONNECTION.failed(error, fix)]
        }
        Err(_) => {
            let found = format!("{} does not answer within {limit:?}", options.address);
            let fix = remedy::of_connection("no answer in time", serve.database.setting());
            vec![CONNECTION.failed(found, fix)]
        }
    }
}

async fn examine_open(
    serve: &Serve,
    options: &DatabaseOptions,
    db: &Database,
    limit: Duration,
) -> Vec<Finding> {
    let address = &options.address;
    let schema = SCHEMA.within(limit, schema(db, options)).await;
    let has_schema = schema.fix.is_none();
    let data_directory = tokio::time::timeout(limit, db.data_directory());
    let data_directory = data_directory.await.ok().flatten();
    let findings = vec![
        CONNECTION.ok(format!("{address} answers")),
        VERSION.within(limit, version(db)).await,
        LATENCY.within(limit, latency(db)).await,
        CLOCK.within(limit, clock(db, address)).await,
        schema,
        pooler(serve, db, address),
        WRITES.within(limit, writes(db, has_schema)).await,
        disk::examine(address, data_directory.as_deref()),
        WAL.within(limit, write_ahead_log(db)).await,
        replica(serve, db),
    ];
    let _ = tokio::time::timeout(limit, db.clone().close()).await;
    findings
}

fn unanswered(check: Check, error: &(dyn std::error::Error + 'static)) -> Finding {
    let error = in_one_line(error);
    let fix = remedy::of_connection(&error, "--database-url");
    check.failed(error, fix)
}

async fn version(db: &Database) -> Finding {
    match db.server_version().await {
        Ok((name, Some(number))) if number < OLDEST => {
            VERSION.failed(name, "upgrade to PostgreSQL 13 or newer")
        }
        Ok((name, _)) => VERSION.ok(name),
        Err(error) => unanswered(VERSION, &error),
    }
}

async fn latency(db: &Database) -> Finding {
    let latency = match db.latency().await {
        Ok(latency) => latency,
        Err(error) => return unanswered(LATENCY, &error),
    };
    let found = format!("{:.1} ms for a statement", latency.as_secs_f64() * 1000.0);
    let fix = "run the server in the same data centre as the database, or find out what delays it";
    if latency < SLOW {
        LATENCY.ok(found)
    } else if latency < TOO_SLOW {
        LATENCY.warning(found, fix)
    } else {
        LATENCY.failed(found, fix)
    }
}

async fn clock(db: &Database, address: &DatabaseAddress) -> Finding {
    if address.postgres().is_none() {
        return CLOCK.ok("SQLite uses the clock of this machine");
    }
    match db.clock_skew().await {
        Ok(skew) => {
            let direction = if skew.ahead_seconds < 0.0 {
                "behind"
            } else {
                "ahead of"
            };
            let seconds = skew.ahead_seconds.abs();
            let found =
                format!("this machine's clock is {seconds:.1} s {direction} the database's");
            if skew.is_off {
                CLOCK.failed(
                    found,
                    "run NTP on both machines: tokens expire by this machine's clock",
                )
            } else {
                CLOCK.ok(found)
            }
        }
        Err(error) => unanswered(CLOCK, &error),
    }
}

async fn schema(db: &Database, options: &DatabaseOptions) -> Finding {
    let migrate = "run `library-sync migrate up`, or start the server without --no-migrate";
    match db.missing_schema().await {
        Ok(Some(missing)) => {
            return SCHEMA.failed(format!("the database lacks the {missing}"), migrate);
        }
        Ok(None) => {}
        Err(error) => return unanswered(SCHEMA, &error),
    }
    match schema_migration::is_up_to_date(db, options).await {
        Ok(true) => SCHEMA.ok("all migrations of this version are applied"),
        Ok(false) => SCHEMA.failed("migrations of this version are pending", migrate),
        Err(error) => unanswered(SCHEMA, &error),
    }
}

fn pooler(serve: &Serve, db: &Database, address: &DatabaseAddress) -> Finding {
    if let Err(error) = check_broker(&serve.streams.broker_url.0, db) {
        let found = in_one_line(error.as_ref());
        return POOLER.failed(found, "give --broker-url the address of PostgreSQL itself");
    }
    if db.shares_sessions() {
        return POOLER.warning(
            format!("{address} is a connection pooler in transaction mode"),
            "run `library-sync migrate up` with the address of PostgreSQL itself, and set statement_timeout and \
             idle_in_transaction_session_timeout by ALTER ROLE",
        );
    }
    POOLER.ok("each connection has its own session")
}

fn replica(serve: &Serve, db: &Database) -> Finding {
    match db.replica_fault() {
        _ if serve.database.read_database_url.is_none() => {
            REPLICA.ok("queries read the primary: --read-database-url is not set")
        }
        None => REPLICA.ok("the replica may be read"),
        Some(fault) => REPLICA.failed(
            format!("the replica is not read: {fault}"),
            "--read-database-url: give the address of a standby of this database that is not far behind",
        ),
    }
}

async fn writes(db: &Database, has_schema: bool) -> Finding {
    if !has_schema {
        return WRITES.skipped("not examined without the tables");
    }
    match db.probe_writes().await {
        Ok(()) => WRITES.ok("the database accepts writes"),
        Err(error) => WRITES.failed(
            error.causes().unwrap_or_else(|| error.to_string()),
            "give the address of the primary, grant the role INSERT, UPDATE and DELETE, and free space on the volume",
        ),
    }
}

async fn write_ahead_log(db: &Database) -> Finding {
    let log = match db.write_ahead_log().await {
        Ok(log) => log,
        Err(error) => return WAL.skipped(in_one_line(&error)),
    };
    if let Some((slot, kept)) = &log.slot
        && *kept > LARGE_SLOT
    {
        return WAL.failed(
            format!(
                "the inactive replication slot {slot} keeps {} MiB",
                kept >> 20
            ),
            format!("start its standby, or run SELECT pg_drop_replication_slot('{slot}')"),
        );
    }
    match log.bytes {
        None => WAL.skipped("PostgreSQL shows its size only to members of pg_monitor"),
        Some(bytes) if bytes > LARGE_LOG => WAL.warning(
            format!("{} MiB", bytes >> 20),
            "find the transaction or the backup that keeps it; with SQLite, a process that reads for a long time",
        ),
        Some(bytes) => WAL.ok(format!("{} MiB", bytes >> 20)),
    }
}
