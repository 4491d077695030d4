//! [`Library::import_archive`]: reads an archive into an empty library, in one transaction.
//!
//! The library gets the head of the archive, so its devices continue where they were. If the user's row exists, because
//! the user opened the app first, its epoch has been announced, and an epoch never decreases. The numbering then gets an
//! epoch above it, and devices reset.
//!
//! **Invariant:** an archive is read whole or not at all.

use std::io::{self, BufRead};

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    header::{FirstLine, Header, LastLine},
    row::{self, Row},
    table::{Column, TABLES, Table, Type},
};
use crate::{
    library::{
        database::transaction::{Purpose, Transaction},
        error::{Error, sql_code},
        handle::Library,
        read::head::find_head,
        write::user_row::insert_user,
    },
    version::{Epoch, Head, UserId},
};

/// Rows per statement.
const ROWS: usize = 500;

/// Bytes of rows per statement.
const BYTES: usize = 1 << 20;

/// Maximum length of a line, in bytes.
const LINE: u64 = 16 << 20;

/// Why an archive was not imported. The library is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file breaks a rule.
    #[error("line {line}: {message}")]
    Line {
        /// The number of the line, from 1.
        line: u64,
        /// The rule.
        message: String,
    },
    /// The user has a library.
    #[error(
        "the library of this user is not empty: import into a new user, or erase the library first"
    )]
    NotEmpty,
    /// The file cannot be read.
    #[error("cannot read the archive")]
    Read(#[from] io::Error),
    /// The database failed.
    #[error(transparent)]
    Library(#[from] Error),
}

impl From<DbErr> for ArchiveError {
    fn from(error: DbErr) -> Self {
        Self::Library(error.into())
    }
}

/// What an import wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The head of the library.
    pub head: Head,
    /// Number of rows, with those of the history.
    pub rows: u64,
}

impl Library {
    /// Reads an archive into the empty library of `user`. With `is_rehearsal` it writes nothing.
    ///
    /// # Errors
    /// When the archive breaks a rule, the library is not empty, or the database fails.
    pub async fn import_archive(
        &self,
        user: &UserId,
        from: &mut (dyn BufRead + Send),
        is_rehearsal: bool,
    ) -> Result<Imported, ArchiveError> {
        let mut lines = Lines {
            from,
            number: 0,
            length: 0,
        };
        let first: FirstLine = lines.parse("the header of an archive")?;
        let header = first.library.check(OffsetDateTime::now_utc());
        let header = header.map_err(|message| lines.fault(message))?;
        let tx = Transaction::begin(&self.db.write, Purpose::Write).await?;
        let epoch = claim(&tx, user, header).await?;
        let mut import = Import {
            tx: &tx,
            user,
            header,
            epoch,
            rows: 0,
        };
        import.read(&mut lines).await?;
        let (head, rows) = (import.finish().await?, import.rows);
        if is_rehearsal {
            tx.roll_back().await?;
        } else {
            tx.commit().await?;
            self.announce(user, head, None);
        }
        Ok(Imported { head, rows })
    }
}

/// Locks the user's row, which is created if needed, checks that the library is empty, and returns the epoch of the
/// import.
async fn claim(tx: &Transaction, user: &UserId, header: Header) -> Result<Epoch, ArchiveError> {
    let before = find_head(tx, user).await?;
    if before.is_none() {
        insert_user(tx, user).await?;
    }
    let lock = "UPDATE topaz_user SET library_version = library_version WHERE subject = $1";
    execute(tx, lock, vec![user.as_str().into()]).await?;
    for table in &TABLES {
        let any = format!(
            "SELECT 1 AS one FROM {} WHERE user_id = $1 LIMIT 1",
            table.name
        );
        let any =
            Statement::from_sql_and_values(tx.get_database_backend(), any, [user.as_str().into()]);
        if tx.query_one_raw(any).await?.is_some() {
            return Err(ArchiveError::NotEmpty);
        }
    }
    let epoch = header.head().epoch;
    Ok(before.map_or(epoch, |before| {
        Ord::max(epoch, Epoch::new(before.epoch.number() + 1))
    }))
}

struct Import<'a> {
    tx: &'a Transaction,
    user: &'a UserId,
    header: Header,
    /// The epoch that replaces the header's.
    epoch: Epoch,
    rows: u64,
}

/// Rows of one table that are not inserted yet.
struct Batch {
    table: &'static Table,
    rows: Vec<Row>,
    bytes: usize,
    /// The line of its first row.
    line: u64,
}

