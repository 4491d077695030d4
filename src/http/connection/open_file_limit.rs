//! How many connections fit into the limit of open files.
//!
//! Each connection is an open file, and so is each file of the database and each link to a broker or a key server. A
//! node whose clients took all of them could not even reconnect to its database.
//!
//! **Invariant:** clients never take the files that the node needs for itself.

use rlimit::Resource;

/// How many files the node keeps for itself, beside those of the database: listeners, links to brokers and key servers,
/// connections that are refused, and what the runtime opens.
const KEPT: usize = 64;

/// How many files a connection to a database takes: SQLite's has the database, its log and its index open.
const PER_DATABASE_CONNECTION: usize = 3;

/// How many of the connections that are wanted there may be, so that the node keeps enough files for itself and its
/// `database_connections`. Warns when those are fewer.
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
            "--max-connections does not fit into the limit of open files, so fewer clients are served at once; raise \
             that limit (ulimit -n, systemd's LimitNOFILE) or lower --max-connections"
        );
    }
    wanted.min(fitting)
}

/// How many connections fit. Where files are scarce, half of them are the node's.
fn fitting(limit: usize, database_connections: usize) -> usize {
    let own = KEPT + PER_DATABASE_CONNECTION * database_connections;
    (limit - own.min(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_keeps_files_for_itself_and_its_database() {
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
