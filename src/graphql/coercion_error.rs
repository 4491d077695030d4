//! [`CoercionError`]: a value that input coercion rejects, with the messages of graphql-js.

use async_graphql::PathSegment;

use super::code;

/// A value that input coercion rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct CoercionError {
    /// `BAD_USER_INPUT`, or the code of a validation rule.
    pub code: &'static str,
    /// Path to the value, outermost first: the name of the argument or variable, then fields and indices.
    pub path: Vec<PathSegment>,
    /// The value as written, truncated. `None` if `rule` is sufficient.
    pub value: Option<String>,
    /// The violated rule, as a sentence of graphql-js.
    pub rule: String,
}

impl CoercionError {
    /// Returns an error about the argument or variable `name`.
    pub fn of(name: &str, rule: impl Into<String>) -> Self {
        Self {
            code: code::BAD_INPUT,
            path: vec![PathSegment::Field(name.to_owned())],
            value: None,
            rule: rule.into(),
        }
    }

    /// Returns the innermost field name.
    pub fn field(&self) -> Option<&str> {
        self.path.iter().rev().find_map(|segment| match segment {
            PathSegment::Field(name) => Some(name.as_str()),
            PathSegment::Index(_) => None,
        })
    }

    /// Returns the message for a value in a document.
    pub fn of_literal(&self) -> String {
        self.rule.clone()
    }

    /// Returns the message for a value of the variable that the path begins with.
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
