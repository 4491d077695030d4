//! PostgreSQL addresses, in the forms of libpq's documentation (34.1.1.2 Connection URIs).
//!
//! The parts are decoded here and passed to sqlx as a URL of encoded options only. sqlx 0.9 parses with the `url` crate,
//! which refuses libpq's `user:password@/name?host=/run/postgresql`, and logs the values of unknown options.

use std::{borrow::Cow, net::IpAddr, str::FromStr as _};

use percent_encoding::percent_decode_str;
use sea_orm::sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use url::form_urlencoded;

use super::{authority::split_authority, error::InvalidAddress};

/// Options that sqlx knows, in addition to `options[name]`.
const OPTIONS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Parses an address after `postgres:`.
///
/// # Errors
/// When the address is invalid. The error does not repeat the text.
pub fn parse(rest: &str) -> Result<PgConnectOptions, InvalidAddress> {
    let rest = rest.strip_prefix("//").ok_or(InvalidAddress::Scheme)?;
    let parts = split_authority(rest)?;
    let mut options = Vec::new();
    if let Some(login) = parts.login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        options.push(("user", decoded(user)?));
        options.extend(
            password
                .map(decoded)
                .transpose()?
                .map(|it| ("password", it)),
        );
    }
    let (host, port) = host_and_port(parts.hosts)?;
    options.push(("host", decoded(host)?));
    options.push(("port", port.into()));
    let (path, query) = parts.tail.split_once('?').unwrap_or((parts.tail, ""));
    options.push(("dbname", decoded(path.trim_start_matches('/'))?));
    options.retain(|(_, value)| !value.is_empty());

    let mut url = form_urlencoded::Serializer::for_suffix("postgres:///?".to_owned(), 13);
    url.extend_pairs(options);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !OPTIONS.contains(&name.as_ref()) && !name.starts_with("options[") {
            // For example Prisma's `schema`. The value may be a secret, so it is not logged.
            tracing::warn!(option = %name, "ignoring an unknown option of the database address");
            continue;
        }
        check(&name, &value)?;
        url.append_pair(&name, &value);
    }
    let server = PgConnectOptions::from_str(&url.finish());
    Ok(server
        .map_err(|_| InvalidAddress::Option("options"))?
        // PgBouncer refuses connections that set extra_float_digits, and no column is a floating-point number.
        .extra_float_digits(None)
        .disable_statement_logging())
}

/// Returns the host, still encoded, and the port. Both may be empty.
fn host_and_port(hosts: &str) -> Result<(&str, &str), InvalidAddress> {
    if hosts.contains(',') {
        return Err(InvalidAddress::SeveralHosts);
    }
    let (host, port) = match hosts.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((address, "")) => (address, ""),
        Some((address, rest)) => (address, rest.strip_prefix(':').ok_or(InvalidAddress::Host)?),
        None => hosts.split_once(':').unwrap_or((hosts, "")),
    };
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err(InvalidAddress::Host);
    }
    Ok((host, port))
}

/// Checks an option whose invalid value sqlx repeats in its error.
fn check(name: &str, value: &str) -> Result<(), InvalidAddress> {
    let (option, is_sound) = match name {
        "sslmode" | "ssl-mode" => ("sslmode", PgSslMode::from_str(value).is_ok()),
        "port" => ("port", value.parse::<u16>().is_ok()),
        "hostaddr" => ("hostaddr", value.parse::<IpAddr>().is_ok()),
        "statement-cache-capacity" => ("statement-cache-capacity", value.parse::<usize>().is_ok()),
        _ => return Ok(()),
    };
    is_sound.then_some(()).ok_or(InvalidAddress::Option(option))
}

fn decoded(text: &str) -> Result<Cow<'_, str>, InvalidAddress> {
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| InvalidAddress::Encoding)
}

/// Returns the server of a client: `host:port`, or the path of a socket.
pub fn place(server: &PgConnectOptions) -> String {
    let (host, port) = (server.get_host(), server.get_port());
    let folder = server
        .get_socket()
        .map(|folder| folder.display().to_string());
    let folder = folder.or_else(|| host.starts_with('/').then(|| host.to_owned()));
    match folder {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.trim_end_matches('/')),
        None if host.contains(':') => format!("[{host}]:{port}"),
        None => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Place, user, password, database.
    fn read(rest: &str) -> (String, String, Option<String>, Option<String>) {
        let server = parse(rest).unwrap_or_else(|error| panic!("{rest}: {error}"));
        let url = server.to_url_lossy();
        let password = url.password().map(|it| decoded(it).unwrap().into_owned());
        let database = server.get_database().map(str::to_owned);
        (
            place(&server),
            server.get_username().to_owned(),
            password,
            database,
        )
    }

    #[test]
    fn the_forms_that_libpq_documents_are_read() {
        let some = |text: &str| Some(text.to_owned());
        for (text, place) in [
            ("//ann:p%40s%2Fs@h:5433/db", "h:5433"),
            ("//ann:p@s%2Fs@h/db", "h:5432"),
            ("//ann:p%40s%2Fs@/db?host=/run/pg", "/run/pg/.s.PGSQL.5432"),
            ("//ann:p%40s%2Fs@%2Frun%2Fpg:1/db", "/run/pg/.s.PGSQL.1"),
            ("//h:1/db?user=ann&password=p@s%2Fs", "h:1"),
            ("///db?host=h&port=1&user=ann&password=p%40s/s", "h:1"),
            ("//ann:p%40s%2Fs@?host=h&dbname=db", "h:5432"),
        ] {
            let expected = (
                place.to_owned(),
                "ann".to_owned(),
                some("p@s/s"),
                some("db"),
            );
            assert_eq!(read(text), expected, "{text}");
        }
        // sqlx writes no URL of an IPv6 address.
        let server = parse("//ann:p%40s%2Fs@[::1]:1/db").unwrap();
        assert_eq!(place(&server), "[::1]:1");
    }

    #[test]
    fn an_option_that_the_client_does_not_know_is_left_out() {
        assert_eq!(read("//u@h/db?schema=public&pgbouncer=true").0, "h:5432");
    }

    #[test]
    fn a_malformed_address_is_refused_with_the_cause() {
        use InvalidAddress::{Encoding, Host, Option, Scheme, SeveralHosts};
        for (text, expected) in [
            ("", Scheme),
            ("u:p@h", Scheme),
            ("//u:p@h:port", Host),
            ("//u:p@h:65536", Host),
            ("//u:p@[::1]x", Host),
            ("//u:p@a,b", SeveralHosts),
            ("//u:%FF@h", Encoding),
            ("//h?sslmode=on", Option("sslmode")),
            ("//h?port=x", Option("port")),
            ("//h?hostaddr=h", Option("hostaddr")),
        ] {
            assert_eq!(parse(text).err(), Some(expected), "{text}");
        }
    }
}
