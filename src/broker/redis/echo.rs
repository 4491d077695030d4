//! The echo test of a new connection: subscribes to a private channel, publishes there and waits for the message.
//!
//! In the flow: [`Link::connect`](super::server::Link) requires the echo. Insufficient permissions therefore fail the link,
//! with the reason in the log, instead of losing notices silently.
//!
//! **Invariant:** all nodes of one server use the same kind of channel. Plain channels are used only if the server does not
//! know `SSUBSCRIBE`. A server that forbids it is an error: a node with more permissions would use sharded channels, and
//! the two nodes would not receive each other's notices.

use redis::{ErrorKind, RedisError, ServerErrorKind, aio::MultiplexedConnection};
use uuid::Uuid;

use super::events::Events;
use crate::broker::connection::Fault;

/// The names of the server's commands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commands {
    pub publish: &'static str,
    pub subscribe: &'static str,
    pub unsubscribe: &'static str,
}

const SHARDED: Commands = Commands {
    publish: "SPUBLISH",
    subscribe: "SSUBSCRIBE",
    unsubscribe: "SUNSUBSCRIBE",
};

const PLAIN: Commands = Commands {
    publish: "PUBLISH",
    subscribe: "SUBSCRIBE",
    unsubscribe: "UNSUBSCRIBE",
};

/// Returns the commands for which the echo arrived.
///
/// # Errors
/// When the server refuses a command or the channel. The caller enforces a timeout.
pub(super) async fn hear(
    mut connection: MultiplexedConnection,
    prefix: &str,
    events: &Events,
) -> Result<Commands, Fault> {
    // A user's channel never contains `~`. In a cluster, a channel belongs to one shard, so random names are tried until
    // one belongs to this shard.
    loop {
        let channel = format!("{prefix}:~{}", Uuid::new_v4().simple());
        let subscribed = run(&mut connection, SHARDED.subscribe, &channel, None).await;
        match subscribed {
            Err(error) if is_of_another_shard(&error) => {}
            Err(error) if is_unknown_command(&error) => {
                run(&mut connection, PLAIN.subscribe, &channel, None)
                    .await
                    .map_err(|error| explain(error, PLAIN, prefix))?;
                return finish(connection, PLAIN, channel, prefix, events).await;
            }
            Err(error) => return Err(explain(error, SHARDED, prefix)),
            Ok(()) => return finish(connection, SHARDED, channel, prefix, events).await,
        }
    }
}

async fn finish(
    mut connection: MultiplexedConnection,
    commands: Commands,
    channel: String,
    prefix: &str,
    events: &Events,
) -> Result<Commands, Fault> {
    let channel = events.echo.get_or_init(|| channel);
    let explain = |error| explain(error, commands, prefix);
    run(&mut connection, commands.publish, channel, Some(""))
        .await
        .map_err(explain)?;
    events.echoed.notified().await;
    events.expect_unsubscription();
    run(&mut connection, commands.unsubscribe, channel, None)
        .await
        .map_err(explain)?;
    Ok(commands)
}

async fn run(
    connection: &mut MultiplexedConnection,
    command: &str,
    channel: &str,
    message: Option<&str>,
) -> Result<(), RedisError> {
    let mut command = redis::cmd(command);
    command.arg(channel).arg(message);
    command.exec_async(connection).await
}

fn is_of_another_shard(error: &RedisError) -> bool {
    matches!(error.code(), Some("MOVED" | "ASK"))
}

fn is_unknown_command(error: &RedisError) -> bool {
    error.code() == Some("ERR")
}

/// Adds the permissions to grant to a permission error.
fn explain(error: RedisError, commands: Commands, prefix: &str) -> Fault {
    if error.kind() != ErrorKind::Server(ServerErrorKind::NoPerm) {
        return error.into();
    }
    let Commands {
        publish,
        subscribe,
        unsubscribe,
    } = commands;
    let [publish, subscribe, unsubscribe] =
        [publish, subscribe, unsubscribe].map(str::to_lowercase);
    format!(
        "the Redis user lacks permissions: grant +{publish} +{subscribe} +{unsubscribe} +ping &{prefix}:* \
         ({error})"
    )
    .into()
}
