use std::{
    future::IntoFuture,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, http, routing::get};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::auth::{
    Rules, Verifier,
    keys::Keys,
    testing::{Signer, claims, ed25519, new_p256, p256, rsa},
    viewer::{Credential, Viewer},
};

/// A key server whose answers the test decides.
struct KeyServer {
    url: String,
    answer: Mutex<(http::StatusCode, String)>,
    /// Answers wait for a permit while the gate is shut.
    gate: Semaphore,
    asked: AtomicUsize,
    asking: Semaphore,
}

impl KeyServer {
    async fn start(keys: &[Value]) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            answer: Mutex::new((http::StatusCode::OK, document(keys))),
            gate: Semaphore::new(1000),
            asked: AtomicUsize::new(0),
            asking: Semaphore::new(0),
        });
        let routes = Router::new()
            .route("/keys", get(Self::keys))
            .with_state(Arc::clone(&server));
        tokio::spawn(axum::serve(listener, routes).into_future());
        server
    }

    async fn keys(State(server): State<Arc<Self>>) -> (http::StatusCode, String) {
        server.asked.fetch_add(1, Ordering::SeqCst);
        server.asking.add_permits(1);
        server.gate.acquire().await.unwrap().forget();
        server.answer.lock().clone()
    }

    fn publish(&self, keys: &[Value]) {
        *self.answer.lock() = (http::StatusCode::OK, document(keys));
    }

    fn fail(&self, status: http::StatusCode) {
        *self.answer.lock() = (status, document(&[p256().jwk("a")]));
    }

    fn shut(&self) {
        self.gate.forget_permits(1000);
    }

    /// Waits until so many more requests have come in.
    async fn was_asked(&self, times: u32) {
        let asked = self.asking.acquire_many(times);
        tokio::time::timeout(Duration::from_secs(10), asked)
            .await
            .unwrap()
            .unwrap()
            .forget();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A cache that asks only when it is asked: nothing keeps it fresh.
    fn cache(&self) -> Arc<Jwks> {
        Arc::new(Jwks::new(&self.url, JwksTiming::default()).unwrap())
    }
}

fn document(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Lets the other tasks run until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
}

/// The fetch that is the latest at `now`.
fn fetch(jwks: &Arc<Jwks>, now: Instant) -> Landed {
    jwks.latest_fetch(now).1
}

async fn opens(
    jwks: &Arc<Jwks>,
    signer: &Signer,
    kid: &str,
    now: Instant,
) -> Result<(), Rejection> {
    let (key, _) = jwks.find_at(Some(kid), signer.algorithm(), now).await?;
    key.open::<Value>(&signer.sign_as(kid, &claims())).map(drop)
}

#[tokio::test]
async fn tokens_of_every_published_key_are_accepted() {
    let server = KeyServer::start(&[rsa().jwk("r"), p256().jwk("p"), ed25519().jwk("e")]).await;
    let keys = Keys::jwks(&server.url, JwksTiming::default()).unwrap();
    let verifier = Verifier::new(keys, Rules::default());
    for (signer, kid) in [(rsa(), "r"), (p256(), "p"), (ed25519(), "e")] {
        let viewer = verifier
            .verify(&signer.sign_as(kid, &claims()), Credential::Bearer)
            .await;
        assert_eq!(
            viewer.map(|v| v.user.to_string()),
            Ok("ada".into()),
            "{kid}"
        );
    }
    let mislabelled = verifier
        .verify(&p256().sign_as("r", &claims()), Credential::Bearer)
        .await;
    assert_eq!(mislabelled, Err(Rejection::Untrusted));
    assert!(verifier.is_ready());
    assert_eq!(server.asked(), 1, "one fetch serves all");
}

#[tokio::test]
async fn a_new_key_is_picked_up_and_an_old_one_let_go() {
    let (old, new) = (new_p256(), new_p256());
    let server = KeyServer::start(&[old.jwk("old")]).await;
    let jwks = server.cache();
    assert_eq!(opens(&jwks, &old, "old", after(0)).await, Ok(()));

    server.publish(&[new.jwk("new")]);
    assert_eq!(opens(&jwks, &old, "old", after(40)).await, Ok(()), "cached");
    assert_eq!(opens(&jwks, &new, "new", after(40)).await, Ok(()));
    assert_eq!(
        opens(&jwks, &old, "old", after(80)).await,
        Err(Rejection::Untrusted)
    );
}

