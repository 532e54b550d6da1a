//! What a doctor finds.

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// It serves, and somebody should know.
    Warn,
    /// It does not serve, or not safely.
    Fail,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// All checks, in order.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub checks: Vec<Check>,
}

impl Report {
    pub fn ok(&mut self, name: &'static str, found: impl Into<String>) {
        self.checks.push(Check { name, level: Level::Ok, found: found.into(), fix: None });
    }

    pub fn warn(&mut self, name: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.checks.push(Check { name, level: Level::Warn, found: found.into(), fix: Some(fix.into()) });
    }

    pub fn fail(&mut self, name: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.checks.push(Check { name, level: Level::Fail, found: found.into(), fix: Some(fix.into()) });
    }

    /// Whether nothing failed.
    pub fn is_fit(&self) -> bool {
        self.checks.iter().all(|check| check.level != Level::Fail)
    }
}
