//! [`Finding`]: the result of one check.

use std::{fmt::Display, future::Future, time::Duration};

use serde::Serialize;
use tokio::time::timeout;

/// Judgement of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// Works, but not as well as it should.
    Warning,
    /// Does not work, or loses a guarantee.
    Failed,
    /// Not examined.
    Skipped,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Stable name of the check, such as `database.clock`.
    pub check: &'static str,
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The name of a check, from which its findings are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check(pub &'static str);

impl Check {
    pub fn ok(self, found: impl Display) -> Finding {
        self.finding(Verdict::Ok, &found, None)
    }

    pub fn skipped(self, found: impl Display) -> Finding {
        self.finding(Verdict::Skipped, &found, None)
    }

    pub fn warning(self, found: impl Display, fix: impl Display) -> Finding {
        self.finding(Verdict::Warning, &found, Some(fix.to_string()))
    }

    pub fn failed(self, found: impl Display, fix: impl Display) -> Finding {
        self.finding(Verdict::Failed, &found, Some(fix.to_string()))
    }

    fn finding(self, verdict: Verdict, found: &dyn Display, fix: Option<String>) -> Finding {
        Finding {
            check: self.0,
            verdict,
            found: found.to_string(),
            fix,
        }
    }

    /// Runs the check within a time limit.
    pub async fn within(self, limit: Duration, examined: impl Future<Output = Finding>) -> Finding {
        let finding = timeout(limit, examined).await;
        finding.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            self.failed(
                format!("no result within {limit}"),
                "find out why it does not answer: a firewall that drops packets, or an overloaded machine",
            )
        })
    }
}
