//! What the server is told: the command line beats the environment, that the configuration file, that the default.
//!
//! [`settings`] is one table, and the only one: the structs, the options of `anser serve`, the keys of the file and
//! the example with its comments all come from it.
//!
//! - [`value`]: what a setting may be
//! - [`rates`]: how often something may be asked
//! - [`file`]: the configuration file, and what is wrong with it
//! - [`example`]: the file that says what could be said
//! - [`settle`]: what all of it comes to

mod example;
mod file;
pub mod rates;
mod settle;
mod value;

use std::net::SocketAddr;

use anser_server::accounts::{RegistrationMode, SecondDevice};
use anser_server::http::origin::Origin;
use anser_server::http::proxies::{Cidr, ProxyHeader};
use clap::Args;

use self::value::{AdminAt, FilePath, List, LogLevel, Setting, TlsMode, Whole};

pub use example::example;
pub use settle::{Configured, Sources};
pub use value::{LogFormat, Switch};

/// When a change of a setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once, when the file is read again.
    AtOnce,
    /// After a restart.
    Restart,
}

/// A key of the file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub doc: &'static str,
    pub when: When,
}

macro_rules! settings {
    ($($section:literal {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal, $env:literal, $shown:literal, $when:ident;)+
    })+) => {
        /// Every setting, as it counts.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($($(#[doc = $doc])+ pub $name: $type,)+)+
        }

        /// What one source says. As arguments: the command line and the environment.
        #[derive(Debug, Clone, Default, PartialEq, Args)]
        pub struct Given {
            $($(
                #[arg(
                    long, env = $env, value_name = $shown, value_parser = <$type as Setting>::read,
                    help = concat!($($doc),+, " [default: ", $default, "]").trim_ascii()
                )]
                pub $name: Option<$type>,
            )+)+
        }

        /// Every key of the file but the rates.
        pub const KEYS: &[Key] = &[
            $($(Key {
                section: $section,
                name: stringify!($name),
                doc: concat!($($doc),+),
                when: When::$when,
            },)+)+
        ];

        impl Given {
            /// What this source says, and what the other says where this one is silent.
            fn or(self, other: Given) -> Given {
                Given { $($($name: self.$name.or(other.$name),)+)+ }
            }

            /// With the defaults where nothing is said.
            pub fn settled(self) -> Settings {
                Settings {
                    $($($name: self.$name.unwrap_or_else(|| {
                        <$type as Setting>::read($default).expect("a default is a value that may be")
                    }),)+)+
                }
            }

            /// Takes a value of the file. False: there is no such key.
            fn take(&mut self, name: &str, value: &toml::de::DeValue<'_>) -> Result<bool, String> {
                match name {
                    $($(stringify!($name) => self.$name = Some(<$type as Setting>::read_toml(value)?),)+)+
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }

        impl Settings {
            /// The keys in which the other differs.
            pub fn changed<'a>(&'a self, other: &'a Settings) -> Vec<&'static Key> {
                let same = [$($(self.$name == other.$name,)+)+];
                KEYS.iter().zip(same).filter(|(_, same)| !same).map(|(key, _)| key).collect()
            }

            /// Every key with its value as the file has it.
            fn written(&self) -> Vec<(&'static Key, String)> {
                let values = [$($(self.$name.written(),)+)+];
                KEYS.iter().zip(values).collect()
            }
        }
    };
}

