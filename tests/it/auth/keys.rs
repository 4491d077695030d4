//! Tokens and the keys that verify them, from the flag to the response.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaPublicKeyComponents,
    },
};
use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine as _, engine::general_purpose as base64_engine};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    support::socket::Socket,
    support::test_app::{Db, SECRET, TestApp, soon},
};

const ISSUER: &str = "https://id.example";

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn claims() -> Value {
    json!({"sub": "ann", "exp": now() + 3600})
}

/// The status and error code of a request with a token.
async fn by_post(app: &TestApp, token: &str) -> (u16, String) {
    let request = app.http.post(app.url("/graphql")).bearer_auth(token);
    let request = request.json(&json!({"query": "{ libraryVersion }"}));
    let response = soon("a response", request.send()).await.unwrap();
    let status = response.status().as_u16();
    let body: Value = soon("the body", response.json()).await.unwrap();
    let code = body["errors"][0]["extensions"]["code"].as_str();
    (status, code.unwrap_or("").to_owned())
}

async fn by_event_stream(app: &TestApp, token: &str) -> u16 {
    let url = app.url("/api/library-version-events");
    let request = app.http.get(url).bearer_auth(token).send();
    soon("a response", request).await.unwrap().status().as_u16()
}

/// The statuses over the other transports: GET, a cookie, and GraphQL streams.
async fn by_other_transports(app: &TestApp, token: &str) -> [u16; 4] {
    let subscribe = |accept: &str| {
        let request = app.http.post(app.url("/graphql")).bearer_auth(token);
        request
            .header("accept", accept)
            .json(&json!({"query": "subscription { libraryVersion }"}))
    };
    let as_cookie = app.http.post(app.url("/graphql"));
    let as_cookie = as_cookie
        .header("cookie", format!("session={token}"))
        .header("origin", &app.base)
        .header("sec-fetch-site", "same-origin")
        .json(&json!({"query": "{ libraryVersion }"}));
    let by_get = app.http.get(app.url("/graphql?query={libraryVersion}"));
    let requests = [
        by_get.bearer_auth(token),
        as_cookie,
        subscribe("text/event-stream"),
        subscribe("multipart/mixed;subscriptionSpec=1.0"),
    ];
    let responses = requests.map(async |request| {
        let response = soon("a response", request.send()).await.unwrap();
        response.status().as_u16()
    });
    futures_util::future::join_all(responses)
        .await
        .try_into()
        .unwrap()
}

/// The close code, or `None` after `connection_ack`.
async fn by_socket(app: &TestApp, token: &str) -> Option<u16> {
    let mut socket = Socket::open(app).await;
    let payload = json!({"Authorization": format!("Bearer {token}")});
    let init = json!({"type": "connection_init", "payload": payload});
    socket.send(init).await;
    socket
        .next_or_closed()
        .await
        .err()
        .map(|(code, _reason)| code)
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64_engine::URL_SAFE_NO_PAD.encode(bytes)
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64_engine::STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// A P-256 signing key.
struct Signer {
    private: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        Self {
            private: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
            jwk: json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64(x), "y": base64(y)}),
        }
    }

    fn token(&self, kid: &str) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, &claims(), &self.private).unwrap()
    }

    fn own_token(&self) -> String {
        self.token(self.jwk["kid"].as_str().unwrap())
    }
}

#[tokio::test]
async fn an_invalid_token_is_refused_by_every_transport() {
    let rules = [
        "--jwt-audience",
        "library",
        "--jwt-issuer",
        ISSUER,
        "--jwt-leeway",
        "1s",
        "--session-cookie",
        "session",
    ];
    let app = TestApp::start_with(Db::Sqlite, &rules).await;
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = |changes: Value| {
        let mut claims = claims();
        claims["aud"] = json!(["other", "library"]);
        claims["iss"] = json!(ISSUER);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
    };
    let good = token(json!({"nbf": now() - 1}));
    assert_eq!(by_post(&app, &good).await, (200, String::new()));
    assert_eq!(by_event_stream(&app, &good).await, 200);
    assert_eq!(by_socket(&app, &good).await, None);
    assert_eq!(by_other_transports(&app, &good).await, [200; 4]);
    for (changes, code) in [
        (json!({"exp": now() - 2}), "TOKEN_EXPIRED"),
        (json!({"exp": null}), "UNAUTHENTICATED"),
        (json!({"exp": "9999999999"}), "UNAUTHENTICATED"),
        (json!({"nbf": now() + 60}), "UNAUTHENTICATED"),
        (json!({"aud": "other"}), "UNAUTHENTICATED"),
        (json!({"aud": ["other"]}), "UNAUTHENTICATED"),
        (json!({"aud": "library2"}), "UNAUTHENTICATED"),
        (json!({"aud": null}), "UNAUTHENTICATED"),
        (json!({"iss": "https://id.example.evil"}), "UNAUTHENTICATED"),
        (json!({"iss": null}), "UNAUTHENTICATED"),
        (json!({"sub": null}), "UNAUTHENTICATED"),
        (json!({"sub": ""}), "UNAUTHENTICATED"),
        (json!({"sub": "a\nb"}), "UNAUTHENTICATED"),
    ] {
        let token = token(changes.clone());
        assert_eq!(
            by_post(&app, &token).await,
            (401, code.to_owned()),
            "{changes}"
        );
        assert_eq!(by_event_stream(&app, &token).await, 401, "{changes}");
        let close = if code == "TOKEN_EXPIRED" { 4440 } else { 4403 };
        assert_eq!(by_socket(&app, &token).await, Some(close), "{changes}");
        assert_eq!(
            by_other_transports(&app, &token).await,
            [401; 4],
            "{changes}"
        );
    }
}

