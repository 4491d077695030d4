//! Runs all checks, and prints what they found.

use futures_util::{FutureExt as _, future::join_all};

use super::{configuration, database, proxy, report, services};
use crate::config::Doctor;

/// Examines a set-up. Prints one finding for each check.
///
/// # Errors
/// When a check failed, or the report cannot be printed.
pub async fn doctor(doctor: &Doctor) -> anyhow::Result<()> {
    let (serve, examination) = (&doctor.serve, &doctor.examination);
    let limit = examination.deadline;
    let groups = join_all([
        configuration::examine(serve, limit).boxed(),
        database::examine(serve, limit).boxed(),
        services::examine(serve, examination).boxed(),
        proxy::examine(serve, examination).boxed(),
    ]);
    let findings = groups.await.concat();
    report::print(&findings, examination.json)?;
    let failed = report::failed(&findings);
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", findings.len());
    Ok(())
}
