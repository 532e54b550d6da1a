//! The node on ports that fail as disks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anser_core::engine::Answer;
use anser_core::ports::PortFuture;
use anser_core::ports::log::{AppendError, Log, LogError, SlotHead};
use anser_core::record::Record;
use anser_embedded::disk::FolderDisk;
use anser_embedded::history::SegmentHistory;
use anser_embedded::index::SqliteIndex;
use anser_embedded::log::{LocalLog, LogOptions};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_model::limits::MESSAGE_BODY_BYTES;
use anser_model::{
    AccountId, Actor, ClientId, Command, ConversationId, DeviceId, Intent, Message, N, Refusal, Slot,
    SlotKey, UnixMillis,
};
use tokio_util::task::TaskTracker;

use super::{Node, NodeConfig, NodePorts};

/// A log whose disk fails when it is told to: it takes records, and cannot sync them.
struct FailingLog {
    log: LocalLog,
    fails: Arc<AtomicBool>,
}

impl Log for FailingLog {
    fn append(&self, record: Record) -> PortFuture<Result<(), AppendError>> {
        if self.fails.load(Ordering::Acquire) {
            return Box::pin(std::future::ready(Err(AppendError::Broken("the sync failed".into()))));
        }
        self.log.append(record)
    }

    fn heads(&self) -> PortFuture<Result<Vec<SlotHead>, LogError>> {
        self.log.heads()
    }

    fn read(&self, slot: Slot, from: N, limit: usize) -> PortFuture<Result<Vec<Record>, LogError>> {
        self.log.read(slot, from, limit)
    }

    fn trim(&self, below: Vec<(Slot, N)>) -> PortFuture<Result<(), LogError>> {
        self.log.trim(below)
    }
}

struct Installation {
    node: Node,
    fails: Arc<AtomicBool>,
    tracker: TaskTracker,
}

async fn start(folder: &std::path::Path) -> Installation {
    let slot_key = SlotKey::new([3; 16]);
    let disk = Arc::new(FolderDisk::open(&folder.join("log")).expect("a fresh folder"));
    let mut options = LogOptions::new(slot_key.fingerprint());
    options.segment_bytes = 1024 * 1024;
    let log = LocalLog::open(disk, options, Arc::new(SystemRandom), Arc::new(SystemClock)).expect("a log");
    let fails = Arc::new(AtomicBool::new(false));
    let config = NodeConfig { timeline: log.timeline(), slot_key, workers: 2 };
    let ports = NodePorts {
        log: Arc::new(FailingLog { log, fails: fails.clone() }),
        index: Arc::new(SqliteIndex::open(folder).expect("an index")),
        history: Arc::new(SegmentHistory::in_folder(folder, Arc::new(SystemClock)).expect("a history")),
        clock: Arc::new(SystemClock),
        metrics: Arc::default(),
        random: Arc::new(SystemRandom),
    };
    let tracker = TaskTracker::new();
    let node = Node::start(config, ports, &tracker).await.expect("it starts");
    Installation { node, fails, tracker }
}

fn send(number: u8, text: String) -> Command {
    let (alice, bob) = (AccountId(1), AccountId(2));
    let now = anser_core::ports::clock::Clock::now(&SystemClock);
    Command {
        actor: Actor { account: alice, device: DeviceId(1), profile_version: 1 },
        cid: ConversationId::direct(alice, bob),
        peer: Some(bob),
        client_id: Some(ClientId::mint(UnixMillis(now.0), [number; 10])),
        intent: Intent::Send(Message { kind: "text".into(), text, ..Message::default() }),
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_and_the_node_halts() {
    let folder = tempfile::tempdir().expect("a folder");
    let Installation { node, fails, .. } = start(folder.path()).await;
    let first = node.ask_command(send(1, "before".into())).await;
    assert!(matches!(first, Ok(Answer::Accepted(_))), "{first:?}");
    fails.store(true, Ordering::Release);
    let lost = node.ask_command(send(2, "after".into()));
    let halted = node.halted();
    tokio::select! {
        why = halted => assert!(why.contains("sync"), "{why}"),
        answer = lost => panic!("nothing may be said of it, not even {answer:?}"),
    }
    let refused = node.ask_command(send(3, "later".into())).await;
    assert_eq!(refused, Err(Refusal::Unavailable));
}

#[tokio::test]
async fn what_was_accepted_before_closing_is_there_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let Installation { node, tracker, .. } = start(folder.path()).await;
    let command = send(1, "x".repeat(MESSAGE_BODY_BYTES));
    let Ok(Answer::Accepted(first)) = node.ask_command(command.clone()).await else {
        panic!("it is accepted");
    };
    node.close().await;
    drop(node);
    tracker.close();
    tracker.wait().await;
    let Installation { node, .. } = start(folder.path()).await;
    let Ok(Answer::Accepted(again)) = node.ask_command(command).await else {
        panic!("it is remembered");
    };
    assert!(again.duplicate);
    assert_eq!((again.n, again.seq, again.ordinal, again.at), (first.n, first.seq, first.ordinal, first.at));
}
