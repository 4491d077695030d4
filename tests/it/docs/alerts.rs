//! The alert rules: their metrics exist, and the runbook explains each alert.

use std::{collections::BTreeSet, fs};

use serde::Deserialize;

use crate::support::test_app::repository;

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    r#for: String,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    severity: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotations {
    summary: String,
    runbook: String,
}

fn rules() -> Vec<Rule> {
    let file = fs::read_to_string(repository().join("deploy/prometheus/alerts.yml")).unwrap();
    let rules: Rules = serde_yaml_ng::from_str(&file).unwrap();
    let rules: Vec<_> = rules
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect();
    assert!(rules.len() > 10);
    rules
}

/// The names with this prefix, in order of appearance.
fn names<'t>(text: &'t str, prefix: &'t str) -> impl Iterator<Item = &'t str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(move |c: char| !is_of_name(c));
    words.filter(move |word| word.starts_with(prefix))
}

#[test]
fn every_metric_of_an_alert_exists_with_its_labels() {
    let metrics = fs::read_to_string(repository().join("src/metrics.rs")).unwrap();
    let table = metrics.lines().filter(|line| line.starts_with("//! | `"));
    let table: Vec<_> = table.collect();
    for rule in rules() {
        let used: BTreeSet<_> = names(&rule.expr, "library_sync_").collect();
        assert!(
            !used.is_empty() || rule.expr.starts_with("up{"),
            "{}",
            rule.alert
        );
        for name in used {
            let row = table.iter().find(|row| row.contains(&format!("`{name}`")));
            let row = row.unwrap_or_else(|| panic!("{}: there is no metric {name}", rule.alert));
            let (_, selected) = rule.expr.split_once(name).unwrap();
            let Some(selectors) = selected.strip_prefix('{') else {
                continue;
            };
            let (selectors, _) = selectors.split_once('}').unwrap();
            for selector in selectors
                .split("\",")
                .map(|selector| selector.trim_end_matches('"'))
            {
                let (label, value) = selector.split_once(['=', '!']).unwrap();
                let values = value.trim_start_matches(['=', '~', '"']);
                // The exporter adds the quantile label.
                let is_known = label == "quantile" || row.contains(&format!("`{label}`"));
                assert!(is_known, "{}: {name} has no label {label}", rule.alert);
                let is_listed = matches!(label, "reason" | "outcome");
                for value in values.split('|').filter(|_| is_listed) {
                    assert!(
                        row.contains(value),
                        "{}: {label} is never {value}",
                        rule.alert
                    );
                }
            }
        }
    }
}

#[test]
fn every_alert_can_be_read_by_prometheus() {
    for Rule {
        alert,
        expr,
        r#for,
        labels,
        annotations,
    } in rules()
    {
        assert!(alert.starts_with("LibrarySync"), "{alert}");
        let count = |c| expr.matches(c).count();
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            assert_eq!(count(open), count(close), "{expr}");
        }
        assert!(humantime::parse_duration(&r#for).is_ok(), "{for}");
        assert!(
            ["page", "warn"].contains(&labels.severity.as_str()),
            "{alert}"
        );
        assert!(annotations.summary.ends_with('.'), "{alert}");
        assert_eq!(annotations.runbook, "docs/operations.md#alerts");
    }
}

#[test]
fn the_runbook_explains_every_alert_and_no_other() {
    let text = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let (_, section) = text.split_once("\n## Alerts\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `LibrarySync"));
    let explained: Vec<_> = rows
        .map(|row| format!("LibrarySync{}", row.split('`').next().unwrap()))
        .collect();
    let alerts: Vec<_> = rules().into_iter().map(|rule| rule.alert).collect();
    assert_eq!(explained, alerts);
}
