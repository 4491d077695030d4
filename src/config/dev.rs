//! Settings of `library-sync dev`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// `library-sync dev`.
#[derive(Debug, Clone, Args)]
pub struct Dev {
    /// Address and port to listen on.
    #[arg(
        long,
        env,
        default_value = "127.0.0.1:4000",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
    /// Folder of the database and the keys. Delete it to start over.
    #[arg(long, env, default_value = ".library-sync-dev", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// The folder of the example app's source. The app is built with npm when its build is missing or stale, and served
    /// at /.
    #[arg(long, env, default_value = "client-example", value_name = "FOLDER")]
    pub app_dir: PathBuf,
    /// Start without the example app.
    #[arg(long, env)]
    pub no_app: bool,
}
