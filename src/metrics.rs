//! The metrics, in one table, and how they are collected.
//!
//! | name | kind | unit | labels |
//! |---|---|---|---|
//! | `library_sync_http_requests_total` | counter | requests | `route`, `status` |
//! | `library_sync_http_request_seconds` | histogram | seconds until the answer begins | `route` |
//! | `library_sync_requests_too_fast_total` | counter | requests | `of`: user, address |
//! | `library_sync_connections_refused_total` | counter | connections | |
//! | `library_sync_accept_errors_total` | counter | accepts that failed, as for want of open files | |
//! | `library_sync_write_retries_total` | counter | transactions begun again because others were in the way | |
//! | `library_sync_waits_given_up_total` | counter | operations that were not begun within `--database-wait` | `for`: write, read, query; `reason`: user (their own others were in the way), database |
//! | `library_sync_db_statements_total` | counter | statements | `outcome`: ok, error |
//! | `library_sync_db_statement_seconds` | histogram | seconds | |
//! | `library_sync_streams` | gauge | open streams | `transport`: websocket, sse, multipart, events |
//! | `library_sync_streams_refused_total` | counter | streams | `transport`; `code`: TOO_MANY_STREAMS, UNAVAILABLE |
//! | `library_sync_pending_sockets_refused_total` | counter | WebSockets without `connection_ack` | `reason`: address (refused), total (closed for a newer one) |
//! | `library_sync_stream_ends_total` | counter | streams | `transport`; `reason`: expired, too_old, drained, completed, silent (WebSocket), unavailable (a subscription could not begin), violation (of the WebSocket's protocol), gone (the client left or did not read) |
//! | `library_sync_broker_connected` | gauge | links that are up: 1, or one a shard of a Redis Cluster | `broker`: postgres, redis, redis_cluster, nats |
//! | `library_sync_broker_reconnects_total` | counter | links made again after one was lost | `broker` |
//! | `library_sync_broker_watched_users` | gauge | users whose notices are wanted here | `broker` |
//! | `library_sync_broker_notices_published_total` | counter | notices that a server has taken | `broker` |
//! | `library_sync_broker_notices_received_total` | counter | notices that came from a server, this node's own among them | `broker` |
//! | `library_sync_broker_notices_dropped_total` | counter | notices | `broker`; `reason`: malformed, too_long, no_room, lost_on_purpose |
//! | `library_sync_errors_total` | counter | errors that clients were answered | `code` |
//! | `library_sync_ready` | gauge | 1 while `/readyz` answers 200 | |
//! | `library_sync_database_up` | gauge | 0 from "database lost" to "database back" in the log | |
//! | `library_sync_db_connections` | gauge | connections | `pool`: write (PostgreSQL: all but the replica's), read, replica; `state`: used, idle |
//! | `library_sync_process_resident_bytes` | gauge | bytes of memory that are resident (Linux) | |
//! | `library_sync_process_open_files` | gauge | file descriptors that are open (Linux) | |
//! | `library_sync_process_max_files` | gauge | how many may be open | |
//! | `library_sync_jwks_fetches_total` | counter | fetches of the key server's keys | `outcome` |
//! | `library_sync_jwks_age_seconds` | gauge | seconds since the newest keys came, at the last fetch | |

use std::sync::OnceLock;

use metrics::gauge;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Collects metrics from now on, and returns what renders them. The same handle at every call in a process.
///
/// Whoever holds it calls its `run_upkeep` now and then: until then, or until it renders, every measurement is kept.
pub fn collect() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics stays empty");
        }
        handle
    };
    HANDLE.get_or_init(install).clone()
}

/// Sets the gauges of this process. What the system does not tell is left out.
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
