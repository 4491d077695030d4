//! Version checks of devices that name themselves and report their version, against the same checks without a device.
//!
//! A reader has three devices. The devices check in turn, so that the rounds of the two kinds differ in nothing else.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    Args,
    http::{Connection, get, graphql},
    node::{Node, token},
    support::servers::Server,
};

const DEVICES_A_READER: usize = 3;

const PATH: &str = "/api/library-version";

pub async fn measure(args: &Args, count: usize, connections: usize) {
    let postgres = Server::postgres().await;
    println!(
        "| program | round | devices | checks/s without | with | ratio | statements per check without | with |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let node = Node::start(program, &postgres.url(), connections).await;
            let [without, with] = checks(&node, count).await;
            let (plain, plain_each) = timed(args, &node, without, connections).await;
            let (named, named_each) = timed(args, &node, with, connections).await;
            must_list_devices(&node).await;
            println!(
                "| {number} | {round} | {count} | {plain:.0} | {named:.0} | {:.2} | {plain_each:.3} | {named_each:.3} |",
                named / plain,
            );
        }
    }
}

/// The check of each device, without and with its name and version.
async fn checks(node: &Node, count: usize) -> [Vec<String>; 2] {
    let mut connection = Connection::open(node.port).await;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for reader in 0..count.div_ceil(DEVICES_A_READER) {
        let check = get(PATH, &token(reader));
        // Also creates the user, and opens the node's connections.
        let head: Value = serde_json::from_str(&connection.ask(&check).await).unwrap();
        let head = format!("{}.{}", head["epoch"].as_str().unwrap(), head["version"]);
        let devices = DEVICES_A_READER.min(count - reader * DEVICES_A_READER);
        for device in 0..devices {
            let report = format!("x-device-id: device-{device}\r\nx-library-applied: {head}\r\n");
            without.push(check.clone());
            with.push(check.replacen("host:", &format!("{report}host:"), 1));
        }
    }
    [without, with]
}

/// Returns the checks per second, and the statements of each.
async fn timed(args: &Args, node: &Node, checks: Vec<String>, connections: usize) -> (f64, f64) {
    let checks = Arc::new(checks);
    let next = move |connection: usize, nth: usize| {
        checks[(connection + nth * connections) % checks.len()].clone()
    };
    node.load(connections, args.duration(), next).await
}

/// Panics unless the node knows the devices of a reader and their version.
async fn must_list_devices(node: &Node) {
    let query = graphql("{ viewer { devices { id behind } } }", &token(0));
    let listed = Connection::open(node.port).await.ask(&query).await;
    assert!(listed.contains(r#""id":"device-0","behind":0"#), "{listed}");
}
