//! The links of the documents resolve, and every page is reachable from README.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use crate::support::test_app::repository;

/// Documents outside docs/.
const ROOTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "client-example/README.md",
    "client-example/app/README.md",
    "client-example/sync/README.md",
    "tests/clients/README.md",
    "tests/protocol/README.md",
];

const MAX_LINES: usize = 180;
const MAX_WORDS: usize = 1_800;

/// The paths of all documents, relative to the repository.
pub fn documents() -> Vec<String> {
    let mut documents = ROOTS.map(str::to_owned).to_vec();
    for folder in ["docs", "docs/adr"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if is_page(&name) {
                documents.push(format!("{folder}/{name}"));
            }
        }
    }
    documents.sort();
    documents
}

fn is_page(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == "md")
}

fn text(document: &str) -> String {
    let path = repository().join(document);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    let blocks = text.split("\n```").enumerate();
    let prose = blocks.filter(|(number, _)| number % 2 == 0);
    prose.map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// The code spans of a document.
pub fn code_spans(document: &str) -> Vec<String> {
    let prose = prose(&text(document));
    let spans = prose.split('`').skip(1).step_by(2);
    spans.map(|span| span.replace('\n', " ")).collect()
}

/// A link: what is shown, the path from the root of the repository, and the anchor.
struct Link {
    title: String,
    target: String,
    path: String,
    anchor: Option<String>,
}

/// The links of a document that stay in the repository.
fn links(document: &str) -> Vec<Link> {
    let text = prose(&text(document));
    let folder = Path::new(document).parent().unwrap();
    let mut links = Vec::new();
    for (before, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at)) {
        let target = rest[2..].split(')').next().unwrap();
        if target.starts_with("http") {
            continue;
        }
        let (path, anchor) = target
            .split_once('#')
            .map_or((target, None), |(path, anchor)| {
                (path, Some(anchor.to_owned()))
            });
        let path = match path {
            "" => document.to_owned(),
            path => normal(&folder.join(path)),
        };
        links.push(Link {
            title: before.rsplit('[').next().unwrap().to_owned(),
            target: target.to_owned(),
            path,
            anchor,
        });
    }
    links
}

/// The path without `..`.
fn normal(path: &Path) -> String {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                assert!(normal.pop(), "{} leaves the repository", path.display());
            }
            other => normal.push(other),
        }
    }
    normal.to_str().unwrap().to_owned()
}

/// The anchors of a page, as GitHub makes them from its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = format!("\n{}", prose(text));
    let headings = prose.lines().filter_map(|line| line.strip_prefix('#'));
    let mut times = BTreeMap::<String, usize>::new();
    let slugs = headings.map(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let slug: String = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let count = times.entry(slug.clone()).or_default();
        *count += 1;
        match *count {
            1 => slug,
            count => format!("{slug}-{}", count - 1),
        }
    });
    slugs.chain(ids(&prose)).collect()
}

/// The ids of the HTML elements of a page.
fn ids(prose: &str) -> Vec<String> {
    let ids = prose.split("<a id=\"").skip(1);
    ids.map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn an_anchor_is_the_heading_in_lower_case_with_hyphens() {
    let page = "# Base, and `onConflict`\n\n```sh\n# no heading\n```\n## Twice\n## Twice\n<a id=\"MUST-1\"></a>\n";
    let expected = ["base-and-onconflict", "twice", "twice-1", "MUST-1"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

#[test]
fn every_link_and_anchor_resolves() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in documents() {
        for link in links(&document) {
            count += 1;
            let path = repository().join(&link.path);
            let resolves = match &link.anchor {
                None => path.exists(),
                Some(anchor) => path.is_file() && anchors(&text(&link.path)).contains(anchor),
            };
            if !resolves {
                broken.push(format!("{document}: [{}]({})", link.title, link.target));
            }
            // A title that looks like a path is the path that it leads to.
            let shown = link.title.trim_matches('`');
            let is_file = Path::new(shown).extension().is_some()
                && Path::new(shown).extension() == path.extension();
            let is_path = !shown.contains(' ') && (is_file || shown.contains('/'));
            if is_path && !link.path.ends_with(shown.trim_start_matches("../")) {
                broken.push(format!(
                    "{document}: [{}] leads to {}",
                    link.title, link.path
                ));
            }
        }
    }
    assert!(count > 100, "{count} links");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_path_in_a_code_span_exists() {
    let folders = [
        "src/",
        "tests/",
        "scripts/",
        "migration/",
        "docs/",
        "deploy/",
        ".ci/",
        ".github/",
    ];
    let mut missing = Vec::new();
    for document in documents() {
        if document == "CHANGELOG.md" || document.starts_with("client-example/") {
            continue;
        }
        let is_path = |span: &String| {
            let is_inside = folders.iter().any(|folder| span.starts_with(folder));
            is_inside && !span.contains([' ', ':', '*', '…'])
        };
        for path in code_spans(&document).into_iter().filter(is_path) {
            if !repository().join(&path).exists() {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_page_is_at_most_two_clicks_from_the_readme() {
    let mut near = BTreeSet::from(["README.md".to_owned()]);
    for _ in 0..2 {
        let pages = near.iter().filter(|path| is_page(path));
        let next: Vec<_> = pages
            .flat_map(|path| links(path))
            .map(|it| it.path)
            .collect();
        near.extend(next);
    }
    let far: Vec<_> = documents()
        .into_iter()
        .filter(|path| path.starts_with("docs/") && !near.contains(path))
        .collect();
    assert!(far.is_empty(), "{far:?}");
}

#[test]
fn the_readme_is_short() {
    let text = text("README.md");
    let (lines, words) = (text.lines().count(), text.split_whitespace().count());
    assert!(lines <= MAX_LINES, "{lines} lines");
    assert!(words <= MAX_WORDS, "{words} words");
}
