//! `library-sync dev`: a node on SQLite with everything made for you, to try things out.
//!
//! Its folder holds the database and the key, so that tokens and libraries outlive a restart.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    net::TcpListener,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Parser as _;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    auth::{self, Rules},
    config::{Cli, Command, Dev, Serve},
    library::{
        Error, Intent, Library, NewEntry, ProgressState, Source, StoryContent, StoryState,
        StoryStatus, parse_url,
    },
    version::{UserId, Version},
};

/// The user whose library is there from the start.
const USER: &str = "demo";
/// How long the printed token is accepted.
const TOKEN_LIFE: Duration = Duration::from_hours(24 * 30);
/// Works that anyone may read, one a line: title, author, url, chapters.
const SAMPLE: &str = include_str!("sample_library.csv");

/// Serves the sample library until `drain` is cancelled.
///
/// # Errors
/// When the folder cannot be used or the address is taken.
pub async fn run(dev: &Dev, drain: CancellationToken) -> anyhow::Result<()> {
    let listener = crate::app::listen(dev.listen)?;
    fs::create_dir_all(&dev.data_dir)
        .with_context(|| format!("--data-dir: {} cannot be made", dev.data_dir.display()))?;
    let secret = secret(&dev.data_dir.join("key"))?;
    let app = App::build(&serve(dev, &secret)?, drain).await?;
    let user = UserId::new(USER)?;
    fill(app.library(), &user).await?;
    let token = auth::mint(secret.as_bytes(), &Rules::default(), &user, TOKEN_LIFE)?;
    greet(&listener, &token)?;
    app.run(listener).await
}

/// The settings of `serve` that make up `dev`: its own defaults, but for these.
fn serve(dev: &Dev, secret: &str) -> anyhow::Result<Serve> {
    let database = format!(
        "sqlite://{}?mode=rwc",
        dev.data_dir.join("library.db").display()
    );
    let listen = dev.listen.to_string();
    // `=`, because a secret may begin with a dash.
    let secret = format!("--jwt-secret={secret}");
    let args = [
        "library-sync",
        "serve",
        "--playground",
        "--database-url",
        &database,
        &secret,
        "--listen",
        &listen,
    ];
    match Cli::try_parse_from(args)?.command {
        Command::Serve(serve) => Ok(*serve),
        _ => unreachable!("`serve` is what was parsed"),
    }
}

/// The development key, made at the first start.
fn secret(path: &Path) -> anyhow::Result<String> {
    let unusable = || format!("{} cannot be used as the key", path.display());
    match fs::read_to_string(path) {
        Ok(secret) => return Ok(secret),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(unusable);
        }
        Err(_) => {}
    }
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).context("the system gives no randomness")?;
    let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(unusable)?;
    file.write_all(secret.as_bytes()).with_context(unusable)?;
    Ok(secret)
}

/// One line of the sample.
#[derive(Deserialize)]
struct Work {
    title: String,
    author: String,
    url: String,
    chapters: Option<i32>,
}

/// Puts the sample into a library that was never changed, as one change.
async fn fill(library: &Library, user: &UserId) -> anyhow::Result<()> {
    if library.head(user).await?.version != Version::FIRST {
        return Ok(());
    }
    let works: Vec<Work> = csv::Reader::from_reader(SAMPLE.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()?;
    let entries = works
        .into_iter()
        .map(entry)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let fill = library.write(user, Intent::default(), |library| {
        Box::pin(async move {
            for entry in entries {
                library.create_story_with_progress(entry).await?;
            }
            Ok::<_, Error>(())
        })
    });
    match fill.await?.outcome {
        Ok(()) => Ok(()),
        Err(refusal) => anyhow::bail!("the sample library was refused: {}", refusal.message),
    }
}

fn entry(work: Work) -> anyhow::Result<NewEntry> {
    let (url, parsed) = parse_url(&work.url)?;
    let content = StoryContent {
        title: work.title,
        author: work.author,
        url,
        source: Source::of(&parsed),
        status: StoryStatus::Completed,
        description: None,
        summary: None,
        chapter_count: work.chapters,
        word_count: None,
        is_nsfw: false,
    };
    let story = StoryState {
        content,
        tag_ids: BTreeSet::new(),
        fandom_ids: BTreeSet::new(),
    };
    Ok(NewEntry {
        story_id: None,
        progress_id: None,
        story,
        progress: ProgressState::default(),
    })
}

/// Tells where to look and what to paste.
fn greet(listener: &TcpListener, token: &str) -> std::io::Result<()> {
    let base = format!("http://{}", listener.local_addr()?);
    writeln!(
        std::io::stdout(),
        r#"library-sync is running with a sample library of the user `{USER}`.

Playground:  {base}/playground#token={token}
Token:       {token}

Watch the version in one terminal:

curl -N {base}/api/library-version-events -H 'Authorization: Bearer {token}'

Change the library in another, as often as you like:

curl {base}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{{"query":"mutation ($name: String!) {{ createTag(input: {{name: $name}}) {{ libraryVersion tag {{ name }} }} }}","variables":{{"name":"tag '$(date +%s%N)'"}}}}'

Press Ctrl-C to stop.
"#
    )
}
