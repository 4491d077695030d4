//! The CI gate that reports breaking changes of the schema.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::programs::Finish as _;
use crate::support::test_app::repository;

const OLD: &str = "type Query { story(id: ID!): Story tags: [String!]! }
type Story { title: String! author: String status: Status }
enum Status { ONGOING COMPLETED }
type Gone { at: Int }
";

const NEW: &str = "type Query { story(id: ID!, language: String!): Story tags: [String!]! }
type Story { title: String summary: String status: Status }
enum Status { ONGOING }
";

/// The breaking changes between the two.
const CHANGES: [&str; 5] = [
    "Gone",
    "Query.story",
    "Story.author",
    "Story.title",
    "Status.COMPLETED",
];

fn run(folder: &Path, files: &[&str]) -> (bool, String) {
    let script = repository().join("scripts/schema-changes");
    let mut node = Command::new("node");
    // Keeps git from searching the parent folders.
    let node = node.arg(script).args(files).current_dir(folder);
    let done = node.env("GIT_CEILING_DIRECTORIES", folder).finish();
    let [out, error] = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
    (done.status.success(), out + &error)
}

#[test]
fn a_change_that_breaks_clients_passes_only_if_the_changelog_names_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let compare = |new: &str, unreleased: &str, released: &str| {
        fs::write(path.join("old"), OLD).unwrap();
        fs::write(path.join("new"), new).unwrap();
        let changelog =
            format!("# Changelog\n\n## [Unreleased]\n\n{unreleased}\n\n## 1.0.0\n\n{released}\n");
        fs::write(path.join("changelog"), changelog).unwrap();
        run(path, &["old", "new", "changelog"])
    };
    let all = CHANGES
        .map(|change| format!("- `{change}` changed."))
        .join("\n");
    let (passes, output) = compare(NEW, &all, "");
    assert!(passes, "{output}");
    // Each change must be named, and released entries and parts of other names do not count.
    for change in CHANGES {
        let others = all.replace(change, &format!("My{change}.x"));
        let (passes, output) = compare(NEW, &others, &all);
        assert!(
            !passes && output.contains(&format!("NOT named in the changelog: {change}:")),
            "{output}"
        );
    }
    let added = OLD.replace("title: String!", "title: String! subtitle: String");
    assert!(compare(&added, "", "").0);
}

#[test]
fn before_the_first_tag_no_change_is_breaking() {
    let folder = TempDir::new().unwrap();
    let (passes, output) = run(folder.path(), &[]);
    assert!(passes && output.contains("no tag yet"), "{output}");
}
