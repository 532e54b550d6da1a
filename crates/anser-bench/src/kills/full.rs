//! A disk that somebody else fills and empties: a small one of its own in memory, and one large file
//! on it. Mounting one is the right of root alone.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

/// Mebibytes of the disk.
const DISK_MIB: usize = 256;
/// What the other file grows by.
const GROWTH_BYTES: usize = 64 * 1024;

/// A small disk, unmounted when dropped.
pub struct SmallDisk {
    folder: TempDir,
    is_kept: bool,
}

impl SmallDisk {
    /// Mounts one; `None` where this process may not.
    ///
    /// # Errors
    /// It may, and still it does not work.
    pub fn mount() -> anyhow::Result<Option<SmallDisk>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("anser-bench-small-").tempdir()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "anser-bench"]).arg(folder.path());
        let said = mount.output().context("mount cannot be run")?;
        if !said.status.success() {
            // A container may have root without the right to mount.
            eprintln!("no small disk: {}", String::from_utf8_lossy(&said.stderr).trim());
            return Ok(None);
        }
        Ok(Some(SmallDisk { folder, is_kept: false }))
    }

    /// Where a server's data goes.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Leaves it mounted for whoever looks for the reason of a fault. Where it is.
    pub fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.folder.disable_cleanup(true);
        self.folder.path().to_path_buf()
    }

    /// Fills what is left of it.
    ///
    /// # Errors
    /// The other file cannot be written, for another reason than that the disk is full.
    pub fn fill(&self) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.other_file())?;
        let some = vec![7; GROWTH_BYTES];
        loop {
            match file.write_all(&some) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("filling the small disk"),
            }
        }
    }

    /// Makes space again.
    ///
    /// # Errors
    /// The other file cannot be removed.
    pub fn make_space(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.other_file()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).context("emptying the small disk")
            }
            _ => Ok(()),
        }
    }

    fn other_file(&self) -> PathBuf {
        self.folder.path().join("somebody-elses")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // Lazily: a server that is being killed may hold a file of it a moment longer.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.folder.path().display());
        }
    }
}
