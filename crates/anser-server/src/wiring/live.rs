//! What may change while the server runs.

use std::sync::{Arc, PoisonError, RwLock};

use crate::accounts::{AccountRates, RegistrationMode};
use crate::http::origin::Origin;
use crate::http::proxies::Proxies;
use crate::wiring::TlsFiles;

/// Everything that a reload may change.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    /// Who may register.
    pub registration: RegistrationMode,
    /// How much may be asked how often.
    pub rates: AccountRates,
    /// Connections at most.
    pub connections_max: usize,
    /// Who is believed.
    pub network: NetworkConfig,
    /// Where the certificate is, if TLS is spoken.
    pub tls: Option<TlsFiles>,
}

/// Who is believed about where a request comes from, and which pages may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The proxies in front of the server.
    pub proxies: Proxies,
    /// Origins of pages that may connect, beside the server's own.
    pub allowed_origins: Vec<Origin>,
}

/// The network's part of it, as the listener sees it now.
#[derive(Clone)]
pub(super) struct Network(Arc<RwLock<Arc<NetworkConfig>>>);

impl Network {
    pub(super) fn new(config: NetworkConfig) -> Self {
        Network(Arc::new(RwLock::new(Arc::new(config))))
    }

    pub(super) fn now(&self) -> Arc<NetworkConfig> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, config: NetworkConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}
