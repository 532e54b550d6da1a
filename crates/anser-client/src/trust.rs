//! Who may vouch for a server's certificate.

use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, pem};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is the matter with a server that speaks TLS, and not the protocol named in the handshake.
const NO_STREAM: &str = "the server takes frames only in a WebSocket: write https://";

/// Who may vouch for a server's certificate.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Whom this machine trusts.
    System,
    /// The certificates of one file, and nobody else.
    File(PathBuf, Arc<ClientConfig>),
}

/// A file cannot say whom to trust.
#[derive(Debug, thiserror::Error)]
pub enum BadCa {
    /// It cannot be read, or not as PEM.
    #[error("{} cannot be read as certificates in PEM: {error}", ca.display())]
    Unreadable {
        /// Which file.
        ca: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// There is no certificate in it, or one that cannot vouch for anybody.
    #[error("{} holds no usable certificate: it should begin with -----BEGIN CERTIFICATE-----", ca.display())]
    Empty {
        /// Which file.
        ca: PathBuf,
    },
    /// There is nothing to vouch for.
    #[error("{} is given to check a certificate, but {address} is reached without TLS: write https://", ca.display())]
    NoTls {
        /// The address.
        address: String,
        /// Which file.
        ca: PathBuf,
    },
}

impl Trust {
    pub(crate) fn in_file(ca: &Path) -> Result<Trust, BadCa> {
        let unreadable = |error| BadCa::Unreadable { ca: ca.to_owned(), error };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(unreadable)? {
            let added = roots.add(certificate.map_err(unreadable)?);
            added.map_err(|_| BadCa::Empty { ca: ca.to_owned() })?;
        }
        if roots.is_empty() {
            return Err(BadCa::Empty { ca: ca.to_owned() });
        }
        Ok(Trust::File(ca.to_owned(), config(roots)))
    }

    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Trust::System => None,
            Trust::File(ca, _) => Some(ca),
        }
    }

    /// Shakes hands; where a protocol is named, the server must speak it.
    pub(crate) async fn shake_hands(
        &self,
        host: &str,
        tcp: TcpStream,
        protocol: Option<&[u8]>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = match self {
            Trust::System => system(),
            Trust::File(_, config) => config.clone(),
        };
        if let Some(protocol) = protocol {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other(format!("no certificate can be of {host:?}")))?;
        let shaken = TlsConnector::from(config).connect(name, tcp).await.map_err(explained)?;
        if shaken.get_ref().1.alpn_protocol() != protocol {
            return Err(io::Error::other(NO_STREAM));
        }
        Ok(shaken)
    }
}

/// Says what to do about the failures that people meet.
fn explained(error: io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let what = match tls {
        Some(rustls::Error::InvalidCertificate(_)) => format!(
            "the server's certificate is not trusted ({error}); one that nobody vouches for has to be given as a file"
        ),
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => NO_STREAM.to_owned(),
        Some(rustls::Error::InvalidMessage(_)) => "the server does not speak TLS: write http://".to_owned(),
        _ => return error,
    };
    io::Error::new(error.kind(), what)
}

/// Whom this machine trusts, read once.
fn system() -> Arc<ClientConfig> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "certificates that this machine trusts cannot be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        config(roots)
    };
    SYSTEM.get_or_init(read).clone()
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.expect("ring knows the suites of the versions that rustls speaks");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.file() == other.file()
    }
}

impl Eq for Trust {}

impl Hash for Trust {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.file().hash(state);
    }
}
