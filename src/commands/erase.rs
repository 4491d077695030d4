//! `library-sync erase`: erases everything that is stored for a user.

use std::io::{Write as _, stdout};

use anyhow::Context as _;

use crate::{app::open_database::open_library, config::Erase, library::Opening, version::UserId};

/// Erases a user's account.
///
/// # Errors
/// When the user does not exist, the erasure is not confirmed, or the database fails. Nothing is erased then.
pub async fn erase(erase: &Erase) -> anyhow::Result<()> {
    let user = UserId::new(&erase.sub).context("--sub")?;
    anyhow::ensure!(
        erase.confirm.as_deref() == Some(user.as_str()),
        "nothing was erased: repeat the user in --confirm, because an erasure cannot be undone"
    );
    let library = open_library(&erase.database, Opening::Change).await?;
    let erased = library.erase_account(&user, None).await?;
    let erased = erased.with_context(|| format!("--sub: the user {user} does not exist"))?;
    library.finish_writes().await;
    writeln!(
        stdout(),
        "{user}: {} rows erased; epoch {} tells the devices of the user to empty themselves",
        erased.rows,
        erased.head.epoch
    )?;
    Ok(())
}
