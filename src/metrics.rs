//! The table of all metrics, and their collection.
//!
//! | name | kind | unit | labels |
//! |---|---|---|---|
//! | `library_sync_http_requests_total` | counter | requests | `route`, `status` |
//! | `library_sync_http_request_seconds` | histogram | seconds until the response begins | `route` |
//! | `library_sync_requests_too_fast_total` | counter | requests | `of`: user, address |
//! | `library_sync_connections` | gauge | open connections at the time of the fetch | `state`: authenticated, unauthenticated |
//! | `library_sync_max_connections` | gauge | maximum number of connections | |
//! | `library_sync_connections_evicted_total` | counter | unauthenticated connections closed for new ones | |
//! | `library_sync_connections_refused_total` | counter | connections | `reason`: total, address |
//! | `library_sync_accept_errors_total` | counter | failed accepts, for example because no file descriptor is free | |
//! | `library_sync_changes_total` | counter | committed changes of libraries | |
//! | `library_sync_group_commits_total` | counter | commits of changes on SQLite; concurrent changes share one | |
//! | `library_sync_write_retries_total` | counter | transactions retried after a conflict with other transactions | |
//! | `library_sync_waits_given_up_total` | counter | operations that got no connection within `--database-wait` | `for`: write, read, query; `reason`: user (waited for the user's other operations), database |
//! | `library_sync_db_statements_total` | counter | statements | `outcome`: ok, error |
//! | `library_sync_db_statement_seconds` | histogram | seconds | |
//! | `library_sync_streams` | gauge | open streams | `transport`: websocket, sse, multipart, events |
//! | `library_sync_streams_refused_total` | counter | streams | `transport`; `code`: TOO_MANY_STREAMS, UNAVAILABLE |
//! | `library_sync_pending_sockets_refused_total` | counter | WebSockets without `connection_ack` | `reason`: address (refused), total (the oldest was closed) |
//! | `library_sync_stream_ends_total` | counter | streams | `transport`; `reason`: expired, too_old, drained, completed, silent (WebSocket), unavailable (a subscription could not start), violation (of the WebSocket protocol), gone (the client disconnected or did not read) |
//! | `library_sync_commit_to_event_seconds` | histogram | seconds from a commit to its event on a stream | `transport`: websocket, sse, multipart, events; `broker`: local (this node), postgres, redis, redis_cluster, nats, recheck (the notice was lost) |
//! | `library_sync_commit_to_applied_seconds` | histogram | seconds from a commit to the report of a device that it shows the change | `transport`; `broker` |
//! | `library_sync_device_lag_versions` | histogram | versions that a device is behind when it reports | |
//! | `library_sync_notices_healed_total` | counter | changes that a recheck found because their notice was lost or late | |
//! | `library_sync_stream_resumes_total` | counter | reconnects with `Last-Event-ID` | `result`: up_to_date, behind, ahead, other_epoch |
//! | `library_sync_delta_resets_total` | counter | deltas that made the client load from scratch | `reason`: below_floor, ahead, other_epoch |
//! | `library_sync_delta_changes` | histogram | changes in one page of a delta | |
//! | `library_sync_conflicts_total` | counter | changes that met changes of other devices since their base | `resolution`: merged (nothing was lost), left (fields were left), rejected |
//! | `library_sync_mutation_replays_total` | counter | retries that were answered from their receipt | |
//! | `library_sync_spans_exported_total` | counter | spans that the collector accepted | |
//! | `library_sync_spans_dropped_total` | counter | spans | `reason`: queue_full, not_sent |
//! | `library_sync_broker_connected` | gauge | connections to the broker: 1, or one per shard of a Redis Cluster | `broker`: postgres, redis, redis_cluster, nats |
//! | `library_sync_broker_reconnects_total` | counter | reconnects after a lost connection | `broker` |
//! | `library_sync_broker_watched_users` | gauge | users whose notices this node subscribes to | `broker` |
//! | `library_sync_broker_notices_published_total` | counter | notices that the broker accepted | `broker` |
//! | `library_sync_broker_notices_received_total` | counter | notices received from the broker, including this node's own | `broker` |
//! | `library_sync_broker_notices_dropped_total` | counter | notices | `broker`; `reason`: malformed, too_long, no_room, lost_on_purpose |
//! | `library_sync_errors_total` | counter | errors in responses | `code` |
//! | `library_sync_epochs_begun_total` | counter | epochs begun by the server itself | `reason`: head_fell, client_ahead, versions_used_up |
//! | `library_sync_erasures_total` | counter | erased accounts | |
//! | `library_sync_history_bytes_total` | counter | bytes of history that changes produced, as `--max-history-bytes` counts them | |
//! | `library_sync_history_rows_purged_total` | counter | rows of history | `reason`: age (`--keep-history`), size (`--max-history-bytes`) |
//! | `library_sync_clock_skew_seconds` | gauge | how far this node's clock is ahead of the database's, in seconds | |
//! | `library_sync_replica_usable` | gauge | 1 while the replica may be read | |
//! | `library_sync_replica_lag_seconds` | gauge | time since the primary passed the replica's position, in seconds (PostgreSQL) | |
//! | `library_sync_replica_queries_total` | counter | queries with a replica configured | `answered_by`: replica, primary |
//! | `library_sync_ready` | gauge | 1 while `/readyz` returns 200 | |
//! | `library_sync_database_up` | gauge | 0 from "database lost" to "database back" in the log | |
//! | `library_sync_db_connections` | gauge | connections | `pool`: write (PostgreSQL: all but the replica's), read, replica; `state`: used, idle |
//! | `library_sync_process_resident_bytes` | gauge | bytes of resident memory (Linux) | |
//! | `library_sync_process_open_files` | gauge | open file descriptors (Linux) | |
//! | `library_sync_process_max_files` | gauge | limit of open file descriptors | |
//! | `library_sync_jwks_fetches_total` | counter | fetches of the JWKS | `outcome`: ok, or why it failed |
//! | `library_sync_jwks_age_seconds` | gauge | age of the cached keys at the last fetch, in seconds | |
//! | `library_sync_push_sent_total` | counter | requests to push services | `vendor`: mozilla, google, apple, microsoft, other |
//! | `library_sync_push_delivered_total` | counter | messages that a push service accepted | `vendor` |
//! | `library_sync_push_gone_total` | counter | endpoints removed, because they no longer exist or failed for 14 days | `vendor` |
//! | `library_sync_push_failed_total` | counter | messages that are sent again later | `vendor`; `reason`: throttled, unavailable, unreachable, refused (this server's settings), private_address |
//! | `library_sync_push_skipped_total` | counter | due endpoints that were sent no message | `vendor`; `reason`: applied, live (has an open stream), origin (made the change), expired |
//! | `library_sync_push_commit_to_accepted_seconds` | histogram | seconds from the newest change to the acceptance of its message | `vendor` |
//! | `library_sync_webhook_calls_total` | counter | calls of the webhook | `outcome`: ok, failed |

