//! What an operator may get wrong, and what a medium may do: refused with the place and the remedy.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use anser_tests::conversation::text_of;
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

const SEGMENT_HEADER_BYTES: u64 = 8 * 1024;
const SECTOR_BYTES: u64 = 512;
const BLOCK_BYTES_MOST: u64 = 64 * 1024;
const ANYWHERE: &str = "127.0.0.1:0";

/// Expects that the server does not start on its folder, for a reason that holds all of these.
async fn refused(server: &Server, reasons: &[&str]) {
    let ended = server.expect_refusal(ANYWHERE).await;
    assert!(ended.status.code().is_some_and(|code| code != 0), "{ended:?}");
    for reason in reasons {
        assert!(ended.stderr.contains(reason), "{reason:?} is not said: {}", ended.stderr);
    }
}

async fn with_messages(count: usize) -> (Server, Person, Bytes) {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let mut cid = Bytes::new();
    for round in 0..count {
        cid = client.tell(&ben, &format!("message {round}")).await.cid;
    }
    (server, ann, cid)
}

async fn messages(server: &Server, person: &Person, cid: &Bytes) -> usize {
    let history = Client::attach(server, person).await.whole_history(cid).await;
    history.iter().filter(|event| text_of(event).is_some()).count()
}

#[tokio::test]
async fn one_folder_serves_one_process() {
    let (server, ann, cid) = with_messages(1).await;
    refused(&server, &["log", "another process"]).await;
    assert_eq!(messages(&server, &ann, &cid).await, 1, "the first one goes on");
}

