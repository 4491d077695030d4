//! The ends of sessions: `endStreams` and `signOutEverywhere`, on every node and transport.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    devices::{check, until},
    support::{
        test_app::{SECRET, TestApp, TestUser, error_code, on_each_database, soon},
        transport::{StreamItem, Transport},
    },
};

const SIGN_OUT: &str = "mutation { signOutEverywhere(input: {}) { signedOutAt libraryVersion } }";

const MINT: &str = "mutation { createStreamTicket(input: {}) { ticket } }";

const END: &str = "mutation ($device: ID!) { endStreams(input: {device: $device}) { deviceId refusal { code } } }";

/// Each mutation, with an input that is valid by itself.
const MUTATIONS: [(&str, &str); 25] = [
    (
        "createStoryWithProgress",
        r#"title: "a", url: "https://example.org/a""#,
    ),
    ("updateStoryWithRelations", r#"id: "$", title: "a""#),
    (
        "updateProgress",
        r#"id: "$", currentChapter: 2, device: {id: "lost"}"#,
    ),
    ("deleteProgress", r#"id: "$""#),
    ("createTag", r#"name: "a", device: {id: "lost"}"#),
    ("createFandom", r#"name: "a""#),
    ("renameTag", r#"id: "$", name: "a""#),
    ("renameFandom", r#"id: "$", name: "a""#),
    ("deleteTag", r#"id: "$""#),
    ("deleteFandom", r#"id: "$""#),
    (
        "importLibrary",
        r#"entries: [{title: "a", url: "https://example.org/a"}]"#,
    ),
    ("undo", "version: 2"),
    ("restoreLibrary", "to: 1"),
    ("createStreamTicket", ""),
    (
        "registerPushEndpoint",
        r#"endpoint: "https://example.org/", p256dh: "a", auth: "a", device: {id: "a"}"#,
    ),
    ("unregisterPushEndpoint", r#"device: "a""#),
    ("sendTestPush", r#"device: "a""#),
    ("renameDevice", r#"device: "a", name: "b""#),
    ("forgetDevice", r#"device: "a""#),
    ("endStreams", r#"device: "a""#),
    ("signOutEverywhere", ""),
    ("opened", r#"progressId: "$""#),
    ("exportLibrary", ""),
    ("requestAccountErasure", ""),
    ("eraseAccount", r#"confirmationToken: "a""#),
];

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

/// A token of ann that says that it was issued then.
fn issued(iat: Option<u64>) -> String {
    let mut claims = json!({"sub": "ann", "exp": now() + 3_600});
    if let Some(iat) = iat {
        claims["iat"] = iat.into();
    }
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

fn ann(app: &TestApp, token: String) -> TestUser<'_> {
    TestUser { app, token }
}

/// The status and the code of each entrance for a token, for a device that reports its client.
async fn entrances(app: &TestApp, token: &str, device: &str) -> Vec<(u16, String)> {
    let requests = [
        app.http.get(app.url("/api/library-export")),
        app.http.get(app.url("/api/library-version")),
        app.http.get(app.url("/api/trpc/view.getVersion")),
        app.http.get(app.url("/graphql?query={__typename}")),
        app.http
            .post(app.url("/graphql"))
            .header("accept", "application/graphql-response+json")
            .json(&json!({"query": "{ libraryVersion }"})),
        app.http
            .post(app.url("/graphql"))
            .header("accept", "application/graphql-response+json")
            .json(&json!({"query": "{ libraryChanges(since: 1) { version } }"})),
        app.http
            .post(app.url("/graphql"))
            .header("accept", "application/graphql-response+json")
            .json(&json!({"query": "mutation { createTag(input: {name: \"x\"}) { libraryVersion } }"})),
    ];
    let mut found = Vec::new();
    for request in requests {
        let request = request
            .header("graphql-require-preflight", "1")
            .header("x-device-id", device)
            .header("x-library-client", "forged/9");
        let answer = soon("an answer", request.bearer_auth(token).send())
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body = soon("the body", answer.text()).await.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let code = error_code(&body).as_str().unwrap_or_default().to_owned();
        found.push((status, code));
    }
    found
}

/// How each transport answers a token: a version, or the end or status of a refusal.
async fn streams(app: &TestApp, token: &str) -> Vec<String> {
    let mut found = Vec::new();
    for transport in Transport::ALL {
        found.push(match transport.open(app, token).await {
            Ok(mut stream) => match stream.next().await {
                StreamItem::Version(_) => "version".to_owned(),
                StreamItem::End(how) => how,
            },
            Err(refused) => refused.status.to_string(),
        });
    }
    found
}

fn when_signed_out(transport: Transport) -> &'static str {
    match transport {
        Transport::Websocket => "4403",
        Transport::Sse | Transport::Multipart => "SIGNED_OUT",
        Transport::Events => "auth_expired",
    }
}

on_each_database! {
    async fn a_sign_out_refuses_older_tokens_at_every_entrance_of_every_node(db: Db) {
        let one = TestApp::start(db).await;
        let two = TestApp::start_on(one.db.shared(), &[]).await;
        let (old, new, bob) = (issued(Some(now() - 60)), issued(Some(now() + 60)), one.user("bob"));
        let signing_out = ann(&one, old.clone());
        let minted = signing_out.ask(MINT, json!({})).await;
        let ticket = minted["createStreamTicket"]["ticket"].as_str().unwrap().to_owned();
        let export = signing_out.ask("mutation { exportLibrary(input: {}) { address } }", json!({})).await;
        let export = export["exportLibrary"]["address"].as_str().unwrap().to_owned();
        for (status, code) in entrances(&two, &issued(None), "phone").await {
            assert_eq!((status, &*code), (200, ""), "without `iat`, before anybody signed out");
        }
        let version = signing_out.version().await;
        let signed_out = signing_out.ask(SIGN_OUT, json!({})).await;
        assert!(signed_out["signOutEverywhere"]["signedOutAt"].is_string());
        for app in [&one, &two] {
            for token in [&old, &issued(None)] {
                for refused in entrances(app, token, "phone").await {
                    assert_eq!(refused, (401, "SIGNED_OUT".to_owned()));
                }
                assert_eq!(streams(app, token).await, ["4403", "401", "401", "401"]);
            }
            let query = format!("?ticket={ticket}");
            let by_ticket = Transport::Events.open_with(app, &query, &[]).await;
            assert_eq!(by_ticket.err().map(|refused| refused.status), Some(401));
            for download in [app.http.head(app.url(&export)), app.http.get(app.url(&export))] {
                assert_eq!(soon("an answer", download.send()).await.unwrap().status(), 401);
            }
            assert_eq!(streams(app, &new).await, ["version"; 4]);
        }
        assert_eq!(bob.version().await, 1, "another user is not concerned");
        // Nothing was changed by a refused mutation, or by the sign-out.
        assert_eq!(ann(&two, new).version().await, version);
    }

    async fn a_session_that_is_signed_out_reports_nothing_of_devices(db: Db) {
        let app = TestApp::start_with(db, &["--device-interval", "0s"]).await;
        let (old, new) = (issued(Some(now() - 60)), ann(&app, issued(Some(now() + 60))));
        let seen = app.http.get(app.url("/api/library-version")).bearer_auth(&new.token);
        let seen = seen.header("x-device-id", "phone").header("x-library-client", "app/1");
        assert_eq!(soon("an answer", seen.send()).await.unwrap().status(), 200);
        ann(&app, old.clone()).ask(SIGN_OUT, json!({})).await;
        for device in ["phone", "lost"] {
            for refused in entrances(&app, &old, device).await {
                assert_eq!(refused, (401, "SIGNED_OUT".to_owned()));
            }
            let invalid = app.http.post(app.url("/graphql")).bearer_auth(&old).json(&json!({"query": "{"}));
            let batch = app.http.post(app.url("/graphql")).bearer_auth(&old).json(&json!([{"query": "{ libraryVersion }"}]));
            for request in [invalid, batch] {
                let request = request.header("x-device-id", device).header("x-library-client", "forged/9");
                soon("an answer", request.send()).await.unwrap();
            }
            for transport in Transport::ALL {
                let bearer = format!("Bearer {old}");
                let headers = [("Authorization", &*bearer), ("x-device-id", device), ("x-library-client", "forged/9")];
                if let Ok(mut stream) = transport.open_with(&app, "", &headers).await {
                    assert!(matches!(stream.next().await, StreamItem::End(_)));
                }
            }
        }
        let devices = new.ask("{ viewer { devices { id client } } }", json!({})).await;
        assert_eq!(devices["viewer"]["devices"], json!([{"id": "phone", "client": "app/1"}]));
    }

    async fn no_field_runs_after_one_that_signed_the_session_out(db: Db) {
        let app = TestApp::start(db).await;
        for (number, (name, input)) in MUTATIONS.iter().enumerate() {
            let user = app.user(&format!("user {number}"));
            let progress = user.add("A").await["progress"]["id"].take();
            let input = input.replace('$', progress.as_str().unwrap());
            let query = format!(
                "mutation {{ signOutEverywhere(input: {{}}) {{ libraryVersion }} then: {name}(input: {{{input}}}) {{ libraryVersion }} }}"
            );
            let response = user.send(&query, json!({})).await;
            assert_eq!(response["data"]["signOutEverywhere"], json!({"libraryVersion": 2}), "{name}");
            assert_eq!((&response["data"]["then"], &response["errors"][0]["path"]), (&Value::Null, &json!(["then"])), "{name}");
            assert_eq!(error_code(&response), "SIGNED_OUT", "{name}");
        }
    }

    async fn a_sign_out_refuses_each_mutation_with_an_older_token(db: Db) {
        let app = TestApp::start(db).await;
        let (old, new) = (ann(&app, issued(Some(now() - 60))), ann(&app, issued(Some(now() + 60))));
        let progress = old.add("A").await["progress"]["id"].take();
        old.ask(SIGN_OUT, json!({})).await;
        let version = new.version().await;
        let schema = new.ask("{ __schema { mutationType { fields { name } } } }", json!({})).await;
        let names = schema["__schema"]["mutationType"]["fields"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|field| field["name"].as_str().unwrap()).collect();
        for name in &names {
            let (_, input) = MUTATIONS.iter().find(|(known, _)| known == name).expect(name);
            let input = input.replace('$', progress.as_str().unwrap());
            let query = format!("mutation {{ {name}(input: {{{input}}}) {{ libraryVersion }} }}");
            let request = app.http.post(app.url("/graphql")).bearer_auth(&old.token).json(&json!({"query": query}));
            let request = request.header("accept", "application/graphql-response+json");
            let response = soon("an answer", request.send()).await.unwrap();
            assert_eq!(response.status(), 401, "{name}");
            let body: Value = response.json().await.unwrap();
            assert_eq!(error_code(&body), "SIGNED_OUT", "{name}");
        }
        assert_eq!(names.len(), MUTATIONS.len());
        assert_eq!(new.version().await, version);
        let devices = new.ask("{ viewer { devices { id } } }", json!({})).await;
        assert_eq!(devices["viewer"]["devices"], json!([]), "nor is their device listed");
    }

    async fn a_sign_out_ends_the_open_streams_of_every_node_and_transport(db: Db) {
        // Without a broker, the other node finds the sign-out at its next heartbeat.
        let flags = ["--heartbeat", "1s", "--device-grace", "0s", "--device-interval", "0s"];
        let one = TestApp::start_with(db, &flags).await;
        let two = TestApp::start_on(one.db.shared(), &flags).await;
        let (old, new) = (issued(Some(now() - 60)), issued(Some(now() + 60)));
        let mut open = Vec::new();
        for app in [&one, &two] {
            for transport in Transport::ALL {
                let bearer = format!("Bearer {old}");
                let mut stream = transport.open_with(app, "?device=lost", &[("Authorization", &bearer)]).await.unwrap();
                assert!(matches!(stream.next().await, StreamItem::Version(1)));
                open.push((transport, stream));
            }
        }
        let mut kept = Transport::Events.open(&two, &new).await.unwrap();
        kept.next().await;
        ann(&one, old).ask(SIGN_OUT, json!({})).await;
        for (transport, mut stream) in open {
            assert_eq!(stream.next().await, StreamItem::End(when_signed_out(transport).to_owned()), "{transport}");
        }
        let ann = ann(&one, new);
        let lost = until(&ann, "lost", "its streams have ended", |lost| lost["streams"] == json!([])).await;
        assert_eq!(lost["verdict"], "TOKEN_ENDED");
        // A newer token keeps its stream.
        ann.create_tag("a tag").await;
        assert_eq!(kept.next().await, StreamItem::Version(2));
    }

    async fn the_streams_of_one_device_end_on_every_node_and_may_be_opened_again(db: Db) {
        let flags = ["--heartbeat", "1s", "--device-interval", "0s"];
        let one = TestApp::start_with(db, &flags).await;
        let two = TestApp::start_on(one.db.shared(), &flags).await;
        let (ann, bob) = (one.user("ann"), one.user("bob"));
        let bearer = format!("Bearer {}", ann.token);
        let headers = [("Authorization", &*bearer)];
        let mut meant = Vec::new();
        for app in [&one, &two] {
            let mut stream = Transport::Multipart.open_with(app, "?device=tablet", &headers).await.unwrap();
            stream.next().await;
            meant.push(stream);
        }
        let mut phone = Transport::Multipart.open_with(&one, "?device=phone", &headers).await.unwrap();
        phone.next().await;
        let end = async |user: &TestUser<'_>, device: &str| {
            user.ask(END, json!({"device": device})).await["endStreams"].take()
        };
        assert_eq!(end(&ann, "other").await["refusal"]["code"], "NOT_FOUND");
        assert_eq!(end(&bob, "tablet").await["refusal"]["code"], "NOT_FOUND");
        assert_eq!(end(&ann, "tablet").await["deviceId"], "tablet");
        for mut stream in meant {
            assert_eq!(stream.next().await, StreamItem::End("STREAM_ENDED".to_owned()));
        }
        let mut again = Transport::Sse.open_with(&one, "?device=tablet", &headers).await.unwrap();
        again.next().await;
        let is_open = |tablet: &Value| tablet["streams"].as_array().is_some_and(|streams| streams.len() == 1);
        until(&ann, "tablet", "one stream is open", is_open).await;
        ann.create_tag("a tag").await;
        assert_eq!(phone.next().await, StreamItem::Version(2), "another device keeps its stream");
    }

    async fn a_sign_out_removes_push_endpoints_unless_they_are_kept(db: Db) {
        use crate::push::fake_push_service::{FakePushService, REGISTER, input, start};
        let service = FakePushService::start().await;
        let app = start(crate::support::test_app::TestDatabase::new(db).await, &service, &[]).await;
        let ann = ann(&app, issued(Some(now() + 60)));
        let one = service.subscribe("one");
        ann.ask(REGISTER, json!({"input": input(&one, "phone", "DAILY")})).await;
        let endpoints = async || {
            let answer = ann.ask("{ viewer { pushEndpoints { id } } }", json!({})).await;
            answer["viewer"]["pushEndpoints"].as_array().unwrap().len()
        };
        ann.ask("mutation { signOutEverywhere(input: {keepPushEndpoints: true}) { libraryVersion } }", json!({})).await;
        assert_eq!(endpoints().await, 1);
        ann.ask(SIGN_OUT, json!({})).await;
        assert_eq!(endpoints().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_ends_the_streams_of_another_node_at_once() {
    let flags = ["--heartbeat", "1h", "--broker-url", "postgres:"];
    let one = TestApp::start_with(crate::support::test_app::Db::Postgres, &flags).await;
    let two = TestApp::start_on(one.db.shared(), &flags).await;
    let old = issued(Some(now() - 60));
    let mut stream = Transport::Multipart.open(&two, &old).await.unwrap();
    stream.next().await;
    // The other node listens once a change reaches it.
    let ann = ann(&one, old);
    let mut version = 1;
    let heard = async {
        loop {
            version += 1;
            ann.create_tag(&format!("tag {version}")).await;
            let next = tokio::time::timeout(Duration::from_secs(1), stream.next());
            if next.await.is_ok() {
                return;
            }
        }
    };
    soon("the nodes hear each other", heard).await;
    ann.ask(SIGN_OUT, json!({})).await;
    let ended = async {
        while !matches!(stream.next().await, StreamItem::End(how) if how == "SIGNED_OUT") {}
    };
    soon("the stream ends", ended).await;
    assert_eq!(check(&two, &ann.token, &[]).await, 401);
}
