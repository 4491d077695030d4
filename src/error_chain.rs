//! An error and its causes, in one line for a log or a terminal.

use std::error::Error;

/// Returns the error's message and its causes. Omits a cause that the line contains already, because many errors repeat
/// their source.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let message = deeper.to_string();
        if !line.contains(&message) {
            line.push_str(": ");
            line.push_str(&message);
        }
        cause = deeper.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_repeated() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = anyhow::Error::from(refused).context("cannot connect: connection refused");
        let line = in_one_line(error.context("--database-url").as_ref());
        assert_eq!(line, "--database-url: cannot connect: connection refused");
    }
}
