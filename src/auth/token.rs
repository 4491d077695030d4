//! The claims of a token, their validation, and the signing of development tokens.
//!
//! The claims are those of RFC 7519, section 4.1. They are validated here because the JWT library accepts tokens without
//! `iss` or `aud`, rounds fractional times, and reads the clock itself.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    InvalidKey,
    key::check_secret,
    rejection::Rejection,
    viewer::{Credential, Viewer},
};
use crate::version::UserId;

/// Rules for the claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Required `iss`, if set.
    pub issuer: Option<String>,
    /// Required `aud`, or member of `aud`, if set. Otherwise `aud` is ignored.
    pub audience: Option<String>,
    /// Tolerated clock skew between server and issuer: added to `exp` and subtracted from `nbf`. Defaults to 5 seconds.
    pub leeway: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: Option<String>,
    /// Seconds since the Unix epoch, with an optional fraction, like `nbf`.
    exp: Option<f64>,
    nbf: Option<f64>,
    /// Any JSON, because an invalid `iat` never made a token invalid.
    #[serde(default)]
    iat: Option<serde_json::Value>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(audience) => audience == wanted,
            Self::Many(audiences) => audiences.iter().any(|audience| audience == wanted),
        }
    }
}

impl Claims {
    /// Returns the user, if the subject is valid.
    pub(super) fn user(&self) -> Option<UserId> {
        UserId::new(self.sub.as_deref()?).ok()
    }
}

impl Rules {
    /// Validates the claims of a token with a verified signature.
    pub(super) fn validate(
        &self,
        claims: &Claims,
        now: OffsetDateTime,
    ) -> Result<Grant, Rejection> {
        let leeway = signed(self.leeway);
        let exp = claims.exp.ok_or(Rejection::MissingClaim("exp"))?;
        let lifetime = Lifetime {
            begins_at: claims.nbf.map(|nbf| instant(nbf).saturating_sub(leeway)),
            expires_at: instant(exp).saturating_add(leeway),
        };
        lifetime.check(now)?;
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(Rejection::WrongIssuer);
        }
        if let Some(wanted) = &self.audience
            && !claims.aud.as_ref().is_some_and(|aud| aud.names(wanted))
        {
            return Err(Rejection::WrongAudience);
        }
        let subject = claims
            .sub
            .as_deref()
            .ok_or(Rejection::MissingClaim("sub"))?;
        Ok(Grant {
            user: UserId::new(subject).map_err(|_| Rejection::InvalidSubject)?,
            lifetime,
            issued_at: claims
                .iat
                .as_ref()
                .and_then(serde_json::Value::as_f64)
                .map(instant),
        })
    }
}

/// What a valid token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    user: UserId,
    lifetime: Lifetime,
    issued_at: Option<OffsetDateTime>,
}

/// When a token is valid, including the leeway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lifetime {
    begins_at: Option<OffsetDateTime>,
    expires_at: OffsetDateTime,
}

impl Lifetime {
    fn check(self, now: OffsetDateTime) -> Result<(), Rejection> {
        if now >= self.expires_at {
            return Err(Rejection::Expired);
        }
        if self.begins_at.is_some_and(|begins_at| begins_at > now) {
            return Err(Rejection::NotYetValid);
        }
        Ok(())
    }
}

impl Grant {
    /// Checks that the token is valid at `now`.
    pub(super) fn check(&self, now: OffsetDateTime) -> Result<(), Rejection> {
        self.lifetime.check(now)
    }

    /// Returns the viewer that sent the token as `credential`.
    pub(super) fn viewer(self, credential: Credential) -> Viewer {
        Viewer {
            user: self.user,
            expires_at: self.lifetime.expires_at,
            issued_at: self.issued_at,
            credential,
        }
    }
}

/// Converts a `NumericDate` to a time, clamped to the last year that the time library supports.
fn instant(seconds: f64) -> OffsetDateTime {
    let last = time::Date::MAX.midnight().assume_utc();
    let since_epoch = time::Duration::checked_seconds_f64(seconds);
    match since_epoch.and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since)) {
        Some(instant) => instant.min(last),
        None if seconds < 0.0 => OffsetDateTime::UNIX_EPOCH,
        None => last,
    }
}

