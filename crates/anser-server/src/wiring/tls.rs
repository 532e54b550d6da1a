//! TLS of the public listener: the certificate that is shown, which may change while it serves.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anser_proto::STREAM_ALPN;
use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// What is spoken inside, unless frames without a WebSocket are: the WebSocket begins as HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";
/// The folder of a certificate of our own making, in the data folder.
const SELF_SIGNED_FOLDER: &str = "tls";
const FOLDER_MODE: u32 = 0o700;
const KEY_MODE: u32 = 0o600;

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and one that clients trust, as PEM.
    pub cert: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Those of a certificate of our own making, whether they are there yet or not.
    pub fn self_signed(data: &Path) -> TlsFiles {
        let folder = data.join(SELF_SIGNED_FOLDER);
        TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") }
    }

    /// Makes a certificate that nobody but its holder vouches for, unless there is one already. For tests in a
    /// local network: clients must be given the certificate.
    ///
    /// # Errors
    /// A file cannot be written, or this machine has a name that no certificate can bear.
    pub fn make_self_signed(data: &Path, listen: IpAddr) -> anyhow::Result<TlsFiles> {
        let files = TlsFiles::self_signed(data);
        if files.cert.exists() && files.key.exists() {
            return Ok(files);
        }
        let made = rcgen::generate_simple_self_signed(names(listen)).context("no certificate can be made")?;
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(data.join(SELF_SIGNED_FOLDER))?;
        write(&files.key, &made.signing_key.serialize_pem())?;
        write(&files.cert, &made.cert.pem())?;
        Ok(files)
    }

    /// Reads them and checks that they belong together.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(&self) -> anyhow::Result<Arc<CertifiedKey>> {
        let TlsFiles { cert, key } = self;
        let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .with_context(|| format!("{} cannot be read as a certificate in PEM", cert.display()))?;
        anyhow::ensure!(
            !chain.is_empty(),
            "{} holds no certificate: it should begin with -----BEGIN CERTIFICATE-----",
            cert.display()
        );
        let private = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("{} cannot be read as a private key in PEM", key.display()))?;
        let certified = CertifiedKey::from_der(chain, private, &ring::default_provider());
        certified
            .map(Arc::new)
            .with_context(|| format!("{} and {} cannot be used together", cert.display(), key.display()))
    }
}

/// Names under which a machine is likely to be reached in its local network.
fn names(listen: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !host.is_empty() && host.chars().all(bare) {
        names.push(format!("{host}.local"));
        names.push(host);
    }
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    names.extend(outgoing_address().map(|address| address.to_string()));
    names.sort();
    names.dedup();
    names
}

/// The address that this machine would send from. No packet is sent: connecting a UDP socket only asks for the way.
fn outgoing_address() -> Option<IpAddr> {
    // An address for documents (RFC 5737): nobody's, and so by the way that leads to everybody.
    const NOBODY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(NOBODY).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(KEY_MODE);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

/// TLS as the listener speaks it.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    shown: Arc<Shown>,
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    pub(super) fn new(certificate: Arc<CertifiedKey>) -> anyhow::Result<Tls> {
        let shown = Arc::new(Shown(RwLock::new(certificate)));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![ALPN.to_vec(), STREAM_ALPN.to_vec()];
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), shown })
    }

    /// Handshakes that begin from now on see this certificate.
    pub(super) fn show(&self, certificate: Arc<CertifiedKey>) {
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_files_that_do_not_belong_together_are_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let listen = "127.0.0.1".parse().unwrap();
        let files = TlsFiles::make_self_signed(one.path(), listen).unwrap();
        let made = std::fs::read(&files.cert).unwrap();
        files.load().unwrap();
        TlsFiles::make_self_signed(one.path(), listen).unwrap();
        assert_eq!(std::fs::read(&files.cert).unwrap(), made, "clients know the first one");
        let strange = TlsFiles::make_self_signed(other.path(), listen).unwrap();
        let wrong = |cert: &Path, key: &Path| {
            let files = TlsFiles { cert: cert.to_owned(), key: key.to_owned() };
            format!("{:#}", files.load().unwrap_err())
        };
        assert!(wrong(&files.cert, &strange.key).contains("cannot be used together"));
        assert!(wrong(&files.key, &files.key).contains("holds no certificate"));
        assert!(wrong(&files.cert, &files.cert).contains("private key"));
        assert!(wrong(Path::new("nowhere"), &files.key).contains("nowhere"));
    }
}
