//! The settings, apart from those that another check covers: limits, documents, the limit of open files.

use std::time::Duration;

use super::finding::{Check, Finding};
use crate::{app, config::Serve, error_chain::in_one_line};

const SETTINGS: Check = Check("configuration");
const FILES: Check = Check("open_files");

/// Number of open files below which a server is short of them: each stream needs one.
const FEW_FILES: u64 = 4_096;

pub(super) async fn examine(serve: &Serve, limit: Duration) -> Vec<Finding> {
    let settings = async {
        match app::check_settings(serve) {
            Ok(()) => SETTINGS.ok("every setting is valid"),
            Err(error) => SETTINGS.failed(
                in_one_line(error.as_ref()),
                "correct the setting that the message names; docs/configuration.md lists all",
            ),
        }
    };
    vec![SETTINGS.within(limit, settings).await, open_files()]
}

/// The server raises its limit of open files to the hard one.
fn open_files() -> Finding {
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, hard)) if hard < FEW_FILES => FILES.warning(
            format!("the limit of open files is {hard}, and each stream needs one"),
            "raise it: LimitNOFILE in systemd, `ulimit -n` in a shell, `--ulimit nofile` for a container",
        ),
        Ok((_, hard)) => FILES.ok(format!("at most {hard}")),
        Err(error) => FILES.skipped(error),
    }
}
