//! The candidates: how each is opened, what its keys are filed under, and how a consistent copy is taken.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anser_core::ports::history::History;
use anser_embedded::history::{HISTORY_FOLDER, MANIFEST_FILE, SegmentHistory, files_of};
use anser_embedded::system::SystemClock;
use anyhow::Context as _;

use crate::fjall_history::FjallHistory;
use crate::sqlite_history::{FILE, SqliteHistory};
use crate::traffic::Filing;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// What was shipped before, without its threads
    Sqlite,
    /// The same, given the second of a client id where it is given the day now
    SqliteBySecond,
    /// An LSM tree
    Fjall,
    /// The shipped adapter: sorted segments of our own
    Segments,
}

/// A candidate that is open.
pub struct Opened {
    /// Behind its port.
    pub history: Arc<dyn History>,
    own: Own,
}

enum Own {
    Sqlite(PathBuf),
    Fjall(Arc<FjallHistory>),
    Segments(PathBuf),
}

impl Engine {
    /// Opens what is in `folder`, or makes an empty history there.
    ///
    /// # Errors
    /// Those of the candidate.
    pub fn open(self, folder: &Path) -> anyhow::Result<Opened> {
        std::fs::create_dir_all(folder)?;
        Ok(match self {
            Engine::Sqlite | Engine::SqliteBySecond => Opened {
                history: Arc::new(SqliteHistory::open(folder)?),
                own: Own::Sqlite(folder.join(FILE)),
            },
            Engine::Fjall => {
                let history = Arc::new(FjallHistory::open(folder)?);
                Opened { history: history.clone(), own: Own::Fjall(history) }
            }
            Engine::Segments => {
                let history = Arc::new(SegmentHistory::in_folder(folder, Arc::new(SystemClock))?);
                Opened { history, own: Own::Segments(folder.join(HISTORY_FOLDER)) }
            }
        })
    }

    /// What its keys are filed under.
    pub fn filing(self) -> Filing {
        if self == Engine::SqliteBySecond { Filing::Second } else { Filing::Day }
    }

    /// As it is written on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).expect("none is hidden").get_name().to_owned()
    }
}

impl Opened {
    /// How [`Opened::back_up`] takes its copy.
    pub fn way_of_backup(&self) -> &'static str {
        match &self.own {
            Own::Sqlite(_) => "VACUUM INTO",
            Own::Fjall(_) => "rows of a snapshot into one file",
            Own::Segments(_) => "links of what a manifest names, then a plain copy of them",
        }
    }

    /// Takes a consistent copy into `target`, an empty folder, while others write; synced when this returns.
    ///
    /// # Errors
    /// Those of the candidate and of the disk.
    pub fn back_up(&self, target: &Path) -> anyhow::Result<()> {
        match &self.own {
            Own::Sqlite(file) => {
                let copy = target.join(FILE);
                let connection = rusqlite::Connection::open(file)?;
                connection.execute("VACUUM INTO ?1", [copy.to_str().context("a path in UTF-8")?])?;
                File::open(copy)?.sync_all()?;
            }
            Own::Fjall(history) => {
                let mut dump = BufWriter::new(File::create(target.join("history.rows"))?);
                history.dump(|key, value| {
                    for part in [key, value] {
                        dump.write_all(&(part.len() as u32).to_le_bytes())?;
                        dump.write_all(part)?;
                    }
                    Ok(())
                })?;
                dump.into_inner().map_err(|error| error.into_error())?.sync_all()?;
            }
            Own::Segments(folder) => {
                let linked = link(folder)?;
                let target = target.join(HISTORY_FOLDER);
                std::fs::create_dir(&target)?;
                for entry in std::fs::read_dir(linked.path())? {
                    let entry = entry?;
                    let copy = target.join(entry.file_name());
                    std::fs::copy(entry.path(), &copy)?;
                    File::open(copy)?.sync_all()?;
                }
            }
        }
        Ok(())
    }

    /// Whether a copy can be opened as it is; else it must be loaded row by row.
    pub fn copy_opens(&self) -> bool {
        !matches!(self.own, Own::Fjall(_))
    }
}

/// Links the files of one manifest into a folder beside them. A merge may remove one before it is linked: then there is a
/// newer manifest to begin with.
fn link(folder: &Path) -> anyhow::Result<tempfile::TempDir> {
    loop {
        let linked = tempfile::tempdir_in(folder.parent().context("a folder has a parent")?)?;
        let manifest = std::fs::read(folder.join(MANIFEST_FILE))?;
        let link = |name: String| std::fs::hard_link(folder.join(&name), linked.path().join(&name));
        match files_of(&manifest)?.into_iter().try_for_each(link) {
            Ok(()) => {
                std::fs::write(linked.path().join(MANIFEST_FILE), manifest)?;
                return Ok(linked);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
}
