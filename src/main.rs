//! The program, which is in the library: see [`library_sync::program`].

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    library_sync::program::run()
}