#[tokio::test]
async fn unknown_key_ids_trigger_at_most_one_fetch_per_interval() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    let first = opens(&jwks, p256(), "forged", after(0)).await;
    assert_eq!(first, Err(Rejection::Untrusted));
    for (seconds, wait) in [(0, 30), (10, 20), (29, 1)] {
        // It may be that of a new key, which the key server cannot be asked for yet.
        let later = opens(&jwks, p256(), "forged", after(seconds)).await;
        assert_eq!(later, Err(Rejection::UnknownKey(wait)));
    }
    assert_eq!(server.asked(), 1);
    assert_eq!(
        opens(&jwks, p256(), "forged", after(31)).await,
        Err(Rejection::Untrusted)
    );
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_forged_key_id_before_a_rotation_refuses_no_valid_token_permanently() {
    let (old, new) = (new_p256(), new_p256());
    let server = KeyServer::start(&[old.jwk("old")]).await;
    let jwks = server.cache();
    assert_eq!(
        opens(&jwks, &old, "forged", after(0)).await,
        Err(Rejection::Untrusted)
    );
    server.publish(&[old.jwk("old"), new.jwk("new")]);
    let refused = opens(&jwks, &new, "new", after(5)).await;
    let Err(Rejection::UnknownKey(wait)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        opens(&jwks, &new, "new", after(5 + u64::from(wait))).await,
        Ok(())
    );
    assert_eq!(opens(&jwks, &old, "old", after(5)).await, Ok(()));
}

#[tokio::test]
async fn a_token_without_kid_is_checked_by_the_only_key_for_its_algorithm() {
    let (other, stranger) = (new_p256(), ed25519());
    let server = KeyServer::start(&[rsa().jwk("r"), p256().jwk("p")]).await;
    let jwks = server.cache();
    let open = async |signer: &Signer| {
        let (key, _) = jwks.find_at(None, signer.algorithm(), after(0)).await?;
        key.open::<Value>(&signer.sign(&claims())).map(drop)
    };
    assert_eq!(open(rsa()).await, Ok(()));
    assert_eq!(open(p256()).await, Ok(()));
    assert_eq!(open(&other).await, Err(Rejection::Untrusted), "forged");
    assert_eq!(open(stranger).await, Err(Rejection::NoKeyFits));
    server.publish(&[rsa().jwk("r"), p256().jwk("p"), other.jwk("q")]);
    assert!(fetch(&jwks, after(40)).await);
    assert_eq!(open(p256()).await, Err(Rejection::SeveralKeysFit));
    assert_eq!(open(rsa()).await, Ok(()));
}

#[test]
fn a_document_without_keys_is_logged_with_the_cause() {
    for (document, cause) in [
        (r#"{"keys":[]}"#, "the key set is empty"),
        (r#"{"keys":[{"kty":"oct"}]}"#, "none of the 1 keys"),
        ("<html>", "is not a JSON Web Key Set"),
    ] {
        let error = KeySet::parse(document.as_bytes()).unwrap_err();
        let logged = FetchError::from(error).to_string();
        assert!(logged.contains(cause), "{logged}");
    }
}

#[tokio::test]
async fn all_who_need_a_key_wait_for_one_fetch() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    server.shut();
    let lookups = join_all((0..50).map(|_| opens(&jwks, p256(), "a", after(0))));
    let release = async {
        server.was_asked(1).await;
        server.gate.add_permits(1000);
    };
    let (found, ()) = tokio::join!(lookups, release);
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_end_the_fetch_of_others() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    server.shut();
    tokio::select! {
        biased;
        _ = opens(&jwks, p256(), "a", after(0)) => panic!("the gate is shut"),
        () = server.was_asked(1) => {}
    }
    server.gate.add_permits(1000);
    assert_eq!(opens(&jwks, p256(), "a", after(0)).await, Ok(()));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn an_abandoned_fetch_does_not_block_later_ones() {
    let (old, new) = (new_p256(), new_p256());
    let server = KeyServer::start(&[old.jwk("old")]).await;
    let jwks = server.cache();
    drop(fetch(&jwks, after(0)));
    until(|| jwks.has_keys()).await;
    server.publish(&[new.jwk("new")]);
    assert_eq!(opens(&jwks, &new, "new", after(40)).await, Ok(()));
}

#[tokio::test]
async fn a_slow_fetch_is_not_begun_again() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    server.shut();
    let first = fetch(&jwks, after(0));
    server.was_asked(1).await;
    let second = fetch(&jwks, after(100));
    server.gate.add_permits(1000);
    assert!(first.await && second.await);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn cached_keys_outlive_the_key_server() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    assert_eq!(opens(&jwks, p256(), "a", after(0)).await, Ok(()));

    server.fail(http::StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!fetch(&jwks, after(40)).await);
    server.publish(&[]);
    assert!(!fetch(&jwks, after(80)).await);
    assert_eq!(opens(&jwks, p256(), "a", after(80)).await, Ok(()));
    assert_eq!(
        opens(&jwks, p256(), "b", after(80)).await,
        Err(Rejection::Unavailable)
    );

    server.publish(&[p256().jwk("b")]);
    assert_eq!(
        opens(&jwks, p256(), "b", after(120)).await,
        Ok(()),
        "it came back"
    );
}

#[tokio::test]
async fn known_keys_do_not_wait_for_a_fetch() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    assert_eq!(opens(&jwks, p256(), "a", after(0)).await, Ok(()));
    server.shut();
    let flight = fetch(&jwks, after(40));
    server.was_asked(2).await;
    assert_eq!(opens(&jwks, p256(), "a", after(40)).await, Ok(()));
    assert!(flight.peek().is_none(), "the fetch still runs");
}

