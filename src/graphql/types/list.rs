//! Long lists, whose elements are resolved one after another.
//!
//! async-graphql (8.0.0-rc.5) resolves the elements of a `Vec` concurrently, with a task for each. That gains nothing where
//! one read serves all elements, and costs a tenth of the time of a full page of changes. It also shortens the path of an
//! error to that of the element.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value, parser::types::Field,
    registry::Registry,
};

/// A list whose elements share their reads: the first one reads the rows of all, in a
/// [`Batch`](crate::graphql::batch::Batch).
pub(in crate::graphql) struct List<T>(pub Vec<T>);

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl<T: OutputType> OutputType for List<T> {
    fn type_name() -> Cow<'static, str> {
        <Vec<T> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<T> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<T> as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let mut values = Vec::with_capacity(self.0.len());
        for (index, element) in self.0.iter().enumerate() {
            let ctx = ctx.with_index(index);
            let value = element.resolve(&ctx, field).await;
            values.push(value.map_err(|error| match error.path[..] {
                [] => ctx.set_error_path(error),
                // The path of a field of the element.
                _ => error,
            })?);
        }
        Ok(Value::List(values))
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Error, Object, Schema, SimpleObject};
    use serde_json::json;

    use super::*;

    struct Element(i32);

    #[Object]
    impl Element {
        fn number(&self) -> Result<i32, Error> {
            (self.0 < 3)
                .then_some(self.0)
                .ok_or_else(|| Error::new("too high"))
        }
    }

    #[derive(SimpleObject)]
    struct Query {
        elements: Option<List<Element>>,
    }

    async fn answer(count: i32) -> serde_json::Value {
        let query = Query {
            elements: Some((0..count).map(Element).collect()),
        };
        let schema = Schema::new(query, EmptyMutation, EmptySubscription);
        assert!(schema.sdl().contains("elements: [Element!]\n"));
        let response = schema.execute("{ elements { number } }").await;
        serde_json::to_value(response).unwrap()
    }

    #[tokio::test]
    async fn elements_keep_their_order_and_an_error_names_its_field() {
        assert_eq!(answer(0).await["data"], json!({"elements": []}));
        let all = json!({"elements": [{"number": 0}, {"number": 1}, {"number": 2}]});
        assert_eq!(answer(3).await["data"], all);
        let failed = answer(5).await;
        assert_eq!(failed["data"], json!({"elements": null}));
        assert_eq!(failed["errors"].as_array().unwrap().len(), 1);
        assert_eq!(
            failed["errors"][0]["path"],
            json!(["elements", 3, "number"])
        );
    }
}
