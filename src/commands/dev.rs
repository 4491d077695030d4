//! `library-sync dev`: a node on SQLite with a generated key and a sample library.
//!
//! Its folder holds the database and the keys, so tokens, push subscriptions and libraries survive a restart.

use std::{
    ffi::OsStr,
    fs,
    io::{ErrorKind, Write as _},
    net::TcpListener,
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use aws_lc_rs::error::Unspecified;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Parser as _;

use super::{dev_app, output_file, stop_signal::stop_on_signal};
use crate::{
    app::App,
    auth::{self, Rules},
    config::{Cli, Command, Dev, Serve},
    library::{CheckedLines, EntryLine, Intent, Library, StoryStatus},
    push, transfer,
    version::{UserId, Version},
};

/// User of the sample library.
const USER: &str = "demo";
/// Lifetime of the printed token.
const TOKEN_LIFE: Duration = Duration::from_hours(24 * 30);
/// Cookie in which the example app keeps the token.
const SESSION_COOKIE: &str = "library-sync-session";
/// Contact address for push services (RFC 2606).
const CONTACT: &str = "mailto:library-sync-dev@example.org";
/// Works in the public domain, one per line: title, author, url, chapters.
const SAMPLE: &str = include_str!("sample_library.csv");

/// Serves the sample library until a signal stops the process.
///
/// # Errors
/// When the folder cannot be used or the address is in use.
pub async fn dev(dev: &Dev) -> anyhow::Result<()> {
    let stopping = stop_on_signal()?;
    let listener = crate::app::listen(dev.listen)?;
    fs::create_dir_all(&dev.data_dir)
        .with_context(|| format!("--data-dir: cannot create {}", dev.data_dir.display()))?;
    let secret = kept(&dev.data_dir.join("key"), new_secret)?;
    let vapid_key = kept(&dev.data_dir.join("vapid.pem"), push::new_key)?;
    let static_dir = dev_app::static_dir(dev)?;
    let serve = serve(dev, &secret, &vapid_key, static_dir.as_deref())?;
    let app = App::build(&serve, stopping).await?;
    let user = UserId::new(USER)?;
    fill(app.library(), &user).await?;
    let token = auth::mint(secret.as_bytes(), &Rules::default(), &user, TOKEN_LIFE)?;
    print_instructions(&listener, &token, static_dir.is_some())?;
    app.run(listener).await
}

/// Returns the settings of `serve` for `dev`. The others keep their defaults.
fn serve(
    dev: &Dev,
    secret: &str,
    vapid_key: &str,
    static_dir: Option<&Path>,
) -> anyhow::Result<Serve> {
    let database = format!(
        "sqlite://{}?mode=rwc",
        dev.data_dir.join("library.db").display()
    );
    let listen = dev.listen.to_string();
    // `=`, because a secret may begin with a dash.
    let secret = format!("--jwt-secret={secret}");
    let mut args: Vec<&OsStr> = [
        "library-sync",
        "serve",
        "--playground",
        "--database-url",
        &database,
        &secret,
        "--vapid-key",
        vapid_key,
        "--vapid-subject",
        CONTACT,
        "--session-cookie",
        SESSION_COOKIE,
        "--listen",
        &listen,
    ]
    .map(OsStr::new)
    .into();
    if let Some(folder) = static_dir {
        args.extend([OsStr::new("--static-dir"), folder.as_os_str()]);
    }
    match Cli::try_parse_from(args)?.command {
        Command::Serve(serve) => Ok(*serve),
        _ => unreachable!("the command is `serve`"),
    }
}

/// Returns a key of development, which is generated at the first start.
fn kept(
    path: &Path,
    generate: impl FnOnce() -> Result<String, Unspecified>,
) -> anyhow::Result<String> {
    let unusable = || format!("cannot use {} as the key", path.display());
    match fs::read_to_string(path) {
        Ok(secret) => return Ok(secret),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(unusable);
        }
        Err(_) => {}
    }
    let secret = generate().context("the system has no random bytes")?;
    let mut file = output_file::unfinished(path).with_context(unusable)?;
    file.write_all(secret.as_bytes()).with_context(unusable)?;
    output_file::place(file, path).with_context(unusable)?;
    Ok(secret)
}

/// Returns a new secret of tokens.
fn new_secret() -> Result<String, Unspecified> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Adds the sample to a library that is still at its first version, as one change.
async fn fill(library: &Library, user: &UserId) -> anyhow::Result<()> {
    if library.head(user).await?.version != Version::FIRST {
        return Ok(());
    }
    let rows = transfer::read(SAMPLE.as_bytes(), &transfer::Choice::default())?
        .rows
        .into_iter();
    let works: Vec<_> = rows
        .map(|row| row.entry.map_err(anyhow::Error::msg))
        .collect::<Result<_, _>>()?;
    let works = works.into_iter().map(|work| EntryLine {
        publication_status: Some(StoryStatus::Completed),
        ..work
    });
    let works = CheckedLines::from(works.collect::<Vec<_>>());
    let fill = library.write(user, Intent::default(), |library| {
        Box::pin(library.import(works))
    });
    match fill.await?.outcome {
        Ok(_) => Ok(()),
        Err(refusal) => anyhow::bail!("the sample library was refused: {}", refusal.message),
    }
}

/// Prints the addresses and commands to try.
fn print_instructions(listener: &TcpListener, token: &str, has_app: bool) -> std::io::Result<()> {
    let base = format!("http://{}", listener.local_addr()?);
    let app = if has_app {
        format!(
            "Open it in two windows, and see a change in one appear in the other:\n\n\
             App:         {base}/#token={token}\n"
        )
    } else {
        String::new()
    };
    writeln!(
        std::io::stdout(),
        r#"library-sync is running with a sample library of the user `{USER}`.

{app}Playground:  {base}/playground#token={token}
Token:       {token}

Watch the version in one terminal:

curl -N {base}/api/library-version-events -H 'Authorization: Bearer {token}'

Change the library in another, as often as you like:

curl {base}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{{"query":"mutation ($name: String!) {{ createTag(input: {{name: $name}}) {{ libraryVersion tag {{ name }} }} }}","variables":{{"name":"tag '$(date +%s%N)'"}}}}'

Press Ctrl-C to stop.
"#
    )
}
