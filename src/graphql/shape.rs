//! What the schema's types look like, as checks before execution need to know: which values fit where, and what a
//! selection is of.
//!
//! Read from the schema's own SDL, because the engine keeps its registry to itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use async_graphql::{
    Name, PathSegment, Positioned, Value as ConstValue,
    parser::{
        parse_schema,
        types::{
            BaseType, FieldDefinition, InputValueDefinition, OperationType, Type, TypeKind,
            TypeSystemDefinition,
        },
    },
};
use async_graphql_value::Value;

/// The types of a schema.
pub(super) struct Shapes {
    types: HashMap<Name, Shape>,
    roots: [Option<Name>; 3],
}

enum Shape {
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

/// Where a value was written, which decides how enum values look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    InDocument,
    InVariables,
}

/// Why a value does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Where the value is, innermost first.
    place: Vec<PathSegment>,
    /// What is wrong, after the value's name.
    rule: String,
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

    /// Why a value does not fit a type (GraphQL, section 3.5 to 3.12, "Input Coercion"), if it does not. Variables
    /// inside it are passed over.
    pub fn misfit(&self, value: &Value, ty: &Type, written: Written) -> Option<Misfit> {
        match (value, &ty.base) {
            (Value::Variable(_), _) => None,
            (Value::Null, _) => (!ty.nullable).then(|| Misfit::new("must not be null")),
            (Value::List(values), BaseType::List(item)) => {
                values.iter().enumerate().find_map(|(index, value)| {
                    let misfit = self.misfit(value, item, written)?;
                    Some(misfit.at(index))
                })
            }
            // A value stands for a list of it alone.
            (value, BaseType::List(item)) => self.misfit(value, item, written),
            (value, BaseType::Named(name)) => match self.types.get(name) {
                Some(Shape::Input(slots)) => self.misfit_object(value, name, slots, written),
                Some(Shape::Enum(values)) => misfit_enum(value, name, values, written),
                _ => misfit_scalar(value, name),
            },
        }
    }

    fn misfit_object(
        &self,
        value: &Value,
        name: &Name,
        slots: &BTreeMap<Name, Slot>,
        written: Written,
    ) -> Option<Misfit> {
        let Value::Object(fields) = value else {
            return Some(Misfit::new(format!("must be an object of type {name}")));
        };
        let wrong = fields.iter().find_map(|(field, value)| {
            let misfit = match slots.get(field) {
                Some(slot) => self.misfit(value, &slot.ty, written)?,
                None => Misfit::new(format!("is no field of {name}")),
            };
            Some(misfit.under(field))
        });
        wrong.or_else(|| {
            let (field, _) = slots
                .iter()
                .find(|(field, slot)| slot.is_required() && !fields.contains_key(*field))?;
            Some(Misfit::new("is required").under(field))
        })
    }
}

impl Slot {
    pub fn is_required(&self) -> bool {
        !self.ty.nullable && self.default.is_none()
    }
}

impl Misfit {
    pub fn new(rule: impl Into<String>) -> Self {
        let (place, rule) = (Vec::new(), rule.into());
        Self { place, rule }
    }

    /// The same misfit, seen from what holds the value as `name`.
    pub fn under(mut self, name: &str) -> Self {
        self.place.push(PathSegment::Field(name.to_owned()));
        self
    }

    fn at(mut self, index: usize) -> Self {
        self.place.push(PathSegment::Index(index));
        self
    }

    /// The innermost name.
    pub fn field(&self) -> Option<&str> {
        self.place.iter().find_map(|segment| match segment {
            PathSegment::Field(name) => Some(name.as_str()),
            PathSegment::Index(_) => None,
        })
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for (depth, segment) in self.place.iter().rev().enumerate() {
            match segment {
                PathSegment::Field(name) if depth == 0 => f.write_str(name)?,
                PathSegment::Field(name) => write!(f, ".{name}")?,
                PathSegment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, "` {}", self.rule)
    }
}

fn misfit_scalar(value: &Value, name: &Name) -> Option<Misfit> {
    let (fits, expected) = match name.as_str() {
        "Int" => {
            let int = |number: &async_graphql::Number| {
                number
                    .as_i64()
                    .is_some_and(|int| i32::try_from(int).is_ok())
            };
            (
                matches!(value, Value::Number(number) if int(number)),
                "an integer of at most 32 bits",
            )
        }
        "Float" => (matches!(value, Value::Number(_)), "a number"),
        "String" => (matches!(value, Value::String(_)), "a string"),
        "Boolean" => (matches!(value, Value::Boolean(_)), "true or false"),
        "ID" => {
            let id = |number: &async_graphql::Number| number.is_i64() || number.is_u64();
            (
                matches!(value, Value::String(_))
                    || matches!(value, Value::Number(number) if id(number)),
                "an ID",
            )
        }
        // A scalar of our own, which reads its values itself.
        _ => return None,
    };
    (!fits).then(|| Misfit::new(format!("must be {expected}")))
}

fn misfit_enum(
    value: &Value,
    name: &Name,
    values: &HashSet<Name>,
    written: Written,
) -> Option<Misfit> {
    let fits = match (value, written) {
        (Value::Enum(value), _) => values.contains(value),
        (Value::String(value), Written::InVariables) => values.contains(value.as_str()),
        _ => false,
    };
    (!fits).then(|| Misfit::new(format!("must be a value of the enum {name}")))
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
