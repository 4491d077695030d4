//! Connections beside the pools: for migrations, and for the lock that one node migrates under.

use sea_orm::{DatabaseConnection, DbErr};

use super::{
    options::DatabaseOptions,
    pools::{Access, Database, POSTGRES, base},
};

impl Database {
    /// Opens the connection that migrations run on: with all the time that a large table takes, but with little patience
    /// for locks, because whoever queues behind a migration that waits for one is not served.
    pub async fn open_for_migrations(
        &self,
        options: &DatabaseOptions,
    ) -> Result<DatabaseConnection, DbErr> {
        let settings = [("statement_timeout", "0"), ("lock_timeout", "2s")];
        self.open_alone(options, "library-sync migration", &settings)
            .await
    }

    /// Opens a single connection that stays open however long it is idle; on SQLite, the one that writes.
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
