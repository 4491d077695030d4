//! What every stream of versions promises, whatever its transport.

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
    support::transport::{Refused, Told, Transport, Versions},
};

async fn open(transport: Transport, app: &TestApp, user: &str) -> Versions {
    let opened = transport.open(app, &token(user)).await;
    opened.unwrap_or_else(|refused| panic!("{transport}: {refused:?}"))
}

/// Opens a stream of each transport for the user.
async fn open_all(app: &TestApp, user: &str) -> Vec<(Transport, Versions)> {
    let mut streams = Vec::new();
    for transport in Transport::ALL {
        streams.push((transport, open(transport, app, user).await));
    }
    streams
}

/// Changes the user's library so many times, as fast as it goes.
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
    async fn the_current_version_comes_first_and_then_newer_ones_alone(db: Db) {
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

    async fn a_thousand_rapid_changes_end_on_the_last(db: Db) {
        let app = TestApp::start(db).await;
        let mut streams = open_all(&app, "ann").await;
        let changes = change(&app, "ann", 1000);
        let watches = futures_util::future::join_all(streams.iter_mut().map(|(_, stream)| stream.until(1001)));
        tokio::join!(changes, watches);
    }

    async fn a_stream_opened_again_after_a_restart_goes_on_from_the_current_version(db: Db) {
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

/// A server whose sockets hold little, so that a client that does not read is soon noticed.
async fn cramped(flags: &[&str]) -> TestApp {
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(1).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(64).unwrap().into_std().unwrap();
    TestApp::start_at(listener, TestDatabase::new(Db::Sqlite).await, flags).await
}

/// So many changes fill what the sockets hold, several times over.
const MANY: i64 = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_skips_to_the_newest() {
    let app = cramped(&["--write-timeout", "1h"]).await;
    let mut streams = open_all(&app, "ann").await;
    change(&app, "ann", MANY).await;
    for (transport, stream) in &mut streams {
        let told = stream.until(1 + MANY).await;
        assert!(told.len() < 500, "{transport} queued {}", told.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_is_dropped_in_time_and_delays_nobody() {
    let limit = Duration::from_secs(2);
    for transport in Transport::ALL {
        let app = cramped(&["--write-timeout", "2s", "--max-streams-per-user", "2"]).await;
        let mut stalled = open(transport, &app, "ann").await;
        let mut live = open(transport, &app, "ann").await;
        stalled.version().await;
        let began = Instant::now();
        tokio::join!(change(&app, "ann", MANY), live.until(1 + MANY));
        let filled = began.elapsed();

        // The stalled one keeps its place until it is dropped.
        let third = async {
            while transport.open(&app, &token("ann")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("the stalled reader is dropped", third).await;
        let dropped = began.elapsed();
        assert!(dropped >= limit, "{transport}: {dropped:?}");
        assert!(dropped <= filled + 2 * limit, "{transport}: {dropped:?}");
        assert_eq!(stalled.end().await, "cut", "{transport}");
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
async fn a_stream_ends_at_its_longest_life() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-stream-life", "500ms"]).await;
    for (transport, mut stream) in open_all(&app, "ann").await {
        assert_eq!(stream.end().await, transport.when_too_old(), "{transport}");
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams_one_after_the_other() {
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
async fn a_user_has_so_many_streams_over_all_transports() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-streams-per-user", "4"]).await;
    let mut streams = open_all(&app, "ann").await;
    for transport in Transport::ALL {
        let refused = transport.open(&app, &token("ann")).await.err().unwrap();
        let Refused {
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

        // Whoever leaves makes room.
        let (_, left) = streams.remove(0);
        drop(left);
        let again = async {
            loop {
                if let Ok(stream) = transport.open(&app, &token("ann")).await {
                    return stream;
                }
            }
        };
        streams.push((transport, soon("there is room", again).await));
    }
}

#[tokio::test]
async fn a_server_has_so_many_streams() {
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
        assert_eq!(stream.next().await, Told::Version(1), "{transport}");
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
