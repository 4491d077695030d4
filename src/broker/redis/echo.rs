//! Proves that notices can pass: a new connection subscribes to a channel of its own, publishes there and waits for
//! the message.
//!
//! In the flow: [`Link::connect`](super::server::Link) uses no connection that has not heard itself, so a server whose access
//! control list is too narrow leaves the link down, with the reason in the log, instead of up and silent.
//!
//! **Invariant:** all nodes of one server use the same kind of channel. Only a server that does not know `SSUBSCRIBE`
//! is used with plain channels; one that forbids it is an error, because a node with more rights would use the other
//! kind and the two would not hear each other.

use redis::{ErrorKind, RedisError, ServerErrorKind, aio::MultiplexedConnection};
use uuid::Uuid;

use super::events::Events;
use crate::broker::connection::Fault;

/// How the server's commands are called.
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

/// Returns the commands by which this connection has heard itself.
///
/// # Errors
/// When the server refuses a command or the channel. The caller bounds the wait for the message.
pub(super) async fn hear(
    mut connection: MultiplexedConnection,
    prefix: &str,
    events: &Events,
) -> Result<Commands, Fault> {
    // `~` occurs in no user's channel. In a cluster a channel belongs to one shard, so names are tried until one is
    // this shard's.
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

/// Names what to grant when the access control list is too narrow.
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
        "the Redis user may not exchange notices: grant +{publish} +{subscribe} +{unsubscribe} +ping &{prefix}:* \
         ({error})"
    )
    .into()
}
