//! Line numbers in a text, as an editor and the GraphQL specification (2.1.2) count lines.

/// Where the lines of a text begin.
pub(crate) struct Lines(Box<[usize]>);

impl Lines {
    /// Finds the lines of a text. A line ends with LF, CR, or CR LF.
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

    /// Returns the line of a byte, from 1.
    pub fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset)
    }

    /// Returns the byte at which a line begins.
    pub fn begin(&self, number: usize) -> usize {
        self.0[number - 1]
    }
}
