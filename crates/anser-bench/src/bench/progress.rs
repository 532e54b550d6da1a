//! How far a bench is, on standard error: one line that changes on a terminal, else a line for each step.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;

/// Says how far it is.
pub struct Progress {
    how: How,
    place: Mutex<String>,
}

enum How {
    Changing,
    Lines,
    Silent,
}

impl Progress {
    /// For whoever looks at standard error.
    pub fn on_standard_error() -> Progress {
        let how = if std::io::stderr().is_terminal() { How::Changing } else { How::Lines };
        Progress { how, place: Mutex::default() }
    }

    /// Says nothing: for tests.
    pub fn silent() -> Progress {
        Progress { how: How::Silent, place: Mutex::default() }
    }

    /// Which scenario follows.
    pub fn enter(&self, place: String) {
        *self.place.lock().expect("nobody panics while it is held") = place;
    }

    /// What is done now.
    pub fn say(&self, what: &str) {
        let place = self.place.lock().expect("nobody panics while it is held");
        match self.how {
            How::Changing => {
                eprint!("\r\x1b[K{place} {what}");
                _ = std::io::stderr().flush();
            }
            How::Lines => eprintln!("{place} {what}"),
            How::Silent => {}
        }
    }

    /// Makes room for figures.
    pub fn clear(&self) {
        if matches!(self.how, How::Changing) {
            eprint!("\r\x1b[K");
        }
    }
}
