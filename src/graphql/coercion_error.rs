//! Why a value does not fit its type, in graphql-js's words.

use async_graphql::PathSegment;

use super::code;

/// A value that does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct CoercionError {
    /// `BAD_USER_INPUT`, or the code of a validation rule.
    pub code: &'static str,
    /// Where the value is, outermost first: the name of the argument or variable, then fields and indices.
    pub path: Vec<PathSegment>,
    /// The value as written, shortened; `None` when the rule tells enough.
    pub value: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
}

impl CoercionError {
    /// An error of the value called `name`.
    pub fn of(name: &str, rule: impl Into<String>) -> Self {
        Self {
            code: code::BAD_INPUT,
            path: vec![PathSegment::Field(name.to_owned())],
            value: None,
            rule: rule.into(),
        }
    }

    /// The innermost name.
    pub fn field(&self) -> Option<&str> {
        self.path.iter().rev().find_map(|segment| match segment {
            PathSegment::Field(name) => Some(name.as_str()),
            PathSegment::Index(_) => None,
        })
    }

    /// The message for a value in a document.
    pub fn of_literal(&self) -> String {
        self.rule.clone()
    }

    /// The message for a value in the variable that the path begins with.
    pub fn of_variable(&self) -> String {
        let (Some(PathSegment::Field(variable)), Some(value)) = (self.path.first(), &self.value)
        else {
            return self.rule.clone();
        };
        let place = match self.path.len() {
            1 => String::new(),
            _ => format!(" at \"{}\"", place(&self.path)),
        };
        format!(
            "Variable \"${variable}\" got invalid value {value}{place}; {}",
            self.rule
        )
    }
}

fn place(path: &[PathSegment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            PathSegment::Field(name) if text.is_empty() => text.push_str(name),
            PathSegment::Field(name) => text.extend([".", name]),
            PathSegment::Index(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}
