//! Lines and columns in a document, for errors and for the fields of the engine.

use std::sync::Arc;

use apollo_compiler::parser::SourceSpan;
use async_graphql::Pos;

use crate::lines::Lines;

/// A text and the offsets of its lines.
pub(super) struct Positions {
    text: Arc<str>,
    lines: Lines,
}

impl Positions {
    pub fn new(text: Arc<str>) -> Self {
        let lines = Lines::of(&text);
        Self { text, lines }
    }

    /// Returns the line and the column at which a node begins. Both count from 1, columns in characters.
    pub fn position(&self, span: Option<SourceSpan>) -> Pos {
        self.at(span.map_or(0, |span| span.offset()))
    }

    /// Returns the line and the column of a byte offset.
    pub fn at(&self, offset: usize) -> Pos {
        let line = self.lines.number(offset);
        let before = self.text.get(self.lines.begin(line)..offset);
        Pos {
            line,
            column: before.unwrap_or_default().chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_the_specification_says() {
        let lines = Positions::new("a\nbé\r\nc\rd".into());
        let at = |offset| {
            let Pos { line, column } = lines.at(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (2, 1));
        assert_eq!(at(5), (2, 3));
        assert_eq!(at(7), (3, 1));
        assert_eq!(at(9), (4, 1));
        assert_eq!(at(99), (4, 1));
    }
}
