//! The address of a story, as typed and in normalised form.
//!
//! The normalised form contains the scheme (`http` counts as `https`), the lower-case host without a final dot, a
//! non-default port, the path, the query, and a fragment that is a route (`#!…`, `#/…`). Percent-encoding is in upper
//! case. A URN (RFC 8141) identifies a work without an address: its scheme and namespace are in lower case, and an ISBN
//! has no hyphens.
//!
//! **Invariant:** two addresses that open the same page in a browser are one story of a library.

use url::Url;

use crate::library::error::Error;

/// Maximum length of an address, in bytes.
pub(super) const MAX_URL: usize = 2_048;

/// Validates an address. Returns it as typed, with its parsed form.
///
/// # Errors
/// [`Error::Invalid`] unless it is an absolute `http://…`, `https://…` or `urn:…`.
pub fn parse_url(text: &str) -> Result<(String, Url), Error> {
    let text = text.trim();
    let most = MAX_URL;
    let invalid = |rule: &str| Err(Error::invalid("url", rule));
    if text.len() > most {
        return invalid(&format!("at most {most} bytes"));
    }
    let needed = "must be an http or https address, or a URN";
    if text.contains(char::is_control) {
        return invalid(needed);
    }
    // The URL standard also accepts `https:example.org` and `https:\\example.org`.
    let Some((scheme, rest)) = text.split_once(':') else {
        return invalid(needed);
    };
    let is_web = matches!(scheme.to_lowercase().as_str(), "http" | "https");
    let is_sound = if is_web {
        rest.strip_prefix("//")
            .is_some_and(|rest| !rest.starts_with(['/', '\\']))
    } else {
        is_urn(text)
    };
    let Some(url) = is_sound.then(|| Url::parse(text).ok()).flatten() else {
        return invalid(needed);
    };
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("must not contain a user name or a password");
    }
    if key_of(&url).len() > most {
        return invalid(&format!("at most {most} bytes, percent-encoded"));
    }
    Ok((text.to_owned(), url))
}

/// Returns whether a text that may not be an address fits the index of addresses.
pub fn is_storable_url(text: &str) -> bool {
    text.len() <= MAX_URL && key(text).len() <= MAX_URL
}

/// Returns whether a browser that opens the address would run a script.
pub fn is_unsafe_url(text: &str) -> bool {
    // Browsers skip tabs and line breaks in a scheme; so does the parser.
    let is_script = |url: Url| matches!(url.scheme(), "javascript" | "data" | "vbscript");
    Url::parse(text).is_ok_and(is_script)
}

/// Returns the normalised form. A text that is not an http or https address or a URN is returned unchanged.
pub(in crate::library) fn key(text: &str) -> String {
    Url::parse(text).map_or_else(|_| text.to_owned(), |url| key_of(&url))
}

fn key_of(url: &Url) -> String {
    match url.scheme() {
        "http" | "https" => {}
        "urn" => return urn_key(url.as_str()),
        _ => return url.as_str().to_owned(),
    }
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let query = url
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    // In hash-based routing, the fragment identifies the work: `#!work` and `#/work`.
    let route = url
        .fragment()
        .filter(|fragment| fragment.starts_with(['!', '/']));
    let route = route.map_or(String::new(), |route| format!("#{route}"));
    let rest = upper_percent(&format!("{}{query}{route}", url.path()));
    format!("https://{host}{port}{rest}")
}

/// Converts percent-encoding to upper case, `%3a` to `%3A` (RFC 3986, section 6.2.2.1).
fn upper_percent(text: &str) -> String {
    let mut parts = text.split('%');
    let mut upper = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        upper.push('%');
        match part.split_at_checked(2) {
            Some((hex, rest)) => upper.extend([hex.to_uppercase(), rest.to_owned()]),
            None => upper.push_str(part),
        }
    }
    upper
}

/// Matches `urn:`, a namespace of 2 to 32 letters, digits and hyphens, `:`, and a name without spaces (RFC 8141,
/// section 2).
fn is_urn(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let (scheme, namespace, name) = (parts.next(), parts.next(), parts.next());
    let is_namespace = |namespace: &str| {
        (2..=32).contains(&namespace.len())
            && namespace
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn"))
        && namespace.is_some_and(is_namespace)
        && name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

fn urn_key(urn: &str) -> String {
    let mut parts = urn.splitn(3, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (scheme, namespace, name) = (next().to_lowercase(), next().to_lowercase(), next());
    let name = match namespace.as_str() {
        "isbn" => name.replace('-', "").to_uppercase(),
        "uuid" => name.to_lowercase(),
        _ => upper_percent(name),
    };
    format!("{scheme}:{namespace}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_share_a_key() {
        for forms in [
            &[
                "https://e.example/1",
                "HTTPS://E.EXAMPLE/1",
                "https://e.example:443/1",
                "https://e.example/1#top",
                "http://e.example/1",
                "http://e.example:80/1",
                "https://e.example./1",
                " https://e.example/1 ",
                "https://e.example/./1",
            ][..],
            &[
                "https://e.example",
                "https://e.example/",
                "https://e.example/#",
            ],
            &[
                "https://e.example/%c3%a9",
                "https://e.example/%C3%A9",
                "https://e.example/é",
            ],
            &["https://bücher.example/", "https://xn--bcher-kva.example/"],
            &["urn:isbn:978-0-00-000000-1", "URN:ISBN:9780000000001"],
        ] {
            let keys: Vec<_> = forms
                .iter()
                .map(|form| key(&parse_url(form).unwrap().0))
                .collect();
            assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
            // A key is its own key, so a row may store it instead of the typed form.
            assert_eq!(key(&keys[0]), keys[0]);
        }
        let different = [
            "https://e.example/1",
            "https://e.example/1/",
            "https://e.example/1?a",
            "https://e.example/1?A",
            "https://e.example:8443/1",
            "https://www.e.example/1",
            "https://e.example/a%2Fb",
            "https://e.example/a/b",
            "https://e.example/#!a",
            "https://e.example/#!b",
            "https://e.example/#/a",
        ];
        let keys: std::collections::BTreeSet<_> = different.iter().map(|form| key(form)).collect();
        assert_eq!(keys.len(), different.len());
    }

    #[test]
    fn ambiguous_or_unsupported_addresses_are_rejected() {
        let long = format!("https://e.example/{}", "é".repeat(400));
        for text in [
            "",
            "e.example/1",
            "https:e.example/1",
            r"https:\\e.example",
            "https:///e.example/1",
            r"https://\e.example/1",
            "https://",
            "ftp://e.example",
            "javascript:alert(1)",
            "https://e.example/a\tb",
            "https://e.example\n/1",
            "https://archiveofourown.org@e.example/",
            "https://user:secret@e.example/",
            "urn:x",
            "urn:isbn:",
            "urn:isbn:1 2",
            "mailto:a@e.example",
            &long,
        ] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
