//! Checks and locks of a SQLite database file.
//!
//! **Invariant:** a database is created only by a command that may, at an address with `mode=rwc`: an empty library at a
//! mistyped path would make every device drop its cache.
//! **Invariant:** a process that may write to a database holds a shared lock on `<path>.lock`; a restore holds it
//! exclusively. The lock is not on the database file: closing any descriptor of that file would end SQLite's own locks.
//! **Invariant:** a write-ahead log of another database, as far as that is detectable, is never applied.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{
    first_connection::{OpenError, io_cause},
    options::Opening,
};
use crate::address::{Mode, SqliteFile};

/// An open database file.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// Held until drop; `None` when the database is only read.
    _lock: Option<File>,
    /// Whether the replacement was logged.
    is_lost: AtomicBool,
}

/// The file was replaced or removed: writes to it would be lost when it is closed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} was replaced or removed while it was open: restart the server", .0.display())]
pub(super) struct Replaced(PathBuf);

impl OpenFile {
    /// Records the identity of the file that SQLite has open.
    pub fn note(file: &SqliteFile, lock: Option<File>) -> Result<Self, OpenError> {
        let found = fs::metadata(&file.path).map_err(|error| unusable(&file.path, &error))?;
        Ok(Self {
            path: file.path.clone(),
            identity: (found.dev(), found.ino()),
            _lock: lock,
            is_lost: AtomicBool::new(false),
        })
    }

    /// Fails when another file, or no file, is at the path.
    pub fn check(&self) -> Result<(), Replaced> {
        let now = fs::metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if now.is_ok_and(|now| now == self.identity) {
            return Ok(());
        }
        let replaced = Replaced(self.path.clone());
        if !self.is_lost.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %replaced, "the database accepts no more writes");
        }
        Err(replaced)
    }
}

/// Checks the file before SQLite opens it, and takes the lock.
pub(super) fn prepare(file: &SqliteFile, purpose: Opening) -> Result<Option<File>, OpenError> {
    let path = &file.path;
    let writes = purpose != Opening::Read;
    if writes && file.mode == Mode::Read {
        return Err(OpenError(format!(
            "{} is opened with mode=ro, but this command writes: use mode=rw",
            path.display()
        )));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let length = match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(OpenError(format!("{} is a folder", path.display())));
        }
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound && folder.is_dir() => 0,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError(format!(
                "{} cannot be opened: the folder {} does not exist",
                path.display(),
                folder.display()
            )));
        }
        Err(error) => return Err(unusable(path, &error)),
    };
    check_log(path, length)?;
    if length == 0 {
        may_create(file, purpose)?;
    }
    if !writes {
        return Ok(None);
    }
    for needed in [path, folder] {
        match accessat(CWD, needed, Access::WRITE_OK, AtFlags::EACCESS) {
            Ok(()) => {}
            Err(error) if needed == path && error == rustix::io::Errno::NOENT => {}
            Err(error) => {
                let cause = io_cause(&error.into());
                return Err(OpenError(format!(
                    "{} cannot be written: {cause}",
                    needed.display()
                )));
            }
        }
    }
    let lock = lock(path, File::try_lock_shared)?;
    if length == 0 {
        create_private(path)?;
    }
    Ok(Some(lock))
}

/// Creates an empty file that only its owner reads, which SQLite fills. Its log and shared memory get the same permissions.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unusable(path, &error)),
        _ => Ok(()),
    }
}

fn may_create(file: &SqliteFile, purpose: Opening) -> Result<(), OpenError> {
    let path = file.path.display();
    let what = if file.path.exists() {
        "is empty"
    } else {
        "does not exist"
    };
    match (purpose, file.mode) {
        (Opening::Create, Mode::Create) => Ok(()),
        (Opening::Create, _) => Err(OpenError(format!(
            "{path} {what}: add ?mode=rwc to create it"
        ))),
        _ => Err(OpenError(format!(
            "{path} {what}, and this command does not create a database"
        ))),
    }
}

/// Locks `<path>.lock`.
///
/// # Errors
/// When another process holds a conflicting lock, or the file cannot be created.
pub(crate) fn lock(
    path: &Path,
    take: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<File, OpenError> {
    let beside = beside(path, ".lock");
    let existing = match File::open(&beside) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Other operating system users may run the next command, so it stays readable.
            OpenOptions::new().create(true).append(true).open(&beside)
        }
        opened => opened,
    };
    let lock = existing.map_err(|error| unusable(&beside, &error))?;
    match take(&lock) {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError(format!(
            "{} is in use by another library-sync process ({} is locked): stop it first",
            path.display(),
            beside.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(&beside, &error)),
    }
}

/// Rejects the write-ahead log of another database.
///
/// A database with a log has WAL mode in its header (bytes 18 and 19 are 2); a backup by `VACUUM INTO` does not. SQLite
/// would apply the log anyway, page by page.
fn check_log(path: &Path, length: u64) -> Result<(), OpenError> {
    let log = beside(path, "-wal");
    if fs::metadata(&log).map_or(0, |log| log.len()) == 0 {
        return Ok(());
    }
    let mut header = [0; 20];
    let is_wal_mode = length > 0
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut header))
            .is_ok()
        && header[18..] == [2, 2];
    if is_wal_mode {
        return Ok(());
    }
    Err(OpenError(format!(
        "{} belongs to another database than {}: restore a backup with `library-sync restore FILE`, or move the -wal and \
         -shm files away",
        log.display(),
        path.display()
    )))
}

/// Appends `ending` to the file name of `path`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn unusable(path: &Path, error: &io::Error) -> OpenError {
    OpenError(format!(
        "{} cannot be opened: {}",
        path.display(),
        io_cause(error)
    ))
}
