//! Rewrites a valid document so that the engine, running it, does what the specification says.
//!
//! | the specification | the engine |
//! |---|---|
//! | 6.4.1: an argument whose variable is omitted takes the argument's default | reads null |
//! | 6.3.2: fields of one response name are one field | runs each, so a mutation twice |
//! | 5.2.4.1: a subscription has one root field | merges the streams of many, ignores those in fragments |
//!
//! In the flow: after validation, which must see the document as it was sent.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, ServerError, Value as ConstValue, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
        OperationDefinition, OperationType, Selection, SelectionSet,
    },
};
use async_graphql_value::Value;

use super::error::{self, code};

/// The document to run: the selected operation alone, corrected for these coerced variables.
pub(super) fn correct(
    mut operation: Positioned<OperationDefinition>,
    mut fragments: HashMap<Name, Positioned<FragmentDefinition>>,
    variables: &Variables,
) -> Result<ExecutableDocument, ServerError> {
    let root = &mut operation.node.selection_set.node;
    let mut collect = Collect {
        variables,
        fragments: &fragments,
        entered: HashSet::new(),
        fields: Vec::new(),
    };
    collect.set(root)?;
    let fields = collect.fields;
    if operation.node.ty == OperationType::Subscription && fields.len() != 1 {
        let message = "a subscription must select exactly one field";
        let at = Some(operation.pos);
        return Err(error::refusal(code::VALIDATION_FAILED, message, at));
    }
    root.items = fields
        .into_iter()
        .map(|field| Positioned::new(Selection::Field(field.clone()), field.pos))
        .collect();

    omit(root, variables);
    for fragment in fragments.values_mut() {
        omit(&mut fragment.node.selection_set.node, variables);
    }
    Ok(ExecutableDocument {
        operations: DocumentOperations::Single(operation),
        fragments,
    })
}

/// Drops the arguments whose variables were omitted.
fn omit(set: &mut SelectionSet, variables: &Variables) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => {
                let is_given = |value: &Value| match value {
                    Value::Variable(name) => variables.contains_key(name),
                    _ => true,
                };
                field
                    .node
                    .arguments
                    .retain(|(_, value)| is_given(&value.node));
                omit(&mut field.node.selection_set.node, variables);
            }
            Selection::InlineFragment(inline) => {
                omit(&mut inline.node.selection_set.node, variables);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// `CollectFields` of the specification, for the root.
struct Collect<'d> {
    variables: &'d Variables,
    fragments: &'d HashMap<Name, Positioned<FragmentDefinition>>,
    entered: HashSet<&'d Name>,
    fields: Vec<Positioned<Field>>,
}

impl<'d> Collect<'d> {
    fn set(&mut self, set: &'d SelectionSet) -> Result<(), ServerError> {
        for selection in &set.items {
            if is_skipped(selection.node.directives(), self.variables) {
                continue;
            }
            // Every fragment applies: the root is an object, and validation refuses conditions it cannot meet.
            match &selection.node {
                Selection::Field(field) => self.field(field)?,
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.fragments.get(name)
                        && self.entered.insert(name)
                    {
                        self.set(&fragment.node.selection_set.node)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Positioned<Field>) -> Result<(), ServerError> {
        let key = &field.node.response_key().node;
        let same = |other: &&mut Positioned<Field>| other.node.response_key().node == *key;
        let Some(first) = self.fields.iter_mut().find(same) else {
            let mut field = field.clone();
            // It has been decided; the engine need not look again.
            let decides = |directive: &Positioned<Directive>| is_condition(&directive.node);
            field.node.directives.retain(|it| !decides(it));
            self.fields.push(field);
            return Ok(());
        };
        if first.node.name.node != field.node.name.node || !same_arguments(&first.node, &field.node)
        {
            let message = format!("two different fields are selected as `{key}`");
            let at = Some(field.pos);
            return Err(error::refusal(code::VALIDATION_FAILED, message, at));
        }
        let items = field.node.selection_set.node.items.iter().cloned();
        first.node.selection_set.node.items.extend(items);
        Ok(())
    }
}

fn same_arguments(one: &Field, other: &Field) -> bool {
    let is_in_other = |(name, value): &(Positioned<Name>, Positioned<Value>)| {
        let found = other.get_argument(&name.node);
        found.is_some_and(|found| found.node == value.node)
    };
    one.arguments.len() == other.arguments.len() && one.arguments.iter().all(is_in_other)
}

fn is_condition(directive: &Directive) -> bool {
    matches!(directive.name.node.as_str(), "skip" | "include")
}

fn is_skipped(directives: &[Positioned<Directive>], variables: &Variables) -> bool {
    directives
        .iter()
        .map(|directive| &directive.node)
        .filter(|directive| is_condition(directive))
        .any(|directive| {
            let condition = match directive.get_argument("if").map(|value| &value.node) {
                Some(Value::Boolean(condition)) => *condition,
                Some(Value::Variable(name)) => {
                    variables.get(name) == Some(&ConstValue::Boolean(true))
                }
                _ => false,
            };
            condition == (directive.name.node == "skip")
        })
}