#[tokio::test]
async fn a_port_in_use_is_said_to_be() {
    let (server, mut other) = (Server::start().await, Server::start().await);
    other.stop().await;
    let address = server.address().to_string();
    let ended = other.expect_refusal(&address).await;
    assert!(!ended.status.success());
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("--listen"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let (mut server, ann, cid) = with_messages(3).await;
    server.stop().await;
    for store in ["index.sqlite", "accounts.sqlite"] {
        let file =
            fs::File::options().read(true).write(true).open(server.data().join(store)).expect("a store");
        // Where SQLite's file format has `PRAGMA user_version`.
        let mut found = [0; 4];
        file.read_exact_at(&mut found, 60).expect("a header");
        file.write_all_at(&99_u32.to_be_bytes(), 60).expect("a header");
        refused(&server, &[store, "99", "newer"]).await;
        file.write_all_at(&found, 60).expect("a header");
    }
    let manifest = fs::File::options().write(true).open(server.data().join("history/manifest"));
    let manifest = manifest.expect("a manifest");
    manifest.write_all_at(&99_u32.to_le_bytes(), 8).expect("a header");
    refused(&server, &["history/manifest", "format 99", "newer"]).await;
    manifest.write_all_at(&1_u32.to_le_bytes(), 8).expect("a header");

    let segment = fs::File::options().write(true).open(server.first_segment()).expect("a segment");
    segment.write_all_at(&2_u16.to_le_bytes(), 8).expect("a header");
    refused(&server, &["00000000000000000001.segment", "format 2", "run the version that wrote it"]).await;
    segment.write_all_at(&1_u16.to_le_bytes(), 8).expect("a header");

    let format = server.data().join("log/FORMAT");
    let text = fs::read_to_string(&format).expect("it is text");
    fs::write(&format, text.replace("format 1", "format 2")).expect("it can be written");
    refused(&server, &["FORMAT", "format 2"]).await;
    fs::write(&format, text).expect("it can be written");

    server.start_again().await;
    assert_eq!(messages(&server, &ann, &cid).await, 3, "nothing was changed by the refusals");
}

#[tokio::test]
async fn damage_in_the_middle_of_the_log_is_refused_with_its_place() {
    let (mut server, ann, cid) = with_messages(20).await;
    server.kill().await;
    let segment = fs::File::options().read(true).write(true).open(server.first_segment()).expect("a segment");
    let bytes = fs::read(server.first_segment()).expect("a segment");
    let used = bytes.iter().rposition(|&byte| byte != 0).expect("it is not empty") as u64;
    for at in [SEGMENT_HEADER_BYTES + 3, SEGMENT_HEADER_BYTES + 70, u64::midpoint(SEGMENT_HEADER_BYTES, used)]
    {
        let mut byte = [0];
        segment.read_exact_at(&mut byte, at).expect("it is long enough");
        segment.write_all_at(&[byte[0] ^ 0x10], at).expect("it can be written");
        refused(&server, &["damaged", "from a backup"]).await;
        let said = server.expect_refusal(ANYWHERE).await.stderr;
        let place = said.split("00000000000000000001.segment at byte ").nth(1).expect("the file is named");
        let place = place.split(':').next().and_then(|place| place.parse::<u64>().ok()).expect("a number");
        // The block that holds the byte.
        assert!(place <= at && at < place + BLOCK_BYTES_MOST, "{at}: {said}");
        segment.write_all_at(&byte, at).expect("it can be written");
    }
    let mut byte = [0];
    segment.read_exact_at(&mut byte, 100).expect("a header");
    segment.write_all_at(&[byte[0] ^ 1], 100).expect("a header");
    refused(&server, &["damaged", "00000000000000000001.segment at byte 0"]).await;
    segment.write_all_at(&byte, 100).expect("a header");
    server.start_again().await;
    assert_eq!(messages(&server, &ann, &cid).await, 20, "mended, everything is there");
}

#[tokio::test]
async fn a_torn_tail_is_cut_without_a_word() {
    let (mut server, ann, cid) = with_messages(20).await;
    for round in 0..3 {
        server.kill().await;
        let bytes = fs::read(server.first_segment()).expect("a segment");
        let used = bytes.iter().rposition(|&byte| byte != 0).expect("it is not empty") as u64 + 1;
        let end = used.next_multiple_of(SECTOR_BYTES);
        let segment = fs::File::options().write(true).open(server.first_segment()).expect("a segment");
        // What a power cut leaves of a block: its beginning, or some sectors of its middle.
        let torn = [&b"ANSB"[..], &[0xa5; 3_000]].concat();
        segment.write_all_at(&torn[round * 512..], end + round as u64 * SECTOR_BYTES).expect("there is room");
        server.start_again().await;
        assert_eq!(messages(&server, &ann, &cid).await, 20 + round);
        Client::attach(&server, &ann).await.say(&cid, "it goes on").await.expect("it is accepted");
    }
}

#[tokio::test]
async fn secrets_that_others_could_read_are_refused() {
    let (mut server, ..) = with_messages(1).await;
    server.stop().await;
    let secrets = server.data().join("secrets");
    for name in ["signing.key", "slot.key", "refresh.key"] {
        let path = secrets.join(name);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("it is ours");
        refused(&server, &[name, "0644", "chmod 600"]).await;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    }
    fs::set_permissions(&secrets, Permissions::from_mode(0o755)).expect("it is ours");
    refused(&server, &["secrets", "0755", "chmod 700"]).await;
    fs::set_permissions(&secrets, Permissions::from_mode(0o700)).expect("it is ours");
    let slot_key = fs::read(secrets.join("slot.key")).expect("it is ours");
    fs::write(secrets.join("slot.key"), slot_key.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>())
        .expect("ours");
    refused(&server, &["another slot key", "do not belong together"]).await;
    fs::write(secrets.join("slot.key"), slot_key).expect("it is ours");
    server.start_again().await;
}

#[tokio::test]
async fn a_lost_part_of_the_log_is_missed() {
    let (mut server, ann, cid) = with_messages(5).await;
    server.stop().await;
    let aside = server.data().join("aside");
    fs::rename(server.first_segment(), &aside).expect("it is ours");
    refused(&server, &["log"]).await;
    fs::rename(&aside, server.first_segment()).expect("it is ours");
    server.start_again().await;
    assert_eq!(messages(&server, &ann, &cid).await, 5);
}
