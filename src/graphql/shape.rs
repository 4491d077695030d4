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

/// The fields of an object or an interface.
pub(super) type Fields = HashMap<Name, OutputField>;

/// A field that can be selected.
pub(super) struct OutputField {
    ty: Type,
    pub arguments: HashMap<Name, Slot>,
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
            };
            (name.node, field)
        })
        .collect()
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
