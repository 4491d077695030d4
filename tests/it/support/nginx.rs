//! An nginx of a test's own, with one `server` for each way to be in front of a server.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{servers::kill_process_group, test_app::soon};

/// The arguments of nginx in a folder with the file `settings`.
pub const ARGUMENTS: [&str; 6] = [
    "-p",
    ".",
    "-c",
    "settings",
    "-g",
    "daemon off; error_log stderr;",
];

/// The settings of an nginx with these `server` blocks, as the user that tests run as, with all files in `folder`.
pub fn settings(folder: &Path, servers: &str) -> String {
    let here = folder.display();
    format!(
        "pid {here}/pid;\nuser root;\nevents {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {here};\nproxy_temp_path {here};\nfastcgi_temp_path {here};\n\
         uwsgi_temp_path {here};\nscgi_temp_path {here};\n{servers}}}\n"
    )
}

/// The path of a server program of Debian's, or its name.
pub fn installed(program: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(program);
    if path.exists() { path } else { program.into() }
}

/// A process that is killed, with its workers, when this is dropped.
pub struct Nginx {
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Runs it with these `server` blocks, and waits until it accepts at `ports`.
    pub async fn start(servers: &str, ports: &[u16]) -> Self {
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let settings = settings(folder.path(), servers);
        fs::write(folder.path().join("settings"), settings).unwrap();
        let child = Command::new(installed("nginx"))
            .args(ARGUMENTS)
            .current_dir(folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self {
            child,
            _folder: folder,
        };
        soon("nginx accepts", async {
            for port in ports {
                while TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        })
        .await;
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        kill_process_group(&mut self.child);
    }
}
