//! SQLite addresses: `sqlite://path`, `sqlite:path`, or with SQLite's own `file:` before the path.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use url::form_urlencoded;

use super::error::InvalidAddress;

/// Access to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `mode=ro`: read only.
    Read,
    /// `mode=rw`, the default: read and write an existing file.
    Write,
    /// `mode=rwc`: create the file if it does not exist.
    Create,
}

/// A SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteFile {
    /// The absolute path.
    pub path: PathBuf,
    /// Access to the file.
    pub mode: Mode,
    /// Options to open the file. They never create it.
    pub(crate) options: SqliteConnectOptions,
}

impl SqliteFile {
    /// Parses an address after `sqlite:`.
    ///
    /// # Errors
    /// When the address is invalid. The error does not repeat the text.
    pub fn parse(rest: &str) -> Result<Self, InvalidAddress> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| InvalidAddress::Encoding)?;
        let path = match path.strip_prefix("file:") {
            Some(path) => path.strip_prefix("//").unwrap_or(path),
            None => &path,
        };
        match path {
            "" => return Err(InvalidAddress::NoFile),
            ":memory:" => return Err(InvalidAddress::InMemory),
            _ => {}
        }
        let mut file = Self::at(Path::new(path), Mode::Write)?;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            file.take(&name, &value)?;
        }
        Ok(file)
    }

    /// Returns the database in a file.
    pub(crate) fn at(path: &Path, mode: Mode) -> Result<Self, InvalidAddress> {
        let path = std::path::absolute(path).map_err(|_| InvalidAddress::NoFile)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .read_only(mode == Mode::Read);
        Ok(Self {
            path,
            mode,
            options,
        })
    }

    /// Applies one option.
    fn take(&mut self, name: &str, value: &str) -> Result<(), InvalidAddress> {
        let options = self.options.clone();
        self.options = match (name, value) {
            ("mode", "memory") => return Err(InvalidAddress::InMemory),
            ("mode", _) => {
                self.mode = match value {
                    "ro" => Mode::Read,
                    "rw" => Mode::Write,
                    "rwc" => Mode::Create,
                    _ => return Err(InvalidAddress::Option("mode")),
                };
                options.read_only(self.mode == Mode::Read)
            }
            ("cache", "private") => options.shared_cache(false),
            ("cache", "shared") => options.shared_cache(true),
            ("cache", _) => return Err(InvalidAddress::Option("cache")),
            ("immutable", "1" | "true") => options.immutable(true),
            ("immutable", "0" | "false") => options.immutable(false),
            ("immutable", _) => return Err(InvalidAddress::Option("immutable")),
            ("vfs", _) => options.vfs(value.to_owned()),
            _ => return Err(InvalidAddress::UnknownOption),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_names_its_file() {
        let here = std::env::current_dir().unwrap();
        for (text, path, mode) in [
            ("///data/a.db", PathBuf::from("/data/a.db"), Mode::Write),
            ("/data/a.db?mode=rw", "/data/a.db".into(), Mode::Write),
            ("a.db?mode=rwc", here.join("a.db"), Mode::Create),
            ("//a%3Fb%20c.db?mode=ro", here.join("a?b c.db"), Mode::Read),
            ("//./x/a.db", here.join("x/a.db"), Mode::Write),
            (
                "file:a.db?mode=rwc&cache=private",
                here.join("a.db"),
                Mode::Create,
            ),
            ("file:///data/a.db", "/data/a.db".into(), Mode::Write),
        ] {
            let file = SqliteFile::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((file.path, file.mode), (path, mode), "{text}");
        }
    }

    #[test]
    fn an_address_without_a_file_is_refused() {
        use InvalidAddress::{InMemory, NoFile, Option, UnknownOption};
        for (text, expected) in [
            ("", NoFile),
            ("//", NoFile),
            ("?mode=rwc", NoFile),
            (":memory:", InMemory),
            ("file::memory:?cache=shared", InMemory),
            ("a.db?mode=memory", InMemory),
            ("a.db?mode=w", Option("mode")),
            ("a.db?key=secret", UnknownOption),
        ] {
            assert_eq!(SqliteFile::parse(text).err(), Some(expected), "{text}");
        }
    }
}
