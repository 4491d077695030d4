//! Connections outside the pools: for migrations, and for the lock under which one node migrates.

use sea_orm::{DatabaseConnection, DbErr};

use super::{
    options::DatabaseOptions,
    pool_options::{Access, POSTGRES, base},
    pools::Database,
};

impl Database {
    /// Opens the connection for migrations: without a statement timeout, because a large table takes long, but with a
    /// short lock timeout, because other statements queue behind a migration that waits for a lock.
    pub async fn open_for_migrations(
        &self,
        options: &DatabaseOptions,
    ) -> Result<DatabaseConnection, DbErr> {
        let settings = [("statement_timeout", "0"), ("lock_timeout", "2s")];
        self.open_alone(options, "library-sync migration", &settings)
            .await
    }

    /// Opens a single connection that is never closed for idleness. On SQLite, returns the connection that writes.
    pub async fn open_alone(
        &self,
        options: &DatabaseOptions,
        name: &str,
        settings: &[(&str, &str)],
    ) -> Result<DatabaseConnection, DbErr> {
        let Some(server) = self.address.postgres() else {
            return Ok(self.write.clone());
        };
        let mut server = server.clone().application_name(name);
        if self.sessions.take_settings {
            server = server.options(settings.iter().copied());
        }
        let mut connect = base(options, POSTGRES, Access::Write);
        connect
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .map_sqlx_postgres_opts(move |_| server.clone());
        sea_orm::Database::connect(connect).await
    }
}
