//! SQL that the two databases spell differently.

use sea_orm::DbBackend;

/// The function that returns the greatest of its arguments.
pub(in crate::library) const fn greatest(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "max",
        _ => "greatest",
    }
}

/// The function that returns the least of its arguments.
pub(in crate::library) const fn least(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "min",
        _ => "least",
    }
}

/// The rows of the JSON array in parameter 1 as a table `alias`, with `columns` and their types.
pub(in crate::library) fn json_rows(
    backend: DbBackend,
    alias: &str,
    columns: &[(&str, &str)],
) -> String {
    let columns = columns.iter().map(|(name, kind)| match backend {
        DbBackend::Sqlite => format!("json_extract(value, '$.{name}') AS {name}"),
        _ => format!("{name} {kind}"),
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    match backend {
        DbBackend::Sqlite => format!("(SELECT {columns} FROM json_each($1)) AS {alias}"),
        _ => format!("jsonb_to_recordset(CAST($1 AS jsonb)) AS {alias} ({columns})"),
    }
}
