//! Parser of `--broker-url`.
//!
//! **Invariant:** an error never repeats the address, which may hold a password.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;
use url::{Url, form_urlencoded};

use crate::address::{self, parse_postgres, split_authority};

/// Why a text is not the address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Unknown scheme.
    #[error(
        "must begin with memory:, postgres:, redis://, rediss://, redis+sentinel://, redis+cluster:// or nats://"
    )]
    Scheme,
    /// Invalid part.
    #[error("{0}")]
    Part(#[from] address::InvalidAddress),
    /// Not a URL.
    #[error("is not a valid URL")]
    Malformed(#[from] url::ParseError),
    /// No host.
    #[error("has no host")]
    NoServer,
    /// Several hosts for a single Redis server.
    #[error("has several hosts: use redis+cluster:// or redis+sentinel://")]
    SeveralServers,
    /// `redis+sentinel:` without the name of the master.
    #[error("lacks the name of the master: redis+sentinel://host:26379/name")]
    NoMaster,
    /// `postgres:` with a SQLite database.
    #[error("postgres: uses the database, but --database-url is not a PostgreSQL address")]
    NotPostgres,
    /// Invalid value of an option.
    #[error("has an invalid option `{0}`")]
    Option(&'static str),
    /// Unknown option for this kind. The error does not name it, because it may be a part of a password with a `?`.
    #[error("has an unknown option")]
    UnknownOption,
    /// Error of the server's client library.
    #[error("is invalid: {0}")]
    Refused(String),
}

/// Kind of broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Postgres,
    Redis,
    RedisSentinel,
    RedisCluster,
    Nats,
}

/// A parsed address.
pub(super) struct Address {
    pub kind: Kind,
    /// One URL per server, each with the user, password and path of the address. Empty for `memory:` and `postgres:…`.
    pub servers: Vec<Url>,
    /// The PostgreSQL server of `postgres://…`.
    pub postgres: Option<PgConnectOptions>,
    pub options: Options,
}

/// The options after the `?`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub prefix: Option<String>,
    /// Path of the NATS credentials file.
    pub credentials: Option<PathBuf>,
    pub sentinel_user: Option<String>,
    pub sentinel_password: Option<String>,
    /// Percentage of received notices to drop.
    pub lose: u8,
}

impl Options {
    /// Returns the prefix of channel names.
    pub fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or("library-sync")
    }

    /// Takes the broker's options, and returns the others, encoded.
    fn take_ours(&mut self, kind: Kind, query: &str) -> Result<String, InvalidAddress> {
        let mut foreign = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !self.take(kind, &name, &value)? {
                foreign.append_pair(&name, &value);
            }
        }
        Ok(foreign.finish())
    }

    /// Takes one option. Returns whether the broker knows it.
    fn take(&mut self, kind: Kind, name: &str, value: &str) -> Result<bool, InvalidAddress> {
        match (name, kind) {
            ("prefix", _) => {
                let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                // PostgreSQL limits the name of a channel to 63 bytes.
                if value.is_empty() || value.len() > 63 || !value.chars().all(is_valid) {
                    return Err(InvalidAddress::Option("prefix"));
                }
                self.prefix = Some(value.to_owned());
            }
            ("lose", _) => {
                let percent = value.parse().ok().filter(|percent| *percent <= 100);
                self.lose = percent.ok_or(InvalidAddress::Option("lose"))?;
            }
            ("credentials", Kind::Nats) => self.credentials = Some(value.into()),
            ("sentinel_user", Kind::RedisSentinel) => self.sentinel_user = Some(value.to_owned()),
            ("sentinel_password", Kind::RedisSentinel) => {
                self.sentinel_password = Some(value.to_owned());
            }
            // Other options are for the PostgreSQL client, such as sslmode.
            (_, Kind::Postgres) => return Ok(false),
            _ => return Err(InvalidAddress::UnknownOption),
        }
        Ok(true)
    }
}

impl Address {
    /// Parses an address.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidAddress::Scheme)?;
        let (kind, scheme) = match scheme {
            "memory" => (Kind::Memory, "memory"),
            "postgres" | "postgresql" => (Kind::Postgres, "postgres"),
            "redis" | "rediss" => (Kind::Redis, scheme),
            "redis+sentinel" => (Kind::RedisSentinel, "redis"),
            "rediss+sentinel" => (Kind::RedisSentinel, "rediss"),
            "redis+cluster" => (Kind::RedisCluster, "redis"),
            "rediss+cluster" => (Kind::RedisCluster, "rediss"),
            "nats" | "tls" => (Kind::Nats, scheme),
            _ => return Err(InvalidAddress::Scheme),
        };
        let mut options = Options::default();
        let (mut servers, mut postgres) = (Vec::new(), None);
        match (kind, rest.strip_prefix("//")) {
            (Kind::Postgres, Some(_)) => {
                let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
                let foreign = options.take_ours(kind, query)?;
                postgres = Some(parse_postgres(&format!("{place}?{foreign}"))?);
            }
            (_, Some(rest)) => {
                for mut url in urls(scheme, rest)? {
                    let query = url.query().unwrap_or_default().to_owned();
                    url.set_query(None);
                    options.take_ours(kind, &query)?;
                    servers.push(url);
                }
            }
            (Kind::Memory | Kind::Postgres, None) => {
                let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
                if !place.is_empty() {
                    return Err(InvalidAddress::Scheme);
                }
                options.take_ours(kind, query)?;
            }
            (_, None) => return Err(InvalidAddress::NoServer),
        }
        match (kind, servers.len()) {
            (Kind::Memory, 1..) => Err(InvalidAddress::Scheme),
            (Kind::Redis, 2..) => Err(InvalidAddress::SeveralServers),
            _ => Ok(Self {
                kind,
                servers,
                postgres,
                options,
            }),
        }
    }
}