settings! {
    "Where it listens" {
        /// Address and port to listen on
        listen: SocketAddr = "127.0.0.1:7700", "ANSER_LISTEN", "ADDRESS", Restart;
        /// Address and port of the operator's listener, with /metrics, /ready and /health: "auto" is loopback at
        /// the port after that of `listen`, "none" is nowhere. It asks nobody who they are
        admin_listen: AdminAt = "auto", "ANSER_ADMIN_LISTEN", "ADDRESS", Restart;
    }
    "TLS" {
        /// The certificate, with those between it and one that clients trust, as PEM. With tls_key it turns TLS on.
        /// A file that changes is read again
        tls_cert: FilePath = "", "ANSER_TLS_CERT", "FILE", AtOnce;
        /// The private key of tls_cert, as PEM
        tls_key: FilePath = "", "ANSER_TLS_KEY", "FILE", AtOnce;
        /// "self-signed" speaks TLS with a certificate of its own making, for tests in a local network: clients are
        /// given tls/cert.pem of the data folder with --ca
        tls: TlsMode = "off", "ANSER_TLS", "MODE", Restart;
    }
    "Who is believed" {
        /// Proxies in front of the server, as addresses or networks: only they are believed about where a request
        /// comes from, and connections through them ping more often
        trusted_proxies: List<Cidr> = "", "ANSER_TRUSTED_PROXIES", "NETWORKS", AtOnce;
        /// The one header in which they say it
        proxy_header: ProxyHeader = "x-forwarded-for", "ANSER_PROXY_HEADER", "NAME", AtOnce;
        /// Origins of web pages that may connect, beside those that this server serves itself
        allowed_origins: List<Origin> = "", "ANSER_ALLOWED_ORIGINS", "ORIGINS", AtOnce;
    }
    "Who may come in" {
        /// Who may register: "open" is everybody, "invitation" who has a code, "closed" nobody
        registration: RegistrationMode = "invitation", "ANSER_REGISTRATION", "MODE", AtOnce;
        /// What becomes of a device when another one of its kind (phone, web, …) signs in: "allow" keeps both,
        /// "replace" signs the older one out
        second_device: SecondDevice = "allow", "ANSER_SECOND_DEVICE", "POLICY", Restart;
    }
    "Limits" {
        /// Connections at most. Each takes one descriptor: `anser doctor` says whether there are enough
        connections_max: Whole<1, 10_000_000> = "19000", "ANSER_CONNECTIONS_MAX", "COUNT", AtOnce;
        /// After how long without a frame a client pings, in milliseconds; one silent for twice as long is closed
        heartbeat_interval_ms: Whole<100, 3_600_000> = "240000", "ANSER_HEARTBEAT_INTERVAL_MS", "MILLISECONDS", Restart;
        /// The same for connections through a trusted proxy, which may forget one that is silent
        proxied_heartbeat_interval_ms: Whole<100, 3_600_000> =
            "45000", "ANSER_PROXIED_HEARTBEAT_INTERVAL_MS", "MILLISECONDS", Restart;
        /// Threads that share the slots: one for each core that is to decide
        workers: Whole<1, 64> = "1", "ANSER_WORKERS", "COUNT", Restart;
        /// Threads that share the connections: one for each core that is to do nothing but read and write them
        edge_threads: Whole<1, 64> = "1", "ANSER_EDGE_THREADS", "COUNT", Restart;
        /// Whether messages over WebSocket are compressed, each by itself, for clients that offer it: "on" costs processor
        /// time, for slow or expensive networks
        websocket_compression: Switch = "off", "ANSER_WEBSOCKET_COMPRESSION", "SWITCH", Restart;
    }
    "Log lines on standard error" {
        /// How much is logged: off, error, warn, info, debug or trace; and parts as info,anser_server::node=debug
        log_level: LogLevel = "info", "ANSER_LOG", "LEVEL", AtOnce;
        /// Form of the log lines: "text" or "json"
        log_format: LogFormat = "text", "ANSER_LOG_FORMAT", "FORMAT", Restart;
    }
}

#[cfg(test)]
mod tests {
    use anser_server::wiring::{CONNECTIONS_MAX, HEARTBEAT_INTERVAL_MS, PROXIED_HEARTBEAT_INTERVAL_MS};

    use super::*;

    #[test]
    fn defaults_are_those_of_the_server() {
        let settings = Given::default().settled();
        assert_eq!(settings.connections_max.0, CONNECTIONS_MAX as u64);
        assert_eq!(settings.heartbeat_interval_ms.0, HEARTBEAT_INTERVAL_MS);
        assert_eq!(settings.proxied_heartbeat_interval_ms.0, PROXIED_HEARTBEAT_INTERVAL_MS);
        assert_eq!(settings.registration, RegistrationMode::default());
    }

    #[test]
    fn the_first_source_that_says_something_counts() {
        let first = Given { workers: Some(Whole(2)), ..Given::default() };
        let second = Given { workers: Some(Whole(3)), connections_max: Some(Whole(9)), ..Given::default() };
        let settings = first.or(second).settled();
        assert_eq!((settings.workers, settings.connections_max), (Whole(2), Whole(9)));
        let changed = settings.changed(&Given::default().settled());
        assert_eq!(changed.iter().map(|key| key.name).collect::<Vec<_>>(), ["connections_max", "workers"]);
    }
}
