//! From a request as it was sent to an operation that may be run.
//!
//! ```text
//! Request ─ documents.resolve ─ scan ─ parse ─ select ─ coerce variables ─ measure ─ rules ─ engine's rules ─ correct ─ Operation
//! ```
//!
//! **Invariant:** every transport passes here, and nothing parses a document that [`scan`] has not let through.
//! **Invariant:** whatever is refused here is a request error; whatever fails later is a field's.

use std::sync::Arc;

use async_graphql::{
    Positioned, Request, Response, ServerError, ValidationMode, Value as ConstValue, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute},
    parser::{
        parse_query,
        types::{
            DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection,
            VariableDefinition,
        },
    },
};

use super::{
    Answer, Documents, Limits, Schema, builder,
    correct::correct,
    error::{self, code},
    fit::{Misfit, Written},
    measure, rules,
    scan::scan,
    shape::Shapes,
};
use crate::version::Version;

/// The name, among a request's extensions, of the version that its answer must be at least as new as.
const MIN_VERSION: &str = "minLibraryVersion";

/// How many errors of one document are reported.
const MOST_ERRORS: usize = 20;

/// An operation that was found valid.
pub struct Operation {
    pub(super) request: Request,
    kind: OperationType,
    /// Whether all that it reads must be what was written last, because it says of what version that is.
    pub(super) is_fresh: bool,
    /// The version that a query's answer must be at least as new as.
    at_least: Option<Version>,
}

impl Operation {
    /// Whether it is a query, a mutation or a subscription.
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    /// The version that a query's answer must be at least as new as.
    pub(super) fn at_least(&self) -> Option<Version> {
        self.at_least
    }

    /// The same, whose answer must not be older than `version` either.
    #[must_use]
    pub fn no_older_than(self, version: Option<Version>) -> Self {
        Self {
            at_least: self.at_least.max(version),
            ..self
        }
    }
}

/// Makes operations of requests.
pub(super) struct Reader {
    /// The schema with all of its rules, which stops short of running anything.
    rules: Schema,
    shapes: Shapes,
    documents: Documents,
    limits: Arc<Limits>,
}

impl Reader {
    pub fn new(limits: Arc<Limits>, documents: Documents) -> Self {
        let mut rules = builder()
            .validation_mode(ValidationMode::Strict)
            .limit_recursive_depth(limits.nesting)
            .extension(OnlyRules);
        if !limits.introspection {
            // A suggestion would tell what introspection does not.
            rules = rules.disable_introspection().disable_suggestions();
        }
        #[expect(
            clippy::expect_used,
            reason = "the text is the engine's own, the same in every run"
        )]
        let shapes = Shapes::parse(&super::sdl()).expect("a schema can be read as it is printed");
        Self {
            rules: rules.finish(),
            shapes,
            documents,
            limits,
        }
    }

    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Checks a request and makes it an operation.
    pub async fn read(&self, mut request: Request) -> Result<Operation, Answer> {
        let at_least = at_least(&request)?;
        let to_keep = self.documents.resolve(&mut request)?;
        let document = self.parse(&request.query)?;
        let name = request.operation_name.take();
        let operation = select(&document, name.as_deref())?;
        let kind = operation.node.ty;

        let given = std::mem::take(&mut request.variables);
        request.variables = self.coerce(&operation.node.variable_definitions, given)?;
        self.validate(&document, name, &request.variables).await?;
        let corrected = correct(operation, document.fragments, &request.variables)?;
        let is_fresh = reads_changes(&corrected);
        request.set_parsed_query(corrected);
        if let Some(to_keep) = to_keep {
            self.documents.keep(to_keep, &request.query);
        }
        Ok(Operation {
            request,
            kind,
            is_fresh,
            at_least,
        })
    }

    /// Checks a document that may be asked for later.
    pub async fn check(&self, text: &str) -> Result<(), Answer> {
        let document = self.parse(text)?;
        self.validate(&document, None, &Variables::default()).await
    }

    fn parse(&self, text: &str) -> Result<ExecutableDocument, ServerError> {
        scan(text, &self.limits)?;
        parse_query(text).map_err(|error| error::unparsable(&error))
    }

    async fn validate(
        &self,
        document: &ExecutableDocument,
        name: Option<String>,
        variables: &Variables,
    ) -> Result<(), Answer> {
        measure::check(document, variables, &self.shapes, &self.limits)?;
        refuse_if_any(rules::check(document, &self.shapes, &self.limits))?;
        refuse_if_any(self.broken_rules(document, name, variables).await)
    }

    /// `CoerceVariableValues` of the specification. What was omitted and has no default stays omitted; what is not
    /// defined goes.
    fn coerce(
        &self,
        definitions: &[Positioned<VariableDefinition>],
        mut given: Variables,
    ) -> Result<Variables, Answer> {
        let mut variables = Variables::default();
        let mut errors = Vec::new();
        for definition in definitions {
            let VariableDefinition {
                name,
                var_type,
                default_value,
                ..
            } = &definition.node;
            let (name, ty) = (&name.node, &var_type.node);
            let misfit = match given.remove(name) {
                Some(value) => {
                    let value = value.into_value();
                    let misfit = self.shapes.misfit(&value, ty, Written::InVariables);
                    variables.extend(value.into_const().map(|value| (name.clone(), value)));
                    misfit
                }
                None if default_value.is_some() => {
                    let default = default_value.as_ref().map(|value| value.node.clone());
                    variables.extend(default.map(|value| (name.clone(), value)));
                    None
                }
                None => (!ty.nullable).then(|| Misfit::new("is required")),
            };
            errors.extend(misfit.map(|it| {
                let at = Some(definition.pos);
                error::misfit(&it.under(name), at)
            }));
        }
        refuse_if_any(errors).map(|()| variables)
    }

    /// What the engine has to say against a document.
    async fn broken_rules(
        &self,
        document: &ExecutableDocument,
        name: Option<String>,
        variables: &Variables,
    ) -> Vec<ServerError> {
        let mut request = Request::new("").variables(variables.clone());
        request.operation_name = name;
        request.set_parsed_query(document.clone());
        let errors = self.rules.execute(request).await.errors;
        errors.into_iter().filter_map(rules::engine_error).collect()
    }
}