#[tokio::test]
async fn algorithm_confusion_and_unsigned_tokens_are_refused() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = pair.public_key().as_der().unwrap();
    let public = pem("PUBLIC KEY", der.as_ref());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &public).unwrap();
    let path = file.path().to_str().unwrap();
    let app = TestApp::start_with(
        Db::Sqlite,
        &["--jwt-public-key", path, "--session-cookie", "session"],
    )
    .await;

    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let private = pem("PRIVATE KEY", pkcs8.as_ref());
    let private = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
    let good = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(), &private).unwrap();
    assert_eq!(by_post(&app, &good).await, (200, String::new()));

    let hmac = |secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap()
    };
    let unsigned = |alg: &str, signature: &str| {
        let header = base64(json!({"alg": alg, "typ": "JWT"}).to_string());
        format!("{header}.{}.{signature}", base64(claims().to_string()))
    };
    let signature = good.rsplit('.').next().unwrap();
    let evil = Signer::new("evil");
    let mut brings_its_key = Header::new(Algorithm::ES256);
    brings_its_key.jwk = serde_json::from_value(evil.jwk.clone()).unwrap();
    let mut names_a_file = Header::new(Algorithm::HS256);
    names_a_file.kid = Some("../../../../dev/null".to_owned());
    let empty = EncodingKey::from_secret(b"");
    for (attack, token) in [
        ("the PEM as a secret", hmac(public.as_bytes())),
        (
            "the PEM without its last line end",
            hmac(public.trim_end().as_bytes()),
        ),
        ("the key itself as a secret", hmac(der.as_ref())),
        ("no algorithm", unsigned("none", "")),
        ("no algorithm, in another case", unsigned("nOnE", "")),
        ("no algorithm and a signature", unsigned("none", signature)),
        (
            "the right algorithm and no signature",
            unsigned("RS256", ""),
        ),
        (
            "another algorithm of the same key",
            unsigned("PS256", signature),
        ),
        (
            "an embedded key",
            jsonwebtoken::encode(&brings_its_key, &claims(), &evil.private).unwrap(),
        ),
        (
            "an empty file for a key",
            jsonwebtoken::encode(&names_a_file, &claims(), &empty).unwrap(),
        ),
    ] {
        let refused = (401, "UNAUTHENTICATED".to_owned());
        assert_eq!(by_post(&app, &token).await, refused, "{attack}");
        assert_eq!(by_socket(&app, &token).await, Some(4403), "{attack}");
        assert_eq!(by_event_stream(&app, &token).await, 401, "{attack}");
        assert_eq!(
            by_other_transports(&app, &token).await,
            [401; 4],
            "{attack}"
        );
    }
}

/// A JWKS server whose response can be changed.
struct KeyServer {
    url: String,
    state: Arc<KeyServerState>,
}

#[derive(Default)]
struct KeyServerState {
    /// `None` responds like a server that is down.
    keys: Mutex<Option<Value>>,
    requests: AtomicUsize,
}

