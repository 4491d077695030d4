//! Redaction of command-line errors.
//!
//! An unexpected argument may be a part of a secret that was not quoted, or a URL without its flag. Values of secret
//! settings never occur in an error, because any text is valid for them.

use clap::error::{ContextKind, ContextValue};

/// Length of the longest command name.
const LONGEST_COMMAND: usize = 8;

/// Removes arguments other than flags and commands from an error.
pub fn redacted(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        // Lists contain only names that this program defines.
        if let Some(ContextValue::String(text)) = error.get(kind)
            && !may_show(kind, text)
        {
            error.insert(kind, ContextValue::String("[not shown]".to_owned()));
            // The suggestion "to pass '…' as a value" repeats the argument.
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(Vec::new()));
        }
    }
    error
}

fn may_show(kind: ContextKind, text: &str) -> bool {
    // clap formats known arguments as `--listen <ADDRESS:PORT>`, `<FILE>` and `[FILE]`.
    let name = text.split(' ').next().unwrap_or_default();
    let is_word = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_placeholder = |text: &str| {
        let mut letters = text.chars();
        letters.all(|c| c.is_ascii_uppercase() || "-|:=".contains(c))
    };
    let inner = name
        .strip_prefix(['<', '['])
        .and_then(|name| name.strip_suffix(['>', ']']));
    let is_number = |text: &str| text.len() < 10 && text.bytes().all(|c| c.is_ascii_digit());
    inner.is_some_and(is_placeholder)
        || text.strip_prefix('-').is_some_and(is_number)
        || is_word && name.starts_with("--")
        || is_word && kind == ContextKind::InvalidSubcommand && name.len() <= LONGEST_COMMAND
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::Cli;

    fn message(arguments: &[&str]) -> String {
        let all = std::iter::once(&"library-sync").chain(arguments);
        redacted(Cli::try_parse_from(all).unwrap_err()).to_string()
    }

    #[test]
    fn an_error_never_repeats_a_possible_secret() {
        for arguments in [
            &["serve", "postgres://u:Hush7@h/db"][..],
            &["postgres://u:Hush7@h/db"],
            &["token", "--sub", "ann", "--jwt-secret", "a", "Hush7"],
            &["serve", "--databse-url", "Hush7"],
            &["serve", "--databse-url=Hush7"],
            &["serve", "-Hush7"],
            &["export", "--sub", "ann", "a.csv", "Hush7"],
            &["export", "--sub", "ann", "a.csv", "<Hush7>"],
        ] {
            let message = message(arguments);
            assert!(!message.contains("Hush7"), "{message}");
            assert!(message.contains("Usage"), "{message}");
        }
    }

    #[test]
    fn a_mistyped_flag_command_or_value_is_named() {
        assert!(message(&["serve", "--databse-url", "x"]).contains("'--databse-url'"));
        assert!(message(&["serv"]).contains("'serv'"));
        assert!(message(&["serve", "--max-body", "x"]).contains("'--max-body <BYTES>'"));
        assert!(message(&["export", "--sub", "ann", ""]).contains("'[FILE]'"));
        assert!(message(&["serve", "--max-page", "-1"]).contains("'-1'"));
    }
}
