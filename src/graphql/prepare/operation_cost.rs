//! Cost limits of a planned operation, on its aliases and its complexity. They are checked before any field is
//! executed.
//!
//! Complexity estimates the size of the response and the reads that it takes:
//!
//! | field | counts |
//! |---|---|
//! | any field | 1, and its [weight](super::field_cost) if it has its own read |
//! | a list in a page | its selection, `first` times |
//! | a list without `first`, such as the tags of a story | its selection, [`SOME`] times; fields with their own read, [`MOST`] times |
//! | a list without `first` at the root, which holds all rows of a user | its selection, [`ALL`] times |
//! | a union or an interface | the selection of its most expensive type |
//!
//! **Invariant:** the time is linear in the plan, which [`document_size`](super::document_size) bounds.
//! **Invariant:** a list that grows with the library counts for more than one element, with or without `first`.

use async_graphql::{ServerError, Value};

use super::{
    field_cost,
    plan::{Below, Planned},
};
use crate::graphql::{code, error::refusal, limits::Limits};

/// Assumed number of elements of a list in an object. A story usually has a few tags.
const SOME: u64 = 10;

/// Maximum number of elements of such a list.
const MOST: u64 = 100;

/// Assumed number of elements of a list of all rows of a user: more than most users have, and a quarter of the maximum.
/// So every user may request all tags and all fandoms, but not many times in one operation.
const ALL: u64 = 2_500;

/// Checks the aliases and the complexity of an operation.
pub(super) fn check(plan: &[Planned<'_>], limits: &Limits) -> Result<(), ServerError> {
    let cost = Measure { limits }.sum(plan, None);
    if cost.aliases > limits.max_aliases {
        let message = format!(
            "the operation selects {} aliases; at most {} are allowed",
            cost.aliases, limits.max_aliases
        );
        return Err(refusal(code::TOO_COMPLEX, message, None));
    }
    let most = u64::try_from(limits.max_complexity).unwrap_or(u64::MAX);
    let complexity = cost.total();
    if complexity <= most {
        return Ok(());
    }
    let message = format!(
        "the operation counts as {complexity} fields, those of a list once for each element; at most {most} are allowed: \
        ask for a smaller `first`, or for fewer fields"
    );
    Err(refusal(code::TOO_COMPLEX, message, None))
}

/// Cost of a set of fields.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Fields in the response.
    shown: u64,
    /// Weights of the fields with their own read.
    read: u64,
    /// Aliases. A list counts them once, for any number of elements.
    aliases: usize,
}

impl Cost {
    fn total(self) -> u64 {
        self.shown.saturating_add(self.read)
    }

    fn and(self, other: Self) -> Self {
        Self {
            shown: self.shown.saturating_add(other.shown),
            read: self.read.saturating_add(other.read),
            aliases: self.aliases + other.aliases,
        }
    }

    fn times(self, shown: u64, read: u64) -> Self {
        Self {
            shown: self.shown.saturating_mul(shown),
            read: self.read.saturating_mul(read),
            ..self
        }
    }
}

struct Measure<'l> {
    limits: &'l Limits,
}

impl Measure<'_> {
    /// Returns the cost of fields in an object. If the object is a page, `page` is the number of elements of its lists.
    fn sum(&self, fields: &[Planned<'_>], page: Option<u64>) -> Cost {
        let costs = fields.iter().map(|field| self.field(field, page));
        costs.fold(Cost::default(), Cost::and)
    }

    fn field(&self, field: &Planned<'_>, page: Option<u64>) -> Cost {
        let is_list = field.field.ty().is_list();
        let first = self.first(field);
        let below_page = if is_list { None } else { first };
        let below = match &field.below {
            Below::Nothing => Cost::default(),
            Below::Fields(fields) => self.sum(fields, below_page),
            Below::ByType(types) => {
                let costs = types.iter().map(|(_, fields)| self.sum(fields, None));
                costs.max_by_key(|cost| cost.total()).unwrap_or_default()
            }
        };
        let is_root = field.parent == "Query";
        let (elements, least) = match (first.or(page), is_list) {
            // The lists of the page have counted its elements.
            (_, false) => ((1, 1), first.unwrap_or(0) * field_cost::of_element(field)),
            (Some(elements), true) => ((elements, elements), 0),
            (None, true) if is_root => ((ALL, ALL), ALL * field_cost::LABEL),
            // The length of an introspection list does not depend on the user.
            (None, true) if field.parent.starts_with("__") => ((1, 1), 0),
            (None, true) => ((SOME, MOST), 0),
        };
        let below = below.times(elements.0, elements.1);
        Cost {
            shown: below.shown.max(least).saturating_add(1),
            read: below.read.saturating_add(field_cost::of(field)),
            aliases: below.aliases + usize::from(field.field.alias.is_some()),
        }
    }

    /// Returns the number of elements of a field that takes `first` or `ids`: the requested number, or the default if
    /// `first` is absent or null.
    fn first(&self, field: &Planned<'_>) -> Option<u64> {
        let ids = field.arguments.iter().find(|(name, _)| *name == "ids");
        if let Some((_, Value::List(ids))) = ids {
            return Some(u64::try_from(ids.len()).unwrap_or(u64::MAX).max(1));
        }
        let definition = field.field.definition.argument_by_name("first")?;
        let most = u64::from(self.limits.max_page.max(self.limits.max_changes)).max(1);
        let given = field.arguments.iter().find(|(name, _)| *name == "first");
        let first = if let Some((_, Value::Number(first))) = given {
            first.as_i64().and_then(|first| first.try_into().ok())
        } else {
            let default = definition.default_value.as_ref();
            default.and_then(|value| value.to_i32()?.try_into().ok())
        };
        // A field returns at most one page, so a larger `first` does not cost more.
        Some(first.unwrap_or(most).clamp(1, most))
    }
}
