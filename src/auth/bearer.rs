//! The token in an `Authorization` header (RFC 6750).

/// Maximum size of a token, in bytes: the usual limit of servers for one header.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// Finds the token in the value of an `Authorization` header (RFC 6750, section 2.1).
///
/// Returns `None` when the scheme is not `Bearer` (ignoring case) or the token is missing.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_the_bearer_scheme_is_ignored() {
        for header in ["Bearer a.b.c", "bearer a.b.c", " BEARER   a.b.c "] {
            assert_eq!(bearer(header), Some("a.b.c"), "{header:?}");
        }
    }

    #[test]
    fn another_scheme_is_not_a_bearer_token() {
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Basic a.b.c",
            "a.b.c",
            "Bearera.b.c",
            "Bearer\ta",
        ] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }
}
