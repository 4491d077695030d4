//! The documents name every load program of `benches/load`, and no other.

use std::{collections::BTreeSet, fs};

use super::links::documents;
use crate::support::test_app::repository;

/// The subcommands of `load`, as its source declares them.
fn loads() -> BTreeSet<String> {
    let source = fs::read_to_string(repository().join("benches/load/main.rs")).unwrap();
    let (_, variants) = source.split_once("enum Load {\n").unwrap();
    let variants = variants.split("\n}\n").next().unwrap();
    let visible = variants.split("#[command(hide = true)]").next().unwrap();
    let names = visible.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?;
        let end = name.find(|c: char| !c.is_ascii_alphanumeric())?;
        name.starts_with(char::is_uppercase)
            .then(|| kebab(&name[..end]))
    });
    names.collect()
}

/// The name of a subcommand, from that of a variant.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
    }
    kebab
}

#[test]
fn the_documents_name_exactly_the_load_programs() {
    let mut documented = BTreeSet::new();
    for document in documents() {
        let text = fs::read_to_string(repository().join(&document)).unwrap();
        for command in text.split("cargo bench --bench load -- ").skip(1) {
            let name = command.split([' ', '\n', '`']).next().unwrap();
            documented.insert(name.to_owned());
        }
    }
    documented.remove("--help");
    assert_eq!(documented, loads());
}
