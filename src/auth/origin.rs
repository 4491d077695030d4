//! Protection against cross-site request forgery: the origins whose pages may use a cookie.
//!
//! A browser adds the session cookie to requests of any page, so a cookie does not prove that the user intended the request.
//! The `Origin` header identifies the page, and pages cannot forge it.
//!
//! **Invariant:** with a cookie, a change or a WebSocket requires a trusted `Origin`.

use std::{collections::HashSet, fmt};

use url::{Origin, Url};

/// The kind of a request with a session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A query by GET, which changes nothing.
    Read,
    /// An event stream by GET, as `EventSource` opens it.
    Stream,
    /// A request that can change data: every mutation and every WebSocket upgrade.
    Change,
}

/// The origins whose pages may use the API with a cookie, in addition to the server's own.
#[derive(Debug, Clone, Default)]
pub struct Origins(HashSet<Origin>);

impl Origins {
    /// Parses origins such as `https://app.example` or `http://localhost:5173`.
    ///
    /// # Errors
    /// When a text is not exactly a scheme (http or https), a host and an optional port: for example `*`, `null`, or an origin
    /// with a path.
    pub fn parse<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        let parse = |text: &str| parse(text).ok_or_else(|| InvalidOrigin(text.to_owned()));
        origins
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns whether the value of an `Origin` header is in the list, for CORS responses.
    pub fn allows(&self, origin: &str) -> bool {
        parse(origin).is_some_and(|origin| self.0.contains(&origin))
    }

    /// Returns whether a request may use its cookie. Takes the received headers `Origin`, `Sec-Fetch-Site` and `Host` (in
    /// HTTP/2, `:authority`).
    ///
    /// | `Origin` | `Sec-Fetch-Site` | `Read` | `Stream` | `Change` |
    /// |---|---|---|---|---|
    /// | in the list | any | yes | yes | yes |
    /// | the server's own: its host and port are those of `Host` | any | yes | yes | yes |
    /// | any other, `null`, or a malformed origin | any | no | no | no |
    /// | absent | `same-origin`, or `none` (typed by the user) | yes | yes | no |
    /// | absent | absent: not a browser, or a browser from before 2023 | yes | yes | no |
    /// | absent | `same-site`, `cross-site`, or unknown | no | no | no |
    ///
    /// Browsers omit `Origin` on a same-origin GET, including `EventSource`, so it is optional there. They always send it with
    /// POST and with a WebSocket. In the row without both headers, a cross-site page of an old browser can send a request
    /// but cannot read the response or change data. Browsers do not send a session cookie with `SameSite=Lax` there.
    ///
    /// The scheme is not compared, because a server behind a TLS proxy does not know its public scheme. A proxy must forward
    /// `Host`, or the public origin must be in the list.
    pub fn admits(
        &self,
        ask: Ask,
        origin: Option<&str>,
        sec_fetch_site: Option<&str>,
        host: Option<&str>,
    ) -> bool {
        match (origin, ask) {
            (Some(origin), _) => self.allows(origin) || is_own(origin, host),
            (None, Ask::Change) => false,
            (None, Ask::Read | Ask::Stream) => {
                matches!(sec_fetch_site, None | Some("same-origin" | "none"))
            }
        }
    }
}

fn is_own(origin: &str, host: Option<&str>) -> bool {
    let origin = parse(origin);
    let (Some(Origin::Tuple(scheme, ..)), Some(host)) = (&origin, host) else {
        return false;
    };
    // Parse with the origin's scheme, so that either may omit the default port.
    parse(&format!("{scheme}://{host}")) == origin
}

/// Parses a scheme (http or https), a host and an optional port.
fn parse(text: &str) -> Option<Origin> {
    // Url accepts more than origins: paths, user names, spaces, `\` for `/`.
    let (_, authority) = text.split_once("://")?;
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    if authority.is_empty()
        || authority.contains(['/', '\\', '?', '#', '@', '*'])
        || text.contains(is_blank)
    {
        return None;
    }
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin())
}

/// An invalid text in the list of allowed origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin(String);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == "*" {
            return f.write_str("`*` would let every website act for the viewer; list the origins");
        }
        let text = &self.0;
        write!(
            f,
            "{text:?} is not an origin; write only scheme, host and port: https://app.example"
        )
    }
}

