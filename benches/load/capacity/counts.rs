//! What the events of a simulation add up to in each second.

use super::simulation::Event;

/// The columns of [`Counts`], with their names.
pub const COLUMNS: [(&str, Event); 6] = [
    ("streams opened", Event::Open),
    ("version checks", Event::Check),
    ("changes", Event::Change),
    ("events delivered", Event::Deliver),
    ("deltas", Event::Delta),
    ("push messages", Event::Push),
];

/// Counts of one second.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// In the order of [`COLUMNS`].
    pub events: [u32; COLUMNS.len()],
    /// Open streams at its end.
    pub streams: u32,
}

impl Counts {
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Close => self.streams -= 1,
            Event::Open => self.streams += 1,
            _ => {}
        }
        if let Some(at) = COLUMNS.iter().position(|(_, counted)| *counted == event) {
            self.events[at] += 1;
        }
    }

    /// The counts of the next second, before anything happens in it.
    pub fn next(&self) -> Self {
        Self {
            streams: self.streams,
            ..Self::default()
        }
    }
}

/// Mean, 99th percentile and maximum.
pub fn summary(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    [
        mean,
        values[values.len() * 99 / 100],
        values[values.len() - 1],
    ]
}
