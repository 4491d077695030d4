//! README.md and the pages of docs/ match the code: settings, codes, routes, metrics, messages and commands.

use std::{collections::BTreeSet, fs, path::Path};

use clap::{Arg, CommandFactory as _, Parser as _, error::ErrorKind};
use library_sync::config::Cli;

use crate::{
    docs::{
        architecture::sources,
        links::{code_spans, documents},
    },
    support::printed,
    support::test_app::repository,
};

/// Text in capitals that is not an error code.
const NO_CODES: [&str; 8] = [
    "CARGO_PKG_VERSION",
    "FANFICTION_NET",
    "JSON",
    // Error names of tRPC.
    "METHOD_NOT_SUPPORTED",
    "POST",
    "SCREAMING_SNAKE_CASE",
    "SERVICE_UNAVAILABLE",
    "UNAUTHORIZED",
];

const CONFIGURATION: &str = "docs/configuration.md";

fn page(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The table of settings, as `serve --help` has them.
fn configuration() -> String {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").unwrap();
    let mut rows = vec![
        "| Flag | Variable | Default | |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    let mut last = "";
    for arg in serve.get_arguments() {
        let Some(variable) = arg.get_env() else {
            continue;
        };
        let heading = arg.get_help_heading().unwrap();
        if heading != last {
            rows.push(format!("| **{heading}** | | | |"));
            last = heading;
        }
        let (flag, variable) = (flag(arg), variable.to_str().unwrap());
        rows.push(format!(
            "| `{flag}` | `{variable}` | {} | {} |",
            default(arg),
            help(arg)
        ));
    }
    rows.join("\n") + "\n"
}

fn flag(arg: &Arg) -> String {
    let flag = format!("--{}", arg.get_long().unwrap());
    match arg.get_value_names() {
        Some([value]) if arg.get_action().takes_values() => {
            format!("{flag} {}", value.replace('|', "\\|"))
        }
        _ => flag,
    }
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    match values.as_slice() {
        _ if !arg.get_action().takes_values() => "off".to_owned(),
        [value] if !arg.is_hide_default_value_set() => format!("`{value}`"),
        _ => String::new(),
    }
}

fn help(arg: &Arg) -> String {
    let help = arg.get_help().unwrap().to_string();
    let values: Vec<_> = arg
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if values.is_empty() || !arg.get_action().takes_values() {
        help
    } else {
        format!("{help}: {}", values.join(", "))
    }
}

#[test]
fn the_configuration_page_matches_the_help() {
    let (begin, end) = (
        "<!-- configuration: begin -->\n",
        "<!-- configuration: end -->",
    );
    let text = page(CONFIGURATION);
    let (before, rest) = text.split_once(begin).unwrap();
    let (table, after) = rest.split_once(end).unwrap();
    let expected = configuration();
    if std::env::var_os("UPDATE_README").is_some() {
        let text = format!("{before}{begin}{expected}{end}{after}");
        return fs::write(repository().join(CONFIGURATION), text).unwrap();
    }
    for row in expected.lines().chain(table.lines()) {
        let is_in_both = expected.contains(row) && table.contains(row);
        assert!(
            is_in_both,
            "run `UPDATE_README=1 scripts/test readme`, because of\n{row}"
        );
    }
    assert_eq!(table, expected, "run `UPDATE_README=1 scripts/test readme`");
}

/// Every text in capitals in the code, without tests, that has the format of a code.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for source in sources("src") {
        let is_layer = ["auth", "graphql", "http", "library"]
            .iter()
            .any(|layer| source.path.starts_with(Path::new("src").join(layer)));
        // Statements are in capitals too.
        let is_sql = source.path.starts_with("src/library/database");
        if is_layer && !is_sql {
            // Flags have placeholders in capitals.
            let lines = source.text.lines();
            let lines: Vec<_> = lines
                .filter(|line| !line.contains("value_name = "))
                .collect();
            let text = lines.join("\n");
            let texts = text.split('"');
            codes.extend(texts.filter(|text| is_code(text)).map(str::to_owned));
        }
    }
    for no_code in NO_CODES {
        assert!(codes.remove(no_code), "{no_code} is no longer in the code");
    }
    let schema = fs::read_to_string(repository().join("schema.graphql")).unwrap();
    let (_, refusals) = schema.split_once("enum RefusalCode {").unwrap();
    let (refusals, _) = refusals.split_once('}').unwrap();
    codes.extend(
        refusals
            .lines()
            .map(str::trim)
            .filter(|line| is_code(line))
            .map(str::to_owned),
    );
    codes
}

