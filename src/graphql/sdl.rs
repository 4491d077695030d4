//! The schema in GraphQL's definition language, in the order in which one reads it: the roots, then each type after the
//! first that refers to it, fields as they are declared.
//!
//! The engine sorts types by name (async-graphql 8.0.0-rc.5, which has no option for another order; none filed), and
//! prints the directives that every schema has. To be dropped when it keeps the order of declaration.

use std::collections::BTreeMap;

use apollo_compiler::{
    Name, Node,
    ast::{Definition, Document, FieldDefinition, InputValueDefinition},
};
use async_graphql::SDLExportOptions;

/// The root types, which come first.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// The schema as in `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    let text = super::schema::builder().finish().sdl_with_options(options);
    // The engine prints what can be parsed, as a test holds. If it did not, its own order would do.
    let Ok(mut document) = Document::parse(text.as_str(), "schema.graphql") else {
        return text;
    };
    document.definitions = in_reading_order(document.definitions);
    format!("{}\n", document.to_string().trim_end())
}

fn in_reading_order(definitions: Vec<Definition>) -> Vec<Definition> {
    // Directives and the names of the roots are those that every schema has.
    let mut types: BTreeMap<Name, Definition> = definitions
        .into_iter()
        .filter(|it| !matches!(it, Definition::DirectiveDefinition(_)))
        .filter_map(|it| Some((it.name()?.clone(), it)))
        .collect();
    let roots = ROOTS.into_iter().filter_map(|root| types.remove(root));
    let mut ordered: Vec<_> = roots.collect();
    let mut waiting: Vec<_> = ordered.iter().flat_map(named_types).collect();
    waiting.reverse();
    while let Some(name) = waiting.pop() {
        if let Some(definition) = types.remove(&name) {
            waiting.extend(named_types(&definition).into_iter().rev());
            ordered.push(definition);
        }
    }
    ordered.extend(types.into_values());
    ordered
}

/// The types that a definition names, in their order.
fn named_types(definition: &Definition) -> Vec<Name> {
    match definition {
        Definition::ObjectTypeDefinition(object) => {
            let interfaces = object.implements_interfaces.iter().cloned();
            interfaces.chain(of_fields(&object.fields)).collect()
        }
        Definition::InterfaceTypeDefinition(interface) => of_fields(&interface.fields).collect(),
        Definition::UnionTypeDefinition(union) => union.members.clone(),
        Definition::InputObjectTypeDefinition(input) => of_inputs(&input.fields).collect(),
        _ => Vec::new(),
    }
}

fn of_fields(fields: &[Node<FieldDefinition>]) -> impl Iterator<Item = Name> {
    fields.iter().flat_map(|field| {
        let arguments = of_inputs(&field.arguments);
        arguments.chain([field.ty.inner_named_type().clone()])
    })
}

fn of_inputs(inputs: &[Node<InputValueDefinition>]) -> impl Iterator<Item = Name> {
    inputs
        .iter()
        .map(|input| input.ty.inner_named_type().clone())
}
