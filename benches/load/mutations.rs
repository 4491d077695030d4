//! Mutations of different users: each creates a tag.

use std::sync::Arc;

use crate::{
    Args,
    http::{Connection, graphql},
    node::{Node, token},
    pgbench,
    support::servers::Server,
};

/// The users of each connection, in turn: a user may have only so many tags.
const USERS: usize = 10;

/// The statements of `createTag`, with one user per client.
const SCRIPT: &str = "
BEGIN;
UPDATE topaz_user SET library_version = library_version + 1, library_counted =
  CASE WHEN library_counted = library_version THEN library_version + 1 ELSE 0 END
  WHERE subject = 'user-' || :client_id RETURNING library_version \\gset
INSERT INTO topaz_tag (user_id, id, stamp, created_stamp, name, name_key, created_at, updated_at)
  SELECT 'user-' || :client_id, id, :library_version, :library_version, id::text, id::text, 0, 0
  FROM gen_random_uuid() AS id ON CONFLICT DO NOTHING;
UPDATE topaz_user SET library_tags = library_tags + 1, library_bytes = library_bytes + 36
  WHERE subject = 'user-' || :client_id AND library_counted = library_version;
INSERT INTO topaz_write (user_id, epoch, version, kinds, written_at)
  VALUES ('user-' || :client_id, 1, :library_version, 'Tag', 0);
COMMIT;
";

pub async fn measure(args: &Args, connections: usize) {
    let postgres = Server::postgres().await;
    let tokens: Arc<Vec<_>> = Arc::new((0..connections * USERS).map(token).collect());
    println!("| program | round | mutations/s | pgbench/s | ratio | statements per mutation |");
    println!("|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let node = Node::start(program, &postgres, connections).await;
            let run = |run: usize, tokens: Arc<Vec<String>>| {
                move |at: usize, count: usize| {
                    let name = format!("{number}-{round}-{run}-{at}-{count}");
                    let query = format!(
                        "mutation {{ createTag(input: {{name: \"{name}\"}}) {{ libraryVersion }} }}"
                    );
                    graphql(&query, &tokens[at * USERS + count % USERS])
                }
            };
            let duration = args.duration();
            // The first change of a user counts their library.
            let first = run(0, Arc::clone(&tokens));
            let mut connection = Connection::open(node.port).await;
            for at in 0..connections {
                for count in 0..USERS {
                    connection.ask(&first(at, count)).await;
                }
            }
            let made = run(1, Arc::clone(&tokens));
            let (made, each) = node.load(connections, duration, made).await;
            drop(node);
            let alone = pgbench::rate(&postgres, SCRIPT, connections, args.seconds);
            println!(
                "| {number} | {round} | {made:.0} | {alone:.0} | {:.2} | {each:.2} |",
                made / alone
            );
        }
    }
}