impl std::error::Error for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins::parse(["https://app.example", "http://localhost:5173"]).unwrap()
    }

    #[test]
    fn the_spelling_of_an_origin_is_normalized() {
        for origin in [
            "https://app.example",
            "https://APP.example",
            "HTTPS://app.example",
            "https://app.example:443",
            "http://localhost:5173",
        ] {
            assert!(origins().allows(origin), "{origin}");
        }
        let spelled =
            Origins::parse(["HTTPS://App.Example:443", "https://bücher.example"]).unwrap();
        assert!(spelled.allows("https://app.example"));
        assert!(spelled.allows("https://xn--bcher-kva.example"));
    }

    #[test]
    fn another_scheme_host_or_port_is_another_origin() {
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil",
            "https://evil-app.example",
            "https://sub.app.example",
            "https://app.example.",
            "http://localhost",
            "http://127.0.0.1:5173",
        ] {
            assert!(!origins().allows(origin), "{origin}");
        }
    }

    #[test]
    fn an_invalid_origin_is_refused_in_the_list_and_as_a_header() {
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "//app.example",
            "https:app.example",
            "https://",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example\\",
            "https://app.example?q",
            "https://app.example#f",
            "https://user@app.example",
            "https://*.example",
            "https://app.example:99999",
            "https://app.example https://evil.example",
            " https://app.example",
            "https://app.example\n",
            "https://app\t.example",
            "ftp://app.example",
            "file://",
            "app://app.example",
        ] {
            assert_eq!(
                Origins::parse([text]).unwrap_err(),
                InvalidOrigin(text.to_owned())
            );
            assert!(!origins().allows(text), "{text:?}");
        }
    }

    #[test]
    fn the_error_says_what_to_write_instead() {
        let message = |text| Origins::parse([text]).unwrap_err().to_string();
        assert!(message("*").contains("every website"));
        assert!(message("https://a.example/x").contains("https://app.example"));
    }

    #[test]
    fn the_table_of_admits_holds() {
        const HOST: Option<&str> = Some("api.example");
        let sites = [
            None,
            Some("same-origin"),
            Some("same-site"),
            Some("cross-site"),
            Some("none"),
        ];
        let asks = [Ask::Read, Ask::Stream, Ask::Change];

        for (origin, trusted) in [
            ("https://app.example", true),
            ("https://api.example", true),
            ("https://evil.example", false),
            ("https://api.example.evil", false),
            ("https://api.example:8443", false),
            ("null", false),
            ("", false),
            ("*", false),
        ] {
            for (site, ask) in sites.iter().flat_map(|site| asks.map(|ask| (site, ask))) {
                let admitted = origins().admits(ask, Some(origin), *site, HOST);
                assert_eq!(admitted, trusted, "{ask:?} from {origin:?}, {site:?}");
            }
        }
        for (site, plain) in [
            (None, true),
            (Some("same-origin"), true),
            (Some("none"), true),
            (Some("same-site"), false),
            (Some("cross-site"), false),
            (Some("Same-Origin"), false),
            (Some(""), false),
        ] {
            assert_eq!(
                origins().admits(Ask::Read, None, site, HOST),
                plain,
                "{site:?}"
            );
            assert_eq!(
                origins().admits(Ask::Stream, None, site, HOST),
                plain,
                "{site:?}"
            );
            assert!(!origins().admits(Ask::Change, None, site, HOST), "{site:?}");
        }
    }

    #[test]
    fn the_servers_own_origin_is_always_allowed() {
        let none = Origins::default();
        for (origin, host, own) in [
            ("https://api.example", Some("api.example"), true),
            ("https://api.example", Some("API.example:443"), true),
            ("http://api.example", Some("api.example:80"), true),
            ("http://localhost:8080", Some("localhost:8080"), true),
            ("http://[::1]:8080", Some("[::1]:8080"), true),
            ("https://api.example", Some("api.example:8443"), false),
            ("https://api.example:8443", Some("api.example"), false),
            ("https://evil.example", Some("api.example"), false),
            (
                "https://evil.example",
                Some("evil.example/@api.example"),
                false,
            ),
            (
                "https://evil.example",
                Some("api.example@evil.example"),
                false,
            ),
            ("https://api.example", Some(""), false),
            ("https://api.example", None, false),
            ("null", Some("null"), false),
        ] {
            assert_eq!(
                none.admits(Ask::Change, Some(origin), None, host),
                own,
                "{origin} {host:?}"
            );
        }
    }
}
