//! What the schema's types look like, as the checks before execution need to know.
//!
//! Read from the schema's own SDL, because the engine keeps its registry to itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_graphql::{
    Name, Positioned, Value as ConstValue,
    parser::{
        parse_schema,
        types::{
            BaseType, FieldDefinition, InputValueDefinition, OperationType, Type, TypeKind,
            TypeSystemDefinition,
        },
    },
};

/// The types of a schema.
pub(super) struct Shapes {
    types: HashMap<Name, Shape>,
    roots: [Option<Name>; 3],
}

/// What a type is made of.
pub(super) enum Shape {
    Scalar,
    Enum(HashSet<Name>),
    Input(BTreeMap<Name, Slot>),
    Output(Fields),
}

/// The fields of an object or an interface; none of a union.
pub(super) type Fields = HashMap<Name, OutputField>;

/// A field that can be selected.
pub(super) struct OutputField {
    ty: Type,
    pub arguments: HashMap<Name, Slot>,
    pub count: Count,
}

/// How many things a field returns, as far as the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// One, or the elements of the page that it is in, which are counted there.
    One,
    /// As many as its argument `first` says.
    First,
    /// Some: a list in an object.
    Some,
    /// All that a user has: a list at the root.
    All,
}

/// A place that takes a value: an argument or a field of an input object.
pub(super) struct Slot {
    pub ty: Type,
    pub default: Option<ConstValue>,
}

impl Shapes {
    /// Reads the types that a schema printed.
    pub fn parse(sdl: &str) -> Result<Self, async_graphql::parser::Error> {
        let mut types: HashMap<Name, Shape> = ["Int", "Float", "String", "Boolean", "ID"]
            .map(|name| (Name::new(name), Shape::Scalar))
            .into();
        let mut roots = [None, None, None];
        for definition in parse_schema(sdl)?.definitions {
            match definition {
                TypeSystemDefinition::Type(definition) => {
                    let shape = shape(definition.node.kind);
                    types.insert(definition.node.name.node, shape);
                }
                TypeSystemDefinition::Schema(schema) => {
                    let schema = schema.node;
                    roots = [schema.query, schema.mutation, schema.subscription]
                        .map(|root| root.map(|root| root.node));
                }
                TypeSystemDefinition::Directive(_) => {}
            }
        }
        count(&mut types, &roots);
        Ok(Self { types, roots })
    }

    /// What a type is made of.
    pub fn get(&self, name: &Name) -> Option<&Shape> {
        self.types.get(name)
    }

    /// The fields that an operation selects from.
    pub fn root(&self, kind: OperationType) -> Option<&Fields> {
        let [query, mutation, subscription] = &self.roots;
        let name = match kind {
            OperationType::Query => query,
            OperationType::Mutation => mutation,
            OperationType::Subscription => subscription,
        };
        self.fields(name.as_ref()?)
    }

    /// The fields of a type; none for one that has none or is unknown, as those of introspection are.
    pub fn fields(&self, name: &Name) -> Option<&Fields> {
        match self.types.get(name) {
            Some(Shape::Output(fields)) => Some(fields),
            _ => None,
        }
    }

    /// The fields of what a field returns.
    pub fn fields_of(&self, field: &OutputField) -> Option<&Fields> {
        self.fields(named(&field.ty))
    }

    /// Whether variables can be of a type.
    pub fn is_input(&self, ty: &Type) -> bool {
        matches!(
            self.types.get(named(ty)),
            Some(Shape::Scalar | Shape::Enum(_) | Shape::Input(_))
        )
    }

    /// The slots of an input object.
    pub fn slots(&self, ty: &Type) -> Option<&BTreeMap<Name, Slot>> {
        match (&ty.base, self.types.get(named(ty))) {
            (BaseType::Named(_), Some(Shape::Input(slots))) => Some(slots),
            _ => None,
        }
    }
}

impl OutputField {
    fn takes_first(&self) -> bool {
        self.arguments.contains_key("first")
    }

    fn is_list(&self) -> bool {
        matches!(self.ty.base, BaseType::List(_))
    }
}

impl Slot {
    pub fn is_required(&self) -> bool {
        !self.ty.nullable && self.default.is_none()
    }
}

fn shape(kind: TypeKind) -> Shape {
    match kind {
        TypeKind::Enum(ty) => {
            let values = ty.values.into_iter().map(|value| value.node.value.node);
            Shape::Enum(values.collect())
        }
        TypeKind::InputObject(ty) => Shape::Input(slots(ty.fields)),
        TypeKind::Object(ty) => Shape::Output(fields(ty.fields)),
        TypeKind::Interface(ty) => Shape::Output(fields(ty.fields)),
        TypeKind::Union(_) => Shape::Output(Fields::new()),
        TypeKind::Scalar => Shape::Scalar,
    }
}

fn fields(definitions: Vec<Positioned<FieldDefinition>>) -> Fields {
    definitions
        .into_iter()
        .map(|field| {
            let FieldDefinition {
                name,
                ty,
                arguments,
                ..
            } = field.node;
            let field = OutputField {
                ty: ty.node,
                arguments: slots(arguments),
                count: Count::One,
            };
            (name.node, field)
        })
        .collect()
}

/// Finds out how many things each field returns.
fn count(types: &mut HashMap<Name, Shape>, roots: &[Option<Name>]) {
    let outputs = types.values().filter_map(|shape| match shape {
        Shape::Output(fields) => Some(fields.values()),
        _ => None,
    });
    let pages: HashSet<Name> = outputs
        .flatten()
        .filter(|field| field.takes_first() && !field.is_list())
        .map(|field| named(&field.ty).clone())
        .collect();
    for (name, shape) in types {
        let Shape::Output(fields) = shape else {
            continue;
        };
        for field in fields.values_mut() {
            field.count = if field.takes_first() {
                Count::First
            } else if !field.is_list() || pages.contains(name) {
                Count::One
            } else if roots.iter().flatten().any(|root| root == name) {
                Count::All
            } else {
                Count::Some
            };
        }
    }
}

fn slots<S: FromIterator<(Name, Slot)>>(definitions: Vec<Positioned<InputValueDefinition>>) -> S {
    definitions
        .into_iter()
        .map(|slot| {
            let slot = slot.node;
            let default = slot.default_value.map(|value| value.node);
            let ty = slot.ty.node;
            (slot.name.node, Slot { ty, default })
        })
        .collect()
}

/// The name inside all lists.
fn named(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_takes_one_input_and_says_the_version_after_it() {
        let shapes = Shapes::parse(&crate::graphql::sdl()).unwrap();
        let mutations = shapes.root(OperationType::Mutation).unwrap();
        for (name, mutation) in mutations {
            let payload = shapes.fields_of(mutation).unwrap();
            let version = payload.get("libraryVersion").unwrap();
            assert_eq!(version.ty.to_string(), "Int!", "{name}");
            // A ticket is no change of the library: none is made twice, none is told to devices.
            if name == "createStreamTicket" {
                assert!(mutation.arguments.is_empty());
                continue;
            }
            let arguments: Vec<_> = mutation.arguments.iter().collect();
            let [(argument, slot)] = arguments[..] else {
                panic!("{name}")
            };
            assert!(argument == "input" && slot.is_required(), "{name}");
            let input = shapes.slots(&slot.ty).unwrap();
            for (field, ty) in [("idempotencyKey", "String"), ("device", "DeviceInput")] {
                assert_eq!(input[field].ty.to_string(), ty, "{name}");
            }
            assert!(payload.contains_key("refusal"), "{name}");
        }
        assert!(mutations.len() > 10);
    }
}
