//! Settings that a part derives from several groups of flags.

use anyhow::Context as _;

use crate::{
    auth::AdminToken,
    config::{self, Serve},
    graphql::{self, Documents, KeepLimits},
    http::{self, ConnectionLimits, Settings, SlotLimits, StreamLimits},
};

/// Returns the settings of requests and streams.
///
/// # Errors
/// When the token of operators is invalid.
pub(super) fn settings(config: &Serve) -> anyhow::Result<Settings> {
    let (http, streams) = (&config.http, &config.streams);
    Ok(Settings {
        heartbeat: streams.heartbeat,
        max_body: http.max_body,
        max_init_message: streams.max_init_message,
        body_timeout: http.body_timeout,
        max_batch: http.max_batch,
        playground: http.playground,
        admin_token: admin_token(http)?,
        static_dir: http.static_dir.clone(),
        metrics_apart: http.ops_listen.is_some(),
    })
}

/// Returns the token of operators, if it is set.
fn admin_token(http: &config::Http) -> anyhow::Result<Option<AdminToken>> {
    let token = http.admin_token.as_ref();
    let token = token.map(|token| AdminToken::new(&token.0)).transpose();
    token.context("--admin-token (LIBRARY_SYNC_ADMIN_TOKEN)")
}

pub(super) fn graphql_limits(config: &Serve) -> graphql::Limits {
    graphql::Limits {
        heartbeat: config.streams.heartbeat,
        ticket_life: config.streams.ticket_life,
        ..config.graphql.clone()
    }
}

pub(super) fn connection_limits(config: &Serve) -> ConnectionLimits {
    ConnectionLimits {
        write_timeout: config.streams.write_timeout,
        header_timeout: config.http.header_timeout,
        idle_timeout: config.http.idle_timeout,
    }
}

/// Returns the limits on connections.
pub(super) fn slot_limits(config: &Serve) -> SlotLimits {
    // One pool for the database and one for its replica, each with one more connection that listens or writes.
    let databases = 1 + usize::from(config.database.read_database_url.is_some());
    let each = config.database.database_connections.saturating_add(1);
    let database_connections = databases * usize::try_from(each).unwrap_or(usize::MAX);
    let http = &config.http;
    let total = http::connections_that_fit(http.max_connections, database_connections);
    // Behind a proxy, connections of many clients have one address.
    let is_behind_proxy = http.rate.client_address_header.is_some();
    let default = if is_behind_proxy {
        0
    } else {
        total.div_ceil(2)
    };
    let per_address = http.max_connections_per_address.unwrap_or(default);
    SlotLimits { total, per_address }
}

/// Returns the limits on streams.
///
/// # Errors
/// When a drain would exceed the grace period, so that streams would be cut off before they end.
pub(super) fn stream_limits(config: &Serve) -> anyhow::Result<StreamLimits> {
    let (limits, grace) = (config.streams.limits.clone(), config.http.shutdown_grace);
    anyhow::ensure!(
        limits.drain_spread <= grace,
        "--drain-spread (LIBRARY_SYNC_DRAIN_SPREAD) is {}, longer than --shutdown-grace \
         (LIBRARY_SYNC_SHUTDOWN_GRACE), which is {}: give a shorter spread or a longer grace",
        humantime::format_duration(limits.drain_spread),
        humantime::format_duration(grace),
    );
    Ok(StreamLimits { grace, ..limits })
}

/// Returns the documents that a client may refer to by id or hash.
///
/// # Errors
/// When `--trusted-documents` cannot be read.
pub(super) fn documents(config: &config::Http) -> anyhow::Result<Documents> {
    let documents = Documents::new(KeepLimits {
        entries: config.persisted_documents,
        ..KeepLimits::default()
    });
    let Some(path) = &config.trusted_documents else {
        return Ok(documents);
    };
    let setting = "--trusted-documents (LIBRARY_SYNC_TRUSTED_DOCUMENTS)";
    let manifest = std::fs::read(path)
        .with_context(|| format!("{setting}: cannot read {}", path.display()))?;
    let manifest = serde_json::from_slice(&manifest).with_context(|| {
        format!(
            "{setting}: {} is not a JSON object of documents by id",
            path.display()
        )
    })?;
    Ok(documents.trust(manifest, config.only_trusted_documents))
}
