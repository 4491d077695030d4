//! Splits `user:password@host,host/path?query` where a reader would.
//!
//! A URL parser ends the part with the password at the first `/`, `?` or `#`. If one of these is a raw character of
//! the password, the first half of the password then stands where the host does, and ends up in "unknown host".
//!
//! **Invariant:** an address whose password may have been cut in this way is refused.

use url::form_urlencoded;

use super::error::InvalidAddress;

/// The options whose values may hold an `@`.
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

/// The parts of what follows `scheme://`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// `user:password`, percent-encoded; none without an `@`.
    pub login: Option<&'a str>,
    /// `host:port,host:port`.
    pub hosts: &'a str,
    /// The path and the query, from their `/` or `?` on.
    pub tail: &'a str,
}

/// Splits what follows `scheme://`.
///
/// # Errors
/// [`InvalidAddress::Unescaped`] when an `@` stands behind the hosts, or a `#` anywhere.
pub(crate) fn split_authority(text: &str) -> Result<Authority<'_>, InvalidAddress> {
    let (authority, tail) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let is_cut = |(name, value): (_, std::borrow::Cow<'_, str>)| {
        let name: std::borrow::Cow<'_, str> = name;
        name.contains('@') || (value.contains('@') && !MAY_HOLD_AT.contains(&name.as_ref()))
    };
    // A fragment means nothing in these addresses.
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
    fn an_address_whose_password_may_have_been_cut_is_refused() {
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
