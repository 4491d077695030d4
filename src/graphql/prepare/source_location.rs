//! Lines and columns of a document, which errors show and the engine keeps of each field.

use std::sync::Arc;

use apollo_compiler::parser::SourceSpan;
use async_graphql::Pos;

/// Where the lines of a text begin.
pub(super) struct Lines {
    text: Arc<str>,
    /// The first byte of each line but the first.
    starts: Box<[usize]>,
}

impl Lines {
    pub fn new(text: Arc<str>) -> Self {
        let bytes = text.as_bytes();
        let ends = |at: usize| match bytes[at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        let starts = (0..bytes.len()).filter(|at| ends(*at)).map(|at| at + 1);
        let starts = starts.collect();
        Self { text, starts }
    }

    /// The line and the column, in characters, at which a node begins; both from 1.
    pub fn position(&self, span: Option<SourceSpan>) -> Pos {
        self.at(span.map_or(0, |span| span.offset()))
    }

    /// The line and the column of a byte.
    pub fn at(&self, offset: usize) -> Pos {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).map_or(0, |line| self.starts[line]);
        let before = self.text.get(start..offset).unwrap_or_default();
        Pos {
            line: line + 1,
            column: before.chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_the_specification_says() {
        let lines = Lines::new("a\nbé\r\nc\rd".into());
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
