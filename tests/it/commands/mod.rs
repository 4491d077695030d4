//! The commands beside `serve`, and the files that they read and write.

pub mod archive;
pub mod backup;
pub mod canary;
pub mod command_line;
pub mod doctor;
pub mod foreign_files;
pub mod import;
pub mod secrets;
