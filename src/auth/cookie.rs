//! The session cookie in a request's `Cookie` headers (RFC 6265, section 4.2).

use std::borrow::Cow;

/// Finds the value of the cookie `name`, without its optional quotes.
///
/// Takes the values of all `Cookie` headers, because HTTP/2 clients may send one header per cookie. Names are
/// case-sensitive. The first cookie of a name counts, which browsers send for the longest path. An empty value is ignored.
/// Other cookies may contain any bytes.
pub fn find_cookie<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
    name: &str,
) -> Option<&'a [u8]> {
    cookies(headers)
        .find(|(key, _)| *key == name.as_bytes())
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

/// Finds the value of the cookie `name`, or else joins its chunks `name.0`, `name.1` and so on in numeric order.
///
/// Auth.js splits a value that exceeds the size limit of a cookie. The order in which browsers send cookies is arbitrary.
/// The first chunk of a number counts.
pub fn find_chunked_cookie<'a>(headers: &[&'a [u8]], name: &str) -> Option<Cow<'a, [u8]>> {
    let headers = headers.iter().copied();
    if let Some(whole) = find_cookie(headers.clone(), name) {
        return Some(Cow::Borrowed(whole));
    }
    let mut chunks: Vec<(u8, &[u8])> = cookies(headers)
        .filter_map(|(key, value)| {
            let number = key.strip_prefix(name.as_bytes())?.strip_prefix(b".")?;
            Some((std::str::from_utf8(number).ok()?.parse().ok()?, value))
        })
        .collect();
    chunks.sort_by_key(|(number, _)| *number);
    chunks.dedup_by_key(|(number, _)| *number);
    let joined: Vec<u8> = chunks
        .iter()
        .flat_map(|(_, chunk)| *chunk)
        .copied()
        .collect();
    (!joined.is_empty()).then_some(Cow::Owned(joined))
}

/// Returns the names and unquoted values of all cookies.
fn cookies<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    headers
        .into_iter()
        .flat_map(|header| header.split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&pair[..at], &pair[at + 1..]);
            Some((name.trim_ascii(), unquoted(value.trim_ascii())))
        })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    /// As text where the value is ASCII.
    fn find<'a>(headers: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
        let headers = headers.into_iter().map(str::as_bytes);
        super::find_cookie(headers, name).map(|value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn other_cookies_may_hold_any_bytes() {
        for header in [
            &b"a=\xff; session=t"[..],
            b"session=t; a=\xc3",
            b"\xff=\xff;session=\"t\"",
            b"\x80; session=t",
        ] {
            assert_eq!(
                super::find_cookie([header], "session"),
                Some(&b"t"[..]),
                "{header:?}"
            );
        }
        let other = [&b"a=\xff"[..], b"session=t"];
        assert_eq!(super::find_cookie(other, "session"), Some(&b"t"[..]));
        assert_eq!(super::find_cookie([&b"session\xff=t"[..]], "session"), None);
        let own = super::find_cookie([&b"session=\xff"[..]], "session");
        assert_eq!(own, Some(&b"\xff"[..]), "to be refused, not to be skipped");
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        for header in [
            "session=t",
            "a=1; session=t; b=2",
            "a=1;session=t;b=2",
            " a=1 ;  session = t ",
            "session=\"t\"",
            "flag; session=t",
            "session=t; session=later",
        ] {
            assert_eq!(find([header], "session"), Some("t"), "{header:?}");
        }
    }

    #[test]
    fn every_cookie_header_is_searched() {
        assert_eq!(find(["a=1", "session=t", "b=2"], "session"), Some("t"));
        assert_eq!(find([], "session"), None);
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        assert_eq!(find(["session=a=b=="], "session"), Some("a=b=="));
    }

    #[test]
    fn another_cookie_is_not_mistaken_for_it() {
        for header in [
            "",
            ";",
            "=t",
            "session",
            "session=",
            "session=\"\"",
            "Session=t",
            "xsession=t",
            "session2=t",
            "a=session=t",
            "a=\"; xsession=t\"",
        ] {
            assert_eq!(find([header], "session"), None, "{header:?}");
        }
    }

    #[test]
    fn chunks_are_joined_in_numeric_order_unless_the_whole_cookie_exists() {
        let joined = |headers: &[&str]| {
            let headers: Vec<_> = headers.iter().map(|header| header.as_bytes()).collect();
            let found = super::find_chunked_cookie(&headers, "session");
            found.map(|value| String::from_utf8(value.into_owned()).unwrap())
        };
        let found = |headers: &[&str]| joined(headers).unwrap_or_default();
        assert_eq!(found(&["session.1=b; a=1; session.0=a"]), "ab");
        assert_eq!(
            found(&["session.10=c; session.2=b", "session.1=\"a\""]),
            "abc"
        );
        assert_eq!(found(&["session.0=a; session.0=later"]), "a");
        assert_eq!(found(&["session.0=a; session=whole"]), "whole");
        assert_eq!(found(&["session.0=a; session.1="]), "a");
        for other in [
            "",
            "sessionx0=a",
            "session.=a",
            "session.a=a",
            "session.0x=a",
            "session.0=",
        ] {
            assert_eq!(joined(&[other]), None, "{other:?}");
        }
    }

    #[test]
    fn a_lone_quote_is_part_of_the_value() {
        assert_eq!(find(["session=\""], "session"), Some("\""));
        assert_eq!(find(["session=\"t"], "session"), Some("\"t"));
    }
}
