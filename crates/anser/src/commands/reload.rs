//! The configuration, read again while the server runs: all of it is taken, or nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anser_server::edge::EdgeRates;
use anser_server::wiring::Server;

use crate::commands::serve::{SetLevel, Trials};
use crate::config::{Configured, Settings, Sources, When};

/// How often the files are looked at.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// What tells whether a file is another one than before.
type Stamp = Option<(i64, i64, u64, u64)>;

/// Of the configuration, the certificate and its key.
type Stamps = [Stamp; 3];

/// When files are worth reading: what somebody is writing just now may be empty, or lack its end, and be right so.
struct Looks {
    /// As they were when they were read.
    read: Stamps,
    /// As they were at the last look.
    last: Stamps,
}

impl Looks {
    fn new(read: Stamps) -> Looks {
        Looks { read, last: read }
    }

    /// Looks at them. Whether one has changed, and all have stood still since the look before. One that is not there now is
    /// being replaced.
    fn have_changed(&mut self, now: Stamps) -> bool {
        let stands_still = now == self.last;
        self.last = now;
        let is_other = |(now, read): (&Stamp, &Stamp)| now.is_some() && now != read;
        stands_still && now.iter().zip(&self.read).any(is_other)
    }
}

/// Reads the configuration again.
pub struct Reloader {
    sources: Sources,
    trials: Trials,
    set_level: SetLevel,
    /// What the server was started with: keys that take a restart still count as they stand here.
    started: Settings,
    /// And its rates.
    started_rates: EdgeRates,
    current: Configured,
    looks: Looks,
}

impl Reloader {
    pub fn new(sources: Sources, current: Configured, trials: Trials, set_level: SetLevel) -> Reloader {
        let looks = Looks::new(stamps(&sources, &current.settings));
        let (started, started_rates) = (current.settings.clone(), current.rates.edge);
        Reloader { sources, trials, set_level, started, started_rates, current, looks }
    }

    /// Reads it again if a file has changed, and nobody is writing it any more.
    pub fn reload_if_changed(&mut self, server: &Server) {
        if self.looks.have_changed(stamps(&self.sources, &self.current.settings)) {
            self.reload(server);
        }
    }

    /// Reads it again. What is wrong is logged, and nothing changes.
    pub fn reload(&mut self, server: &Server) {
        // Taken before the files are read: what changes meanwhile is seen the next time.
        self.looks.read = stamps(&self.sources, &self.current.settings);
        let file = self.sources.file();
        match self.apply(server) {
            Ok((changed, waiting)) => {
                server.metrics().reloads.add(1);
                let changed = changed.join(", ");
                tracing::info!(file = %file.display(), changed, "the configuration was read again");
                if !waiting.is_empty() {
                    let keys = waiting.join(", ");
                    tracing::warn!(keys, "these keys were changed and count after a restart");
                }
            }
            Err(error) => {
                server.metrics().reloads_refused.add(1);
                let error = format!("{error:#}");
                tracing::error!(file = %file.display(), error, "the configuration was refused: nothing has changed");
            }
        }
    }

    /// Takes what is new, and says which keys changed and which wait for a restart.
    fn apply(&mut self, server: &Server) -> anyhow::Result<(Vec<&'static str>, Vec<&'static str>)> {
        let read = self.sources.read()?;
        let data = &self.sources.data;
        let speaks_tls = |settings: &Settings| settings.tls_files(data).is_some();
        let switches_tls = speaks_tls(&read.settings) != speaks_tls(&self.started);
        let takes_restart = |key: &&crate::config::Key| {
            key.when == When::Restart || (switches_tls && key.name.starts_with("tls_"))
        };
        let waiting: Vec<_> =
            self.started.changed(&read.settings).into_iter().filter(takes_restart).collect();
        let mut changed: Vec<_> =
            self.current.settings.changed(&read.settings).iter().map(|key| key.name).collect();
        if self.current.rates.accounts != read.rates.accounts {
            changed.push("rates");
        }
        server.reload(read.settings.live(&self.trials.accounts(&read), data))?;
        // Nothing can go wrong any more: the level was checked when it was read.
        (self.set_level)(&read.settings.log_level.0)?;
        if self.current.settings.tls_files(data) != read.settings.tls_files(data) {
            // Other files are looked at from now on. The configuration is not: it may have changed meanwhile.
            let [_, cert, key] = stamps(&self.sources, &read.settings);
            self.looks.read = [self.looks.read[0], cert, key];
        }
        self.current = read;
        let mut waiting: Vec<_> = waiting.iter().map(|key| key.name).collect();
        if self.started_rates != self.current.rates.edge {
            waiting.push("rates of the edge");
        }
        Ok((changed, waiting))
    }
}

fn stamps(sources: &Sources, settings: &Settings) -> Stamps {
    let files = settings.tls_files(&sources.data);
    let stamp_of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino()))
    };
    [
        stamp_of(&sources.file()),
        files.as_ref().and_then(|files| stamp_of(&files.cert)),
        files.as_ref().and_then(|files| stamp_of(&files.key)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_it_has_stood_still() {
        let at = |n| [Some((n, 0, 0, 0)), None, None];
        let mut looks = Looks::new(at(1));
        assert!(!looks.have_changed(at(1)));
        assert!(!looks.have_changed(at(2)), "somebody writes it");
        assert!(!looks.have_changed(at(3)), "and has not done");
        assert!(looks.have_changed(at(3)));
        looks.read = at(3);
        assert!(!looks.have_changed(at(3)));
        // It is being replaced.
        assert!(!looks.have_changed([None; 3]) && !looks.have_changed([None; 3]));
        assert!(!looks.have_changed(at(4)));
        assert!(looks.have_changed(at(4)));
        // Which stays so until it is read: what is refused is read once, since reading it is noted.
        assert!(looks.have_changed(at(4)));
    }
}