impl Import<'_> {
    /// Reads the rows up to the last line.
    async fn read(&mut self, lines: &mut Lines<'_>) -> Result<(), ArchiveError> {
        let mut batch = Batch {
            table: &TABLES[0],
            rows: Vec::new(),
            bytes: 0,
            line: 2,
        };
        loop {
            let line: serde_json::Map<String, Value> = lines.parse("a row")?;
            let bytes = lines.length;
            let mut members = line.into_iter();
            let (Some((kind, row)), None) = (members.next(), members.next()) else {
                return Err(lines.fault("must be an object with one member".to_owned()));
            };
            if kind == "end" {
                self.insert(&mut batch).await?;
                return self.end(lines, &row);
            }
            let table = TABLES.iter().find(|table| table.kind == kind);
            let table =
                table.ok_or_else(|| lines.fault(format!("{kind:?} is not a kind of row")))?;
            let Value::Object(mut row) = row else {
                return Err(lines.fault(format!("{kind} must be an object")));
            };
            row::check(table, &mut row, self.header.head()).map_err(|why| lines.fault(why))?;
            self.number_again(table, &mut row);
            let is_full = batch.rows.len() == ROWS || batch.bytes > BYTES;
            if is_full || batch.table.kind != table.kind {
                self.insert(&mut batch).await?;
                (batch.table, batch.line) = (table, lines.number);
            }
            batch.rows.push(row);
            batch.bytes += bytes;
            self.rows += 1;
        }
    }

    fn end(&self, lines: &mut Lines<'_>, end: &Value) -> Result<(), ArchiveError> {
        let last = serde_json::json!({"end": end});
        let last: Result<LastLine, _> = serde_json::from_value(last);
        if last.map(|last| last.end.rows).ok() != Some(self.rows) {
            let rows = self.rows;
            return Err(lines.fault(format!(
                "the file has {rows} rows, which is not what its end says"
            )));
        }
        if lines.next()?.is_some() {
            return Err(lines.fault("text after the end".to_owned()));
        }
        Ok(())
    }

    /// Replaces the header's epoch in a write.
    fn number_again(&self, table: &Table, row: &mut Row) {
        let old = self.header.head().epoch.number();
        if table.kind == "write" && row["epoch"] == serde_json::json!(old) {
            row["epoch"] = self.epoch.number().into();
        }
    }

    async fn insert(&self, batch: &mut Batch) -> Result<(), ArchiveError> {
        let rows = std::mem::take(&mut batch.rows);
        batch.bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        let json = serde_json::to_string(&rows).map_err(Error::fault)?;
        let sql = insert_sql(self.tx.get_database_backend(), batch.table);
        let values = vec![self.user.as_str().into(), json.into()];
        let inserted = execute(self.tx, &sql, values).await;
        inserted.map_err(|error| {
            if breaks_constraint(&error) {
                let (line, last) = (batch.line, batch.line + rows.len() as u64 - 1);
                let message = format!(
                    "a row up to line {last} breaks a rule of its table: two rows with one key, or a reference to a row \
                     that the file lacks"
                );
                return ArchiveError::Line { line, message };
            }
            error.into()
        })
    }

    /// Sets the head of the library. Its size is counted by the next change.
    async fn finish(&self) -> Result<Head, ArchiveError> {
        let head = Head {
            epoch: self.epoch,
            version: self.header.head().version,
        };
        let sql = "UPDATE topaz_user SET library_version = $2, library_epoch = $3, library_floor = $4, \
             library_counted = 0 WHERE subject = $1";
        let values = vec![
            self.user.as_str().into(),
            head.version.number().into(),
            head.epoch.number().into(),
            self.header.floor().number().into(),
        ];
        execute(self.tx, sql, values).await?;
        Ok(head)
    }
}

async fn execute(tx: &Transaction, sql: &str, values: Vec<sea_orm::Value>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    tx.execute_raw(statement).await.map(|_| ())
}

/// Returns whether a statement broke a constraint: SQLSTATE class 23, or SQLite's CONSTRAINT.
fn breaks_constraint(error: &DbErr) -> bool {
    let code = sql_code(error);
    code.is_some_and(|code| match code.len() {
        5 => code.starts_with("23"),
        _ => code.parse::<u32>().is_ok_and(|code| code & 0xff == 19),
    })
}

/// The statement that inserts rows of $2, a JSON array, for the user $1.
fn insert_sql(backend: DbBackend, table: &Table) -> String {
    let columns: Vec<Column> = table.all_columns().collect();
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let (values, from) = if backend == DbBackend::Postgres {
        let typed = columns
            .iter()
            .map(|(name, of)| format!("{name} {}", sql_type(*of)));
        let typed: Vec<_> = typed.collect();
        let from = format!("json_to_recordset($2::json) AS r ({})", typed.join(", "));
        (names.clone(), from)
    } else {
        let values = columns.iter().map(|(name, of)| match of {
            Type::Id => format!("unhex(replace(value ->> '{name}', '-', ''))"),
            _ => format!("value ->> '{name}'"),
        });
        let values: Vec<_> = values.collect();
        (values.join(", "), "json_each($2)".to_owned())
    };
    format!(
        "INSERT INTO {} (user_id, {names}) SELECT $1, {values} FROM {from}",
        table.name
    )
}

fn sql_type(of: Type) -> &'static str {
    match of {
        Type::Id => "uuid",
        Type::Text(_) | Type::OptionalText(_) => "text",
        Type::Integer | Type::OptionalInteger => "integer",
        Type::SmallInteger => "smallint",
        Type::BigInteger => "bigint",
        Type::Boolean => "boolean",
    }
}

/// The lines of a file, with their numbers.
struct Lines<'a> {
    from: &'a mut (dyn BufRead + Send),
    number: u64,
    /// Length of the last line, in bytes.
    length: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<String>, ArchiveError> {
        let mut line = String::new();
        self.number += 1;
        let read = io::Read::take(&mut *self.from, LINE).read_line(&mut line);
        self.length = match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.fault("is not UTF-8".to_owned()));
            }
            read => read?,
        };
        if self.length as u64 == LINE {
            return Err(self.fault(format!("is longer than {LINE} bytes")));
        }
        Ok((self.length > 0).then_some(line))
    }

    fn parse<T: serde::de::DeserializeOwned>(&mut self, what: &str) -> Result<T, ArchiveError> {
        let line = self.next()?;
        let line =
            line.ok_or_else(|| self.fault("the file was cut off: it has no end line".to_owned()))?;
        let parsed = serde_json::from_str(&line);
        parsed.map_err(|error| self.fault(format!("is not {what}: {error}")))
    }

    fn fault(&self, message: String) -> ArchiveError {
        ArchiveError::Line {
            line: self.number,
            message,
        }
    }
}
