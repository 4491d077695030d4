//! The table: a row for each operation, a column for each library.

use std::time::Duration;

/// The times of operations, in the order in which they were first added.
#[derive(Default)]
pub struct Table {
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    pub fn add(&mut self, name: &'static str, time: Duration) {
        let millis = time.as_secs_f64() * 1e3;
        match self.rows.iter_mut().find(|(row, _)| *row == name) {
            Some((_, times)) => times.push(millis),
            None => self.rows.push((name, vec![millis])),
        }
    }

    /// Prints the times, and the ratio of the last column to the first.
    pub fn print(&self, stories: &[usize]) {
        let columns: Vec<_> = stories.iter().map(usize::to_string).collect();
        println!("| operation | {} | last/first |", columns.join(" | "));
        println!("|---|{}---|", "---|".repeat(stories.len()));
        for (name, times) in &self.rows {
            let columns: Vec<_> = times.iter().map(|time| format!("{time:.1}")).collect();
            let ratio = times[times.len() - 1] / times[0];
            println!("| {name} | {} | {ratio:.1} |", columns.join(" | "));
        }
    }
}
