//! One run: open the streams, change, wait for the events, change back.

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use anyhow::Context as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use strum::VariantArray as _;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{
    textfile::Measured,
    watcher::{Transport, Watcher},
};
use crate::{
    commands::remote_server::{self, RemoteServer},
    config::Canary,
};

/// The name of a canary's tag begins so.
const MARK: &str = "library-sync canary ";

const TAGS: &str = "{ tags { id name } }";
const CREATE: &str = "mutation ($input: CreateLabelInput!) { \
    made: createTag(input: $input) { libraryVersion tag { id } refusal { message } } }";
const DELETE: &str = "mutation ($input: DeleteLabelInput!) { \
    made: deleteTag(input: $input) { libraryVersion refusal { message } } }";

/// Makes a change, waits for its event over each transport of each node, and takes the change back.
///
/// # Errors
/// When a stream does not open, or the change does not arrive in time over each.
pub async fn canary(canary: &Canary) -> anyhow::Result<()> {
    let token = canary.token.clone();
    let token = token.context("no token: give --token or set LIBRARY_SYNC_TOKEN")?;
    let client = remote_server::client()?;
    let nodes = canary.url.iter().cloned();
    let nodes: Vec<_> = nodes
        .map(|url| RemoteServer::new(url, token.0.clone(), client.clone()))
        .collect();
    let mut measured = Measured::default();
    let outcome = measure(&nodes, canary.timeout, &mut measured).await;
    if let Some(path) = &canary.metrics_file {
        let saved = measured.save(path);
        saved.with_context(|| format!("--metrics-file: cannot write {}", path.display()))?;
    }
    print(&measured)?;
    outcome.map_err(anyhow::Error::msg)?;
    anyhow::ensure!(
        measured.is_complete(),
        "the change did not arrive over each transport within {}",
        humantime::format_duration(canary.timeout)
    );
    Ok(())
}

fn print(measured: &Measured) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for (node, transport, time) in &measured.events {
        let time = time.map_or("lost".to_owned(), |time| format!("{} ms", time.as_millis()));
        writeln!(out, "{time:>8}  {transport:9}  {node}")?;
    }
    Ok(())
}

/// Runs once. What is measured before an error is kept.
async fn measure(
    nodes: &[RemoteServer],
    limit: Duration,
    measured: &mut Measured,
) -> Result<(), String> {
    let [first, ..] = nodes else {
        return Err("give --url".to_owned());
    };
    let last = nodes.last().unwrap_or(first);
    let streams = nodes
        .iter()
        .flat_map(|node| Transport::VARIANTS.iter().map(move |it| (node, *it)));
    let opened = join_all(streams.map(|(node, transport)| Stream::open(node, transport, limit)));
    let streams = opened.await;
    let cleaned = within(limit, remove_leftovers(first)).await;
    let (announce, target) = watch::channel(None);
    let began = Instant::now();
    let watching = streams
        .into_iter()
        .map(|stream| stream.until(target.clone(), began, limit));
    let changing = async {
        let made = match cleaned {
            Ok(()) => within(limit, create(first)).await,
            Err(error) => Err(error),
        };
        let took = began.elapsed();
        // Dropped without a target, it ends the wait of the streams.
        if let Ok((_, version)) = &made {
            announce.send_replace(Some(*version));
            return (made, took, Some(announce));
        }
        drop(announce);
        (made, took, None)
    };
    let ((made, took, _announce), events) = tokio::join!(changing, join_all(watching));
    measured.events = events;
    let (id, _) = made?;
    measured.write = Some(took);
    match within(limit, delete(last, &id)).await {
        Ok(()) => Ok(()),
        // A node that is down must not leave the change behind.
        Err(_) => within(limit, delete(first, &id)).await,
    }
}

/// One transport of one node.
struct Stream<'n> {
    node: &'n RemoteServer,
    transport: Transport,
    watcher: Result<Watcher, String>,
}

impl<'n> Stream<'n> {
    async fn open(node: &'n RemoteServer, transport: Transport, limit: Duration) -> Self {
        Self {
            node,
            transport,
            watcher: within(limit, Watcher::open(node, transport)).await,
        }
    }

    /// Waits for the target. Returns the labels of the stream, and how long after `began` the target arrived.
    async fn until(
        self,
        target: watch::Receiver<Option<i64>>,
        began: Instant,
        limit: Duration,
    ) -> (String, &'static str, Option<Duration>) {
        let arrived = match self.watcher {
            Ok(watcher) => within(limit, watcher.until(target)).await,
            Err(error) => Err(error),
        };
        let node = self.node.url.to_string();
        let transport = <&'static str>::from(self.transport);
        if let Err(error) = &arrived {
            tracing::error!(
                server.address = node,
                stream.transport = transport,
                error,
                "the change of the canary did not arrive"
            );
        }
        let time = arrived.ok().map(|at| at.duration_since(began));
        (node, transport, time)
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let done = timeout(limit, work).await;
    done.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// Removes the tags of runs that were killed.
async fn remove_leftovers(node: &RemoteServer) -> Result<(), String> {
    let data = node.ask(TAGS, json!({})).await?;
    let tags = data["tags"].as_array().into_iter().flatten();
    let marked = tags.filter(|tag| {
        tag["name"]
            .as_str()
            .is_some_and(|name| name.starts_with(MARK))
    });
    for tag in marked {
        delete(node, &tag["id"]).await?;
    }
    Ok(())
}

/// Creates a marked tag. Returns its id and the version.
async fn create(node: &RemoteServer) -> Result<(Value, i64), String> {
    let (key, name) = (Uuid::now_v7(), format!("{MARK}{}", Uuid::now_v7()));
    let input = json!({"input": {"name": name, "idempotencyKey": key}});
    let mut made = made(node.ask(CREATE, input).await?)?;
    let version = made["libraryVersion"].as_i64();
    let version = version.ok_or("the answer names no version")?;
    Ok((made["tag"]["id"].take(), version))
}

async fn delete(node: &RemoteServer, id: &Value) -> Result<(), String> {
    made(node.ask(DELETE, json!({"input": {"id": id}})).await?).map(drop)
}

fn made(mut data: Value) -> Result<Value, String> {
    let made = data["made"].take();
    match made["refusal"]["message"].as_str() {
        Some(message) => Err(message.to_owned()),
        None => Ok(made),
    }
}
