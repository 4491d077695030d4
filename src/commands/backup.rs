//! `library-sync backup` and `library-sync restore`, for SQLite.
//!
//! A database with a write-ahead log is two files. A copy of one file, or a mix of files from two databases, is corrupt.
//! After a restore, devices must discard their copies. These commands handle both.
//!
//! **Invariant:** a restore changes nothing until a verified copy of the backup is on disk, migrated and in a new epoch.
//! **Invariant:** during a restore, the database's path always holds the old database or the new one. If the process dies
//! before it has renamed the old write-ahead log, no command opens the new database next to that log.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _, stdout},
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use time::{OffsetDateTime, macros::format_description};

use super::output_file;
use crate::{
    address::{DatabaseAddress, Mode, SqliteFile},
    app::open_database::database_options,
    broker::Memory,
    config::{Backup, Restore},
    library::{
        Database, DatabaseOptions, Library, Opening, beside, check_sqlite, copy_sqlite, lock,
        seal_sqlite,
    },
    schema_migration,
};

/// Copies the database to a new file. A server may use the database meanwhile.
///
/// # Errors
/// When the database is not SQLite or does not exist, or the file exists or cannot be written.
pub async fn backup(backup: &Backup) -> anyhow::Result<()> {
    let options = database_options(&backup.database, Opening::Read)?;
    let from = sqlite(&options.address, "backup")?;
    let unwritable = || format!("cannot write {}", backup.file.display());
    anyhow::ensure!(
        fs::symlink_metadata(&backup.file).is_err(),
        "{} already exists: give the path of a new file",
        backup.file.display()
    );
    let unfinished = output_file::unfinished(&backup.file).with_context(unwritable)?;
    let copied = copy_sqlite(from, unfinished.path()).await;
    copied.context(backup.database.setting())?;
    output_file::place(unfinished, &backup.file).with_context(unwritable)?;
    writeln!(
        stdout(),
        "{} is a backup of {}",
        backup.file.display(),
        from.path.display()
    )?;
    Ok(())
}

/// Replaces the database with a copy of a backup, and begins a new epoch for all users.
///
/// # Errors
/// When the database is not SQLite, a server uses it, or the backup is invalid. The database is then unchanged.
pub async fn restore(restore: &Restore) -> anyhow::Result<()> {
    let options = database_options(&restore.database, Opening::Create)?;
    let target = &sqlite(&options.address, "restore")?.path;
    let _lock = lock(target, File::try_lock).context(restore.database.setting())?;
    anyhow::ensure!(
        !is_same(&restore.file, target),
        "{} is the database itself",
        restore.file.display()
    );
    let folder = output_file::folder(target);
    let unwritable = || format!("cannot write {}", folder.display());
    let workspace = tempfile::Builder::new()
        .prefix(".library-sync-restore-")
        .tempdir_in(folder)
        .with_context(unwritable)?;
    let copy = workspace.path().join("copy.db");
    let unusable = || format!("cannot restore {}", restore.file.display());
    copy_files(&restore.file, &copy).with_context(unusable)?;
    let users = migrate_copy(&copy, &options).await.with_context(unusable)?;
    copy_owner(target, &copy).with_context(unwritable)?;
    let kept = swap(&copy, target).with_context(unwritable)?;
    writeln!(
        stdout(),
        "restored {} from {}; {users} users begin a new epoch",
        target.display(),
        restore.file.display()
    )?;
    if let Some(kept) = kept {
        writeln!(
            stdout(),
            "the replaced database is kept as {}",
            kept.display()
        )?;
    }
    Ok(())
}

/// Returns the SQLite file of an address.
fn sqlite<'a>(address: &'a DatabaseAddress, command: &str) -> anyhow::Result<&'a SqliteFile> {
    match address {
        DatabaseAddress::Sqlite(file) => Ok(file),
        DatabaseAddress::Postgres(_) => anyhow::bail!(
            "`library-sync {command}` supports only SQLite: use pg_dump and pg_restore for PostgreSQL. After a restore, run \
             `library-sync epoch new` before you start a server"
        ),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Copies a database and its write-ahead log, if there is one.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    fs::copy(from, to)?;
    if_exists(fs::copy(beside(from, "-wal"), beside(to, "-wal"))).map(drop)
}

/// Verifies and migrates a copy, and begins a new epoch in it. Returns the number of users.
async fn migrate_copy(copy: &Path, options: &DatabaseOptions) -> anyhow::Result<u64> {
    let file = SqliteFile::at(copy, Mode::Write)?;
    check_sqlite(&file)
        .await
        .context("it is not an intact SQLite database")?;
    let options = DatabaseOptions {
        address: DatabaseAddress::Sqlite(Box::new(file.clone())),
        replica: None,
        opening: Opening::Change,
        statement_timeout: Duration::ZERO,
        ..options.clone()
    };
    let db = Database::connect(&options).await?;
    schema_migration::check_known(&db, &options).await?;
    schema_migration::up(&db, &options).await?;
    let library = Library::new(db, Arc::new(Memory::default()));
    let users = library.begin_epoch(None).await?;
    library.database().clone().close().await?;
    seal_sqlite(&file).await?;
    File::open(copy)?.sync_all()?;
    Ok(users)
}

/// Gives `copy` the owner and the permissions of `target`.
fn copy_owner(target: &Path, copy: &Path) -> io::Result<()> {
    let Some(before) = if_exists(fs::metadata(target))? else {
        return Ok(());
    };
    let now = fs::metadata(copy)?;
    if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
        chown(copy, Some(before.uid()), Some(before.gid()))?;
    }
    fs::set_permissions(copy, before.permissions())
}

/// Replaces `target` with `copy`. Renames the files of the old database, and returns its new path.
fn swap(copy: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = OffsetDateTime::now_utc()
        .format(format)
        .map_err(io::Error::other)?;
    let aside = beside(target, &format!(".before-restore-{time}"));
    // A hard link keeps the old database, so that the path is never empty.
    let kept = if_exists(fs::hard_link(target, &aside))?.map(|()| aside.clone());
    output_file::sync_folder(target)?;
    fs::rename(copy, target)?;
    for ending in ["-wal", "-shm"] {
        if_exists(fs::rename(beside(target, ending), beside(&aside, ending)))?;
    }
    output_file::sync_folder(target)?;
    Ok(kept)
}

/// Returns `None` when the file does not exist.
fn if_exists<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
