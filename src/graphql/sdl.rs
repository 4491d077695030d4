//! The schema in the schema definition language, in reading order: the root types, then each type after the first
//! reference to it. Fields keep their order of declaration.
//!
//! Workaround for async-graphql 8.0.0-rc.5, which sorts types by name without an option (no issue filed) and prints the
//! built-in directives. Delete when it can keep the order of declaration.

use std::collections::BTreeMap;

use apollo_compiler::{
    Name, Node,
    ast::{Definition, Document, FieldDefinition, InputValueDefinition},
};
use async_graphql::SDLExportOptions;

/// Root types, which are printed first.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// Returns the text of `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    let text = super::schema::builder().finish().sdl_with_options(options);
    // A test checks that the engine's SDL can be parsed. Otherwise the engine's order is good enough.
    let Ok(mut document) = Document::parse(text.as_str(), "schema.graphql") else {
        return text;
    };
    document.definitions = in_reading_order(document.definitions);
    format!("{}\n", document.to_string().trim_end())
}

fn in_reading_order(definitions: Vec<Definition>) -> Vec<Definition> {
    // Every schema has these directives and the names of these roots, so they are omitted.
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

/// Returns the types that a definition refers to, in order of reference.
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
