//! The tree reads as the flow of `src/lib.rs`: who imports whom, and how much one file or function holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use crate::support::test_app::repository;

/// The top-level modules that each one may import. All may import `version`, the core identifiers.
const MAY_IMPORT: [(&str, &[&str]); 19] = [
    ("version", &[]),
    ("address", &[]),
    ("error_chain", &[]),
    ("duration", &[]),
    ("lines", &[]),
    ("unix_time", &[]),
    ("trace", &[]),
    ("metrics", &[]),
    ("telemetry", &[]),
    ("auth", &[]),
    ("broker", &["address", "error_chain", "trace"]),
    ("hub", &["broker", "trace"]),
    (
        "library",
        &[
            "address",
            "broker",
            "duration",
            "error_chain",
            "trace",
            "unix_time",
        ],
    ),
    ("feed", &["library", "hub", "trace"]),
    ("push", &["duration", "hub", "library"]),
    (
        "graphql",
        &["auth", "library", "feed", "lines", "push", "trace"],
    ),
    (
        "http",
        &[
            "graphql",
            "duration",
            "feed",
            "auth",
            "library",
            "metrics",
            "trace",
            "unix_time",
        ],
    ),
    ("schema_migration", &["library"]),
    (
        "adopt",
        &["error_chain", "library", "schema_migration", "unix_time"],
    ),
];

/// The imports of `config`: flags are parsed into values and limits of these modules, so that an error names the flag.
const CONFIG_MAY_IMPORT: [&str; 8] = [
    "address",
    "auth",
    "duration",
    "graphql",
    "http",
    "library",
    "push",
    "telemetry",
];

/// Modules that compose the others. They may import everything; no other module imports them.
const TOP: [&str; 7] = [
    "main", "lib", "program", "app", "commands", "config", "transfer",
];

/// Imports that MAY_IMPORT forbids, each with its reason.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "feed",
    "broker",
    "a head that the feed has re-read reaches the hub as a notice",
)];

/// Files that import each other in a cycle, each with its reason.
const CYCLES: [(&[&str], &str); 2] = [
    (
        &[
            "library::database::admission",
            "library::database::outage",
            "library::database::pools",
            "library::database::replica",
            "library::database::write_probe",
        ],
        "the methods of one type, Database, by theme, each beside the state that it keeps there",
    ),
    (
        &["graphql::types::progress", "graphql::types::story"],
        "the types of the API refer to each other, because a library is a graph",
    ),
];

/// The maximum lines of a file, without tests.
const LONGEST_FILE: usize = 400;

/// The maximum lines of a function, without tests.
const LONGEST_FUNCTION: usize = 50;

/// A source file without its tests.
pub struct Source {
    /// From the repository's folder.
    pub path: PathBuf,
    pub text: String,
}

/// Every source file of `folder`, except files of only tests.
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
                let text = match text.find("#[cfg(test)]\nmod tests {") {
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

/// A path of names: of a module, or of an item in one.
type Path = Vec<String>;

impl Source {
    /// Its place among the modules: `[http, websocket, close]`. The crate's root is `[]`.
    fn module(&self) -> Path {
        let path = self.path.strip_prefix("src").unwrap().with_extension("");
        let names = path.iter().map(|name| name.to_str().unwrap().to_owned());
        names
            .filter(|name| !["mod", "lib"].contains(&name.as_str()))
            .collect()
    }

    fn code(&self) -> String {
        let lines = self.text.lines();
        let code: String = lines
            .flat_map(|line| [line.split("//").next().unwrap_or_default(), "\n"])
            .collect();
        without_visibility(&code)
    }
}

/// The text without `pub(in …)`, which names a module without importing it.
fn without_visibility(code: &str) -> String {
    let mut pieces = code.split("pub(in ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        text + "pub" + piece.split_once(')').map_or("", |(_, rest)| rest)
    })
}

/// A path that a file uses, absolute from the crate root, and whether the file re-exports it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    path: Path,
    is_exported: bool,
}

/// The paths that `code` uses after `crate`, `super` or `self`, with expanded use trees.
fn named(code: &str, module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = &code[..at];
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let statement = before.rsplit([';', '}']).next().unwrap_or_default().trim();
            let is_exported = statement.ends_with("use")
                && statement
                    .lines()
                    .last()
                    .is_some_and(|line| line.starts_with("pub"));
            let ends = leaves(&code[at..]);
            found.extend(ends.into_iter().filter_map(|path| {
                let path = absolute(path, module)?;
                Some(Named { path, is_exported })
            }));
        }
    }
    found
}

