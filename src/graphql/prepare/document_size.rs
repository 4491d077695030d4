//! Size limits of a document as written. They are checked before fragments are expanded or validated.
//!
//! In the flow: after parsing. Validation and later steps may visit a fragment once for each spread. 30 fragments that
//! each spread the next one twice take a thousand million visits.
//!
//! **Invariant:** each fragment is measured once, so the time is linear in the document.
//! **Invariant:** an operation that passes has at most [`SELECTIONS`] selections and [`MAX_NESTING`] levels of nesting,
//! with fragments expanded.

use std::collections::HashMap;

use apollo_compiler::{
    Node,
    ast::{Definition, Document, FragmentDefinition, Selection},
};
use async_graphql::ServerError;

use crate::graphql::{
    code,
    error::refusal,
    limits::{Limits, MAX_DIRECTIVES, MAX_NESTING},
};

/// Maximum number of operations in a document. Each is validated with all fragments that it reaches.
const OPERATIONS: usize = 10;

/// Maximum number of selections in an operation, with fragments expanded. It bounds the work of validation. The cost of
/// the operation is checked later, when fragments are expanded and fields are merged.
pub(super) const SELECTIONS: usize = 10_000;

/// Checks a document against the size limits.
pub(super) fn check(document: &Document, limits: &Limits) -> Result<(), ServerError> {
    let fragments = document.definitions.iter().filter_map(|definition| {
        let fragment = definition.as_fragment_definition()?;
        Some((fragment.name.as_str(), fragment))
    });
    let mut outline = Outline {
        limits,
        fragments: fragments.collect(),
        sizes: HashMap::new(),
        aliases: 0,
    };
    let operations = document.definitions.iter();
    let operations: Vec<_> = operations
        .filter_map(Definition::as_operation_definition)
        .collect();
    if operations.is_empty() {
        let message = "Must provide an operation.";
        return Err(refusal(code::PARSE_FAILED, message, None));
    }
    if operations.len() > OPERATIONS {
        return Err(too_complex(&format!(
            "has {} operations; at most {OPERATIONS} are allowed",
            operations.len()
        )));
    }
    for operation in operations {
        let size = outline.set(&operation.selection_set, 0)?;
        outline.allow(size)?;
    }
    // Unused fragments are checked too.
    let names: Vec<_> = outline.fragments.keys().copied().collect();
    for name in names {
        let size = outline.fragment(name, 0)?;
        outline.allow(size)?;
    }
    let (aliases, most) = (outline.aliases, limits.max_aliases);
    if aliases > most {
        return Err(too_complex(&format!(
            "selects {aliases} aliases; at most {most} are allowed"
        )));
    }
    Ok(())
}

/// Size of a selection set, with fragments expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    selections: usize,
    /// Nesting depth of fields.
    depth: usize,
    /// Nesting depth of fields and fragments.
    nesting: usize,
}

struct Outline<'d> {
    limits: &'d Limits,
    fragments: HashMap<&'d str, &'d Node<FragmentDefinition>>,
    /// Sizes of the fragments. The size is zero while a fragment is being measured, so recursive spreads end.
    sizes: HashMap<&'d str, Size>,
    /// Number of aliases as written. Each fragment counts once.
    aliases: usize,
}

impl<'d> Outline<'d> {
    fn allow(&self, size: Size) -> Result<(), ServerError> {
        let limits = self.limits;
        for (count, what, most) in [
            (size.selections, "fields and fragments", SELECTIONS),
            (size.depth, "levels", limits.max_depth),
        ] {
            if count > most {
                return Err(too_complex(&format!(
                    "selects {count} {what}; at most {most} are allowed"
                )));
            }
        }
        Ok(())
    }

    fn set(&mut self, set: &'d [Selection], above: usize) -> Result<Size, ServerError> {
        if set.is_empty() {
            // The parser accepts an empty selection set, as a draft of the specification does.
            let message = "Syntax Error: Expected Name, found \"}\".";
            return Err(refusal(code::PARSE_FAILED, message, None));
        }
        allow_nesting(above + 1)?;
        let mut sum = Size::default();
        for selection in set {
            let (size, directives) = match selection {
                Selection::Field(field) => {
                    self.aliases += usize::from(field.alias.is_some());
                    let below = match &field.selection_set {
                        Some(set) => self.set(set, above + 1)?,
                        None => Size::default(),
                    };
                    let size = Size {
                        depth: below.depth + 1,
                        ..below
                    };
                    (size, &field.directives)
                }
                Selection::InlineFragment(inline) => (
                    self.set(&inline.selection_set, above + 1)?,
                    &inline.directives,
                ),
                Selection::FragmentSpread(spread) => {
                    let size = self.fragment(&spread.fragment_name, above + 1)?;
                    (size, &spread.directives)
                }
            };
            if directives.len() > MAX_DIRECTIVES {
                let most = MAX_DIRECTIVES;
                return Err(too_complex(&format!(
                    "has {} directives in one place; at most {most} are allowed",
                    directives.len()
                )));
            }
            sum = Size {
                selections: sum
                    .selections
                    .saturating_add(size.selections)
                    .saturating_add(1),
                depth: sum.depth.max(size.depth),
                nesting: sum.nesting.max(size.nesting + 1),
            };
        }
        Ok(sum)
    }

    /// Returns the size of a fragment. It is zero for unknown and recursive fragments, which validation reports.
    fn fragment(&mut self, name: &str, above: usize) -> Result<Size, ServerError> {
        let Some((&name, &fragment)) = self.fragments.get_key_value(name) else {
            return Ok(Size::default());
        };
        if let Some(size) = self.sizes.get(name) {
            allow_nesting(above + size.nesting)?;
            return Ok(*size);
        }
        self.sizes.insert(name, Size::default());
        let size = self.set(&fragment.selection_set, above)?;
        self.sizes.insert(name, size);
        Ok(size)
    }
}

fn too_complex(what: &str) -> ServerError {
    refusal(code::TOO_COMPLEX, format!("the document {what}"), None)
}

fn allow_nesting(nesting: usize) -> Result<(), ServerError> {
    let most = MAX_NESTING;
    if nesting > most {
        return Err(too_complex(&format!(
            "nests more than {most} selections in one another"
        )));
    }
    Ok(())
}
