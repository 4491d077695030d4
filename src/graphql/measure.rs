//! How much a document asks for, before anything expands it.
//!
//! In the flow: after parsing, before validation, because the engine's own rules visit a fragment anew wherever it is
//! spread: thirty fragments that spread the next one twice are a thousand million visits.
//!
//! Complexity is what an answer may hold and what is read for it:
//!
//! | what is selected below | counts |
//! |---|---|
//! | a field with `first` | `first` times |
//! | a list without it, such as the tags of a story | [`SOME`] times |
//! | such a list at the root, which is of all that a user has | [`ALL`] times, and as [`LABEL`] fields if it is fewer |
//! | `libraryChanges` | as [`CHANGE`] fields a change, if it is fewer |
//! | several types of a union | as the type of which the most is selected |
//!
//! **Invariant:** each fragment is measured once, so the time is linear in the document.
//! **Invariant:** what passes makes nobody visit more than [`Limits::complexity`] selections or descend more than
//! [`Limits::nesting`] of them, fragments expanded.
//! **Invariant:** whatever grows with a library counts for more than one, whether or not it takes `first`.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, ServerError, Value as ConstValue, Variables,
    parser::types::{ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet},
};
use async_graphql_value::Value;

use super::{
    Limits,
    error::{self, code},
    shape::{Count, Fields, OutputField, Shapes},
};

/// How many elements a list in an object is taken to have. A story has 100 tags at the most, and a few as a rule.
const SOME: usize = 10;

/// How many elements a list of all that a user has is taken to have: more than most have, and a quarter of what they
/// may, so that asking for all tags and all fandoms is cheap enough for everybody, and asking many times is not.
const ALL: usize = 2_500;

/// What an element of such a list costs to read.
const LABEL: usize = 3;

/// What a change costs to read: a story or a progress, with all of its texts, and as many of the other kind that the
/// page then has no room for.
const CHANGE: usize = 20;

/// Checks a document against the limits. `variables` are those of the selected operation.
pub(super) fn check(
    document: &ExecutableDocument,
    variables: &Variables,
    shapes: &Shapes,
    limits: &Limits,
) -> Result<(), ServerError> {
    let mut measure = Measure {
        document,
        variables,
        shapes,
        limits,
        fragments: HashMap::new(),
    };
    let mut all = Size::default();
    for (_, operation) in document.operations.iter() {
        let root = shapes.root(operation.node.ty);
        let size = measure.set(&operation.node.selection_set.node, root, 0)?;
        all = all.and(size);
    }
    all.check(limits)?;
    // Rules visit fragments also for themselves, used or not.
    for (name, fragment) in &document.fragments {
        measure.fragment(name, fragment, 0)?.check(limits)?;
    }
    Ok(())
}

/// What a set of selections comes to, fragments expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// What an answer may hold; see the table above.
    complexity: usize,
    /// Selections, wherever they are.
    selections: usize,
    aliases: usize,
    /// Of fields.
    depth: usize,
    /// Of fields and fragments.
    nesting: usize,
}

impl Size {
    fn and(self, other: Self) -> Self {
        Self {
            complexity: self.complexity.saturating_add(other.complexity),
            selections: self.selections.saturating_add(other.selections),
            aliases: self.aliases.saturating_add(other.aliases),
            depth: self.depth.max(other.depth),
            nesting: self.nesting.max(other.nesting),
        }
    }

    fn check(self, limits: &Limits) -> Result<(), ServerError> {
        let exceeded = if self.complexity.max(self.selections) > limits.complexity {
            format!(
                "selects more than {} fields, those of a list counted once an element",
                limits.complexity
            )
        } else if self.depth > limits.depth {
            format!("selects more than {} levels deep", limits.depth)
        } else if self.aliases > limits.aliases {
            format!("has more than {} aliases", limits.aliases)
        } else {
            return Ok(());
        };
        Err(too_complex(&exceeded, None))
    }
}

struct Measure<'d> {
    document: &'d ExecutableDocument,
    variables: &'d Variables,
    shapes: &'d Shapes,
    limits: &'d Limits,
    /// What is known of each fragment; none while it is being measured.
    fragments: HashMap<&'d str, Option<Size>>,
}

impl<'d> Measure<'d> {
    fn set(
        &mut self,
        set: &'d SelectionSet,
        parent: Option<&'d Fields>,
        above: usize,
    ) -> Result<Size, ServerError> {
        let mut sum = Size::default();
        let mut by_type = HashMap::<&Name, usize>::new();
        for selection in &set.items {
            if selection.node.directives().len() > self.limits.directives {
                let most = self.limits.directives;
                let message = format!("has more than {most} directives in one place");
                return Err(too_complex(&message, Some(selection.pos)));
            }
            let mut size = self.selection(&selection.node, parent, above)?;
            size.complexity = size.complexity.saturating_add(1);
            size.selections = size.selections.saturating_add(1);
            // An element of a union is of one type.
            if let Some(ty) = self.condition(&selection.node)
                && parent.is_some_and(Fields::is_empty)
                && self
                    .shapes
                    .fields(ty)
                    .is_some_and(|fields| !fields.is_empty())
            {
                let of_type = by_type.entry(ty).or_default();
                *of_type = of_type.saturating_add(std::mem::take(&mut size.complexity));
            }
            sum = sum.and(size);
        }
        let most = by_type.into_values().max().unwrap_or_default();
        sum.complexity = sum.complexity.saturating_add(most);
        Ok(sum)
    }