impl KeyServer {
    async fn start() -> Self {
        let state = Arc::new(KeyServerState::default());
        let keys = Arc::clone(&state);
        let router = Router::new().route("/keys", get(async move || Self::respond(&keys)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    fn respond(state: &KeyServerState) -> (StatusCode, String) {
        state.requests.fetch_add(1, Ordering::SeqCst);
        match &*state.keys.lock() {
            Some(keys) => (StatusCode::OK, json!({"keys": keys}).to_string()),
            None => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        }
    }

    fn publish(&self, signer: Option<&Signer>) {
        *self.state.keys.lock() = signer.map(|signer| json!([signer.jwk]));
    }

    fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_keys_are_fetched_and_cached_while_the_key_server_is_down() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::start().await;
    server.publish(Some(&old));
    let began = std::time::Instant::now();
    let flags = ["--jwks-url", &server.url, "--jwks-refetch", "1s"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let becomes = async |token: &str, expected: (u16, &str)| {
        let reached =
            async { while by_post(&app, token).await != (expected.0, expected.1.to_owned()) {} };
        soon(&format!("{expected:?}"), reached).await;
    };
    becomes(&old.own_token(), (200, "")).await;
    // A token of another key with a known key id.
    assert_eq!(
        by_post(&app, &new.token("old")).await,
        (401, "UNAUTHENTICATED".into())
    );

    server.publish(Some(&new));
    becomes(&new.own_token(), (200, "")).await;
    becomes(&old.own_token(), (401, "UNAUTHENTICATED")).await;
    assert_eq!(by_socket(&app, &new.own_token()).await, None);

    // While the key server is down, known keys stay in use, and tokens of unknown keys get 503.
    server.publish(None);
    becomes(&old.own_token(), (503, "UNAVAILABLE")).await;
    assert_eq!(by_socket(&app, &old.own_token()).await, Some(1013));
    assert_eq!(by_post(&app, &new.own_token()).await, (200, String::new()));
    let failed = r#"library_sync_jwks_fetches_total{outcome="status"}"#;
    let metrics = async {
        loop {
            assert_eq!(by_post(&app, &old.own_token()).await.0, 503);
            let metrics = app.http.get(app.url("/metrics")).send().await.unwrap();
            let metrics = metrics.text().await.unwrap();
            if metrics.contains(failed) {
                return metrics;
            }
        }
    };
    let metrics = soon("a fetch fails", metrics).await;
    let age = metrics
        .lines()
        .find_map(|line| line.strip_prefix("library_sync_jwks_age_seconds "));
    assert!((0.0..60.0).contains(&age.unwrap().parse::<f64>().unwrap()));

    // Forged key ids cause at most one request to the key server per second.
    for made_up in 0..200 {
        by_post(&app, &old.token(&made_up.to_string())).await;
    }
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!(
        server.requests() <= most,
        "{} in {most} s",
        server.requests()
    );
    assert_eq!(by_post(&app, &new.own_token()).await, (200, String::new()));

    server.publish(Some(&old));
    becomes(&old.own_token(), (200, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_key_id_before_a_rotation_delays_valid_tokens_without_a_401() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let server = KeyServer::start().await;
    server.publish(Some(&old));
    let flags = ["--jwks-url", &server.url, "--jwks-refetch", "2s"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let known = async { while by_post(&app, &old.own_token()).await.0 != 200 {} };
    soon("the keys are known", known).await;
    // The forged key id triggers the allowed fetch.
    let asked = async { while by_post(&app, &old.token("forged")).await.0 != 401 {} };
    soon("the key server gets a request", asked).await;
    server.publish(Some(&new));
    let request = app.http.get(app.url("/api/library-version"));
    let request = request.bearer_auth(new.own_token()).send();
    let new_token = new.own_token();
    let (refused, closed) = tokio::join!(request, by_socket(&app, &new_token));
    let refused = refused.unwrap();
    assert_eq!((refused.status().as_u16(), closed), (503, Some(1013)));
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    assert!(["1", "2"].contains(&wait), "{wait}");
    let accepted = async { while by_post(&app, &new.own_token()).await.0 != 200 {} };
    soon("the new key is known", accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_kid_is_accepted_by_the_only_key_for_its_algorithm() {
    let (one, other) = (Signer::new("one"), Signer::new("other"));
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let parts = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let rsa = json!({"kty": "RSA", "kid": "rsa", "n": base64(parts.n), "e": base64(parts.e)});
    let server = KeyServer::start().await;
    *server.state.keys.lock() = Some(json!([one.jwk, rsa]));
    let app = TestApp::start_with(Db::Sqlite, &["--jwks-url", &server.url]).await;
    let sign = |algorithm| {
        let header = Header::new(algorithm);
        jsonwebtoken::encode(&header, &claims(), &one.private).unwrap()
    };
    let known = async { while by_post(&app, &one.own_token()).await.0 != 200 {} };
    soon("the keys are known", known).await;
    assert_eq!(by_post(&app, &sign(Algorithm::ES256)).await.0, 200);

    *server.state.keys.lock() = Some(json!([one.jwk, other.jwk]));
    let app = TestApp::start_with(Db::Sqlite, &["--jwks-url", &server.url]).await;
    let request = app.http.get(app.url("/api/library-version"));
    let request = request.bearer_auth(sign(Algorithm::ES256));
    let response = soon("a response", request.send()).await.unwrap();
    assert_eq!(response.status(), 401);
    let body = soon("the body", response.text()).await.unwrap();
    assert!(
        body.contains("several keys of the key server are for its `alg`"),
        "{body}"
    );
}
