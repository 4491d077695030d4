//! Measures a node under load: version checks, mutations, deltas, streams, restarts, and what a fleet needs.
//!
//! `cargo bench --bench load -- --help` lists the loads. Each starts PostgreSQL and the program, loads it for some rounds,
//! and prints a table. Most compare it with something else that does the same work in the same run, as the yardstick.
//! With several `--program`, the rounds alternate between them: results of one run compare, those of two runs may not.
//! `scripts/test` installs the servers that it starts, except nchan. docs/measuring.md explains the loads.
#![expect(clippy::unwrap_used, reason = "a load program stops when it fails")]

#[path = "../../tests/it/support"]
#[expect(
    dead_code,
    clippy::disallowed_methods,
    reason = "only the tests use the other items"
)]
mod support {
    pub mod deadline;
    pub mod programs;
    pub mod servers;
}

mod capacity;
mod deltas;
mod device_reports;
mod event_stream;
mod fan_out;
mod growth;
mod http;
mod mixed;
mod mutations;
mod nchan;
mod node;
mod pgbench;
mod purges;
mod reload;
mod soak;
mod storm;
mod streams;
mod transport;
mod version_checks;
mod yardsticks;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Measures a node under load.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    load: Load,
    /// The program to measure. Defaults to the one built by `cargo bench`. Repeat it to compare versions.
    #[arg(long = "program", global = true, default_value = env!("CARGO_BIN_EXE_library-sync"))]
    programs: Vec<PathBuf>,
    /// Rounds for each program.
    #[arg(long, global = true, default_value_t = 3)]
    rounds: u32,
    /// Duration of a round, in seconds. Defaults to 5, and to 30 for `mixed`.
    #[arg(long, global = true)]
    seconds: Option<u64>,
    /// Passed by `cargo bench` and ignored.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Load {
    /// Reads versions, by GET and by GraphQL. Yardsticks: `pgbench` selects the same row, and axum serves a static route.
    VersionChecks {
        /// Also compares it with graphql-yoga, which needs Node and npm.
        #[arg(long)]
        yoga: bool,
        /// Concurrent connections.
        #[arg(long, default_value_t = 32)]
        connections: usize,
    },
    /// Creates tags, or reads chapters. Yardstick on PostgreSQL: `pgbench` runs the same statements.
    Mutations {
        /// The kind of the database.
        #[arg(long, value_enum, default_value_t)]
        database: mutations::Database,
        /// The mutation.
        #[arg(long, value_enum, default_value_t)]
        kind: mutations::Kind,
        /// Concurrent connections, each of another user.
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// Reads the delta of one change, and whole libraries. Yardsticks: the version query, and `psql` reads the same rows.
    Deltas {
        /// Entries of each library.
        #[arg(long, default_value_t = 20_000)]
        entries: usize,
    },
    /// Reads versions as devices that name themselves and report their version, and the same without a device.
    DeviceReports {
        /// Devices, three of each user.
        #[arg(long, default_value_t = 15_000)]
        count: usize,
        /// Concurrent connections.
        #[arg(long, default_value_t = 32)]
        connections: usize,
    },
    /// Opens streams of as many users, and measures the memory of each. Yardstick: subscribers of nchan, if it is installed.
    Streams(streams::Streams),
    /// Times each operation on libraries of several sizes, among many users. Prints milliseconds, the median of some runs.
    Growth(growth::Growth),
    /// Changes a library with many streams. Yardstick: nchan publishes to as many subscribers.
    FanOut {
        /// Streams of the user.
        #[arg(long, default_value_t = 15_000)]
        count: usize,
    },
    /// Restarts the server under as many users, who reconnect at once.
    Storm {
        /// Users, with one stream each.
        #[arg(long, default_value_t = 15_000)]
        users: usize,
    },
    /// Makes changes at a constant rate among idle streams, and times their events.
    Mixed(mixed::Mixed),
    /// Runs clients that come, go, stall and fall off the network, and samples memory and open files of the first program.
    Soak(soak::Soak),
    /// Purges expired history on PostgreSQL while an old transaction is open. Prints the rate of each tenth.
    Purges {
        /// Expired rows.
        #[arg(long, default_value_t = 1_000_000)]
        rows: usize,
    },
    /// Sizes a fleet: measures what single events cost the first program, simulates every device for a month, and
    /// multiplies.
    Capacity(capacity::Fleet),
    /// Serves the static route that version checks are compared with.
    #[command(hide = true)]
    StaticRoute { port: u16 },
}

impl Args {
    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(5)
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    /// The short names of the programs: `1`, `2` and so on, in their order.
    fn programs(&self) -> impl Iterator<Item = (usize, &PathBuf)> {
        self.programs
            .iter()
            .enumerate()
            .map(|(at, program)| (at + 1, program))
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Each stream needs a descriptor here and one in the node, which inherits the limit.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    for (number, program) in args.programs() {
        println!("program {number}: {}", program.display());
    }
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).unwrap(),
        signal(SignalKind::terminate()).unwrap(),
    );
    // A signal drops the load, and with it its servers and their folders, which can hold many gigabytes.
    tokio::select! {
        () = run(&args) => ExitCode::SUCCESS,
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}

async fn run(args: &Args) {
    match &args.load {
        Load::VersionChecks { connections, yoga } => {
            version_checks::measure(args, *connections, *yoga).await;
        }
        Load::StaticRoute { port } => yardsticks::serve_static(*port).await,
        Load::Mutations {
            database,
            kind,
            connections,
        } => mutations::measure(args, *database, *kind, *connections).await,
        Load::Streams(streams) => streams::measure(args, streams).await,
        Load::DeviceReports { count, connections } => {
            device_reports::measure(args, *count, *connections).await;
        }
        Load::Deltas { entries } => deltas::measure(args, *entries).await,
        Load::Purges { rows } => purges::measure(args, *rows).await,
        Load::Growth(growth) => growth::measure(args, growth).await,
        Load::FanOut { count } => fan_out::measure(args, *count).await,
        Load::Storm { users } => storm::measure(args, *users).await,
        Load::Mixed(mixed) => mixed::measure(args, mixed).await,
        Load::Soak(soak) => soak::measure(args, soak).await,
        Load::Capacity(fleet) => capacity::measure(&args.programs[0], fleet).await,
    }
}
