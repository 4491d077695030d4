//! Execution plan of an operation: its fields with fragments expanded, fields of one response name merged, and
//! arguments coerced.
//!
//! In the flow: `CollectFields` of the specification (section 6.3.2) and `CoerceArgumentValues` (6.4.1), before the
//! engine. [`operation_cost`](super::operation_cost) checks the plan. [`engine_document`](super::engine_document)
//! converts it.
//!
//! | specification | async-graphql 8.0.0-rc.5 (no issue filed) |
//! |---|---|
//! | 6.4.1: an argument whose variable is omitted takes its default | reads null |
//! | 6.3.2: fields with the same response name are merged | executes each, so a mutation runs twice |
//! | 5.2.4.1: a subscription has one root field | merges the streams of several fields, ignores those in fragments |

use std::collections::HashSet;

use apollo_compiler::{
    Name, Node,
    ast::{Argument, Value},
    collections::IndexMap,
    executable::{DirectiveList, Field, Operation, Selection, SelectionSet},
    schema::ExtendedType,
};
use async_graphql::{ServerError, Value as ConstValue, Variables};

use super::{coercion::Coerce, document::Document, input::Input, schema::SCHEMA};
use crate::graphql::{
    code,
    error::{self, refusal},
};

/// A field to execute.
pub(super) struct Planned<'d> {
    pub field: &'d Node<Field>,
    /// Name of the type that it is selected on.
    pub parent: &'d str,
    /// Coerced arguments. Omitted arguments are absent.
    pub arguments: Vec<(&'d Name, ConstValue)>,
    pub below: Below<'d>,
}

/// Selection below a field.
pub(super) enum Below<'d> {
    Nothing,
    /// Fields of an object.
    Fields(Vec<Planned<'d>>),
    /// Fields of each possible type of a union or an interface.
    ByType(Vec<(&'d Name, Vec<Planned<'d>>)>),
}

/// Plans an operation with coerced variables.
pub(super) fn plan<'d>(
    document: &'d Document,
    operation: &'d Operation,
    variables: &Variables,
) -> Result<Vec<Planned<'d>>, ServerError> {
    let plan = Plan {
        document,
        variables,
    };
    plan.fields(operation.object_type(), &[&operation.selection_set])
}

struct Plan<'d, 'v> {
    document: &'d Document,
    variables: &'v Variables,
}

