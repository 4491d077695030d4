//! The example app of `dev`. Builds the app if its build is missing or older than its source.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::Context as _;

use crate::config::Dev;

/// Paths in the app's folder that its build depends on.
const SOURCES: &[&str] = &[
    "package-lock.json",
    "sync/src",
    "app/src",
    "app/public",
    "app/index.html",
    "app/vite.config.ts",
    "app/vite.worker.config.ts",
];
/// The last file that a build writes.
const LAST_BUILT: &str = "app/dist/sw.js";

/// Returns the folder to serve at `/`, and builds the app first if needed. Returns `None` with `--no-app`, or if the
/// source of the app is missing. Without npm, returns a folder with a page that explains what to install.
///
/// # Errors
/// When npm is installed and the build fails, or when that page cannot be written.
pub(super) fn static_dir(dev: &Dev) -> anyhow::Result<Option<PathBuf>> {
    let source = &dev.app_dir;
    if dev.no_app || !source.join("app/index.html").is_file() {
        return Ok(None);
    }
    if !is_stale(source) {
        return Ok(Some(source.join("app/dist")));
    }
    if !has_npm() {
        return page_without_npm(&dev.data_dir).map(Some);
    }
    let installed = modified(&source.join("node_modules/.package-lock.json"));
    if installed < modified(&source.join("package-lock.json")) {
        npm(
            source,
            &["ci", "--no-audit", "--no-fund", "--loglevel=error"],
        )?;
    }
    npm(source, &["run", "bundle"])?;
    Ok(Some(source.join("app/dist")))
}

fn is_stale(source: &Path) -> bool {
    let built = modified(&source.join(LAST_BUILT));
    built.is_none()
        || SOURCES
            .iter()
            .any(|path| newest(&source.join(path)) > built)
}

/// Returns the modification time of a file, or `None` if it does not exist.
fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|found| found.modified()).ok()
}

/// Returns the modification time of a file, or of the newest file in a folder.
fn newest(path: &Path) -> Option<SystemTime> {
    match fs::read_dir(path) {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| newest(&entry.path()))
            .max(),
        Err(_) => modified(path),
    }
}

fn has_npm() -> bool {
    Command::new("npm")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs npm in the app's folder. npm shows its own progress on standard error.
fn npm(source: &Path, args: &[&str]) -> anyhow::Result<()> {
    let command = format!("npm {}", args.join(" "));
    eprintln!("{}: {command}", source.display());
    let status = Command::new("npm")
        .args(args)
        .current_dir(source)
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("cannot run `{command}`"))?;
    anyhow::ensure!(
        status.success(),
        "`{command}` in {} ended with {status}; `--no-app` starts without the app",
        source.display()
    );
    Ok(())
}

/// Writes the page that is served if npm is not installed.
fn page_without_npm(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let folder = data_dir.join("no-app");
    let page = folder.join("index.html");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&page, include_str!("dev_without_npm.html")))
        .with_context(|| format!("--data-dir: cannot write {}", page.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(path: &Path, at: SystemTime) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::File::create(path).unwrap();
        file.set_modified(at).unwrap();
    }

    #[test]
    fn a_build_is_stale_when_it_is_missing_or_older_than_a_source() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path();
        let (old, new) = (
            SystemTime::UNIX_EPOCH,
            SystemTime::UNIX_EPOCH + Duration::from_secs(9),
        );
        write(&source.join("app/src/deep/page.tsx"), old);
        assert!(is_stale(source), "the build is missing");
        write(&source.join(LAST_BUILT), new);
        assert!(!is_stale(source));
        write(
            &source.join("app/src/deep/page.tsx"),
            new + Duration::from_secs(1),
        );
        assert!(is_stale(source), "a source is newer");
    }

    #[test]
    fn there_is_no_app_where_its_source_is_not_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: folder.path().into(),
            app_dir: folder.path().join("missing"),
            no_app: false,
        };
        assert_eq!(static_dir(&dev).unwrap(), None);
    }

    #[test]
    fn the_page_without_npm_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let page = page_without_npm(folder.path()).unwrap();
        let text = fs::read_to_string(page.join("index.html")).unwrap();
        assert!(text.contains("Node 20") && text.contains("--no-app"));
    }
}
