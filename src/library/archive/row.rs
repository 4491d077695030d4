//! Rows of an archive: from a database to JSON, and their checks on the way back.

use sea_orm::{DbErr, QueryResult};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::table::{Table, Type};
use crate::{
    library::model::{kind::Kind, text::fold},
    version::Head,
};

/// The columns of a row.
pub(super) type Row = Map<String, Value>;

/// Columns that hold a version.
const VERSIONS: [&str; 3] = ["stamp", "created_stamp", "version"];

/// Reads the columns of `table` in a selected row.
pub(super) fn of_result(table: &Table, from: &QueryResult) -> Result<Row, DbErr> {
    let column = |&(name, of): &(&str, Type)| {
        let value = match of {
            Type::Id => json!(from.try_get::<Uuid>("", name)?),
            Type::Text(_) => json!(from.try_get::<String>("", name)?),
            Type::OptionalText(_) => json!(from.try_get::<Option<String>>("", name)?),
            Type::Integer => json!(from.try_get::<i32>("", name)?),
            Type::OptionalInteger => json!(from.try_get::<Option<i32>>("", name)?),
            Type::SmallInteger => json!(from.try_get::<Option<i16>>("", name)?),
            Type::BigInteger => json!(from.try_get::<i64>("", name)?),
            Type::Boolean => json!(from.try_get::<bool>("", name)?),
        };
        Ok((name.to_owned(), value))
    };
    table.columns.iter().map(column).collect()
}

/// Returns a value as a statement's parameter.
pub(super) fn parameter(of: Type, value: &Value) -> sea_orm::Value {
    match of {
        Type::Id => {
            let id = value.as_str().and_then(|id| id.parse::<Uuid>().ok());
            id.into()
        }
        Type::Text(_) | Type::OptionalText(_) => value.as_str().map(str::to_owned).into(),
        _ => value.as_i64().into(),
    }
}

/// Checks a row of a file, whose library is at `head`, and adds the columns that are computed.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn check(table: &Table, row: &mut Row, head: Head) -> Result<(), String> {
    for &(name, of) in table.columns {
        let value = row.get(name).unwrap_or(&Value::Null);
        if !is_of(of, value) {
            return Err(format!("{}.{name}: {}", table.kind, rule(of)));
        }
        let is_current = table.kind != "write" || row["epoch"] == json!(head.epoch.number());
        if VERSIONS.contains(&name) && is_current {
            let version = value.as_i64().unwrap_or_default();
            if !(0..=i64::from(head.version.number())).contains(&version) {
                return Err(format!(
                    "{}.{name}: must be from 0 to the version of the library",
                    table.kind
                ));
            }
        }
    }
    let known = |name: &str| table.columns.iter().any(|(column, _)| *column == name);
    if let Some(unknown) = row.keys().find(|name| !known(name)) {
        return Err(format!("{}.{unknown}: is not a column", table.kind));
    }
    check_meaning(table, row)?;
    derive(table, row);
    Ok(())
}

/// Checks the texts that the server itself made.
fn check_meaning(table: &Table, row: &Row) -> Result<(), String> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let wrong = if text("kind").is_some_and(|kind| kind.parse::<Kind>().is_err()) {
        "kind: is not a kind of row"
    } else if text("held").is_some_and(|held| !is_json(held)) {
        "held: must be JSON"
    } else if text("was").is_some_and(|was| !is_json(was)) {
        "was: must be JSON"
    } else {
        return Ok(());
    };
    Err(format!("{}.{wrong}", table.kind))
}

fn is_of(of: Type, value: &Value) -> bool {
    let is_text = |most: usize| {
        let text = value.as_str();
        // PostgreSQL stores no NUL.
        text.is_some_and(|text| text.chars().count() <= most && !text.contains('\0'))
    };
    let is_in = |least: i64, most: i64| value.as_i64().is_some_and(|n| (least..=most).contains(&n));
    match of {
        Type::Id => value.as_str().is_some_and(|id| id.parse::<Uuid>().is_ok()),
        Type::Text(most) => is_text(most),
        Type::OptionalText(most) => value.is_null() || is_text(most),
        Type::Integer => is_in(i32::MIN.into(), i32::MAX.into()),
        Type::OptionalInteger => value.is_null() || is_in(0, i32::MAX.into()),
        Type::SmallInteger => value.is_null() || is_in(0, 50),
        Type::BigInteger => value.is_i64(),
        Type::Boolean => value.is_boolean(),
    }
}

fn rule(of: Type) -> String {
    match of {
        Type::Id => "must be a UUID".to_owned(),
        Type::Text(most) => format!("must be text of at most {most} characters, without NUL"),
        Type::OptionalText(most) => {
            format!("must be null, or text of at most {most} characters, without NUL")
        }
        Type::Integer | Type::BigInteger => "must be an integer".to_owned(),
        Type::OptionalInteger => "must be null, or an integer from 0".to_owned(),
        Type::SmallInteger => "must be null, or an integer from 0 to 50".to_owned(),
        Type::Boolean => "must be true or false".to_owned(),
    }
}

/// Adds the columns by which this version sorts and searches.
fn derive(table: &Table, row: &mut Row) {
    let folded = |row: &Row, name: &str| {
        let text = row.get(name).and_then(Value::as_str);
        text.map(fold).unwrap_or_default()
    };
    match table.kind {
        "story" => {
            let [title, author, description] =
                ["title", "author", "description"].map(|name| folded(row, name));
            let search = format!("{title}\n{author}\n{description}");
            row.insert("title_key".to_owned(), title.into());
            row.insert("author_key".to_owned(), author.into());
            row.insert("search_key".to_owned(), search.into());
        }
        "progress" => {
            let search = folded(row, "notes");
            row.insert("search_key".to_owned(), search.into());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{library::archive::table::TABLES, version::testing::head};

    fn checked(kind: &str, row: Value) -> Result<Row, String> {
        let table = TABLES.iter().find(|table| table.kind == kind).unwrap();
        let Value::Object(mut row) = row else {
            panic!()
        };
        check(table, &mut row, head(7, 9)).map(|()| row)
    }

    #[test]
    fn a_row_that_breaks_a_rule_is_refused_by_its_column() {
        let id = Uuid::nil();
        let tag = json!({"id": id, "stamp": 9, "created_stamp": 0, "name": "A", "name_key": "a", "created_at": 1, "updated_at": 1});
        assert!(checked("tag", tag.clone()).is_ok());
        for (column, value) in [
            ("id", json!("x")),
            ("stamp", json!(10)),
            ("stamp", json!("9")),
            ("created_stamp", json!(-1)),
            ("name", json!("x".repeat(101))),
            ("name", json!("a\0b")),
            ("name", Value::Null),
            ("created_at", json!(1.5)),
            ("color", json!("red")),
        ] {
            let mut wrong = tag.clone();
            wrong[column] = value;
            let why = checked("tag", wrong).unwrap_err();
            assert!(why.starts_with(&format!("tag.{column}: ")), "{why}");
        }
    }

    #[test]
    fn a_write_of_an_earlier_epoch_may_have_a_greater_version() {
        let write = |epoch| json!({"epoch": epoch, "version": 50, "kinds": "Story", "device_id": null, "device_name": null, "written_at": 1, "total": 0});
        assert!(checked("write", write(6)).is_ok());
        assert!(checked("write", write(7)).is_err());
    }
}
