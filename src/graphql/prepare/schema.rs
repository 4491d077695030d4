//! The schema for validating client documents: our SDL with the introspection fields that the engine supports.

use std::{collections::HashSet, sync::LazyLock};

use apollo_compiler::{Schema, schema::ExtendedType, validation::Valid};
use futures_util::FutureExt as _;

/// Introspection types. Fields that the engine does not support are removed from them.
const INTROSPECTION: [&str; 6] = [
    "__Schema",
    "__Type",
    "__Field",
    "__InputValue",
    "__EnumValue",
    "__Directive",
];

/// The validated schema. It is the same for all servers of a process.
pub(super) static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the text is the engine's own, the same in every run"
    )]
    let schema = Schema::parse_and_validate(crate::graphql::sdl(), "schema.graphql")
        .expect("a schema can be read as it is printed");
    let mut schema = schema.into_inner();
    for name in INTROSPECTION {
        if let Some(ExtendedType::Object(ty)) = schema.types.get_mut(name) {
            let known = fields_of_engine(name);
            ty.make_mut()
                .fields
                .retain(|field, _| known.contains(field.as_str()));
        }
    }
    Valid::assume_valid(schema)
});

/// Returns the fields of an introspection type that the engine supports. async-graphql 8.0.0-rc.5 lacks
/// `__Schema.directives(includeDeprecated:)`, for example (no issue filed).
fn fields_of_engine(name: &str) -> HashSet<String> {
    let query = format!("{{ __type(name: \"{name}\") {{ fields {{ name }} }} }}");
    let schema = crate::graphql::schema::builder().finish();
    let answer = schema.execute(query).now_or_never();
    let answer = answer.and_then(|answer| answer.data.into_json().ok());
    let fields = answer
        .as_ref()
        .and_then(|answer| answer["__type"]["fields"].as_array());
    let name = |field: &serde_json::Value| field["name"].as_str().map(str::to_owned);
    fields.into_iter().flatten().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use apollo_compiler::ast::OperationType;

    use super::*;

    #[test]
    fn the_engine_tells_its_types_of_introspection() {
        for name in INTROSPECTION {
            assert!(fields_of_engine(name).contains("name") || name == "__Schema");
        }
        assert!(SCHEMA.type_field("__Type", "ofType").is_ok());
    }

    #[test]
    fn what_takes_a_custom_scalar_takes_no_object() {
        // Validation does not check variables inside an object literal for a custom scalar.
        let of_text = ["Head"];
        for ty in SCHEMA.types.values() {
            let inputs: Vec<_> = match ty {
                ExtendedType::InputObject(ty) => ty.fields.values().map(|it| &it.ty).collect(),
                ExtendedType::Object(ty) => {
                    let fields = ty.fields.values();
                    fields
                        .flat_map(|field| field.arguments.iter().map(|it| &it.ty))
                        .collect()
                }
                _ => continue,
            };
            for input in inputs {
                let name = input.inner_named_type();
                let named = SCHEMA.types.get(name).unwrap();
                assert!(
                    named.as_scalar().is_none()
                        || named.is_built_in()
                        || of_text.contains(&name.as_str()),
                    "{input}"
                );
            }
        }
    }

    #[test]
    fn every_mutation_takes_one_input_and_returns_the_version() {
        let mutation = SCHEMA.root_operation(OperationType::Mutation).unwrap();
        let mutations = &SCHEMA.get_object(mutation).unwrap().fields;
        for (name, mutation) in mutations {
            // If a mutation fails, its field is null and other fields keep their values.
            assert!(!mutation.ty.is_non_null(), "{name}");
            let payload = SCHEMA.get_object(mutation.ty.inner_named_type()).unwrap();
            let version = &payload.fields["libraryVersion"];
            assert_eq!(version.ty.to_string(), "Int!", "{name}");
            let [input] = &mutation.arguments[..] else {
                panic!("{name}")
            };
            assert!(input.name == "input" && input.is_required(), "{name}");
            let input = SCHEMA
                .get_input_object(input.ty.inner_named_type())
                .unwrap();
            let can_refuse = !["unregisterPushEndpoint", "signOutEverywhere"].contains(&&**name);
            assert_eq!(payload.fields.contains_key("refusal"), can_refuse, "{name}");
            // Without a change there is nothing to replay, and nothing to notify of.
            let description = mutation.description.as_deref().unwrap();
            let apart = description.contains("Does not change the library.");
            // After an erasure nothing is kept, so no result can be replayed.
            if apart || name == "eraseAccount" {
                continue;
            }
            for (field, ty) in [("idempotencyKey", "String"), ("device", "DeviceInput")] {
                assert_eq!(input.fields[field].ty.to_string(), ty, "{name}");
            }
        }
        assert!(mutations.len() > 10);
    }
}
