//! The configuration file. Everything that is wrong with it is said at once, each with its key, line and value, and
//! what would be right.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anser_server::accounts::Rate;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::rates::{RateName, parse_rate};
use crate::config::value::FilePath;
use crate::config::{Given, KEYS};

/// Its name in the data folder.
pub const FILE_NAME: &str = "anser.toml";
/// The table of rates.
pub const RATES: &str = "rates";
/// Bytes of the longest file that is read.
const FILE_BYTES: u64 = 1024 * 1024;
/// Characters of a wrong value that are shown.
const VALUE_CHARS: usize = 60;
/// By how many letters a key may be wrong for the right one to be guessed.
const LETTERS_WRONG: usize = 3;

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileConfig {
    pub given: Given,
    pub rates: Vec<(RateName, Rate)>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// It cannot be read.
    #[error("the configuration {} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// What stands in it is wrong.
    #[error("{}", lines(path, wrong))]
    Wrong { path: PathBuf, wrong: Vec<Wrong> },
    /// Settings that are right each for itself and not together.
    #[error("{0}")]
    Together(String),
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    line: usize,
    what: String,
}

fn lines(path: &Path, wrong: &[Wrong]) -> String {
    let lines: Vec<String> =
        wrong.iter().map(|wrong| format!("{}:{}: {}", path.display(), wrong.line, wrong.what)).collect();
    lines.join("\n")
}

impl FileConfig {
    /// Reads a file. Relative paths in it begin at its folder.
    pub fn read(path: &Path) -> Result<FileConfig, BadConfig> {
        let unreadable = |error| BadConfig::Unreadable { path: path.to_owned(), error };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.len() > FILE_BYTES {
            let error =
                io::Error::other(format!("it has {} bytes, at most {FILE_BYTES} are read", metadata.len()));
            return Err(unreadable(error));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mut config =
            FileConfig::parse(&text).map_err(|wrong| BadConfig::Wrong { path: path.to_owned(), wrong })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let Given { tls_cert, tls_key, .. } = &mut config.given;
        for file in [tls_cert, tls_key] {
            *file = file.take().map(|file: FilePath| file.below(folder));
        }
        Ok(config)
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<FileConfig, Vec<Wrong>> {
        let reader = Reader { text };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| reader.line(&span));
            vec![Wrong { line, what: format!("this is no TOML: {}", error.message()) }]
        })?;
        let mut config = FileConfig::default();
        let mut wrong = Vec::new();
        for (key, value) in table.get_ref() {
            let name = key.get_ref();
            if name == RATES {
                reader.rates(value, &mut config.rates, &mut wrong);
                continue;
            }
            match config.given.take(name, value.get_ref()) {
                Ok(true) => {}
                Ok(false) => wrong.push(reader.unknown(name, &key.span())),
                Err(what) => wrong.push(reader.wrong(name, value, &what)),
            }
        }
        wrong.sort_by_key(|wrong| wrong.line);
        if wrong.is_empty() { Ok(config) } else { Err(wrong) }
    }
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
    }

    fn rates(&self, value: &Spanned<DeValue<'_>>, rates: &mut Vec<(RateName, Rate)>, wrong: &mut Vec<Wrong>) {
        let Some(table) = value.get_ref().as_table() else {
            wrong.push(self.wrong(
                RATES,
                value,
                "write a table as [rates] with lines as sign-in = \"30/2000\"",
            ));
            return;
        };
        for (key, value) in table {
            let (name, full) = (key.get_ref(), format!("{RATES}.{}", key.get_ref()));
            let Some(name) = RateName::named(name) else {
                let what = format!("there is no rate {name:?}: write one of {}", RateName::names());
                wrong.push(Wrong { line: self.line(&key.span()), what });
                continue;
            };
            match parse_rate(value.get_ref().as_str().unwrap_or_default()) {
                Ok(rate) => rates.push((name, rate)),
                Err(what) => wrong.push(self.wrong(&full, value, &what)),
            }
        }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, what: &str) -> Wrong {
        let span = value.span();
        let mut shown = self.text.get(span.clone()).unwrap_or_default().replace('\n', " ");
        if let Some((end, _)) = shown.char_indices().nth(VALUE_CHARS) {
            shown.truncate(end);
            shown.push('…');
        }
        Wrong { line: self.line(&span), what: format!("{key} = {shown} is wrong: {what}") }
    }

    fn unknown(&self, name: &str, span: &Range<usize>) -> Wrong {
        let known = KEYS.iter().map(|key| key.name).chain([RATES]);
        let guess = known.map(|key| (letters_wrong(name, key), key)).min();
        let guess = guess.filter(|&(letters, _)| letters <= LETTERS_WRONG);
        let right = match guess {
            Some((_, key)) => format!("write {key}"),
            None => "`anser config example` shows all that there are".to_owned(),
        };
        Wrong { line: self.line(span), what: format!("there is no key {name:?}: {right}") }
    }
}

/// How many letters must be changed, added or taken away (the distance of Levenshtein). Dashes are as underscores.
fn letters_wrong(written: &str, right: &str) -> usize {
    let written: Vec<char> = written.chars().map(|c| if c == '-' { '_' } else { c }).collect();
    let mut row: Vec<usize> = (0..=written.len()).collect();
    for (above, letter) in right.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, &other) in written.iter().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[written.len()]
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

#[cfg(test)]
mod tests {
    use anser_server::accounts::RegistrationMode;

    use super::*;
    use crate::config::value::Whole;

    fn said(text: &str) -> String {
        let wrong = FileConfig::parse(text).expect_err("it is wrong");
        wrong.iter().map(Wrong::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_right_is_taken() {
        let text = "registration = \"open\"\nworkers = 2\n\n[rates]\nsign-in = \"5/100\"\n";
        let config = FileConfig::parse(text).expect("it is right");
        assert_eq!(config.given.registration, Some(RegistrationMode::Open));
        assert_eq!(config.given.workers, Some(Whole(2)));
        assert_eq!(config.rates, [(RateName::SignIn, Rate { burst: 5, interval_ms: 100 })]);
        assert_eq!(FileConfig::parse("").expect("nothing is said"), FileConfig::default());
    }

    #[test]
    fn everything_that_is_wrong_is_said_with_key_line_value_and_what_would_be_right() {
        let text = "# a comment\nlisten = 7700\nworkers = 0\nlog-level = \"info\"\nbanana = 1\n\
                    trusted_proxies = [\"10.0.0.0/8\",\n  \"10.0.0.0/99\"]\n[rates]\nsign-in = \"0/5\"\nlunch = \"1/1\"\n";
        let said = said(text);
        let lines: Vec<&str> = said.lines().collect();
        for (line, parts) in lines.iter().zip([
            &["line 2", "listen = 7700", "127.0.0.1:7700"][..],
            &["line 3", "workers = 0", "from 1 to 64"],
            &["line 4", "\"log-level\"", "write log_level"],
            &["line 5", "\"banana\"", "anser config example"],
            &["line 6", "trusted_proxies", "10.0.0.0/99"],
            &["line 9", "rates.sign-in = \"0/5\"", "above 0"],
            &["line 10", "\"lunch\"", "sign-in, password"],
        ]) {
            assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
        }
        assert_eq!(lines.len(), 7, "{said}");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        assert!(said("listen = \"a\"\nlisten = \"b\"").contains("line 2"));
        assert!(said("listen 1").contains("this is no TOML"));
        assert!(said("rates = 3").contains("[rates]"));
        assert!(said("workers = 0x10").contains("whole number"));
    }
}
