//! Prints findings: as text with colours on a terminal, or as JSON.

use std::io::{self, IsTerminal as _, Write, stdout};

use serde_json::json;

use super::finding::{Finding, Verdict};

/// Width of the longest name of a check.
const NAME: usize = 24;

/// Prints the findings to standard output.
///
/// # Errors
/// When it cannot be written.
pub(super) fn print(findings: &[Finding], as_json: bool) -> io::Result<()> {
    let mut out = stdout().lock();
    if as_json {
        let report = json!({"failed": failed(findings), "findings": findings});
        return writeln!(out, "{report:#}");
    }
    let is_coloured = out.is_terminal();
    for finding in findings {
        print_line(&mut out, finding, is_coloured)?;
    }
    Ok(())
}

/// Returns the number of failed checks.
pub(super) fn failed(findings: &[Finding]) -> usize {
    let failed = findings.iter().filter(|it| it.verdict == Verdict::Failed);
    failed.count()
}

fn print_line(out: &mut impl Write, finding: &Finding, is_coloured: bool) -> io::Result<()> {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", 32),
        Verdict::Warning => ("warning", 33),
        Verdict::Failed => ("FAILED", 31),
        Verdict::Skipped => ("skipped", 90),
    };
    let (begin, end) = if is_coloured {
        (format!("\u{1b}[{colour}m"), "\u{1b}[0m")
    } else {
        (String::new(), "")
    };
    let Finding { check, found, .. } = finding;
    writeln!(out, "{begin}{word:7}{end}  {check:NAME$}  {found}")?;
    match &finding.fix {
        Some(fix) => writeln!(out, "{:9}{:NAME$}  → {fix}", "", ""),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Check;

    fn text(finding: &Finding, is_coloured: bool) -> String {
        let mut out = Vec::new();
        print_line(&mut out, finding, is_coloured).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_has_colours_only_on_a_terminal() {
        let finding = Check("broker").failed("connection refused", "start it");
        let plain = text(&finding, false);
        assert!(plain.starts_with("FAILED   broker  "), "{plain}");
        assert!(plain.ends_with("→ start it\n"), "{plain}");
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(text(&finding, true).contains("\u{1b}[31mFAILED"));
    }

    #[test]
    fn only_failures_count_as_failed() {
        let check = Check("broker");
        let findings = [
            check.ok("1 ms"),
            check.warning("slow", "look"),
            check.failed("down", "start it"),
            check.skipped("one node"),
        ];
        assert_eq!(failed(&findings), 1);
    }
}