    fn selection(
        &mut self,
        selection: &'d Selection,
        parent: Option<&'d Fields>,
        above: usize,
    ) -> Result<Size, ServerError> {
        match selection {
            Selection::Field(field) => self.field(&field.node, parent, above),
            Selection::InlineFragment(inline) => {
                let parent = match self.condition(selection) {
                    Some(condition) => self.shapes.fields(condition),
                    None => parent,
                };
                self.below(&inline.node.selection_set, parent, above)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                match self.document.fragments.get(name) {
                    Some(fragment) => self.fragment(name, fragment, above),
                    // The engine reports it.
                    None => Ok(Size::default()),
                }
            }
        }
    }

    /// The type that a fragment is for.
    fn condition(&self, selection: &'d Selection) -> Option<&'d Name> {
        match selection {
            Selection::Field(_) => None,
            Selection::InlineFragment(inline) => {
                let condition = inline.node.type_condition.as_ref();
                condition.map(|condition| &condition.node.on.node)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = self.document.fragments.get(name);
                fragment.map(|fragment| &fragment.node.type_condition.node.on.node)
            }
        }
    }

    /// The size of a set that is one level further down.
    fn below(
        &mut self,
        set: &'d Positioned<SelectionSet>,
        parent: Option<&'d Fields>,
        above: usize,
    ) -> Result<Size, ServerError> {
        self.allow_nesting(above + 1, set.pos)?;
        let size = self.set(&set.node, parent, above + 1)?;
        Ok(Size {
            nesting: size.nesting + 1,
            ..size
        })
    }

    fn field(
        &mut self,
        field: &'d Field,
        parent: Option<&'d Fields>,
        above: usize,
    ) -> Result<Size, ServerError> {
        let shape = parent.and_then(|fields| fields.get(&field.name.node));
        let fields = shape.and_then(|shape| self.shapes.fields_of(shape));
        let size = self.below(&field.selection_set, fields, above)?;
        let elements = shape.map_or(1, |shape| self.elements(field, shape));
        let least = match (shape.map(|shape| shape.count), field.name.node.as_str()) {
            (Some(Count::All), _) => LABEL,
            (_, "libraryChanges") => CHANGE,
            _ => 0,
        };
        Ok(Size {
            complexity: size.complexity.max(least).saturating_mul(elements),
            aliases: size
                .aliases
                .saturating_add(usize::from(field.alias.is_some())),
            depth: size.depth + 1,
            ..size
        })
    }

    /// How many elements a field is taken to return.
    fn elements(&self, field: &Field, shape: &OutputField) -> usize {
        match shape.count {
            Count::One => 1,
            Count::First => self.first(field, shape),
            Count::Some => SOME,
            Count::All => ALL,
        }
    }

    /// What the argument `first` says.
    fn first(&self, field: &Field, shape: &OutputField) -> usize {
        let default = shape
            .arguments
            .get("first")
            .and_then(|slot| slot.default.as_ref());
        let number = |value: &ConstValue| match value {
            ConstValue::Number(number) => number.as_u64(),
            _ => None,
        };
        let given = match field.get_argument("first").map(|value| &value.node) {
            Some(Value::Number(first)) => first.as_u64(),
            Some(Value::Variable(name)) => self.variables.get(name).and_then(number),
            _ => None,
        };
        let most = u64::from(self.limits.page.max(self.limits.changes));
        let first = given.or_else(|| default.and_then(number)).unwrap_or(most);
        // No field gives more than its page, so more is not what it would cost.
        usize::try_from(first.clamp(1, most.max(1))).unwrap_or(usize::MAX)
    }

    fn fragment(
        &mut self,
        name: &'d str,
        fragment: &'d Positioned<FragmentDefinition>,
        above: usize,
    ) -> Result<Size, ServerError> {
        match self.fragments.insert(name, None) {
            Some(Some(size)) => {
                self.fragments.insert(name, Some(size));
                self.allow_nesting(above + size.nesting, fragment.pos)?;
                return Ok(size);
            }
            Some(None) => {
                let message = format!("fragment `{name}` spreads itself");
                return Err(error::refusal(
                    code::VALIDATION_FAILED,
                    message,
                    Some(fragment.pos),
                ));
            }
            None => {}
        }
        let parent = self
            .shapes
            .fields(&fragment.node.type_condition.node.on.node);
        let size = self.below(&fragment.node.selection_set, parent, above)?;
        self.fragments.insert(name, Some(size));
        Ok(size)
    }

    fn allow_nesting(&self, nesting: usize, at: Pos) -> Result<(), ServerError> {
        if nesting > self.limits.nesting {
            let most = self.limits.nesting;
            let message = format!("nests more than {most} selections in one another");
            return Err(too_complex(&message, Some(at)));
        }
        Ok(())
    }
}

fn too_complex(exceeded: &str, at: Option<Pos>) -> ServerError {
    error::refusal(code::TOO_COMPLEX, format!("the document {exceeded}"), at)
}
