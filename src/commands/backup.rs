//! `library-sync backup` and `library-sync restore`, for SQLite.
//!
//! A database that has a write-ahead log is two files. Copying one of them, or putting one beside the other's rest, makes
//! a third database that nobody wrote; and after a restore, devices must drop what they have. These commands leave
//! neither to memory.
//!
//! **Invariant:** a restore changes nothing until the backup is known to be sound, and a copy of it is on disk, up to date
//! and in a new epoch.
//! **Invariant:** at every moment of a restore, the database's path holds the old database or the new one. If the
//! process dies before the old one's write-ahead log is set aside, no command opens the new one beside it.

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

/// Copies the database to a new file, while it is in use or not.
///
/// # Errors
/// When the database is not SQLite or not there, or the file exists or cannot be written.
pub async fn backup(backup: &Backup) -> anyhow::Result<()> {
    let options = database_options(&backup.database, Opening::Read)?;
    let from = sqlite(&options.address, "backup")?;
    let unwritable = || format!("{} cannot be written", backup.file.display());
    anyhow::ensure!(
        fs::symlink_metadata(&backup.file).is_err(),
        "{} exists already: name a new file",
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

/// Puts a copy of a backup in the place of the database, and begins a new epoch for everybody.
///
/// # Errors
/// When the database is not SQLite, a server uses it, or the backup is not sound. The database is then as it was.
pub async fn restore(restore: &Restore) -> anyhow::Result<()> {
    let options = database_options(&restore.database, Opening::Create)?;
    let target = &sqlite(&options.address, "restore")?.path;
    let _lock = lock(target, File::try_lock).context(restore.database.setting())?;
    anyhow::ensure!(
        !is_same(&restore.file, target),
        "{} is the database itself",
        restore.file.display()
    );
    let unwritable = || {
        format!(
            "{} cannot be written",
            output_file::folder(target).display()
        )
    };
    let workshop = tempfile::Builder::new()
        .prefix(".library-sync-restore-")
        .tempdir_in(output_file::folder(target))
        .with_context(unwritable)?;
    let copy = workshop.path().join("copy.db");
    let unusable = || format!("{} cannot be restored", restore.file.display());
    copy_files(&restore.file, &copy).with_context(unusable)?;
    let users = renew(&copy, &options).await.with_context(unusable)?;
    take_after(target, &copy).with_context(unwritable)?;
    let kept = swap(&copy, target).with_context(unwritable)?;
    writeln!(
        stdout(),
        "{} is restored from {}; {users} users begin a new epoch",
        target.display(),
        restore.file.display()
    )?;
    if let Some(kept) = kept {
        writeln!(
            stdout(),
            "the database that was there is kept as {}",
            kept.display()
        )?;
    }
    Ok(())
}

/// The SQLite file of an address.
fn sqlite<'a>(address: &'a DatabaseAddress, command: &str) -> anyhow::Result<&'a SqliteFile> {
    match address {
        DatabaseAddress::Sqlite(file) => Ok(file),
        DatabaseAddress::Postgres(_) => anyhow::bail!(
            "`library-sync {command}` is for SQLite: use pg_dump and pg_restore for PostgreSQL, and after a restore run \
             `library-sync epoch new` before a server is started"
        ),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Copies a database with the write-ahead log beside it, if there is one.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    fs::copy(from, to)?;
    match fs::copy(beside(from, "-wal"), beside(to, "-wal")) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Checks a copy, brings its tables up to date and begins a new epoch in it. Returns how many users there are.
async fn renew(copy: &Path, options: &DatabaseOptions) -> anyhow::Result<u64> {
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

/// Gives `copy` the owner and the permissions of the file that it replaces.
fn take_after(target: &Path, copy: &Path) -> io::Result<()> {
    let before = match fs::metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let now = fs::metadata(copy)?;
    if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
        chown(copy, Some(before.uid()), Some(before.gid()))?;
    }
    fs::set_permissions(copy, before.permissions())
}

/// Puts `copy` in the place of `target`, whose files get other names. Returns the name of the first.
fn swap(copy: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = OffsetDateTime::now_utc()
        .format(format)
        .map_err(io::Error::other)?;
    let aside = beside(target, &format!(".before-restore-{time}"));
    // A second name for the old database, so that the path is never without one.
    let kept = match fs::hard_link(target, &aside) {
        Ok(()) => Some(aside.clone()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    output_file::sync_folder(target)?;
    fs::rename(copy, target)?;
    for ending in ["-wal", "-shm"] {
        match fs::rename(beside(target, ending), beside(&aside, ending)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    output_file::sync_folder(target)?;
    Ok(kept)
}
