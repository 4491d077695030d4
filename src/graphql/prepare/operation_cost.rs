//! What a planned operation may cost, before anything of it is bound or run: its aliases and its complexity.
//!
//! Complexity is what an answer may hold and what is read for it:
//!
//! | field | counts |
//! |---|---|
//! | any | 1, and its [weight](super::field_cost) if it is read by itself |
//! | a list in a page | what is below it, `first` times |
//! | a list without `first`, such as the tags of a story | what is below it, [`SOME`] times; what is read by itself, [`MOST`] times |
//! | such a list at the root, which is of all that a user has | what is below it, [`ALL`] times |
//! | one of a union | as the type of which the most is selected |
//!
//! **Invariant:** the time is linear in the plan, which [`outline`](super::document_size) bounds.
//! **Invariant:** whatever grows with a library counts for more than one, whether or not it takes `first`.

use async_graphql::{ServerError, Value};

use super::{
    field_cost,
    plan::{Below, Planned},
};
use crate::graphql::{code, error::refusal, limits::Limits};

/// How many elements a list in an object is taken to have. A story has a few tags as a rule.
const SOME: u64 = 10;

/// How many elements such a list may have.
const MOST: u64 = 100;

/// How many elements a list of all that a user has is taken to have: more than most have, and a quarter of what they
/// may, so that asking for all tags and all fandoms is cheap enough for everybody, and asking many times is not.
const ALL: u64 = 2_500;

/// Checks the complexity of an operation.
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

/// What a set of fields comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// What is in the answer.
    shown: u64,
    /// What is read field by field.
    read: u64,
    /// Those in one place count once, however many elements there are.
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
    /// The cost of fields in an object; `page` is how many elements its lists have, if it is a page.
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
            // Its lists have counted the page.
            (_, false) => ((1, 1), first.unwrap_or(0) * field_cost::of_element(field)),
            (Some(elements), true) => ((elements, elements), 0),
            (None, true) if is_root => ((ALL, ALL), ALL * field_cost::LABEL),
            // The lists of introspection are as long for everybody.
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

    /// How many elements a field that takes `first` or `ids` gives: as many as they say, its default when `first` is
    /// absent or null.
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
        // No field gives more than its page, so more is not what it would cost.
        Some(first.unwrap_or(most).clamp(1, most))
    }
}
