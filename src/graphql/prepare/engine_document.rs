//! Converts a plan to a document of the engine, in the form that the engine's parser returns.
//!
//! **Invariant:** the document has one operation without variables, fragment spreads, `@skip` and `@include`. Every
//! value is coerced.

use std::collections::HashMap;

use apollo_compiler::{
    executable::{Operation, OperationType as Kind},
    parser::SourceSpan,
};
use async_graphql::{
    Name, Positioned, Value as ConstValue,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field, InlineFragment, OperationDefinition,
        OperationType, Selection, SelectionSet, TypeCondition,
    },
};

use super::{
    document::Document,
    plan::{Below, Planned},
};

/// Returns the engine's document for a plan that passed the cost check.
pub(super) fn bind(
    document: &Document,
    operation: &Operation,
    at: Option<SourceSpan>,
    plan: Vec<Planned<'_>>,
) -> ExecutableDocument {
    let bind = Bind { document };
    let definition = OperationDefinition {
        ty: kind(operation),
        variable_definitions: Vec::new(),
        directives: Vec::new(),
        selection_set: bind.at(at, bind.set(plan)),
    };
    ExecutableDocument {
        operations: DocumentOperations::Single(bind.at(at, definition)),
        fragments: HashMap::new(),
    }
}

/// Returns the operation type.
pub(super) fn kind(operation: &Operation) -> OperationType {
    match operation.operation_type {
        Kind::Query => OperationType::Query,
        Kind::Mutation => OperationType::Mutation,
        Kind::Subscription => OperationType::Subscription,
    }
}

struct Bind<'d> {
    document: &'d Document,
}

impl Bind<'_> {
    fn at<T>(&self, span: Option<SourceSpan>, node: T) -> Positioned<T> {
        Positioned::new(node, self.document.position(span))
    }

    fn set(&self, fields: Vec<Planned<'_>>) -> SelectionSet {
        let items = fields.into_iter().map(|field| {
            let span = field.field.location();
            let field = self.at(span, self.field(field));
            self.at(span, Selection::Field(field))
        });
        SelectionSet {
            items: items.collect(),
        }
    }

    fn field(&self, planned: Planned<'_>) -> Field {
        let field = planned.field;
        let span = field.location();
        let name = |name: &apollo_compiler::Name| self.at(name.location(), Name::new(name));
        let argument = |(key, value): (&apollo_compiler::Name, ConstValue)| {
            (name(key), self.at(key.location(), value.into_value()))
        };
        let below = match planned.below {
            Below::Nothing => SelectionSet::default(),
            Below::Fields(fields) => self.set(fields),
            Below::ByType(types) => self.by_type(span, types),
        };
        Field {
            alias: field.alias.as_ref().map(name),
            name: name(&field.name),
            arguments: planned.arguments.into_iter().map(argument).collect(),
            directives: Vec::new(),
            selection_set: self.at(span, below),
        }
    }

    fn by_type(
        &self,
        span: Option<SourceSpan>,
        types: Vec<(&apollo_compiler::Name, Vec<Planned<'_>>)>,
    ) -> SelectionSet {
        let items = types.into_iter().map(|(ty, fields)| {
            let on = self.at(span, Name::new(ty));
            let inline = InlineFragment {
                type_condition: Some(self.at(span, TypeCondition { on })),
                directives: Vec::new(),
                selection_set: self.at(span, self.set(fields)),
            };
            self.at(span, Selection::InlineFragment(self.at(span, inline)))
        });
        SelectionSet {
            items: items.collect(),
        }
    }
}
