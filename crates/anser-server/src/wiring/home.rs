//! Homes of accounts, on the slot engine.

use anser_core::engine::{Answer, Query};
use anser_core::ports::PortFuture;
use anser_model::{AccountId, Actor, Command, ConversationId, DeviceId, Intent, KickReason, Refusal};

use crate::accounts::{CredentialView, Home, HomeError};
use crate::node::Node;
use crate::wiring::people::Versions;

/// The homes that a node's slots hold.
pub(super) struct NodeHome {
    node: Node,
    versions: Versions,
}

impl NodeHome {
    pub(super) fn new(node: Node, versions: Versions) -> Self {
        NodeHome { node, versions }
    }
}

fn failed(refusal: Refusal) -> HomeError {
    match refusal {
        Refusal::StorageFull => HomeError::StorageFull,
        other => HomeError::Unavailable(other.to_string()),
    }
}

impl Home for NodeHome {
    fn raise_credentials(
        &self,
        account: AccountId,
        account_version: u64,
        device: Option<(DeviceId, u64)>,
        why: KickReason,
    ) -> PortFuture<Result<(), HomeError>> {
        let node = self.node.clone();
        Box::pin(async move {
            let command = Command {
                actor: Actor::SYSTEM,
                cid: ConversationId::of_self(account),
                peer: Some(account),
                client_id: None,
                intent: Intent::RaiseCredentials { account_version, device, why },
            };
            node.ask_command(command).await.map(|_| ()).map_err(failed)
        })
    }

    /// Its sessions and whoever watches it are told; from now on commands of the account carry the new version, by
    /// which everybody else learns of it.
    fn profile_changed(&self, account: AccountId, version: u64) -> PortFuture<Result<(), HomeError>> {
        self.versions.learn([(account, version)]);
        self.node.look_again([account]);
        Box::pin(std::future::ready(Ok(())))
    }

    fn credentials(&self, account: AccountId) -> PortFuture<Result<CredentialView, HomeError>> {
        let node = self.node.clone();
        Box::pin(async move {
            let cid = ConversationId::of_self(account);
            match node.ask_query(node.slot(cid), Query::Home { cid }).await.map_err(failed)? {
                Answer::Home(home) => {
                    Ok(CredentialView { account_version: home.account_version, revoked: home.devices })
                }
                other => Err(HomeError::Unavailable(format!("a home answered {other:?}"))),
            }
        })
    }
}