fn is_code(text: &str) -> bool {
    text.len() > 3
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[test]
fn the_table_of_codes_has_exactly_the_codes_of_the_program() {
    let text = page("docs/errors.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<_> = rows
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect();
    let codes = codes();
    let odd: Vec<_> = documented.symmetric_difference(&codes).collect();
    assert!(
        odd.is_empty(),
        "in the code or in the table, but not in both: {odd:?}"
    );
}

#[test]
fn every_code_documents_whether_to_retry() {
    let text = page("docs/errors.md");
    let rows = |from: &str, to: &str| -> Vec<(String, String)> {
        let (_, table) = text.split_once(from).unwrap();
        let table = table.split(to).next().unwrap().to_owned();
        let cells = table
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                let retry = if from.contains("Status") {
                    cells[3]
                } else {
                    cells[2]
                };
                (cells[1].trim_matches('`').to_owned(), retry.to_owned())
            });
        cells.collect()
    };
    let errors = rows("| Code | Status | Retry |", "\n\n");
    let refusals = rows("| Refusal | Retry |", "\n\n");
    assert!(errors.len() > 25 && refusals.len() > 4);
    for (code, retry) in errors.iter().chain(&refusals) {
        let is_known = ["yes", "no"].contains(&retry.as_str()) || retry.starts_with("with a");
        assert!(is_known || retry == "with the document", "{code}: {retry}");
    }
    let retried: Vec<_> = errors.iter().filter(|(_, retry)| retry == "yes").collect();
    for (code, _) in &errors {
        // Temporary conditions: a rate limit, an outage, the end of a stream, and those that an operator ends.
        let passes = code.starts_with("TOO_MANY_")
            || code == "READ_ONLY"
            || ["UNAVAILABLE", "REQUEST_TIMEOUT", "INTERNAL_SERVER_ERROR"].contains(&code.as_str())
            || ["STREAM_TOO_OLD", "STREAM_ENDED", "SERVER_STOPPING"].contains(&code.as_str());
        assert_eq!(retried.iter().any(|(it, _)| it == code), passes, "{code}");
    }
}

#[test]
fn every_route_and_every_metric_has_its_row() {
    let text = page("docs/api.md") + &page("docs/metrics.md");
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let mut names = BTreeSet::new();
    for source in sources("src") {
        let text = source.text;
        let routes = text.split(".route(").skip(1);
        let routes = routes.filter_map(|rest| rest.split('"').nth(1));
        let metrics = text
            .split('"')
            .filter(|text| text.starts_with("library_sync_"));
        let assets = |name: &&str| name.contains("assets");
        names.extend(
            routes
                .chain(metrics)
                .filter(|name| !assets(name))
                .map(str::to_owned),
        );
    }
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let end = format!("{name}`");
        assert!(
            rows.iter().any(|row| row.contains(&end)),
            "{name} has no row"
        );
    }
}

/// The arguments of this program in a line of a shell.
fn command(line: &str) -> Option<Vec<&str>> {
    let (before, command) = ["cargo run -- ", "library-sync "]
        .into_iter()
        .find_map(|program| line.split_once(program))?;
    // A program runs after assignments. Elsewhere the name is that of a file or a unit.
    if before.split_whitespace().any(|word| !word.contains('=')) || before.ends_with('/') {
        return None;
    }
    let command = command.split([')', '#', '>', '|']).next().unwrap();
    let words = command.split_whitespace();
    Some(["library-sync"].into_iter().chain(words).collect())
}

#[test]
fn every_documented_command_parses() {
    let documents = documents();
    let blocks = documents
        .iter()
        .flat_map(|path| printed::blocks(path, "sh"));
    let blocks: Vec<_> = blocks.collect();
    let spans: Vec<_> = documents.iter().flat_map(|path| code_spans(path)).collect();
    let complete: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(command)
        .collect();
    let in_prose: Vec<_> = spans.iter().filter_map(|span| command(span)).collect();
    assert!(complete.len() > 7 && in_prose.len() > 7);
    let shows = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
    // Prose names a command without its arguments.
    let is_named = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    for (commands, permitted) in [
        (complete, &shows[..]),
        (in_prose, &[shows, is_named].concat()),
    ] {
        for command in commands {
            if let Err(error) = Cli::try_parse_from(&command) {
                assert!(permitted.contains(&error.kind()), "{command:?}: {error}");
            }
        }
    }
}

#[test]
fn every_message_of_troubleshooting_is_in_the_code() {
    let text = page("docs/troubleshooting.md");
    let (_, table) = text.split_once("| Message | Cause and remedy |\n").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let code: String = sources("src").into_iter().map(|it| it.text).collect();
    // The markup around a word is not a part of what a terminal shows.
    let code = code.replace('`', "");
    let messages = table.lines().filter_map(|row| row.strip_prefix("| `"));
    let messages: Vec<_> = messages.map(|row| row.split('`').next().unwrap()).collect();
    assert!(messages.len() > 5);
    for message in messages {
        // Values that differ each time: an address, a file.
        let words: Vec<_> = message.split([' ', ':', ';']).collect();
        let fixed: Vec<_> = words
            .split(|word| word.contains("127.0.0.1") || word.contains(".db") || word.is_empty())
            .map(|words| words.join(" "))
            .filter(|words| words.contains(' '))
            .collect();
        assert!(!fixed.is_empty(), "{message}");
        for words in fixed {
            assert!(code.contains(&words), "no message has: {words}");
        }
    }
}
