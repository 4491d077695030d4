//! Why a text is not an address.

/// Why a text is not the address of a database. Never holds a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It begins with nothing known.
    #[error("must begin with postgres:// or sqlite:")]
    Scheme,
    /// A character that ends the user name and password was meant as a part of them.
    #[error(
        "has an `@`, `/`, `?` or `#` that may be a part of the password: in the user name and the password write `@` as \
         %40, `/` as %2F, `?` as %3F, `#` as %23 and `%` as %25"
    )]
    Unescaped,
    /// Percent-encoding that makes no text.
    #[error("has percent-encoded bytes that are not UTF-8")]
    Encoding,
    /// The port is not a number, or too large.
    #[error("has a malformed host or port")]
    Host,
    /// Several hosts, as libpq takes them.
    #[error("names several hosts: name one, or an address that leads to the primary")]
    SeveralHosts,
    /// An option whose value means nothing.
    #[error("has a malformed option `{0}`")]
    Option(&'static str),
    /// SQLite without a file.
    #[error("names no file: write sqlite:///folder/library.db?mode=rwc")]
    NoFile,
    /// SQLite in memory.
    #[error("names a SQLite database in memory, which connections cannot share: name a file")]
    InMemory,
    /// An option of SQLite's that there is not.
    #[error("has an unknown option: SQLite addresses take mode, cache, immutable and vfs")]
    UnknownOption,
}
