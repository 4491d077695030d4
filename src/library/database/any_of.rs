//! The condition that a column holds one of many values, in a statement whose text does not depend on their number.
//!
//! PostgreSQL gets the values as one array. A statement is then prepared once, not once per number of values, and its
//! generic plan looks each value up in an index. With separate parameters, that plan scans all rows of the user and
//! compares each with every value. SQLite uses the index either way; it gets texts as one JSON array, for the same
//! reason, and ids separately, because JSON has no bytes.
//!
//! The array is bound as text, because sea-orm binds arrays only with an otherwise unneeded feature. A subquery parses it
//! once. Without it, a plan that compares each row with the array would parse the text for each row: such plans are made
//! while tables are small or have no statistics.

use sea_orm::{DbBackend, ExprTrait as _, IntoSimpleExpr, sea_query::Expr};
use uuid::Uuid;

/// A value of the list.
pub(in crate::library) trait Element: Copy + Into<sea_orm::Value> {
    /// PostgreSQL's condition on a column and the array's text.
    const IN_ARRAY: &'static str;

    /// SQLite's condition that `column` holds one of `values`.
    fn in_list(column: Expr, values: impl IntoIterator<Item = Self>) -> Expr {
        column.is_in(values)
    }

    /// Appends the value to the array's text.
    fn push_to(self, array: &mut String);
}

impl Element for Uuid {
    const IN_ARRAY: &'static str = "$1 = ANY(CAST((SELECT CAST($2 AS uuid[])) AS uuid[]))";

    fn push_to(self, array: &mut String) {
        array.push_str(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }
}

impl Element for &str {
    const IN_ARRAY: &'static str = "$1 = ANY(CAST((SELECT CAST($2 AS text[])) AS text[]))";

    fn in_list(column: Expr, values: impl IntoIterator<Item = Self>) -> Expr {
        let values = values.into_iter().map(serde_json::Value::from).collect();
        let values = serde_json::Value::Array(values).to_string();
        Expr::cust_with_exprs(IN_JSON, [column, Expr::val(values)])
    }

    /// Quotes the text (PostgreSQL manual, section 8.15.2).
    fn push_to(self, array: &mut String) {
        array.push('"');
        for letter in self.chars() {
            if matches!(letter, '"' | '\\') {
                array.push('\\');
            }
            array.push(letter);
        }
        array.push('"');
    }
}

/// SQLite's condition on a column and a JSON array.
const IN_JSON: &str = "? IN (SELECT value FROM json_each(?))";

/// The condition that `column` holds one of `values`. SQLite takes at most 32,766 ids.
pub(in crate::library) fn one_of<V: Element>(
    backend: DbBackend,
    column: impl IntoSimpleExpr,
    values: impl IntoIterator<Item = V>,
) -> Expr {
    let column = column.into_simple_expr();
    if backend != DbBackend::Postgres {
        return V::in_list(column, values);
    }
    Expr::cust_with_exprs(V::IN_ARRAY, [column, Expr::val(array(values))])
}

/// The array's text.
fn array<V: Element>(values: impl IntoIterator<Item = V>) -> String {
    let mut array = String::from("{");
    for value in values {
        if array.len() > 1 {
            array.push(',');
        }
        value.push_to(&mut array);
    }
    array.push('}');
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_an_array_are_quoted() {
        assert_eq!(array::<&str>([]), "{}");
        assert_eq!(array(["a", "b,c"]), r#"{"a","b,c"}"#);
        assert_eq!(
            array([r#"a"b\c"#, "", "NULL", "{}"]),
            r#"{"a\"b\\c","","NULL","{}"}"#
        );
    }

    #[test]
    fn ids_in_an_array_are_separated() {
        let ids = [Uuid::nil(), Uuid::max()];
        let text = "{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}";
        assert_eq!(array(ids), text);
    }
}
