//! The rules of version streams, tested over each transport.

use std::time::{Duration, Instant};

use library_sync::{
    library::{Intent, LabelKind, LabelName},
    version::UserId,
};

use crate::{
    support::test_app::{
        Db, TestApp, TestDatabase, TestProcess, http_client, on_each_database, soon, token,
        token_for,
    },
    support::transport::{ErrorResponse, StreamItem, Transport, VersionStream},
};

async fn open(transport: Transport, app: &TestApp, user: &str) -> VersionStream {
    let opened = transport.open(app, &token(user)).await;
    opened.unwrap_or_else(|refused| panic!("{transport}: {refused:?}"))
}

/// Opens a stream of each transport for the user.
async fn open_all(app: &TestApp, user: &str) -> Vec<(Transport, VersionStream)> {
    let mut streams = Vec::new();
    for transport in Transport::ALL {
        streams.push((transport, open(transport, app, user).await));
    }
    streams
}

/// Changes the user's library `times` times, as fast as possible.
async fn change(app: &TestApp, user: &str, times: i64) {
    let user = UserId::new(user).unwrap();
    for _ in 0..times {
        let name = LabelName::new(uuid::Uuid::now_v7().to_string()).unwrap();
        let written = app.library.write(&user, Intent::default(), |library| {
            Box::pin(library.create_label(LabelKind::Tag, None, name))
        });
        written.await.unwrap();
    }
}

on_each_database! {
    async fn a_stream_sends_the_current_version_first_and_then_only_newer_ones(db: Db) {
        let app = TestApp::start(db).await;
        change(&app, "ann", 3).await;
        for transport in Transport::ALL {
            let now = app.user("ann").version().await;
            let mut stream = open(transport, &app, "ann").await;
            assert_eq!(stream.version().await, now, "{transport}");
            change(&app, "bob", 2).await;
            change(&app, "ann", 1).await;
            assert_eq!(stream.version().await, now + 1, "{transport}");
            change(&app, "ann", 5).await;
            stream.until(now + 6).await;
        }
    }

    async fn a_thousand_rapid_changes_end_with_the_newest_version(db: Db) {
        let app = TestApp::start(db).await;
        let mut streams = open_all(&app, "ann").await;
        let changes = change(&app, "ann", 1000);
        let watches = futures_util::future::join_all(streams.iter_mut().map(|(_, stream)| stream.until(1001)));
        tokio::join!(changes, watches);
    }

    async fn a_stream_reopened_after_a_restart_starts_with_the_current_version(db: Db) {
        let mut app = TestApp::start_with(db, &["--drain-spread", "100ms"]).await;
        for transport in Transport::ALL {
            let mut stream = open(transport, &app, "ann").await;
            let before = stream.version().await;
            app = app.restart(&["--drain-spread", "100ms"]).await;
            assert_eq!(stream.end().await, transport.when_drained(), "{transport}");
            change(&app, "ann", 1).await;
            let mut stream = open(transport, &app, "ann").await;
            assert_eq!(stream.version().await, before + 1, "{transport}");
        }
    }
}

/// A server with small socket buffers, so that it soon detects a client that does not read.
async fn with_small_buffers(flags: &[&str]) -> TestApp {
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(1).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(64).unwrap().into_std().unwrap();
    TestApp::start_at(listener, TestDatabase::new(Db::Sqlite).await, flags).await
}