/// `GetOperation` of the specification.
fn select(
    document: &ExecutableDocument,
    name: Option<&str>,
) -> Result<Positioned<OperationDefinition>, ServerError> {
    let message = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => return Ok(operation.clone()),
        (DocumentOperations::Multiple(operations), None) => {
            let mut operations = operations.values();
            if let (Some(operation), None) = (operations.next(), operations.next()) {
                return Ok(operation.clone());
            }
            "the document has several operations: `operationName` must say which".to_owned()
        }
        (DocumentOperations::Single(_), Some(name)) => unknown(name),
        (DocumentOperations::Multiple(operations), Some(name)) => match operations.get(name) {
            Some(operation) => return Ok(operation.clone()),
            None => unknown(name),
        },
    };
    Err(error::refusal(code::UNKNOWN_OPERATION, message, None))
}

fn unknown(operation: &str) -> String {
    format!("the document has no operation named `{operation}`")
}

/// The version that a client knows of, where it can send no header: `extensions.minLibraryVersion`.
fn at_least(request: &Request) -> Result<Option<Version>, ServerError> {
    let version = match request.extensions.get(MIN_VERSION) {
        None | Some(ConstValue::Null) => return Ok(None),
        Some(ConstValue::Number(number)) => number.as_i64().and_then(|it| i32::try_from(it).ok()),
        Some(_) => None,
    };
    let misfit = || Misfit::new("must be a version").under(MIN_VERSION);
    let version = version.ok_or_else(|| error::misfit(&misfit(), None))?;
    Ok(Some(Version::new(version)))
}

/// Whether an operation selects `libraryChanges`: rows beside those changes must be of the same database.
fn reads_changes(document: &ExecutableDocument) -> bool {
    let selections = document
        .operations
        .iter()
        .flat_map(|(_, operation)| &operation.node.selection_set.node.items);
    let mut names = selections.filter_map(|selection| match &selection.node {
        Selection::Field(field) => Some(field.node.name.node.as_str()),
        _ => None,
    });
    names.any(|name| name == "libraryChanges")
}

fn refuse_if_any(mut errors: Vec<ServerError>) -> Result<(), Answer> {
    errors.truncate(MOST_ERRORS);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Answer::refused(errors))
    }
}

/// Stops short of running what was found valid.
struct OnlyRules;

impl ExtensionFactory for OnlyRules {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for OnlyRules {
    async fn execute(
        &self,
        _: &ExtensionContext<'_>,
        _: Option<&str>,
        _: NextExecute<'_>,
    ) -> Response {
        Response::default()
    }
}

#[cfg(test)]
mod tests;
