//! The accounts of a data folder, for whoever can write it: with a server on the folder or without one.

use std::path::PathBuf;
use std::sync::Arc;

use anser_embedded::accounts::SqliteAccounts;
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_server::accounts::Administration;
use clap::Args;

/// Which folder. A server that runs on it learns of changes within a few seconds.
#[derive(Args)]
pub struct OnFolder {
    /// The data folder of the server, which may run
    #[arg(long, value_name = "FOLDER", default_value = "data", env = "ANSER_DATA")]
    pub data: PathBuf,
}

impl OnFolder {
    /// What may be done there.
    pub fn administration(&self) -> anyhow::Result<Administration> {
        anyhow::ensure!(
            self.data.join("accounts.sqlite").is_file(),
            "{} is no data folder of a server: there is no accounts.sqlite in it; give the folder by --data",
            self.data.display()
        );
        let store = Arc::new(SqliteAccounts::open(&self.data)?);
        Ok(Administration::of_folder(store.clone(), store, Arc::new(SystemClock), Arc::new(SystemRandom))?)
    }
}
