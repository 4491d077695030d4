//! Free space on the volume of the database.

use std::path::Path;

use super::finding::{Check, Finding};
use crate::address::DatabaseAddress;

const DISK: Check = Check("database.disk");

/// Free space below which writes may soon fail, in bytes.
const NEARLY_FULL: u64 = 100 << 20;

/// Free space below which the operator should know, in bytes.
const LITTLE: u64 = 1 << 30;

/// Examines the volume of a SQLite file, or of the data directory of a PostgreSQL on this machine.
pub(super) fn examine(address: &DatabaseAddress, data_directory: Option<&str>) -> Finding {
    match (address, data_directory) {
        (DatabaseAddress::Sqlite(file), _) => {
            let folder = file.path.parent().unwrap_or(Path::new("/"));
            free_space(folder)
        }
        (DatabaseAddress::Postgres(server), Some(folder)) if is_local(server.get_host()) => {
            free_space(Path::new(folder))
        }
        (DatabaseAddress::Postgres(_), None) => DISK
            .skipped("PostgreSQL shows its data directory only to members of pg_read_all_settings"),
        (DatabaseAddress::Postgres(_), Some(_)) => {
            DISK.skipped("PostgreSQL runs on another machine: watch the disk there")
        }
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host.starts_with('/') || host.contains("::1")
}

fn free_space(folder: &Path) -> Finding {
    let volume = match rustix::fs::statvfs(folder) {
        Ok(volume) => volume,
        Err(error) => return DISK.skipped(format!("{}: {error}", folder.display())),
    };
    let free = volume.f_bavail.saturating_mul(volume.f_frsize);
    let found = format!(
        "{} MiB free on the volume of {}",
        free >> 20,
        folder.display()
    );
    let fix = "free space on the volume or enlarge it: when it is full, every change is answered with UNAVAILABLE";
    if free < NEARLY_FULL {
        DISK.failed(found, fix)
    } else if free < LITTLE {
        DISK.warning(found, fix)
    } else {
        DISK.ok(found)
    }
}
