//! The size of the history that a write produces.

use metrics::counter;

/// Size of a history row without its text, in bytes.
const HISTORY_ROW: i64 = 200;

/// Returns the size of a history row with a text of so many bytes.
pub(super) fn row_size(text: usize) -> i64 {
    let text = i64::try_from(text).unwrap_or(i64::MAX / 2);
    HISTORY_ROW.saturating_add(text)
}

/// Counts the history that a committed write has produced and purged.
pub(super) fn count_history(bytes: i64, purged: u64) {
    let produced = u64::try_from(bytes).unwrap_or_default();
    counter!("library_sync_history_bytes_total").increment(produced);
    counter!("library_sync_history_rows_purged_total", "reason" => "size").increment(purged);
}
