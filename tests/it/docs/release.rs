//! The files of a release agree with each other, and with the code: versions, settings and the proxy.

use std::{collections::BTreeSet, fs};

use clap::CommandFactory as _;
use library_sync::config::Cli;

use crate::support::{printed, test_app::repository};

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
    let toolchain = text("rust-toolchain.toml");
    let version = between(&toolchain, "channel = \"", "\"");
    assert!(text("deploy/Dockerfile").contains(&format!("ARG RUST_VERSION={version}\n")));
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