/// A path from the crate root. `None` if it leads above the root, as `super` in an inline module may.
fn absolute(path: Path, module: &[String]) -> Option<Path> {
    let mut base = module.to_vec();
    let mut names = path.into_iter().peekable();
    if names.next_if(|name| name == "crate").is_some() {
        base.clear();
    }
    names.next_if(|name| name == "self");
    while names.next_if(|name| name == "super").is_some() {
        base.pop()?;
    }
    base.extend(names.filter(|name| name != "self"));
    Some(base)
}

/// The paths in a use tree: of `a::{b::{c, d}, e}`, `a::b::c`, `a::b::d` and `a::e`.
fn leaves(tree: &str) -> Vec<Path> {
    let mut found = Vec::new();
    walk(tree, &mut Vec::new(), &mut found);
    found
}

/// Walks one element of a use tree, and returns what is left of the text after it.
fn walk<'t>(mut tree: &'t str, prefix: &mut Path, found: &mut Vec<Path>) -> &'t str {
    let depth = prefix.len();
    loop {
        tree = tree.trim_start();
        if let Some(mut group) = tree.strip_prefix('{') {
            loop {
                group = walk(group, prefix, found).trim_start();
                group = group.strip_prefix(',').unwrap_or(group).trim_start();
                if let Some(rest) = group.strip_prefix('}') {
                    prefix.truncate(depth);
                    return rest;
                }
                if group.is_empty()
                    || !group.starts_with(|c: char| c.is_alphanumeric() || "_*{".contains(c))
                {
                    prefix.truncate(depth);
                    return group;
                }
            }
        }
        let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
        let (name, rest) = tree.split_at(end.unwrap_or(tree.len()));
        prefix.push(name.to_owned());
        match rest.strip_prefix("::") {
            Some(rest) if rest.starts_with(|c: char| c.is_alphanumeric() || "_*{".contains(c)) => {
                tree = rest;
            }
            _ => {
                found.push(prefix.clone());
                prefix.truncate(depth);
                let rest = rest.trim_start();
                return match rest.strip_prefix("as ") {
                    Some(alias) => {
                        alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                    }
                    None => rest,
                };
            }
        }
    }
}

/// The files that each file imports, as modules. A re-export counts as an import from the defining file.
fn files() -> BTreeMap<Path, BTreeSet<Path>> {
    let sources = sources("src");
    let modules: BTreeSet<_> = sources.iter().map(Source::module).collect();
    let mut exports = BTreeMap::new();
    let mut imports: BTreeMap<Path, Vec<Path>> = BTreeMap::new();
    for source in &sources {
        let module = source.module();
        let code = source.code();
        let of_file = imports.entry(module.clone()).or_default();
        for Named { path, is_exported } in named(&code, &module) {
            match path.last() {
                Some(name) if is_exported => {
                    let mut exported = module.clone();
                    exported.push(name.clone());
                    exports.insert(exported, path);
                }
                _ => of_file.push(path),
            }
        }
    }
    let defined_in = |path: &Path| {
        let mut path = path.clone();
        for _ in 0..10 {
            let found = (1..=path.len()).find_map(|length| {
                let target = exports.get(&path[..length])?;
                Some([target, &path[length..]].concat())
            });
            match found {
                Some(next) if next != path => path = next,
                _ => break,
            }
        }
        let lengths = (1..=path.len()).rev();
        let mut prefixes = lengths.map(|length| path[..length].to_vec());
        prefixes.find(|prefix| modules.contains(prefix))
    };
    let edges = imports.into_iter().map(|(from, paths)| {
        let mut to: BTreeSet<_> = paths.iter().filter_map(defined_in).collect();
        to.remove(&from);
        (from, to)
    });
    edges.collect()
}

/// The files in cycles and between them: repeatedly removes files that import none of the others, and files
/// that none of the others import.
fn cycles(mut edges: BTreeMap<Path, BTreeSet<Path>>) -> BTreeSet<String> {
    loop {
        let before = edges.len();
        let free: Vec<_> = edges
            .iter()
            .filter(|(from, imports)| {
                imports.iter().all(|to| !edges.contains_key(to))
                    || !edges.values().any(|imports| imports.contains(*from))
            })
            .map(|(from, _)| from.clone())
            .collect();
        edges.retain(|from, _| !free.contains(from));
        if edges.len() == before {
            return edges.keys().map(|module| module.join("::")).collect();
        }
    }
}

/// The functions of `text` and how many lines each has.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let starts = lines.iter().enumerate().filter(|(_, line)| {
        let words = line.trim_start();
        let signature = words.split(['(', '<']).next().unwrap_or_default();
        !words.starts_with("//") && signature.split_whitespace().rev().nth(1) == Some("fn")
    });
    let found = starts.filter_map(|(at, line)| {
        let end = lines[at..].iter().position(|end| {
            indent(end) == indent(line) && (end.trim() == "}" || end.trim_end().ends_with(';'))
        })?;
        let name = line.trim_start().split('(').next()?.to_owned();
        Some((name, end + 1))
    });
    found.collect()
}

