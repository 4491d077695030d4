//! The file of a SQLite database, beside what SQLite itself does with it.
//!
//! **Invariant:** a database is created only by a command that may, at an address with `mode=rwc`: an empty library in
//! the place of a mistyped one would make every device drop its copy.
//! **Invariant:** while a process may write to a database, it holds a shared lock on `<path>.lock`; a restore holds it
//! alone. (Not on the database itself: closing any descriptor of a file ends the locks that SQLite has on it.)
//! **Invariant:** a write-ahead log is never applied to a database that it does not belong to, as far as that shows.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{
    first_connection::{OpenError, io_cause},
    options::Opening,
};
use crate::address::{Mode, SqliteFile};

/// A database that is open here.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// Held until this is dropped; none when the database is only read.
    _lock: Option<File>,
    /// Whether the loss was logged.
    is_lost: AtomicBool,
}

/// The file is no longer at its path, so that what is written to it would be gone when it is closed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} was replaced or removed while it was open: restart the server", .0.display())]
pub(super) struct Replaced(PathBuf);

impl OpenFile {
    /// Notes which file SQLite has open.
    pub fn note(file: &SqliteFile, lock: Option<File>) -> Result<Self, OpenError> {
        let found = fs::metadata(&file.path).map_err(|error| unusable(&file.path, &error))?;
        Ok(Self {
            path: file.path.clone(),
            identity: (found.dev(), found.ino()),
            _lock: lock,
            is_lost: AtomicBool::new(false),
        })
    }

    /// Fails once the path leads to another file, or to none.
    pub fn check(&self) -> Result<(), Replaced> {
        let now = fs::metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if now.is_ok_and(|now| now == self.identity) {
            return Ok(());
        }
        let replaced = Replaced(self.path.clone());
        if !self.is_lost.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %replaced, "the database takes no more writes");
        }
        Err(replaced)
    }
}

/// Checks what can be checked before SQLite opens the file, and takes the lock.
pub(super) fn prepare(file: &SqliteFile, purpose: Opening) -> Result<Option<File>, OpenError> {
    let path = &file.path;
    let writes = purpose != Opening::Read;
    if writes && file.mode == Mode::Read {
        return Err(OpenError(format!(
            "{} is to be opened with mode=ro, and this command writes: use mode=rw",
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
    lock(path, File::try_lock_shared).map(Some)
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
            "{path} {what}, and this command creates no database"
        ))),
    }
}

/// Locks `<path>.lock`.
///
/// # Errors
/// When another process holds it in the way, or it cannot be made.
pub(crate) fn lock(
    path: &Path,
    take: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<File, OpenError> {
    let beside = beside(path, ".lock");
    let existing = match File::open(&beside) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Readable by whoever runs the next command.
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

/// Refuses a write-ahead log that was left behind by another database.
///
/// A database that has one says in its header that it is in WAL mode (bytes 18 and 19 are 2); a backup that
/// `VACUUM INTO` made says that it is not. SQLite would apply the log all the same, page by page.
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
        "{} was left by another database than the one at {}: put a backup in place with `library-sync restore FILE`, \
         or move the -wal and -shm files away",
        log.display(),
        path.display()
    )))
}

/// `path` with more at its end.
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
