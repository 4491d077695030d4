//! Why a text is not an address.

/// Why a text is not the address of a database. Never holds a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Unknown scheme.
    #[error("must begin with postgres:// or sqlite:")]
    Scheme,
    /// A special character in the user name or the password that is not percent-encoded.
    #[error(
        "has an `@`, `/`, `?` or `#` that may be a part of the password: in the user name and the password write `@` as \
         %40, `/` as %2F, `?` as %3F, `#` as %23 and `%` as %25"
    )]
    Unescaped,
    /// Percent-encoding of bytes that are not UTF-8.
    #[error("has percent-encoded bytes that are not UTF-8")]
    Encoding,
    /// The port is not a number from 0 to 65535, or the host is malformed.
    #[error("has a malformed host or port")]
    Host,
    /// Several hosts, which libpq supports.
    #[error("has several hosts: give one, or an address that leads to the primary")]
    SeveralHosts,
    /// Invalid value of an option.
    #[error("has an invalid option `{0}`")]
    Option(&'static str),
    /// SQLite without a file.
    #[error("has no file: write sqlite:///folder/library.db?mode=rwc")]
    NoFile,
    /// SQLite in memory.
    #[error("is a SQLite database in memory, which connections cannot share: give a file")]
    InMemory,
    /// Unknown option of SQLite.
    #[error("has an unknown option: SQLite addresses take mode, cache, immutable and vfs")]
    UnknownOption,
}
