//! That a column holds one of many values, in a statement whose text is the same for however many.
//!
//! PostgreSQL gets the values as one array. A statement is then prepared once, not once a number of values, and its
//! plan for the average user looks each value up in an index; given the values one by one, that plan reads all rows of
//! the user and compares each with every value. SQLite looks up by index either way.
//!
//! The array is bound as its text, since sea-orm binds arrays only with a feature that none of the rest needs.

use sea_orm::{DbBackend, ExprTrait as _, IntoSimpleExpr, sea_query::Expr};
use uuid::Uuid;

/// A value of such a list.
pub(in crate::library) trait Element: Copy + Into<sea_orm::Value> {
    /// PostgreSQL's condition on a column and the text of an array.
    const IN_ARRAY: &'static str;

    /// Adds the value to the text of an array.
    fn push_to(self, array: &mut String);
}

impl Element for Uuid {
    const IN_ARRAY: &'static str = "$1 = ANY(CAST($2 AS uuid[]))";

    fn push_to(self, array: &mut String) {
        array.push_str(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }
}

impl Element for &str {
    const IN_ARRAY: &'static str = "$1 = ANY(CAST($2 AS text[]))";

    /// Quoted, as PostgreSQL's manual has it in section 8.15.2.
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

/// That `column` holds one of `values`. SQLite takes 32,766 at most.
pub(in crate::library) fn one_of<V: Element>(
    backend: DbBackend,
    column: impl IntoSimpleExpr,
    values: impl IntoIterator<Item = V>,
) -> Expr {
    let column = column.into_simple_expr();
    if backend != DbBackend::Postgres {
        return column.is_in(values);
    }
    Expr::cust_with_exprs(V::IN_ARRAY, [column, Expr::val(array(values))])
}

/// The text of an array.
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
