//! How much is measured, and for how long.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::progress::Progress;
use crate::load::Plan;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Next to nothing, in a second: whether it works at all.
    Tiny,
    /// Everything in minutes, most of it at full size.
    Quick,
    /// Figures that hold for a minute, several times.
    Full,
}

impl Size {
    /// What belongs to it.
    pub fn pick<T>(self, tiny: T, quick: T, full: T) -> T {
        match self {
            Size::Tiny => tiny,
            Size::Quick => quick,
            Size::Full => full,
        }
    }
}

/// What every scenario is told.
pub struct Options {
    /// How much.
    pub size: Size,
    /// Seconds of one run that is to hold, if not the usual.
    pub seconds: Option<u64>,
    /// Only this part of the scenario.
    pub only: Option<String>,
    /// Where plots go.
    pub svg: Option<PathBuf>,
    /// What starts a raw program as a process of its own: its name follows.
    pub raw_command: Vec<OsString>,
    /// Who is told how far it is.
    pub progress: Progress,
    /// When the scenario has to have ended.
    pub until: Instant,
}

impl Options {
    /// A run that is to hold.
    pub fn sustained(&self) -> Plan {
        let seconds = self.seconds.map(Duration::from_secs);
        let ms = Duration::from_millis;
        let run = seconds.unwrap_or(self.size.pick(ms(200), ms(4_000), ms(60_000)));
        Plan::new(self.size.pick(ms(100), ms(1_000), ms(5_000)), run)
    }

    /// A short run: of the limit, and of what does not change with time.
    pub fn brief(&self) -> Plan {
        let ms = Duration::from_millis;
        Plan::new(self.size.pick(ms(50), ms(300), ms(800)), self.size.pick(ms(150), ms(1_500), ms(4_000)))
    }

    /// Whether this part is measured.
    pub fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }

    /// Says how far it is, unless it has taken too long.
    ///
    /// # Errors
    /// It has: what is not measured by now is not measured.
    pub fn step(&self, what: &str) -> anyhow::Result<()> {
        anyhow::ensure!(Instant::now() < self.until, "it takes longer than it may, at: {what}");
        self.progress.say(what);
        Ok(())
    }
}
