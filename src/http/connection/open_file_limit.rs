//! Lowers the connection limit to the limit of open files.
//!
//! Connections, database files and links to brokers and key servers are open files. If clients exhaust the limit, the
//! node cannot reconnect to its database.
//!
//! **Invariant:** client connections never use the files that the node reserves for itself.

use rlimit::Resource;

/// Files reserved for the node besides those of the database: listeners, links to brokers and key servers, refused
/// connections, and files of the runtime.
const RESERVED: usize = 64;

/// Files per database connection: SQLite opens the database, its write-ahead log and the log's index.
const PER_DATABASE_CONNECTION: usize = 3;

/// Returns the smaller of `wanted` and the number of connections that the limit of open files allows. The files of the
/// node and of its `database_connections` are subtracted from that limit. Logs a warning if it lowers `wanted`.
pub fn connections_that_fit(wanted: usize, database_connections: usize) -> usize {
    let Ok((limit, _)) = Resource::NOFILE.get() else {
        return wanted;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let fitting = fitting(limit, database_connections);
    if wanted > fitting {
        tracing::warn!(
            files.limit = limit,
            connections.wanted = wanted,
            connections.most = fitting,
            "--max-connections exceeds the limit of open files, so it is lowered; raise the limit (ulimit -n, systemd's \
             LimitNOFILE) or lower --max-connections"
        );
    }
    wanted.min(fitting)
}

/// Returns the maximum number of connections. The node reserves at most half of the files, so a low limit still serves
/// clients.
fn fitting(limit: usize, database_connections: usize) -> usize {
    let own = RESERVED + PER_DATABASE_CONNECTION * database_connections;
    (limit - own.min(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_reserves_files_for_itself_and_its_database() {
        for (limit, database_connections, connections) in [
            (1024, 10, 1024 - 64 - 30),
            (1_048_576, 100, 1_048_576 - 364),
            (100, 10, 50),
            (1, 10, 1),
            (0, 10, 1),
            (usize::MAX, 1000, usize::MAX - 3064),
        ] {
            assert_eq!(fitting(limit, database_connections), connections);
        }
        assert_eq!(connections_that_fit(1, 1), 1);
    }
}
