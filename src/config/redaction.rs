//! Errors of the command line, without what may be a part of a secret.
//!
//! An argument that is not expected may be the rest of a secret that was not quoted, or an address that was given without
//! its flag. (Values of secret settings are never in an error: any text is one.)

use clap::error::{ContextKind, ContextValue};

/// The longest name of a command.
const LONGEST_COMMAND: usize = 8;

/// Takes out of an error what names neither a flag nor a command.
pub fn redacted(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        // Lists name what this program defines.
        if let Some(ContextValue::String(text)) = error.get(kind)
            && !may_show(kind, text)
        {
            error.insert(kind, ContextValue::String("[not shown]".to_owned()));
            // "to pass '…' as a value".
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(Vec::new()));
        }
    }
    error
}

fn may_show(kind: ContextKind, text: &str) -> bool {
    // `--listen <ADDRESS:PORT>` and `<FILE>` are how clap names what it knows.
    let name = text.split(' ').next().unwrap_or_default();
    let is_word = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    name.starts_with('<')
        || is_word && name.starts_with("--")
        || is_word && kind == ContextKind::InvalidSubcommand && name.len() <= LONGEST_COMMAND
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::Cli;

    fn said(arguments: &[&str]) -> String {
        let all = std::iter::once(&"library-sync").chain(arguments);
        redacted(Cli::try_parse_from(all).unwrap_err()).to_string()
    }

    #[test]
    fn what_may_be_a_part_of_a_secret_is_not_repeated() {
        for arguments in [
            &["serve", "postgres://u:Hush7@h/db"][..],
            &["postgres://u:Hush7@h/db"],
            &["token", "--sub", "ann", "--jwt-secret", "a", "Hush7"],
            &["serve", "--databse-url", "Hush7"],
            &["serve", "--databse-url=Hush7"],
            &["serve", "-Hush7"],
            &["export", "--sub", "ann", "a.csv", "Hush7"],
        ] {
            let said = said(arguments);
            assert!(!said.contains("Hush7"), "{said}");
            assert!(said.contains("Usage"), "{said}");
        }
    }

    #[test]
    fn a_mistyped_flag_command_or_value_is_named() {
        assert!(said(&["serve", "--databse-url", "x"]).contains("'--databse-url'"));
        assert!(said(&["serv"]).contains("'serv'"));
        assert!(said(&["serve", "--max-body", "x"]).contains("'--max-body <BYTES>'"));
    }
}
