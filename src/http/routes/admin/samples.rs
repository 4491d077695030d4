//! Parses the Prometheus text format to samples, for a page that draws them.

use std::{collections::BTreeMap, iter};

use serde::Serialize;

/// One value of a metric.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Returns the samples of the metrics with these names. A histogram has samples with the suffixes `_bucket`, `_sum` and
/// `_count`.
pub(super) fn samples(text: &str, names: &[&str]) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let found = lines.filter_map(sample);
    let suffixes = ["", "_bucket", "_sum", "_count"];
    let is_named = |sample: &Sample| {
        let mut metrics = suffixes
            .iter()
            .filter_map(|it| sample.name.strip_suffix(it));
        metrics.any(|name| names.contains(&name))
    };
    found.filter(is_named).collect()
}

/// Parses a line: `name value` or `name{label="value",…} value`.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    Some(Sample {
        name: name.to_owned(),
        labels: self::labels(labels),
        value: value.parse().ok()?,
    })
}

fn labels(mut text: &str) -> BTreeMap<String, String> {
    let next = || {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        loop {
            match characters.next()? {
                (at, '"') => {
                    text = rest[at + 1..].trim_start_matches(',');
                    return Some((name.to_owned(), value));
                }
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    escaped => value.push(escaped),
                },
                (_, other) => value.push(other),
            }
        }
    };
    iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Sample {
            name: name.to_owned(),
            labels: labels.collect(),
            value,
        }
    }

    #[test]
    fn only_the_named_metrics_are_returned_with_their_labels() {
        let text = "# TYPE a counter\na 3\n\n# HELP b c\nb_bucket{le=\"+Inf\",transport=\"sse\"} 4.5\nb_sum 1e-3\n\
            other 1\na_total 2\n";
        assert_eq!(
            samples(text, &["a", "b"]),
            [
                of("a", &[], 3.0),
                of("b_bucket", &[("le", "+Inf"), ("transport", "sse")], 4.5),
                of("b_sum", &[], 0.001),
            ]
        );
    }

    #[test]
    fn a_label_may_contain_any_character() {
        let text = r#"a{x="q\"u}o,te\\",y="n\nl",z=""} 1"#;
        let expected = of("a", &[("x", "q\"u}o,te\\"), ("y", "n\nl"), ("z", "")], 1.0);
        assert_eq!(samples(text, &["a"]), [expected]);
        assert_eq!(samples("a{x=\"never closed 1", &["a"]), []);
    }
}
