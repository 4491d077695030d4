//! The tree reads as the flow of `src/lib.rs`: who imports whom, and how much one file holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::test_app::repository;

/// What each module may import. All may import `version`, the words that everything is said in.
const MAY_IMPORT: [(&str, &[&str]); 15] = [
    ("version", &[]),
    ("address", &[]),
    ("error_chain", &[]),
    ("lines", &[]),
    ("metrics", &[]),
    ("auth", &[]),
    ("broker", &["address", "error_chain"]),
    ("hub", &["broker"]),
    ("library", &["address", "broker", "error_chain"]),
    ("feed", &["library", "hub"]),
    ("graphql", &["auth", "library", "feed", "lines"]),
    ("http", &["graphql", "feed", "auth", "metrics"]),
    ("config", &["address"]),
    ("telemetry", &[]),
    ("schema_migration", &["library"]),
];

/// What is imported all the same, and why.
const DEPARTURES: [(&str, &str, &str); 3] = [
    (
        "feed",
        "broker",
        "a head that it has re-read reaches the hub as a notice, like any other",
    ),
    (
        "http",
        "library",
        "the routes beside GraphQL ask for the head, and a library's error has a status",
    ),
    (
        "config",
        "auth",
        "origins are parsed with the flags, so that the error names the flag",
    ),
];

/// What puts the parts together, and the commands, may import everything; nothing else imports them.
const TOP: [&str; 5] = ["main", "lib", "app", "commands", "transfer"];

/// How many lines a file may have, tests aside.
const LONGEST: usize = 400;

/// What is longer all the same, and why.
const LONGER: [(&str, &str); 0] = [];

/// A source file without its tests.
pub struct Source {
    /// From the repository's folder.
    pub path: PathBuf,
    pub text: String,
}

/// Every source file of `folder`, but those that hold tests alone.
pub fn sources(folder: &str) -> Vec<Source> {
    let (mut found, mut folders) = (Vec::new(), vec![repository().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["tests.rs", "testing.rs"].contains(&name)
            {
                let text = fs::read_to_string(&path).unwrap();
                let text = match text.find("#[cfg(test)]\nmod tests") {
                    Some(tests) => text[..tests].to_owned(),
                    None => text,
                };
                let path = path.strip_prefix(repository()).unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 5, "{folder} is where the sources are");
    found
}

impl Source {
    /// Its place among the modules: `[http, websocket, close]`.
    fn module(&self) -> Vec<String> {
        let path = self.path.strip_prefix("src").unwrap().with_extension("");
        let names = path.iter().map(|name| name.to_str().unwrap().to_owned());
        names.filter(|name| name != "mod").collect()
    }

    /// The modules at the top of the tree that it names.
    fn imports(&self) -> BTreeSet<String> {
        imports(&self.text, self.module().len())
    }
}

/// What follows `crate::`, or as many `super::` as lead to the top from a module `depth` below it.
fn imports(text: &str, depth: usize) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .flat_map(|line| [line.split("//").next().unwrap_or_default(), "\n"])
        .collect();
    let mut found = BTreeSet::new();
    for root in ["crate::", &"super::".repeat(depth)] {
        for (at, _) in code.match_indices(root) {
            if !code[..at].ends_with("super::") {
                found.extend(heads(&code[at + root.len()..]));
            }
        }
    }
    found.retain(|name| !["", "self", "super"].contains(&name.as_str()));
    found
}

/// The first name of each path in a use tree: of `{a::{b, c}, d}`, `a` and `d`.
fn heads(tree: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let Some(group) = tree.strip_prefix('{') else {
        return vec![name(tree)];
    };
    let (mut heads, mut open) = (vec![name(group)], 1);
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => heads.push(name(&group[at + 1..])),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    heads
}

/// Who imports whom, of the modules at the top of the tree.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources("src");
    let mut edges: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for source in &sources {
        let from = source.module().swap_remove(0);
        edges.entry(from).or_default().extend(source.imports());
    }
    let modules: BTreeSet<_> = edges.keys().cloned().collect();
    for (from, imports) in &mut edges {
        imports.retain(|to| to != from && modules.contains(to));
    }
    edges
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let text = "
        //! [`crate::app`]
        use crate::{
            auth::{Viewer, Origins}, // crate::dev
            graphql, version::Head,
        };
        use super::super::hub::Hub;
        use super::feed::Sibling;
        fn f() -> crate::library::Error { super::super::super::config() }
    ";
    let expected = ["auth", "graphql", "hub", "library", "version"];
    let seen: Vec<_> = imports(text, 2).into_iter().collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_module_imports_only_what_it_may() {
    let edges = edges();
    let may: BTreeMap<_, _> = MAY_IMPORT.into_iter().collect();
    for (from, imports) in &edges {
        if TOP.contains(&from.as_str()) {
            continue;
        }
        let Some(may) = may.get(from.as_str()) else {
            panic!("MAY_IMPORT does not say what `{from}` may import");
        };
        for to in imports {
            let departs = |(a, b, _): &(&str, &str, &str)| a == from && b == to;
            assert!(
                to == "version" || may.contains(&to.as_str()) || DEPARTURES.iter().any(departs),
                "`{from}` may not import `{to}`"
            );
        }
    }
    for (from, to, why) in DEPARTURES {
        assert!(
            edges[from].contains(to),
            "`{from}` no longer imports `{to}`, because: {why}"
        );
    }
}

#[test]
fn no_module_imports_itself_in_a_circle() {
    let mut edges = edges();
    while !edges.is_empty() {
        let free: Vec<_> = edges
            .iter()
            .filter(|(_, imports)| imports.iter().all(|to| !edges.contains_key(to)))
            .map(|(from, _)| from.clone())
            .collect();
        assert!(!free.is_empty(), "a circle among {edges:?}");
        edges.retain(|from, _| !free.contains(from));
    }
}

#[test]
fn a_file_says_at_its_top_what_it_is_and_is_not_long() {
    for source in sources("src").into_iter().chain(sources("migration/src")) {
        let path = source.path.to_str().unwrap();
        assert!(
            source.text.starts_with("//! "),
            "{path} does not say what it is"
        );
        let lines = source.text.lines().count();
        let longer = LONGER
            .iter()
            .any(|(long, _)| Path::new(long) == source.path);
        assert_eq!(
            lines > LONGEST,
            longer,
            "{path} has {lines} lines without its tests"
        );
    }
}