impl<'d> Plan<'d, '_> {
    /// Returns the merged fields that apply to an object type.
    fn fields(
        &self,
        ty: &'d Name,
        sets: &[&'d SelectionSet],
    ) -> Result<Vec<Planned<'d>>, ServerError> {
        let mut groups = IndexMap::<&str, Vec<&'d Node<Field>>>::default();
        let mut entered = HashSet::new();
        for set in sets {
            self.collect(ty, set, &mut entered, &mut groups);
        }
        let fields = groups.into_values();
        fields.map(|fields| self.field(ty, &fields)).collect()
    }

    fn collect(
        &self,
        ty: &Name,
        set: &'d SelectionSet,
        entered: &mut HashSet<&'d Name>,
        groups: &mut IndexMap<&'d str, Vec<&'d Node<Field>>>,
    ) {
        for selection in &set.selections {
            if self.is_skipped(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    let key = field.response_name().as_str();
                    groups.entry(key).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    if applies(inline.type_condition.as_ref(), ty) {
                        self.collect(ty, &inline.selection_set, entered, groups);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = spread.fragment_def(&self.document.executable)
                        && entered.insert(&spread.fragment_name)
                        && applies(Some(fragment.type_condition()), ty)
                    {
                        self.collect(ty, &fragment.selection_set, entered, groups);
                    }
                }
            }
        }
    }

    fn field(
        &self,
        parent: &'d Name,
        fields: &[&'d Node<Field>],
    ) -> Result<Planned<'d>, ServerError> {
        let field = fields[0];
        for other in &fields[1..] {
            self.is_one(field, other)?;
        }
        let sets = fields
            .iter()
            .filter_map(|field| field.selection_set.as_ref());
        let sets: Vec<_> = sets.collect();
        Ok(Planned {
            field,
            parent,
            arguments: self.arguments(field)?,
            below: self.below(field, &sets)?,
        })
    }

    fn below(
        &self,
        field: &'d Node<Field>,
        sets: &[&'d SelectionSet],
    ) -> Result<Below<'d>, ServerError> {
        if sets.is_empty() {
            return Ok(Below::Nothing);
        }
        let name = field.ty().inner_named_type();
        let types: Vec<&'d Name> = match SCHEMA.types.get(name) {
            Some(ExtendedType::Union(union)) => union.members.iter().map(|name| &**name).collect(),
            Some(ExtendedType::Interface(_)) => {
                let objects = SCHEMA.types.iter().filter(|(_, ty)| ty.is_object());
                let objects = objects.map(|(object, _)| object);
                objects
                    .filter(|object| SCHEMA.is_subtype(name, object))
                    .collect()
            }
            _ => return Ok(Below::Fields(self.fields(name, sets)?)),
        };
        let by_type = types.into_iter().map(|ty| Ok((ty, self.fields(ty, sets)?)));
        Ok(Below::ByType(by_type.collect::<Result<_, ServerError>>()?))
    }

    fn arguments(
        &self,
        field: &'d Node<Field>,
    ) -> Result<Vec<(&'d Name, ConstValue)>, ServerError> {
        let mut arguments = Vec::with_capacity(field.arguments.len());
        for argument in &field.arguments {
            let Some(definition) = field.definition.argument_by_name(&argument.name) else {
                continue;
            };
            let mut coerce = Coerce::new(&SCHEMA, Some(self.variables), &argument.name);
            let value = coerce.value(Input::Literal(&argument.value), &definition.ty);
            if let Some(coercion_error) = coerce.coercion_errors.first() {
                let at = self.document.position(argument.value.location());
                return Err(error::coercion_error(
                    coercion_error,
                    coercion_error.of_literal(),
                    Some(at),
                ));
            }
            arguments.extend(value.map(|value| (&argument.name, value)));
        }
        Ok(arguments)
    }

    fn is_skipped(&self, directives: &DirectiveList) -> bool {
        directives.iter().any(|directive| {
            let skips = match directive.name.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let condition = match directive.specified_argument_by_name("if").map(|it| &**it) {
                Some(Value::Boolean(condition)) => *condition,
                Some(Value::Variable(name)) => {
                    self.variables.get(name.as_str()) == Some(&ConstValue::Boolean(true))
                }
                _ => false,
            };
            condition == skips
        })
    }

    /// Refuses two fields to merge whose lists differ in length. Workaround for apollo-compiler 2.0.0-beta.2 (no issue
    /// filed): `same_value` does not compare the lengths. Delete when it does.
    fn is_one(&self, one: &Field, other: &Node<Field>) -> Result<(), ServerError> {
        let is_in = |argument: &Node<Argument>| {
            let found = other.specified_argument_by_name(&argument.name);
            found.is_some_and(|value| same(value, &argument.value))
        };
        if one.name == other.name && one.arguments.iter().all(is_in) {
            return Ok(());
        }
        let message = format!(
            "Fields \"{}\" conflict because they have differing arguments. Use different aliases on the fields to fetch both if this was intentional.",
            one.response_name()
        );
        let at = Some(self.document.position(other.location()));
        Err(refusal(code::VALIDATION_FAILED, message, at))
    }
}

/// Returns whether the lists in two values have the same lengths. The validator has compared the rest.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => one.iter().all(|(name, value)| {
            let found = other.iter().find(|(other, _)| other == name);
            found.is_some_and(|(_, other)| same(value, other))
        }),
        _ => true,
    }
}

/// Implements `DoesFragmentTypeApply` of the specification (section 6.3.2).
fn applies(condition: Option<&Name>, ty: &Name) -> bool {
    condition.is_none_or(|condition| condition == ty || SCHEMA.is_subtype(condition, ty))
}