/// This number of changes exceeds the socket buffers several times.
const MANY: i64 = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_reading_skips_to_the_newest_version() {
    let app = with_small_buffers(&["--write-timeout", "1h"]).await;
    let mut streams = open_all(&app, "ann").await;
    change(&app, "ann", MANY).await;
    for (transport, stream) in &mut streams {
        let received = stream.until(1 + MANY).await;
        assert!(
            received.len() < 500,
            "{transport} queued {}",
            received.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_is_disconnected_after_the_write_timeout_and_delays_nobody() {
    let limit = Duration::from_secs(2);
    for transport in Transport::ALL {
        let app =
            with_small_buffers(&["--write-timeout", "2s", "--max-streams-per-user", "2"]).await;
        let mut stalled = open(transport, &app, "ann").await;
        let mut live = open(transport, &app, "ann").await;
        stalled.version().await;
        let began = Instant::now();
        tokio::join!(change(&app, "ann", MANY), live.until(1 + MANY));
        let filled = began.elapsed();

        // The stalled stream counts until it is disconnected.
        let third = async {
            while transport.open(&app, &token("ann")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("the stalled client is disconnected", third).await;
        let dropped = began.elapsed();
        assert!(dropped >= limit, "{transport}: {dropped:?}");
        assert!(dropped <= filled + 2 * limit, "{transport}: {dropped:?}");
        assert_eq!(stalled.end().await, "closed", "{transport}");
        change(&app, "ann", 1).await;
        assert_eq!(live.version().await, 2 + MANY, "{transport}");
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    for transport in Transport::ALL {
        let token = token_for("ann", Duration::from_secs(2));
        let began = Instant::now();
        let mut stream = transport.open(&app, &token).await.unwrap();
        assert_eq!(stream.end().await, transport.when_expired(), "{transport}");
        assert!(began.elapsed() <= Duration::from_secs(5), "{transport}");
        let refused = transport.open(&app, &token).await.err().unwrap();
        assert_eq!(refused.status, 401, "{transport}");
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_maximum_lifetime() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-stream-life", "500ms"]).await;
    for (transport, mut stream) in open_all(&app, "ann").await {
        assert_eq!(stream.end().await, transport.when_too_old(), "{transport}");
    }
}

#[tokio::test]
async fn a_stopping_server_spreads_the_ends_of_its_streams() {
    let mut app = TestApp::start_with(Db::Sqlite, &["--drain-spread", "1s"]).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.extend(open_all(&app, "ann").await);
    }
    for (_, stream) in &mut streams {
        stream.version().await;
    }
    app.begin_stop();
    let began = Instant::now();
    let ends = streams.iter_mut().map(async |(transport, stream)| {
        assert_eq!(stream.end().await, transport.when_drained(), "{transport}");
        began.elapsed()
    });
    let mut ends = futures_util::future::join_all(ends).await;
    ends.sort();
    let spread = ends[15].checked_sub(ends[0]).unwrap();
    assert!(spread > Duration::from_millis(500), "{ends:?}");
    assert!(ends[15] < Duration::from_secs(5), "{ends:?}");
    app.stop().await;
}

#[tokio::test]
async fn the_stream_limit_of_a_user_covers_all_transports() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-streams-per-user", "4"]).await;
    let mut streams = open_all(&app, "ann").await;
    for transport in Transport::ALL {
        let refused = transport.open(&app, &token("ann")).await.err().unwrap();
        let ErrorResponse {
            status,
            body,
            retry_after,
        } = refused;
        assert_eq!(
            (status, retry_after.as_deref()),
            (429, Some("10")),
            "{transport}"
        );
        assert!(body.contains("TOO_MANY_STREAMS"), "{transport}: {body}");
        open(transport, &app, "bob").await.version().await;

        // A closed stream no longer counts.
        let (_, left) = streams.remove(0);
        drop(left);
        let again = async {
            loop {
                if let Ok(stream) = transport.open(&app, &token("ann")).await {
                    return stream;
                }
            }
        };
        streams.push((transport, soon("a stream is free", again).await));
    }
}

#[tokio::test]
async fn the_stream_limit_of_a_server_covers_all_transports() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-streams", "4"]).await;
    let _streams = open_all(&app, "ann").await;
    for transport in Transport::ALL {
        let refused = transport.open(&app, &token("bob")).await.err().unwrap();
        assert_eq!(refused.status, 503, "{transport}");
        assert!(
            refused.body.contains("UNAVAILABLE") && refused.retry_after.is_some(),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_without_an_accepted_token_is_not_opened() {
    let cookies = [
        "--session-cookie",
        "session",
        "--allowed-origins",
        "https://app.example",
    ];
    let app = TestApp::start_with(Db::Sqlite, &cookies).await;
    let cookie = format!("session={}", token("ann"));
    let cookie = ("Cookie", cookie.as_str());
    for transport in Transport::ALL {
        for authorization in ["Bearer x.y.z", "Basic x"] {
            let refused = transport
                .open_with(&app, "", &[("Authorization", authorization)])
                .await;
            assert_eq!(refused.err().unwrap().status, 401, "{transport}");
        }
        for origin in ["https://evil.example", "null", "https://app.example.evil"] {
            let refused = transport
                .open_with(&app, "", &[cookie, ("Origin", origin)])
                .await;
            assert_eq!(refused.err().unwrap().status, 403, "{transport} {origin}");
        }
        let refused = transport
            .open_with(&app, "", &[cookie, ("Sec-Fetch-Site", "cross-site")])
            .await;
        assert_eq!(refused.err().unwrap().status, 403, "{transport}");
        let mut stream = transport
            .open_with(&app, "", &[cookie, ("Origin", "https://app.example")])
            .await
            .unwrap();
        assert_eq!(stream.next().await, StreamItem::Version(1), "{transport}");
    }
}

#[tokio::test]
async fn open_streams_and_their_ends_are_counted() {
    let db = TestDatabase::new(Db::Sqlite).await;
    let server = TestProcess::serve(&db.url, &[]).await;
    let url = server.url("/api/library-version-events");
    let request = http_client().get(url).bearer_auth(token("ann"));
    let mut stream = soon("the stream opens", request.send()).await.unwrap();
    soon("an event", stream.chunk()).await.unwrap();
    let open = server.counter("library_sync_streams").await;
    assert!((0.5..1.5).contains(&open), "{open}");
    drop(stream);
    let ended = async { while server.counter("library_sync_stream_ends_total").await < 1.0 {} };
    soon("the end is counted", ended).await;
    assert!(server.counter("library_sync_streams").await < 0.5);
}