fn signed(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

/// Signs a development token with HS256. A verifier with this secret and these rules accepts it until `ttl` from now.
///
/// # Errors
/// When [`Keys::secret`](super::keys::Keys::secret) refuses the secret.
pub fn mint(
    secret: &[u8],
    rules: &Rules,
    user: &UserId,
    ttl: Duration,
) -> Result<String, InvalidKey> {
    check_secret(secret)?;
    let iat = OffsetDateTime::now_utc().unix_timestamp();
    let claims = NewClaims {
        sub: user.as_str(),
        iat,
        exp: iat.saturating_add_unsigned(ttl.as_secs()),
        iss: rules.issuer.as_deref(),
        aud: rules.audience.as_deref(),
    };
    Ok(sign(secret, &claims))
}

#[derive(Serialize)]
struct NewClaims<'a> {
    sub: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

#[expect(
    clippy::expect_used,
    reason = "text and integers are valid JSON, and any bytes are an HMAC key"
)]
fn sign(secret: &[u8], claims: &NewClaims<'_>) -> String {
    let header = Header::new(Algorithm::HS256);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).expect("signs")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn judge(rules: &Rules, claims: Value) -> Result<Viewer, Rejection> {
        let claims = serde_json::from_value(claims).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        let grant = rules.validate(&claims, now)?;
        Ok(grant.viewer(Credential::Bearer))
    }

    fn exact() -> Rules {
        Rules {
            leeway: Duration::ZERO,
            ..Rules::default()
        }
    }

    #[test]
    fn a_viewer_is_who_the_subject_names_until_the_token_expires() {
        let viewer = judge(&exact(), json!({"sub": "ada", "exp": NOW + 60})).unwrap();
        assert_eq!(viewer.user.as_str(), "ada");
        assert_eq!(viewer.expires_at.unix_timestamp(), NOW + 60);
        assert_eq!(viewer.credential, Credential::Bearer);
    }

    #[test]
    fn exp_and_sub_are_required() {
        assert_eq!(
            judge(&exact(), json!({"sub": "ada"})),
            Err(Rejection::MissingClaim("exp"))
        );
        assert_eq!(
            judge(&exact(), json!({"exp": NOW + 1})),
            Err(Rejection::MissingClaim("sub"))
        );
        assert_eq!(
            judge(&exact(), json!({"sub": null, "exp": NOW + 1})),
            Err(Rejection::MissingClaim("sub"))
        );
    }

    #[test]
    fn an_invalid_subject_is_refused() {
        for subject in ["", "a\u{0}b", &"x".repeat(256)] {
            let verdict = judge(&exact(), json!({"sub": subject, "exp": NOW + 1}));
            assert_eq!(verdict, Err(Rejection::InvalidSubject), "{subject:?}");
        }
    }

    #[test]
    fn a_token_ends_at_exp_to_the_fraction() {
        let exp = |exp: Value| judge(&exact(), json!({"sub": "ada", "exp": exp}));
        for over in [
            json!(NOW),
            json!(NOW - 1),
            json!(1_799_999_999.9),
            json!(0),
            json!(-1e300),
        ] {
            assert_eq!(exp(over.clone()), Err(Rejection::Expired), "{over}");
        }
        assert!(exp(json!(NOW + 1)).is_ok());
        let fraction = exp(json!(1_800_000_000.25)).unwrap();
        assert_eq!(
            fraction.expires_at.unix_timestamp_nanos() % 1_000_000_000,
            250_000_000
        );
        let never = exp(json!(1e300)).unwrap();
        assert_eq!(never.expires_at.year(), 9999);
    }

    #[test]
    fn a_token_begins_at_nbf_to_the_fraction() {
        let nbf = |nbf: Value| judge(&exact(), json!({"sub": "ada", "exp": NOW + 9, "nbf": nbf}));
        for early in [json!(NOW + 1), json!(1_800_000_000.5), json!(1e300)] {
            assert_eq!(nbf(early.clone()), Err(Rejection::NotYetValid), "{early}");
        }
        for begun in [
            json!(NOW),
            json!(1_799_999_999.5),
            json!(-1e300),
            json!(null),
        ] {
            assert!(nbf(begun.clone()).is_ok(), "{begun}");
        }
    }

    #[test]
    fn the_leeway_moves_both_ends() {
        let rules = Rules::default();
        let late = |by: i64| judge(&rules, json!({"sub": "ada", "exp": NOW - by}));
        assert_eq!(late(4).unwrap().expires_at.unix_timestamp(), NOW + 1);
        assert_eq!(late(5), Err(Rejection::Expired));
        let early = |by: i64| {
            judge(
                &rules,
                json!({"sub": "ada", "exp": NOW + 60, "nbf": NOW + by}),
            )
        };
        assert!(early(5).is_ok());
        assert_eq!(early(6), Err(Rejection::NotYetValid));
    }

    #[test]
    fn a_required_issuer_must_match() {
        let rules = Rules {
            issuer: Some("https://id.example".into()),
            ..exact()
        };
        let iss = |iss: Value| judge(&rules, json!({"sub": "ada", "exp": NOW + 1, "iss": iss}));
        assert!(iss(json!("https://id.example")).is_ok());
        for wrong in [
            json!(null),
            json!(""),
            json!("https://id.example/"),
            json!("evil"),
        ] {
            assert_eq!(iss(wrong.clone()), Err(Rejection::WrongIssuer), "{wrong}");
        }
    }

    #[test]
    fn a_required_audience_must_match() {
        let rules = Rules {
            audience: Some("library".into()),
            ..exact()
        };
        let aud = |aud: Value| judge(&rules, json!({"sub": "ada", "exp": NOW + 1, "aud": aud}));
        for right in [
            json!("library"),
            json!(["library"]),
            json!(["other", "library"]),
        ] {
            assert!(aud(right.clone()).is_ok(), "{right}");
        }
        for wrong in [
            json!(null),
            json!(""),
            json!("other"),
            json!([]),
            json!(["other"]),
        ] {
            assert_eq!(aud(wrong.clone()), Err(Rejection::WrongAudience), "{wrong}");
        }
    }

    #[test]
    fn issuer_and_audience_are_ignored_unless_required() {
        let claims = json!({"sub": "ada", "exp": NOW + 1, "iss": "any", "aud": ["any"]});
        assert!(judge(&exact(), claims).is_ok());
    }

    #[test]
    fn no_token_is_minted_with_a_short_secret() {
        let ada = UserId::new("ada").unwrap();
        let minted = mint(b"short", &Rules::default(), &ada, Duration::from_secs(1));
        assert_eq!(minted, Err(InvalidKey::ShortSecret(5)));
    }
}
