//! The example: every key with what it means and its default, as comments.

use crate::config::rates::{RateName, Rates};
use crate::config::{Given, When};

/// Characters of a line of comment.
const LINE_CHARS: usize = 100;

/// The whole file.
pub fn example() -> String {
    let mut text = String::new();
    comment(
        &mut text,
        "Anser's configuration: anser.toml in the data folder, or the file that `anser serve --config` names. The \
         command line beats the environment, that this file, that the defaults, which are shown here behind a #.",
    );
    comment(
        &mut text,
        "A running server reads the file again when it changes, or on SIGHUP. Keys marked (restart) count after a \
         restart. A file that is wrong is refused as a whole; `anser config check FILE` says what is wrong.",
    );
    let mut section = "";
    for (key, value) in Given::default().settled().written() {
        if key.section != section {
            section = key.section;
            text.push_str(&format!("\n# ---- {section}\n"));
        }
        text.push('\n');
        let mark = if key.when == When::Restart { " (restart)" } else { "" };
        comment(&mut text, &format!("{}.{mark}", key.doc));
        text.push_str(&format!("#{} = {value}\n", key.name));
    }
    text.push_str("\n# ---- How often something may be asked\n\n");
    comment(
        &mut text,
        "\"BURST/MILLISECONDS\": so many at once, then one more after each of so many milliseconds.",
    );
    text.push_str("[rates]\n");
    let mut rates = Rates::default();
    for name in RateName::ALL {
        let rate = *name.of(&mut rates);
        text.push_str(&format!("# {}\n", name.meaning()));
        text.push_str(&format!("#{} = \"{}/{}\"\n", name.as_str(), rate.burst, rate.interval_ms));
    }
    text
}

fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > LINE_CHARS {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;
    use crate::config::file::FileConfig;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/anser.example.toml");

    #[test]
    fn the_example_is_checked_in() {
        if std::env::var_os("ANSER_WRITE").is_some() {
            std::fs::write(PATH, example()).expect("it can be written");
        }
        let checked_in = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(checked_in == example(), "run this test with ANSER_WRITE=1");
    }

    #[test]
    fn the_example_says_nothing_but_the_defaults() {
        assert_eq!(FileConfig::parse(&example()), Ok(FileConfig::default()));
        let mut spoken = String::new();
        for line in example().lines() {
            let is_key =
                line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' ') && rest.contains('='));
            spoken.push_str(if is_key { &line[1..] } else { line });
            spoken.push('\n');
        }
        let config = FileConfig::parse(&spoken).expect("its defaults are values that may be");
        assert_eq!(config.given.settled(), Given::default().settled());
        assert_eq!(config.rates.len(), RateName::ALL.len());
        assert!(KEYS.iter().all(|key| spoken.contains(&format!("\n{} = ", key.name))));
    }
}
