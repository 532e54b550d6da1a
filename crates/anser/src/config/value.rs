//! Values of settings: how each is read from the command line and from the file, what would be right, and how it
//! is written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anser_server::accounts::{RegistrationMode, SecondDevice};
use anser_server::http::origin::Origin;
use anser_server::http::proxies::{Cidr, ProxyHeader};
use toml::de::DeValue;

/// A value that a setting may have.
pub trait Setting: Sized + Clone + PartialEq + Send + Sync + 'static {
    /// What would be right, after "write".
    fn form() -> String;

    /// From the command line, the environment, or the default.
    fn read(text: &str) -> Result<Self, String>;

    /// From the file.
    fn read_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_str().ok_or_else(Self::wrong).and_then(Self::read)
    }

    /// As the file has it.
    fn written(&self) -> String;

    /// What is said of a value that is none of these.
    fn wrong() -> String {
        format!("write {}", Self::form())
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One of a few words.
macro_rules! words {
    ($type:ty, $($word:literal => $value:expr),+ $(,)?) => {
        impl Setting for $type {
            fn form() -> String {
                let words = [$(concat!("\"", $word, "\"")),+];
                let (last, others) = words.split_last().expect("there are words");
                format!("{} or {last}", others.join(", "))
            }

            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err(Self::wrong()),
                }
            }

            fn written(&self) -> String {
                let words = [$(($value, $word)),+];
                let known = words.iter().find(|(value, _)| value == self);
                quoted(known.expect("every value has a word").1)
            }
        }
    };
}

words!(RegistrationMode,
    "open" => RegistrationMode::Open,
    "invitation" => RegistrationMode::Invitation,
    "closed" => RegistrationMode::Closed,
);

words!(SecondDevice, "allow" => SecondDevice::Allow, "replace" => SecondDevice::Replace);

words!(ProxyHeader,
    "x-forwarded-for" => ProxyHeader::XForwardedFor,
    "forwarded" => ProxyHeader::Forwarded,
    "x-real-ip" => ProxyHeader::XRealIp,
);

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

words!(LogFormat, "text" => LogFormat::Text, "json" => LogFormat::Json);

/// Whether something is done that need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    Off,
    On,
}

words!(Switch, "off" => Switch::Off, "on" => Switch::On);

/// Whether TLS is spoken with a certificate of our own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    SelfSigned,
}

words!(TlsMode, "off" => TlsMode::Off, "self-signed" => TlsMode::SelfSigned);

/// Where the operator's listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAt {
    /// On loopback, at the port after the public one.
    Auto,
    Nowhere,
    At(SocketAddr),
}

impl Setting for AdminAt {
    fn form() -> String {
        "\"auto\" (loopback, the port after that of `listen`), \"none\", or an address and port as \"127.0.0.1:7701\""
            .into()
    }

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(AdminAt::Auto),
            "none" => Ok(AdminAt::Nowhere),
            address => address.parse().map(AdminAt::At).map_err(|_| Self::wrong()),
        }
    }

    fn written(&self) -> String {
        match self {
            AdminAt::Auto => quoted("auto"),
            AdminAt::Nowhere => quoted("none"),
            AdminAt::At(address) => quoted(&address.to_string()),
        }
    }
}

impl Setting for SocketAddr {
    fn form() -> String {
        "an address and port as \"127.0.0.1:7700\", or \"0.0.0.0:7700\" for all of this machine's".into()
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| Self::wrong())
    }

    fn written(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A whole number in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const LEAST: u64, const MOST: u64>(pub u64);

impl<const LEAST: u64, const MOST: u64> Setting for Whole<LEAST, MOST> {
    fn form() -> String {
        format!("a whole number from {LEAST} to {MOST}")
    }

    fn read(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
        number.map(Whole).ok_or_else(Self::wrong)
    }

    fn read_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let number = value.as_integer().filter(|number| number.radix() == 10).ok_or_else(Self::wrong)?;
        Self::read(number.as_str())
    }

    fn written(&self) -> String {
        self.0.to_string()
    }
}

/// A file, or none. In the configuration file a relative path begins at that file's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilePath(Option<PathBuf>);

impl FilePath {
    pub fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// The same, beginning at a folder.
    pub fn below(self, folder: &Path) -> FilePath {
        FilePath(self.0.map(|path| folder.join(path)))
    }
}