use std::sync::OnceLock;

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Starts collecting metrics, and returns the handle that renders them. Later calls return the same handle.
///
/// The caller runs its `run_upkeep` periodically: until then, or until it renders, every measurement is kept.
pub fn collect() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = with_buckets(PrometheusBuilder::new()).build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics stays empty");
        }
        handle
    };
    HANDLE.get_or_init(install).clone()
}

/// Sets the buckets of the histograms that objectives are computed from. The others are summaries.
#[expect(clippy::expect_used, reason = "it fails only without buckets")]
fn with_buckets(builder: PrometheusBuilder) -> PrometheusBuilder {
    const SECONDS: [f64; 15] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ];
    const COUNTS: [f64; 9] = [0.0, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0];
    let buckets: [(&str, &[f64]); 4] = [
        ("library_sync_commit_to_event_seconds", &SECONDS),
        ("library_sync_commit_to_applied_seconds", &SECONDS),
        ("library_sync_device_lag_versions", &COUNTS),
        ("library_sync_delta_changes", &COUNTS),
    ];
    let mut builder = builder;
    for (name, values) in buckets {
        let set = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), values);
        builder = set.expect("there are buckets");
    }
    builder
}

/// Sets the gauges of this process. Omits those that the system does not report.
pub fn measure_process() {
    if let Ok((files, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        gauge!("library_sync_process_max_files").set(f64::from(files));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        let files = u32::try_from(files.count()).unwrap_or(u32::MAX);
        gauge!("library_sync_process_open_files").set(f64::from(files));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        let kibibytes = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
        kibibytes.parse::<u32>().ok()
    });
    if let Some(kibibytes) = resident {
        gauge!("library_sync_process_resident_bytes").set(f64::from(kibibytes) * 1024.0);
    }
}
