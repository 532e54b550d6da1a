//! What all sources together come to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anser_server::accounts::{AccountConfig, Rate};
use anser_server::http::proxies::Proxies;
use anser_server::wiring::{AdminListen, LiveConfig, NetworkConfig, TlsFiles};

use crate::config::file::{BadConfig, FILE_NAME, FileConfig};
use crate::config::rates::{RateName, Rates};
use crate::config::value::{AdminAt, TlsMode};
use crate::config::{Given, Settings};

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The data folder.
    pub data: PathBuf,
    /// The file, if one was named: else that of the data folder, if there is one.
    pub config: Option<PathBuf>,
    /// The command line and the environment.
    pub given: Given,
    /// Rates of the command line.
    pub rates: Vec<(RateName, Rate)>,
}

/// What counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    pub settings: Settings,
    pub rates: Rates,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// The file that would be read.
    pub fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| self.data.join(FILE_NAME))
    }

    /// Reads the file, if there is one, and puts all sources together.
    pub fn read(&self) -> Result<Configured, BadConfig> {
        let path = self.file();
        let (file, config) = match self.config.is_some() || path.exists() {
            true => (Some(path.clone()), FileConfig::read(&path)?),
            false => (None, FileConfig::default()),
        };
        let settings = self.given.clone().or(config.given).settled();
        let mut rates = Rates::default();
        for &(name, rate) in config.rates.iter().chain(&self.rates) {
            *name.of(&mut rates) = rate;
        }
        settings.fit_together()?;
        Ok(Configured { settings, rates, file })
    }
}

impl Settings {
    fn fit_together(&self) -> Result<(), BadConfig> {
        let files = (self.tls_cert.path(), self.tls_key.path());
        let wrong = match (files, self.tls) {
            ((Some(cert), None), _) => {
                format!("tls_cert names {}, and tls_key names nothing: TLS takes both", cert.display())
            }
            ((None, Some(key)), _) => {
                format!("tls_key names {}, and tls_cert names nothing: TLS takes both", key.display())
            }
            ((Some(cert), Some(_)), TlsMode::SelfSigned) => format!(
                "tls = \"self-signed\" makes a certificate, and tls_cert names {}: leave one of them out",
                cert.display()
            ),
            _ => return Ok(()),
        };
        Err(BadConfig::Together(wrong))
    }

    /// Where the operator's listener listens.
    pub fn admin(&self) -> Option<AdminListen> {
        match self.admin_listen {
            AdminAt::Nowhere => None,
            AdminAt::At(address) => Some(AdminListen { address, optional: false }),
            AdminAt::Auto => {
                let port = match self.listen.port() {
                    0 => 0,
                    port => port.checked_add(1)?,
                };
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                Some(AdminListen { address, optional: true })
            }
        }
    }

    /// Where the certificate is, if TLS is spoken.
    pub fn tls_files(&self, data: &Path) -> Option<TlsFiles> {
        let made = || self.makes_certificate().then(|| TlsFiles::self_signed(data));
        self.named_tls_files().or_else(made)
    }

    /// The certificate that was named.
    pub fn named_tls_files(&self) -> Option<TlsFiles> {
        let (cert, key) = (self.tls_cert.path()?, self.tls_key.path()?);
        Some(TlsFiles { cert: cert.to_owned(), key: key.to_owned() })
    }

    /// Whether the certificate is one of our own making.
    pub fn makes_certificate(&self) -> bool {
        self.tls == TlsMode::SelfSigned
    }

    /// Who is believed.
    pub fn network(&self) -> NetworkConfig {
        let proxies = Proxies { trusted: self.trusted_proxies.0.clone(), header: self.proxy_header };
        NetworkConfig { proxies, allowed_origins: self.allowed_origins.0.clone() }
    }

    /// What may change while the server runs. `accounts` is what came of the rates.
    pub fn live(&self, accounts: &AccountConfig, data: &Path) -> LiveConfig {
        LiveConfig {
            registration: accounts.registration,
            rates: accounts.rates,
            connections_max: self.connections_max.0 as usize,
            network: self.network(),
            tls: self.tls_files(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::{FilePath, Setting as _, Whole};

    fn sources(data: &Path, given: Given) -> Sources {
        Sources { data: data.to_owned(), config: None, given, rates: Vec::new() }
    }

    #[test]
    fn the_command_line_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = sources(folder.path(), Given { workers: Some(Whole(2)), ..Given::default() });
        assert_eq!(sources.read().unwrap().file, None, "there need not be one");
        let text = "workers = 3\nconnections_max = 5\ntls_cert = \"c.pem\"\ntls_key = \"/k.pem\"\n[rates]\ninvite = \"9/9\"";
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let read = sources.read().unwrap();
        assert_eq!((read.settings.workers, read.settings.connections_max), (Whole(2), Whole(5)));
        assert_eq!(read.rates.accounts.invite_by_account, Rate { burst: 9, interval_ms: 9 });
        let files = read.settings.tls_files(folder.path()).unwrap();
        assert_eq!(files.cert, folder.path().join("c.pem"), "paths begin at the file");
        assert_eq!(files.key, Path::new("/k.pem"));
        sources.rates.push((RateName::Invite, Rate { burst: 1, interval_ms: 1 }));
        assert_eq!(
            sources.read().unwrap().rates.accounts.invite_by_account,
            Rate { burst: 1, interval_ms: 1 }
        );
        sources.config = Some(folder.path().join("other.toml"));
        assert!(
            sources.read().unwrap_err().to_string().contains("other.toml"),
            "one that was named must be there"
        );
    }

    #[test]
    fn half_of_tls_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Some(FilePath::read(name).unwrap());
        let wrong = |given: Given| sources(folder.path(), given).read().unwrap_err().to_string();
        assert!(wrong(Given { tls_cert: file("c"), ..Given::default() }).contains("tls_key names nothing"));
        assert!(wrong(Given { tls_key: file("k"), ..Given::default() }).contains("tls_cert names nothing"));
        let both = Given {
            tls_cert: file("c"),
            tls_key: file("k"),
            tls: Some(TlsMode::SelfSigned),
            ..Given::default()
        };
        assert!(wrong(both).contains("leave one of them out"));
    }

    #[test]
    fn the_operators_listener_is_beside_the_public_one() {
        let admin = |listen: &str, admin: AdminAt| {
            let given = Given {
                listen: Some(listen.parse().unwrap()),
                admin_listen: Some(admin),
                ..Given::default()
            };
            given.settled().admin().map(|listen| listen.address.to_string())
        };
        assert_eq!(admin("0.0.0.0:7700", AdminAt::Auto).as_deref(), Some("127.0.0.1:7701"));
        assert_eq!(admin("127.0.0.1:0", AdminAt::Auto).as_deref(), Some("127.0.0.1:0"));
        assert_eq!(admin("127.0.0.1:65535", AdminAt::Auto), None);
        assert_eq!(admin("127.0.0.1:7700", AdminAt::Nowhere), None);
    }
}
