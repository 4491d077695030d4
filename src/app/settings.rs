//! From flags to what each part takes of them.

use crate::{
    auth::TicketLimits,
    config::{self, Serve},
    graphql,
    http::{self, ConnectionLimits, PendingLimits, RateLimits, Settings, StreamLimits},
    library::{self, Retention},
};

pub(super) fn settings(config: &Serve) -> Settings {
    let (http, streams) = (&config.http, &config.streams);
    Settings {
        heartbeat: streams.heartbeat,
        max_body: http.max_body,
        max_init_message: streams.max_init_message,
        body_timeout: http.body_timeout,
        max_batch: http.max_batch,
        playground: http.playground,
        static_dir: http.static_dir.clone(),
        metrics_apart: http.ops_listen.is_some(),
    }
}

pub(super) fn rate_limits(config: &config::Http) -> RateLimits {
    RateLimits {
        per_user: config.max_user_rate,
        per_address: config.max_address_rate,
        address_header: config.client_address_header.clone(),
    }
}

pub(super) fn limits(config: &Serve) -> graphql::Limits {
    let graphql = &config.graphql;
    graphql::Limits {
        document_bytes: graphql.max_document,
        tokens: graphql.max_tokens,
        depth: graphql.max_depth,
        complexity: graphql.max_complexity,
        aliases: graphql.max_aliases,
        page: graphql.max_page,
        changes: graphql.max_changes,
        changes_bytes: graphql.max_changes_bytes,
        answer: graphql.max_answer,
        search_words: graphql.max_search_words,
        introspection: !graphql.no_introspection,
        heartbeat: config.streams.heartbeat,
        tickets: TicketLimits {
            life: config.streams.ticket_life,
            ..TicketLimits::default()
        },
        ..graphql::Limits::default()
    }
}

pub(super) fn connection_limits(config: &Serve) -> ConnectionLimits {
    // One pool for the database and one for its replica, each with a connection more that listens or writes.
    let databases = 1 + usize::from(config.database.read_database_url.is_some());
    let each = config.database.database_connections.saturating_add(1);
    let database_connections = databases * usize::try_from(each).unwrap_or(usize::MAX);
    ConnectionLimits {
        connections: http::connections_that_fit(config.http.max_connections, database_connections),
        write_timeout: config.streams.write_timeout,
        header_timeout: config.http.header_timeout,
        idle_timeout: config.http.idle_timeout,
    }
}

pub(super) fn stream_limits(serve: &Serve) -> StreamLimits {
    let config = &serve.streams;
    StreamLimits {
        per_user: config.max_streams_per_user,
        total: config.max_streams,
        max_life: config.max_stream_life,
        drain_spread: config.drain_spread,
        grace: serve.http.shutdown_grace,
        operations_per_socket: config.max_operations_per_socket,
        messages_per_second: config.max_message_rate,
        init_timeout: config.init_timeout,
    }
}

pub(super) fn kept(config: &config::Retention) -> Retention {
    Retention {
        history: config.keep_history,
        receipts: config.keep_receipts,
    }
}

/// Refuses settings under which streams would be cut off before their turn to end.
pub(super) fn check_stop(config: &Serve) -> anyhow::Result<()> {
    let (spread, grace) = (config.streams.drain_spread, config.http.shutdown_grace);
    anyhow::ensure!(
        spread <= grace,
        "--drain-spread (LIBRARY_SYNC_DRAIN_SPREAD) is {}, longer than --shutdown-grace \
         (LIBRARY_SYNC_SHUTDOWN_GRACE), which is {}: give a shorter spread or a longer grace",
        humantime::format_duration(spread),
        humantime::format_duration(grace),
    );
    Ok(())
}

pub(super) fn pending_limits(config: &config::Streams) -> PendingLimits {
    PendingLimits {
        total: config.max_pending_sockets,
        per_address: config.max_pending_sockets_per_address,
    }
}

/// How much one user may keep.
pub fn library_limits(config: config::Limits) -> library::Limits {
    let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    library::Limits {
        stories: config.max_stories.into(),
        bytes: bytes(config.max_library_bytes),
        receipt_bytes: bytes(config.max_receipt_bytes),
        history_bytes: bytes(config.max_history_bytes),
    }
}
