//! `library-sync canary`: writes a marked change and times it over each transport of each node, for a cron job.
//!
//! **Invariant:** the user's library is afterwards as it was, apart from the version. A later run removes what a run left
//! that was killed.

mod run;
mod textfile;
mod watcher;

pub use self::run::canary;
