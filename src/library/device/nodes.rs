//! [`RunningNode`]: a node on the same database, as its row says.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    library::{error::Error, handle::Library},
    unix_time::time_of,
};

/// The running nodes, with the streams of devices that name themselves.
const RUNNING: &str = "
SELECT n.id, n.name, n.started_at, count(s.number) AS streams
FROM topaz_node n LEFT JOIN topaz_stream s ON s.node_id = n.id
WHERE n.live_until > {now} GROUP BY n.id, n.name, n.started_at ORDER BY n.name, n.id LIMIT 100";

/// A node that has renewed its row lately.
#[derive(Debug, Clone)]
pub struct RunningNode {
    /// Its name.
    pub name: String,
    /// Time at which it started.
    pub started_at: OffsetDateTime,
    /// Number of its open streams of devices that name themselves. Up to `--device-interval` old.
    pub streams: u64,
    /// Whether it is the node that was asked.
    pub is_this: bool,
}

impl Library {
    /// Returns the name of this node.
    pub fn node_name(&self) -> String {
        self.device_log.node_name()
    }

    /// Returns up to 100 running nodes on this database, by name. A node that crashed is listed for up to one minute, and
    /// one that has just started is missing for a moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn running_nodes(&self) -> Result<Vec<RunningNode>, Error> {
        let rows = self.run_statement(RUNNING, []).await?;
        let node = |row: &sea_orm::QueryResult| {
            let started_at = time_of(row.try_get("", "started_at")?);
            Ok(RunningNode {
                name: row.try_get("", "name")?,
                started_at: started_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                streams: row.try_get::<i64>("", "streams")?.unsigned_abs(),
                is_this: row.try_get::<Uuid>("", "id")? == self.device_log.node(),
            })
        };
        rows.iter().map(node).collect()
    }
}
