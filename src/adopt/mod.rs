//! Adopts a database of the older app: moves its tables into the schema `topaz_before`, migrates, and copies each user's
//! library into the tables of library-sync. `--undo` moves the tables back.
//!
//! In the flow: `commands::adopt` calls [`adopt`] and [`undo`]. Rows are read here and inserted by `library`.
//!
//! **Invariant:** an adoption is one transaction. It commits as a whole, or the database is unchanged.
//! **Invariant:** no row of the older app is changed or deleted. What is not copied stays in `topaz_before`.
//! **Invariant:** memory is bounded by a batch of rows, regardless of the number of rows.

mod adoption;
mod copy;
mod cursor;
mod error;
mod labels;
mod live;
mod mapping;
mod older_row;
mod older_tables;
mod record;
mod report;
mod set_aside;
mod undo;
mod users;
mod verification;

pub use self::{
    adoption::{Adopted, Adoption, adopt},
    error::Error,
    live::{CutOver, cut_over, follow},
    report::Lines,
    undo::{Undone, undo},
};
