//! [`Library::export_archive`]: writes an archive from one snapshot to a temporary file.
//!
//! The file separates the database from the reader: the snapshot is open only while the database is read, so a client that
//! reads slowly keeps no transaction open. The file has no name, so it is gone when it is closed, even by a crash.

use std::{
    fs::File,
    io::{BufWriter, IntoInnerError, Seek as _, Write as _},
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, EntityTrait as _, Statement, Value};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    header::{End, FirstLine, Header, LastLine},
    row::{self, Row},
    table::{TABLES, Table},
};
use crate::{
    library::{
        database::transaction::{Purpose, Transaction},
        entity::user,
        error::Error,
        handle::Library,
    },
    version::{Head, UserId, Version},
};

/// Maximum time of an export: how long it may keep a snapshot open.
const LONGEST: Duration = Duration::from_mins(10);

/// Rows per statement. A story holds up to 80 kB of text.
const ROWS: usize = 200;

/// A finished archive.
#[derive(Debug)]
pub struct Archive {
    /// The head of the library that it holds.
    pub head: Head,
    /// The file, at its beginning.
    pub file: File,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Library {
    /// Writes the library of `user` with its history to a temporary file; `None` if the user does not exist.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when another export of the user runs, too many run, or the database does not answer.
    pub async fn export_archive(&self, user: &UserId) -> Result<Option<Archive>, Error> {
        let turn = self.exports.begin(user).ok_or_else(Error::crowded)?;
        let exported = async {
            let tx = Transaction::begin(&self.db.fresh, Purpose::Snapshot).await?;
            let written = written(&tx, &turn.user).await?;
            tx.roll_back().await?;
            Ok(written)
        };
        let exported = timeout(LONGEST, exported).await;
        exported.unwrap_or_else(|_| Err(Error::unavailable("the export took too long")))
    }
}

async fn written(tx: &Transaction, user: &UserId) -> Result<Option<Archive>, Error> {
    let Some(row) = user::Entity::find_by_id(user.as_str()).one(tx).await? else {
        return Ok(None);
    };
    let (head, floor) = (row.head(), Version::new(row.library_floor));
    let mut file = BufWriter::new(tempfile::tempfile().map_err(Error::unavailable)?);
    let library = Header::new(head, floor);
    put(&mut file, &FirstLine { library })?;
    let mut rows = 0;
    for table in &TABLES {
        let mut last = None;
        loop {
            let page = page(tx, user, table, last.as_ref()).await?;
            for row in &page {
                put(&mut file, &json!({table.kind: row}))?;
            }
            rows += page.len() as u64;
            let is_last = page.len() < ROWS;
            last = page.into_iter().next_back();
            if is_last {
                break;
            }
        }
    }
    put(&mut file, &LastLine { end: End { rows } })?;
    let file = file.into_inner().map_err(IntoInnerError::into_error);
    let mut file = file.map_err(Error::unavailable)?;
    let bytes = file.stream_position().map_err(Error::unavailable)?;
    file.rewind().map_err(Error::unavailable)?;
    Ok(Some(Archive { head, file, bytes }))
}

/// Selects the rows of a table after `last`, in order of their keys.
async fn page(
    tx: &Transaction,
    user: &UserId,
    table: &Table,
    last: Option<&Row>,
) -> Result<Vec<Row>, Error> {
    let columns: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
    let (columns, key) = (columns.join(", "), table.key.join(", "));
    let mut values: Vec<Value> = vec![user.as_str().into()];
    let mut after = String::new();
    if let Some(last) = last {
        let place = table.key.iter().map(|name| {
            values.push(row::parameter(table.type_of(name), &last[*name]));
            format!("${}", values.len())
        });
        let place: Vec<_> = place.collect();
        after = format!(" AND ({key}) > ({})", place.join(", "));
    }
    let sql = format!(
        "SELECT {columns} FROM {} WHERE user_id = $1{after} ORDER BY {key} LIMIT {ROWS}",
        table.name
    );
    let select = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let found = tx.query_all_raw(select).await?;
    let rows = found.iter().map(|found| row::of_result(table, found));
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put(to: &mut BufWriter<File>, line: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(&mut *to, line).map_err(Error::unavailable)?;
    to.write_all(b"\n").map_err(Error::unavailable)
}
