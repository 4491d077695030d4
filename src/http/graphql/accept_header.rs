//! Content negotiation by `Accept` (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, header};

/// The representations of a route with their media types, in order of preference.
pub(in crate::http) type Offer<'o, T> = &'o [(T, &'o str)];

/// Returns the representation that the client prefers; `None` when it accepts none. Without `Accept`, the first.
///
/// Of equal weights, an exact type precedes a range such as `*/*`, and then the header's order counts.
pub(in crate::http) fn preferred<T: Copy>(headers: &HeaderMap, offer: Offer<'_, T>) -> Option<T> {
    if !headers.contains_key(header::ACCEPT) {
        return offer.first().map(|(form, _)| *form);
    }
    let ranges: Vec<_> = ranges(headers).collect();
    let rank = |media_type: &str| {
        // The most specific matching range decides.
        let matching = ranges.iter().enumerate();
        let matching =
            matching.filter_map(|(at, range)| Some((range.specificity(media_type)?, at)));
        let (specificity, at) = matching.min()?;
        let weight = ranges[at].weight;
        (weight > 0).then_some((1000 - weight, specificity, at))
    };
    let ranked = offer.iter();
    let ranked = ranked.filter_map(|(form, media_type)| Some((rank(media_type)?, *form)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, form)| form)
}

/// Returns the well-formed elements of the `Accept` headers, in order.
pub(in crate::http) fn ranges(headers: &HeaderMap) -> impl Iterator<Item = Range<'_>> {
    let values = headers.get_all(header::ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split(value, ','))
        .filter_map(Range::parse)
}

/// Splits a value at separators outside quoted strings (RFC 9110, section 5.6.4).
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |c| {
        let is_literal = is_escaped;
        is_escaped = is_quoted && c == '\\' && !is_literal;
        is_quoted ^= c == '"' && !is_literal;
        c == separator && !is_quoted
    })
}

/// One element of an `Accept` header.
pub(in crate::http) struct Range<'h> {
    kind: &'h str,
    subtype: &'h str,
    /// The parameters after the type: `;name=value;…`.
    parameters: &'h str,
    /// In thousandths.
    pub weight: u16,
}

/// How exactly a range matches a type, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Exact,
    Subtypes,
    All,
}

impl<'h> Range<'h> {
    fn parse(element: &'h str) -> Option<Self> {
        let (media_type, parameters) = element.split_at(element.find(';').unwrap_or(element.len()));
        let (kind, subtype) = media_type.split_once('/')?;
        let mut range = Self {
            kind: kind.trim(),
            subtype: subtype.trim(),
            parameters,
            weight: 1000,
        };
        if let Some(weight) = range.parameter("q") {
            range.weight = thousandths(weight)?;
        }
        Some(range)
    }

    /// Whether the range names this type without a wildcard.
    pub fn is(&self, media_type: &str) -> bool {
        self.specificity(media_type) == Some(Specificity::Exact)
    }

    /// Returns the value of a parameter, without quotes.
    pub fn parameter(&self, wanted: &str) -> Option<&'h str> {
        let mut parameters = split(self.parameters, ';').filter_map(|one| one.split_once('='));
        let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
        Some(value.trim().trim_matches('"'))
    }

    fn specificity(&self, media_type: &str) -> Option<Specificity> {
        let (kind, subtype) = media_type.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(Specificity::All),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(Specificity::Subtypes),
            (own, sub) if own.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => {
                Some(Specificity::Exact)
            }
            _ => None,
        }
    }
}

/// Parses a weight from 0 to 1 with at most three decimals.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const OFFER: Offer<'_, &str> = &[
        ("json", "application/json"),
        ("graphql", "application/graphql-response+json"),
    ];

    fn choice(accept: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        preferred(&headers, OFFER)
    }

    #[test]
    fn without_accept_the_first_is_chosen() {
        assert_eq!(preferred(&HeaderMap::new(), OFFER), Some("json"));
    }

    #[test]
    fn the_highest_weight_is_chosen() {
        for (accept, expected) in [
            ("application/json", Some("json")),
            ("application/graphql-response+json", Some("graphql")),
            ("APPLICATION/GraphQL-Response+JSON", Some("graphql")),
            (
                "application/graphql-response+json; charset=utf-8",
                Some("graphql"),
            ),
            (
                "application/graphql-response+json, application/json;q=0.9",
                Some("graphql"),
            ),
            (
                "application/json;q=0.9, application/graphql-response+json",
                Some("graphql"),
            ),
            (
                "application/json;q=0.9,application/graphql-response+json;q=0.8",
                Some("json"),
            ),
            (
                "application/json , application/graphql-response+json",
                Some("json"),
            ),
            (
                "application/graphql-response+json,application/json",
                Some("graphql"),
            ),
            ("*/*", Some("json")),
            ("application/*", Some("json")),
            ("*/*, application/graphql-response+json", Some("graphql")),
            ("application/json, text/plain, */*", Some("json")),
            ("text/html, */*;q=0.1", Some("json")),
            ("*/*, application/json;q=0", Some("graphql")),
            ("*/*;q=0.5, application/json;q=0.1", Some("graphql")),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("text/html", None),
            ("text/*", None),
            ("*/json", None),
            ("application/json;q=2", None),
            ("application/json;q=0.1234", None),
            ("application/json;q=", None),
            ("json", None),
            ("", None),
            (",,,;=/", None),
        ] {
            assert_eq!(choice(accept), expected, "{accept}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static("application/json"));
        assert_eq!(preferred(&headers, OFFER), Some("json"));
    }

    proptest! {
        #[test]
        fn any_header_is_parsed_without_a_panic(accept in "[ -~]{0,60}|([a-z*]{0,3}/[a-z*]{0,3};q=[0-9.]{0,5},){0,4}") {
            let _ = choice(&accept);
        }
    }
}
