//! `library-sync doctor`: examines a set-up, and names what is wrong with the remedy.
//!
//! ```text
//! settings ─ examination ─┬─ configuration          ┐
//!                         ├─ database ─ disk        │
//!                         ├─ services (broker, keys,├─ findings ─ report
//!                         │  push, webhook)         │
//!                         └─ proxy ─ proxy_streams  ┘
//! ```
//!
//! **Invariant:** the doctor changes nothing: it does not create or migrate a database.
//! **Invariant:** each check ends within its time limit, and no finding contains a secret.

mod configuration;
mod database;
mod disk;
mod examination;
mod finding;
mod proxy;
mod proxy_streams;
mod remedy;
mod report;
mod services;
mod target;

pub use self::examination::doctor;