/// Splits `user:password@host,host/path?query` into one URL per host.
fn urls(scheme: &str, rest: &str) -> Result<Vec<Url>, InvalidAddress> {
    let parts = split_authority(rest)?;
    let login = parts.login.unwrap_or_default();
    let at = if login.is_empty() { "" } else { "@" };
    parts
        .hosts
        .split(',')
        .map(|host| {
            let url = Url::parse(&format!("{scheme}://{login}{at}{host}{}", parts.tail))?;
            if url.host_str().is_none_or(str::is_empty) {
                return Err(InvalidAddress::NoServer);
            }
            Ok(url)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;

    use super::*;

    fn servers(text: &str) -> Vec<String> {
        let address = Address::parse(text).unwrap();
        address.servers.iter().map(Url::to_string).collect()
    }

    #[test]
    fn each_server_of_a_list_gets_the_user_and_the_path() {
        assert_eq!(
            servers("redis+sentinel://ann:p%40ss@a:1,b:2/main?prefix=x"),
            ["redis://ann:p%40ss@a:1/main", "redis://ann:p%40ss@b:2/main"]
        );
        assert_eq!(
            servers("rediss+cluster://[::1]:7000,h"),
            ["rediss://[::1]:7000", "rediss://h"]
        );
        assert_eq!(
            servers("nats://token@a,b:4223"),
            ["nats://token@a", "nats://token@b:4223"]
        );
    }

    #[test]
    fn a_password_may_hold_any_character_once_it_is_encoded() {
        for text in [
            "redis://u:p%40s%2Fs%23w@h",
            "nats://u:p@s%2Fs%23w@h",
            "postgres://u:p%40s%2Fs%23w@h",
        ] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
        for text in [
            "redis://u:12/34@h",
            "nats://u:12#34@h",
            "redis+cluster://u:12?34@h",
            "postgres://u:12/34@h",
        ] {
            let refusal = Address::parse(text).err().expect(text);
            assert_eq!(
                refusal,
                InvalidAddress::Part(address::InvalidAddress::Unescaped),
                "{text}"
            );
        }
    }

    #[test]
    fn the_options_of_a_database_client_are_left_to_it() {
        let address = Address::parse("postgres://h/db?sslmode=require&prefix=x-1&lose=50").unwrap();
        let server = address.postgres.as_ref().unwrap();
        assert_eq!(server.get_database(), Some("db"));
        assert!(matches!(server.get_ssl_mode(), PgSslMode::Require));
        assert_eq!(
            (address.options.prefix(), address.options.lose),
            ("x-1", 50)
        );
        assert_eq!(
            Address::parse("postgres:").unwrap().options.prefix(),
            "library-sync"
        );
        let address = Address::parse("postgres:?prefix=x").unwrap();
        assert!(address.servers.is_empty());
        assert_eq!(address.options.prefix(), "x");
    }

    #[test]
    fn an_invalid_broker_address_is_refused_without_printing_it() {
        use InvalidAddress::{NoServer, Option, Scheme, SeveralServers, UnknownOption};
        let refusal = |text: &str| Address::parse(text).err().expect(text);
        for (text, expected) in [
            ("", Scheme),
            ("secret", Scheme),
            ("http://secret", Scheme),
            ("memory://secret", Scheme),
            ("memory:secret", Scheme),
            ("redis:secret", NoServer),
            ("redis://", NoServer),
            ("redis+cluster://a,,b", NoServer),
            ("redis://a,b", SeveralServers),
            ("redis://a?prefix=a.b", Option("prefix")),
            ("redis://a?prefix=", Option("prefix")),
            ("nats://a?lose=101", Option("lose")),
            ("redis://a?credentials=secret", UnknownOption),
            ("nats://a?nosuch=secret", UnknownOption),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        for text in [
            "redis://u:secret@h:port",
            "redis://u:secret@h:99999",
            "nats://u:secret@a b",
        ] {
            let refusal = refusal(text);
            assert!(matches!(refusal, InvalidAddress::Malformed(_)), "{text}");
            assert!(!refusal.to_string().contains("secret"), "{refusal}");
        }
    }
}