impl Setting for FilePath {
    fn form() -> String {
        "the path of a file".into()
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(FilePath((!text.is_empty()).then(|| text.into())))
    }

    fn written(&self) -> String {
        quoted(&self.path().map(|path| path.display().to_string()).unwrap_or_default())
    }
}

/// Several values: with commas between on the command line, as an array in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

/// One value of a list.
pub trait Item: Clone + PartialEq + std::fmt::Display + std::str::FromStr + Send + Sync + 'static {
    /// What a list of them looks like.
    const EXAMPLE: &'static str;
}

impl Item for Cidr {
    const EXAMPLE: &'static str = "addresses and networks as [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]";
}

impl Item for Origin {
    const EXAMPLE: &'static str =
        "origins as [\"https://chat.example.org\"], with :port only if it is not the usual one";
}

impl<T: Item> Setting for List<T> {
    fn form() -> String {
        T::EXAMPLE.into()
    }

    fn read(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| item.parse().map_err(|_| Self::wrong())).collect::<Result<_, _>>().map(List)
    }

    fn read_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let items = value.as_array().ok_or_else(Self::wrong)?.iter();
        let item = |item: &DeValue<'_>| {
            let text = item.as_str().ok_or_else(Self::wrong)?;
            text.parse().map_err(|_| format!("{}, not {text:?}", Self::wrong()))
        };
        items.map(|value| item(value.get_ref())).collect::<Result<_, _>>().map(List)
    }

    fn written(&self) -> String {
        let items: Vec<String> = self.0.iter().map(|item| quoted(&item.to_string())).collect();
        format!("[{}]", items.join(", "))
    }
}

/// How much is logged: a level, or levels of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(pub String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Setting for LogLevel {
    fn form() -> String {
        format!("one of {}, or levels of parts as \"info,anser_server::node=debug\"", LEVELS.join(", "))
    }

    fn read(text: &str) -> Result<Self, String> {
        // A word that is no level would be taken for the name of a part, and log nothing.
        let fits = |directive: &str| match directive.split_once('=') {
            Some((part, level)) => !part.is_empty() && LEVELS.contains(&level),
            None => LEVELS.contains(&directive),
        };
        let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
        match text.split(',').all(|directive| fits(directive.trim())) && parsed.is_ok() {
            true => Ok(LogLevel(text.to_owned())),
            false => Err(Self::wrong()),
        }
    }

    fn written(&self) -> String {
        quoted(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<T: Setting>(good: &[&str], bad: &[&str]) {
        for text in good {
            let value = T::read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let written = value.written();
            let document = format!("key = {written}");
            let table = toml::de::DeTable::parse(&document).unwrap();
            let (_, found) = table.get_ref().iter().next().unwrap();
            assert!(T::read_toml(found.get_ref()).unwrap() == value, "{written} reads back");
        }
        for text in bad {
            assert!(T::read(text).err().unwrap_or_default().starts_with("write "), "{text:?}");
        }
    }

    #[test]
    fn every_kind_of_value_is_read_written_or_refused() {
        reads::<SocketAddr>(&["127.0.0.1:7700", "[::]:1"], &["", "7700", "localhost:7700", "1.2.3.4"]);
        reads::<AdminAt>(&["auto", "none", "10.0.0.1:1"], &["", "7701", "None"]);
        reads::<Whole<1, 64>>(&["1", "64"], &["0", "65", "-1", "1.5", "", "eins"]);
        reads::<RegistrationMode>(&["open", "invitation", "closed"], &["", "Open"]);
        reads::<SecondDevice>(&["allow", "replace"], &["deny"]);
        reads::<ProxyHeader>(&["x-forwarded-for", "forwarded", "x-real-ip"], &["x-client"]);
        reads::<TlsMode>(&["off", "self-signed"], &["on"]);
        reads::<LogFormat>(&["text", "json"], &["xml"]);
        reads::<LogLevel>(&["info", "warn,anser_server=trace"], &["inf", "", "info,", "=debug", "a=b"]);
        reads::<FilePath>(&["", "a b/c.pem"], &[]);
        reads::<List<Cidr>>(&["", "10.0.0.0/8, ::1"], &["10.0.0.0/40", "here"]);
        reads::<List<Origin>>(&["", "https://a.example"], &["*", "a.example"]);
    }
}
