//! [`Preparer`]: runs the steps of preparation in order, and caches prepared documents.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Request, ServerError, Variables, parser::types::OperationType};
use parking_lot::Mutex;

use super::{
    document::Document,
    engine_document, operation_cost,
    plan::{self, Planned},
    schema::SCHEMA,
    variables,
};
use crate::{
    graphql::{
        fair_cache::FairCache,
        limits::{Limits, MOST_ERRORS, PREPARED_BYTES, PREPARED_DOCUMENT},
        named_documents::Documents,
        operation::{Operation, Reads, at_least},
        response::Answer,
    },
    version::UserId,
};

/// Converts requests to operations.
pub(in crate::graphql) struct Preparer {
    documents: Documents,
    limits: Arc<Limits>,
    /// Trusted documents by text.
    trusted: HashMap<Arc<str>, Arc<Document>>,
    /// Errors of the trusted documents, by id.
    invalid: Vec<(String, Vec<ServerError>)>,
    /// Cached documents of clients, by text.
    prepared: Mutex<FairCache<Arc<str>, Arc<Document>>>,
}

impl Preparer {
    pub fn new(limits: Arc<Limits>, documents: Documents) -> Self {
        let (mut trusted, mut invalid) = (HashMap::new(), Vec::new());
        for (id, text) in documents.trusted() {
            let text: Arc<str> = text.into();
            match check(&text, &limits) {
                Ok(document) => drop(trusted.insert(text, Arc::new(document))),
                Err(errors) => invalid.push((id.to_owned(), errors)),
            }
        }
        let prepared = FairCache::new(usize::MAX, PREPARED_BYTES);
        Self {
            documents,
            limits,
            trusted,
            invalid,
            prepared: Mutex::new(prepared),
        }
    }

    /// Returns the errors of the trusted documents, by id.
    pub fn invalid_documents(&self) -> Vec<(String, Answer)> {
        let invalid = self.invalid.iter();
        let refused = |errors: &Vec<_>| Answer::refused(errors.clone());
        invalid
            .map(|(id, errors)| (id.clone(), refused(errors)))
            .collect()
    }

    /// Validates a user's request and returns its operation.
    pub fn operation(&self, user: &UserId, mut request: Request) -> Result<Operation, Answer> {
        let at_least = at_least(&request)?;
        let to_keep = self.documents.resolve(user, &mut request)?;
        let document = self.prepare(user, &request.query)?;
        let name = request.operation_name.take();
        let operation = document.operation(name.as_deref())?;

        let given = std::mem::take(&mut request.variables);
        // Report invalid variable values before unused variables. Audits of GraphQL over HTTP send an invalid value for
        // an unused variable, and expect the status 400 and not 422.
        let variables = variables::coerce(&document, operation, &given).map_err(refuse)?;
        if !document.unused.is_empty() {
            return Err(refuse(document.unused.clone()));
        }
        let plan = plan::plan(&document, operation, &variables)?;
        operation_cost::check(&plan, &self.limits)?;
        let kind = engine_document::kind(operation);
        let reads = reads(kind, &plan);
        let at = operation.location();
        request.set_parsed_query(engine_document::bind(&document, operation, at, plan));
        if let Some(to_keep) = to_keep {
            self.documents.keep(user, to_keep, &request.query);
        }
        Ok(Operation::new(request, kind, reads, at_least))
    }

    fn prepare(&self, user: &UserId, text: &str) -> Result<Arc<Document>, Answer> {
        if let Some(document) = self.trusted.get(text) {
            return Ok(Arc::clone(document));
        }
        if let Some(document) = self.prepared.lock().find(user, text) {
            return Ok(Arc::clone(document));
        }
        let text: Arc<str> = text.into();
        let document = Document::prepare(&text, &self.limits).map_err(refuse)?;
        let document = Arc::new(document);
        let bytes = text.len() + PREPARED_DOCUMENT;
        let mut prepared = self.prepared.lock();
        prepared.put(user, text, Arc::clone(&document), bytes);
        Ok(document)
    }
}

/// Returns where an operation reads.
fn reads(kind: OperationType, plan: &[Planned]) -> Reads {
    let is_delta = |field: &Planned| field.field.name == "libraryChanges";
    match (kind, plan) {
        (OperationType::Query, [field]) if is_delta(field) => Reads::PrimaryWithHead,
        (OperationType::Query, fields) if !fields.iter().any(is_delta) => Reads::Replica,
        (OperationType::Mutation, fields) if fields.iter().all(is_write) => Reads::PrimaryWithHead,
        _ => Reads::Primary,
    }
}

/// Returns whether a mutation is one `library.write`: those take an idempotency key.
fn is_write(field: &Planned) -> bool {
    let mut inputs = field.field.definition.arguments.iter().map(|it| &it.ty);
    inputs.any(|ty| {
        let input = SCHEMA.get_input_object(ty.inner_named_type());
        input.is_some_and(|input| input.fields.contains_key("idempotencyKey"))
    })
}

/// Prepares a trusted document, and checks the cost of its operations without variables.
fn check(text: &Arc<str>, limits: &Limits) -> Result<Document, Vec<ServerError>> {
    let document = Document::prepare(text, limits)?;
    if !document.unused.is_empty() {
        return Err(document.unused);
    }
    let none = Variables::default();
    for operation in document.executable.operations.iter() {
        if operation.variables.is_empty() {
            let plan = plan::plan(&document, operation, &none).map_err(|error| vec![error])?;
            operation_cost::check(&plan, limits).map_err(|error| vec![error])?;
        }
    }
    Ok(document)
}

fn refuse(mut errors: Vec<ServerError>) -> Answer {
    errors.truncate(MOST_ERRORS);
    Answer::refused(errors)
}

#[cfg(test)]
mod tests;
