//! Line numbers in a text, as editors and the GraphQL specification (2.1.2) count them.

/// Byte offsets at which the lines of a text begin.
pub(crate) struct Lines(Box<[usize]>);

impl Lines {
    /// Finds the lines of a text. Line ends are LF, CR, and CR LF.
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = |at: &usize| match bytes[*at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        let ends = (0..bytes.len()).filter(ends);
        Self(std::iter::once(0).chain(ends.map(|at| at + 1)).collect())
    }

    /// Returns the line number of a byte offset, from 1.
    pub fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset)
    }

    /// Returns the byte offset at which a line begins.
    pub fn begin(&self, number: usize) -> usize {
        self.0[number - 1]
    }
}
