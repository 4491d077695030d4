//! Sizes a fleet: how many servers ten million devices need, and what runs out first.
//!
//! It measures what single events cost a real node and its PostgreSQL ([`costs`]), plays an hour of a small fleet against
//! such a node to see whether the sum of the costs is what happens ([`check`]), and simulates every device of a large
//! fleet for a month ([`simulation`]) to find the rates that the costs are multiplied with. docs/scaling.md explains the
//! result.
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

mod check;
mod costs;
mod counts;
mod model;
mod simulation;

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use self::{
    costs::{Cost, Costs},
    counts::{COLUMNS, Counts, summary},
    simulation::{Event, Simulation},
};

/// The size of the fleet.
#[derive(clap::Args)]
pub struct Fleet {
    /// Devices that are simulated. Each needs 7 bytes of memory.
    #[arg(long, default_value_t = 10_000_000)]
    devices: usize,
    /// Days that are simulated, after one that fills the streams.
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// Nodes that the devices share. A restart ends the streams of one node at a time.
    #[arg(long, default_value_t = 20)]
    nodes: u16,
    /// Seed of the simulation.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Devices of the hour that is played against a real node. 0 skips it.
    #[arg(long, default_value_t = 3_000)]
    check: usize,
    /// Duration of that hour in seconds.
    #[arg(long, default_value_t = 60)]
    check_seconds: u64,
}

/// Measures a program, and sizes a fleet of it.
pub async fn measure(program: &Path, fleet: &Fleet) {
    let costs = costs::measure(program).await;
    print_costs(&costs);
    let factor = if fleet.check > 0 {
        compare(program, &costs, fleet).await
    } else {
        1.0
    };
    let seconds = simulate(fleet);
    print_rates(&seconds);
    print_needs(&costs, factor, &seconds, fleet.nodes);
}

fn print_costs(costs: &Costs) {
    println!("| event | statements | node, µs of CPU | PostgreSQL, µs of CPU |");
    println!("|---|---|---|---|");
    let row = |name: &str, cost: Cost| {
        let Cost {
            statements,
            node,
            database,
        } = cost;
        println!("| {name} | {statements:.3} | {node:.1} | {database:.1} |");
    };
    for (name, event) in COLUMNS {
        if event != Event::Push {
            row(name, costs.of(event));
        }
    }
    row("heartbeats", costs.heartbeat);
    row("a second of an idle node", costs.idle);
    println!("\nmemory of an idle stream: {:.1} KiB\n", costs.stream);
}

/// Plays the hour. Returns how much more CPU it took than predicted.
async fn compare(program: &Path, costs: &Costs, size: &Fleet) -> f64 {
    let lasts = Duration::from_secs(size.check_seconds);
    let check = check::check(program, costs, size.check, lasts, size.seed).await;
    println!(
        "An hour of {} devices ({} events) within {} s:\n",
        size.check, check.events, size.check_seconds
    );
    println!("| | predicted | measured | ratio |");
    println!("|---|---|---|---|");
    let (predicted, measured) = (check.predicted, check.measured);
    for (name, predicted, measured) in [
        ("statements", predicted.statements, measured.statements),
        ("node, ms of CPU", predicted.node / 1e3, measured.node / 1e3),
        (
            "PostgreSQL, ms of CPU",
            predicted.database / 1e3,
            measured.database / 1e3,
        ),
    ] {
        println!(
            "| {name} | {predicted:.0} | {measured:.0} | {:.2} |",
            measured / predicted
        );
    }
    println!();
    let cpu = |cost: Cost| cost.node + cost.database;
    cpu(measured) / cpu(predicted)
}

/// Simulates the fleet. Returns the counts of each second after the first day.
fn simulate(size: &Fleet) -> Vec<Counts> {
    let (began, mut total) = (Instant::now(), 0_u64);
    let mut fleet = Simulation::new(size.devices, size.nodes, size.seed);
    let mut now = Counts::default();
    let mut seconds = Vec::new();
    let is_watched = std::io::stderr().is_terminal();
    for day in 0..=size.days {
        for _ in 0..86_400 {
            now = now.next();
            fleet.second(&mut |event, _| {
                now.add(event);
                total += 1;
            });
            if day > 0 {
                seconds.push(now);
            }
        }
        if is_watched {
            eprint!("\rday {day} of {}", size.days);
            std::io::stderr().flush().unwrap();
        }
    }
    if is_watched {
        eprintln!();
    }
    println!(
        "{} devices on {} nodes for {} days: {total} events, simulated in {:.0} s.\n",
        size.devices,
        size.nodes,
        size.days,
        began.elapsed().as_secs_f64()
    );
    seconds
}

fn print_rates(seconds: &[Counts]) {
    println!("| in one second | mean | 99 % of seconds below | busiest second |");
    println!("|---|---|---|---|");
    let row = |name: &str, values: Vec<f64>| {
        let [mean, high, most] = summary(values);
        println!("| {name} | {mean:.0} | {high:.0} | {most:.0} |");
    };
    row("open streams", of(seconds, |second| second.streams.into()));
    for (at, (name, _)) in COLUMNS.iter().enumerate() {
        row(name, of(seconds, |second| second.events[at].into()));
    }
    row(
        "heartbeats",
        of(seconds, |second| f64::from(second.streams) / 30.0),
    );
    println!();
}

/// What the rates cost. CPU time is multiplied by `factor`.
fn print_needs(costs: &Costs, factor: f64, seconds: &[Counts], nodes: u16) {
    let cost = |second: &Counts, part: fn(&Cost) -> f64| {
        let events = COLUMNS.iter().zip(second.events);
        let events: f64 = events
            .map(|((_, event), count)| part(&costs.of(*event)) * f64::from(count))
            .sum();
        let heartbeats = part(&costs.heartbeat) * f64::from(second.streams) / 30.0;
        events + heartbeats + part(&costs.idle) * f64::from(nodes)
    };
    println!(
        "CPU time is that of the events, times {factor:.2}: what the played hour took of it.\n"
    );
    println!("| needs | mean | 99 % of seconds below | busiest second |");
    println!("|---|---|---|---|");
    let row = |name: &str, values: Vec<f64>| {
        let [mean, high, most] = summary(values);
        println!("| {name} | {mean:.1} | {high:.1} | {most:.1} |");
    };
    row(
        "cores of all nodes",
        of(seconds, |second| {
            factor * cost(second, |cost| cost.node) / 1e6
        }),
    );
    row(
        "cores of PostgreSQL",
        of(seconds, |second| {
            factor * cost(second, |cost| cost.database) / 1e6
        }),
    );
    row(
        "statements a second",
        of(seconds, |second| cost(second, |cost| cost.statements)),
    );
    row(
        "memory of all streams, GiB",
        of(seconds, |second| {
            f64::from(second.streams) * costs.stream / 1024.0 / 1024.0
        }),
    );
}

fn of(seconds: &[Counts], value: impl Fn(&Counts) -> f64) -> Vec<f64> {
    seconds.iter().map(value).collect()
}