#[test]
fn every_form_of_an_import_is_parsed() {
    let text = "
        use crate::{
            auth::{Viewer, Origins},
            graphql, version::Head,
        };
        use super::super::hub::Hub;
        use super::{self, feed::{self, Feed as Heads}};
        pub(super) use self::child::Item;
        pub(in crate::module) fn f() -> crate::library::Error { super::config() }
    ";
    let module: Path = ["http", "events"].map(ToOwned::to_owned).to_vec();
    let named = named(&without_visibility(text), &module);
    let seen: BTreeSet<_> = named.iter().map(|named| named.path.join("::")).collect();
    let expected = [
        "auth::Origins",
        "auth::Viewer",
        "graphql",
        "http",
        "http::config",
        "http::events::child::Item",
        "http::feed",
        "http::feed::Feed",
        "hub::Hub",
        "library::Error",
        "version::Head",
    ];
    assert_eq!(
        seen.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
    let exported: Vec<_> = named.iter().filter(|named| named.is_exported).collect();
    assert_eq!(exported.len(), 1, "{exported:?}");
}

#[test]
fn a_module_imports_only_allowed_modules() {
    let mut imports_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("src") {
        let module = source.module();
        let Some(from) = module.first() else {
            continue;
        };
        let imports = named(&source.code(), &module);
        let imports = imports
            .into_iter()
            .filter_map(|named| named.path.first().cloned());
        imports_of.entry(from.clone()).or_default().extend(imports);
    }
    let names: BTreeSet<_> = imports_of.keys().cloned().collect();
    let may: BTreeMap<_, _> = MAY_IMPORT.into_iter().collect();
    for (from, imports) in &imports_of {
        let may = match may.get(from.as_str()) {
            Some(may) => *may,
            None if from == "config" => &CONFIG_MAY_IMPORT[..],
            None => {
                assert!(
                    TOP.contains(&from.as_str()),
                    "MAY_IMPORT does not name `{from}`"
                );
                continue;
            }
        };
        for to in imports
            .iter()
            .filter(|to| names.contains(*to) && *to != from)
        {
            let is_exception = |(a, b, _): &(&str, &str, &str)| a == from && b == to;
            assert!(
                to == "version"
                    || may.contains(&to.as_str())
                    || EXCEPTIONS.iter().any(is_exception),
                "`{from}` may not import `{to}`"
            );
        }
    }
    for (from, to, why) in EXCEPTIONS {
        assert!(
            imports_of[from].contains(to),
            "`{from}` no longer imports `{to}`, because: {why}"
        );
    }
}

#[test]
fn no_file_is_part_of_an_import_cycle() {
    let mut edges = files();
    // The crate root and `mod.rs` files only re-export.
    edges.remove(&Vec::new());
    for (files, why) in CYCLES {
        let found: BTreeSet<_> = files.iter().map(|file| (*file).to_owned()).collect();
        let mut among = edges.clone();
        among.retain(|module, _| found.contains(&module.join("::")));
        assert_eq!(cycles(among), found, "no longer a cycle: {why}");
        for (module, imports) in &mut edges {
            if found.contains(&module.join("::")) {
                imports.retain(|to| !found.contains(&to.join("::")));
            }
        }
    }
    assert_eq!(
        cycles(edges),
        BTreeSet::new(),
        "files import each other in a cycle"
    );
}

#[test]
fn a_mod_file_holds_only_declarations() {
    for source in sources("src") {
        // http/mod.rs is the route table.
        if !source.path.ends_with("mod.rs") || source.path.ends_with("http/mod.rs") {
            continue;
        }
        let functions = functions(&source.text);
        let path = source.path.display();
        assert!(functions.is_empty(), "{path} has functions: {functions:?}");
        let is_type = |line: &str| {
            let words = line.split_whitespace();
            let mut words = words.skip_while(|word| word.starts_with("pub"));
            matches!(
                words.next(),
                Some("struct" | "enum" | "trait" | "impl" | "type" | "const")
            )
        };
        let types: Vec<_> = source.text.lines().filter(|line| is_type(line)).collect();
        assert!(types.is_empty(), "{path} defines {types:?}");
    }
}

#[test]
fn a_file_has_a_module_comment_and_a_length_limit() {
    for source in sources("src").into_iter().chain(sources("migration/src")) {
        let path = source.path.display();
        assert!(
            source.text.starts_with("//! "),
            "{path} has no module comment"
        );
        let lines = source.text.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{path} has {lines} lines without its tests"
        );
    }
}

#[test]
fn a_function_has_a_length_limit() {
    for source in sources("src") {
        for (name, lines) in functions(&source.text) {
            let path = source.path.display();
            assert!(
                lines <= LONGEST_FUNCTION,
                "{path}: `{name}` has {lines} lines"
            );
        }
    }
}
