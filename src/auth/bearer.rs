//! The token in an `Authorization` header (RFC 6750).

/// The longest token looked at, in bytes: what most servers grant a whole header.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// Finds the token in the value of an `Authorization` header (RFC 6750, section 2.1).
///
/// `None` when the scheme is not `Bearer`, in any case, or when nothing follows it.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for header in ["Bearer a.b.c", "bearer a.b.c", " BEARER   a.b.c "] {
            assert_eq!(bearer(header), Some("a.b.c"), "{header:?}");
        }
    }

    #[test]
    fn another_scheme_is_no_bearer_token() {
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
