//! Splits `user:password@host,host/path?query`.
//!
//! A URL parser ends the authority at the first `/`, `?` or `#`. If the password contains one of these unescaped, the
//! parser takes its first half for the host and repeats it in an error such as "unknown host".
//!
//! **Invariant:** an address whose password may be split in this way is refused.

use std::borrow::Cow;

use url::form_urlencoded;

use super::error::InvalidAddress;

/// Options whose values may contain an `@`.
const MAY_HOLD_AT: [&str; 8] = [
    "user",
    "password",
    "dbname",
    "application_name",
    "options",
    "sentinel_user",
    "sentinel_password",
    "credentials",
];

/// The parts of an address after `scheme://`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// `user:password`, percent-encoded. `None` without an `@`.
    pub login: Option<&'a str>,
    /// `host:port,host:port`.
    pub hosts: &'a str,
    /// The path and the query, including their `/` or `?`.
    pub tail: &'a str,
}

/// Splits an address after `scheme://`.
///
/// # Errors
/// [`InvalidAddress::Unescaped`] when an `@` follows the hosts, or when there is a `#`.
pub(crate) fn split_authority(text: &str) -> Result<Authority<'_>, InvalidAddress> {
    let (authority, tail) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let is_cut = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        name.contains('@') || (value.contains('@') && !MAY_HOLD_AT.contains(&name.as_ref()))
    };
    // These addresses have no fragment.
    if tail.contains('#')
        || path.contains('@')
        || form_urlencoded::parse(query.as_bytes()).any(is_cut)
    {
        return Err(InvalidAddress::Unescaped);
    }
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    Ok(Authority { login, hosts, tail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_ends_at_the_last_at_before_the_path() {
        let split = split_authority("u:p@ss:w@h:1,[::1]:2/db?password=a@b").unwrap();
        assert_eq!(split.login, Some("u:p@ss:w"));
        assert_eq!(split.hosts, "h:1,[::1]:2");
        assert_eq!(split.tail, "/db?password=a@b");
        let split = split_authority("h?x=y").unwrap();
        assert_eq!((split.login, split.hosts, split.tail), (None, "h", "?x=y"));
    }

    #[test]
    fn an_address_with_a_possibly_split_password_is_refused() {
        for cut in [
            "u:12/34@h/db",
            "u:12?34@h/db",
            "u:12?x=34@h/db",
            "u:12#34@h/db",
            "u:p@ss/w@h",
            "u:p@ss#w@h",
            "u:p@h/db#x",
        ] {
            assert_eq!(
                split_authority(cut),
                Err(InvalidAddress::Unescaped),
                "{cut}"
            );
        }
    }
}