#[tokio::test]
async fn without_any_key_tokens_cannot_be_checked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let jwks = Arc::new(Jwks::new(&url, JwksTiming::default()).unwrap());
    assert_eq!(
        opens(&jwks, p256(), "a", after(0)).await,
        Err(Rejection::Unavailable)
    );
    assert!(!jwks.has_keys());
}

#[tokio::test]
async fn answers_that_are_no_keys_count_as_failures() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let jwks = server.cache();
    let outcome = async || {
        jwks.fetch()
            .await
            .map_or_else(|error| error.outcome(), |_| "ok")
    };
    assert_eq!(outcome().await, "ok");
    for status in [
        http::StatusCode::NO_CONTENT,
        http::StatusCode::FOUND,
        http::StatusCode::NOT_FOUND,
        http::StatusCode::BAD_GATEWAY,
    ] {
        server.fail(status);
        assert_eq!(outcome().await, "status", "{status}");
    }
    let too_long = document(&[p256().jwk("a")]) + &" ".repeat(MAX_DOCUMENT_BYTES);
    for body in ["<html>".to_owned(), document(&[]), too_long] {
        *server.answer.lock() = (http::StatusCode::OK, body);
        assert_eq!(outcome().await, "invalid");
    }
}

#[tokio::test]
async fn a_key_server_that_hangs_is_given_up() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    server.shut();
    let timing = JwksTiming {
        timeout: Duration::from_millis(20),
        ..JwksTiming::default()
    };
    let jwks = Arc::new(Jwks::new(&server.url, timing).unwrap());
    assert_eq!(
        opens(&jwks, p256(), "a", after(0)).await,
        Err(Rejection::Unavailable)
    );
}

#[tokio::test]
async fn keys_are_kept_fresh_without_requests_until_nobody_uses_them() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let timing = JwksTiming {
        refresh: Duration::from_millis(1),
        refetch: Duration::ZERO,
        ..JwksTiming::default()
    };
    let jwks = Jwks::start(&server.url, timing).unwrap();
    server.was_asked(2).await;
    server.fail(http::StatusCode::BAD_GATEWAY);
    server.was_asked(2).await;
    assert!(
        jwks.has_keys(),
        "failures are tried again and take nothing away"
    );

    let watch = Arc::downgrade(&jwks);
    drop(jwks);
    until(|| watch.strong_count() == 0).await;
}

#[test]
fn keys_are_fetched_over_https_or_from_this_machine() {
    for (url, is_local) in [
        ("https://id.example/.well-known/jwks.json", false),
        ("https://localhost/keys", true),
        ("http://localhost:9000/keys", true),
        ("http://127.0.0.1/keys", true),
        ("http://[::1]:9000/keys", true),
    ] {
        assert_eq!(address(url).map(|(_, local)| local), Ok(is_local), "{url}");
    }
    for url in [
        "",
        "keys",
        "http://id.example/keys",
        "http://localhost.evil.example/keys",
        "http://10.0.0.1/keys",
        "https://user:secret@id.example/keys",
        "file:///etc/keys.json",
        "data:application/json,{}",
    ] {
        assert!(address(url).is_err(), "{url}");
        assert!(Jwks::new(url, JwksTiming::default()).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_remembered_token_is_refused_once_its_key_is_withdrawn() {
    let server = KeyServer::start(&[p256().jwk("a")]).await;
    let timing = JwksTiming {
        refresh: Duration::from_millis(5),
        refetch: Duration::from_millis(1),
        ..JwksTiming::default()
    };
    let keys = Keys::jwks(&server.url, timing).unwrap();
    let verifier = Verifier::new(keys, Rules::default());
    let token = p256().sign_as("a", &claims());
    let until = async |is_expected: fn(&Result<Viewer, Rejection>) -> bool| {
        let wait = async {
            while !is_expected(&verifier.verify(&token, Credential::Bearer).await) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap();
    };
    until(Result::is_ok).await;
    // Another key under the same id, as after a leak.
    server.publish(&[new_p256().jwk("a")]);
    until(|verdict| *verdict == Err(Rejection::Untrusted)).await;
    server.publish(&[p256().jwk("a")]);
    until(Result::is_ok).await;
}
