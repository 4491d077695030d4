//! The files of a release agree with each other, and with the code: versions, settings and the proxy.

use std::{collections::BTreeSet, fs};

use clap::CommandFactory as _;
use library_sync::config::Cli;

use crate::support::{
    printed,
    programs::Finish as _,
    test_app::{Db, TestApp, http_client, program, repository},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text between two others.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split(to).next().unwrap()
}

#[test]
fn the_release_version_is_the_same_everywhere() {
    let image = format!("ghcr.io/library-sync/library-sync:{VERSION}");
    assert!(text("deploy/compose.yaml").contains(&format!("image: {image}\n")));
    let installing = text("docs/installing.md");
    assert!(
        installing.contains(&image)
            && installing.contains(&format!("library-sync-v{VERSION}-x86_64"))
    );
    assert!(text("CHANGELOG.md").contains(&format!("\n## [{VERSION}] - ")));
}

#[test]
fn the_toolchain_is_the_same_everywhere() {
    let image = text("deploy/Dockerfile");
    let version = between(&image, "ARG RUST_VERSION=", "\n");
    let pinned = format!("RUSTUP_TOOLCHAIN: {version} #");
    for path in [".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        assert!(text(path).contains(&pinned), "{path}");
    }
    let workflow = text(".github/workflows/ci.yml");
    assert!(workflow.contains(&format!("container: rust:{version}-bookworm")));
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    assert!(workflow.contains(&format!("RUSTUP_TOOLCHAIN: \"{oldest}\"")));
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/installing.md",
        "docs/getting-started.md",
    ] {
        assert!(
            text(page).contains(&format!("Rust {oldest} or newer")),
            "{page}"
        );
    }
}

#[test]
fn every_setting_that_is_deployed_exists() {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").unwrap();
    let settings = serve
        .get_arguments()
        .filter_map(|arg| arg.get_env()?.to_str());
    let settings: BTreeSet<_> = settings.collect();
    for path in [
        "deploy/Dockerfile",
        "deploy/compose.yaml",
        "deploy/systemd/environment.example",
    ] {
        let text = text(path);
        let names = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        let names: Vec<_> = names
            .filter(|name| name.starts_with("LIBRARY_SYNC_"))
            .collect();
        assert!(!names.is_empty(), "{path}");
        for name in names {
            assert!(settings.contains(name), "{path}: {name}");
        }
    }
}

#[test]
fn compose_has_the_settings_of_nginx_that_are_tested() {
    let [printed] = printed::blocks("docs/operations.md", "nginx")
        .try_into()
        .unwrap();
    let printed: String = printed;
    let named = printed
        .replace("127.0.0.1:4000", "server-1:4000")
        .replace("127.0.0.1:4001", "server-2:4000");
    let deployed = text("deploy/nginx.conf");
    let (comment, deployed) = deployed.split_once('\n').unwrap();
    assert!(comment.starts_with('#'));
    assert_eq!(deployed, named);
}

/// The version is for operators: `--version`, the log and the metrics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_clients_do_not_learn_what_the_server_is_built_from() {
    let app = TestApp::start_with(Db::Sqlite, &["--playground"]).await;
    let client = http_client();
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/graphql",
        "/graphql?query={__typename}",
        "/api/library-version",
        "/api/library-version-events",
        "/api/trpc/view.getVersion",
        "/no-such-route",
    ] {
        let response = client.get(app.url(path)).send().await.unwrap();
        let headers = format!("{:?}", response.headers());
        assert!(
            !headers.contains("\"server\"") && !headers.contains("x-powered-by"),
            "{path}: {headers}"
        );
        let response = (headers + &response.text().await.unwrap()).to_lowercase();
        for internal in [
            VERSION,
            "library-sync",
            "axum",
            "hyper",
            "async-graphql",
            "sqlx",
            "sqlite",
            ".rs",
        ] {
            assert!(
                !response.contains(internal),
                "{path}: {internal} in {response}"
            );
        }
    }
}

#[test]
fn the_program_prints_its_version() {
    let run = program().arg("--version").finish();
    assert_eq!(
        String::from_utf8(run.stdout).unwrap(),
        format!("library-sync {VERSION}\n")
    );
}
