//! What the model of the disk promises to those who are tested on it.

use super::*;

fn written(disk: &SimDisk, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.create(name).expect("creates");
    file.write_all_at(0, bytes).expect("writes");
    file
}

#[test]
fn what_was_synced_survives_and_what_was_not_may_not() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "a", b"synced");
    file.sync_data().expect("syncs");
    disk.sync_folder().expect("syncs");
    file.write_all_at(0, b"UNSYNC").expect("writes");
    written(&disk, "b", b"unsynced name").sync_data().expect("syncs");
    let dropped = disk.crashed(Survival::Nothing);
    assert_eq!(dropped.names(), ["a"]);
    assert_eq!(**dropped.peek("a").expect("there"), *b"synced");
    let kept = disk.crashed(Survival::Everything);
    assert_eq!(kept.names(), ["a", "b"]);
    assert_eq!(**kept.peek("a").expect("there"), *b"UNSYNC");
    let killed = disk.killed();
    assert_eq!(**killed.peek("a").expect("there"), *b"UNSYNC");
    assert_eq!(**killed.crashed(Survival::Nothing).peek("a").expect("there"), *b"synced");
}

#[test]
fn a_failed_sync_is_not_made_good_by_another() {
    for seed in 0..8 {
        let disk = SimDisk::new(seed);
        let file = written(&disk, "a", &[1; 4096]);
        disk.sync_folder().expect("syncs");
        disk.plan(0, Fault::IoError);
        assert!(file.sync_data().is_err());
        file.sync_data().expect("the kernel says so");
        assert_eq!(**disk.peek("a").expect("there"), [1; 4096]);
        let after = disk.crashed(Survival::Everything).peek("a").expect("there");
        assert_ne!(**after, [1; 4096], "seed {seed}");
    }
}

#[test]
fn a_torn_write_lands_by_sectors() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "a", &[0; 4096]);
    file.sync_data().expect("syncs");
    disk.sync_folder().expect("syncs");
    file.write_all_at(0, &[1; 4096]).expect("writes");
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let after = disk.crashed(Survival::Torn(seed)).peek("a").expect("there");
        for sector in after.chunks(SECTOR_BYTES) {
            assert!(sector.iter().all(|&byte| byte == sector[0]), "a sector is whole");
        }
        seen.insert(after);
    }
    assert!(seen.len() > 16, "many ways to tear");
}

#[test]
fn a_full_disk_refuses_what_grows_for_a_while() {
    let disk = SimDisk::new(1);
    let file = written(&disk, "a", &[0; 1024]);
    disk.plan(0, Fault::NoSpace);
    assert!(disk.create("b").is_err());
    file.write_all_at(0, &[1; 1024]).expect("what is there can be written over");
    let growing = file.write_all_at(1024, &[1]).expect_err("no space");
    assert_eq!(growing.kind(), io::ErrorKind::StorageFull);
    (0..FULL_FOR_OPERATIONS).for_each(|_| file.sync_data().expect("syncs"));
    file.write_all_at(1024, &[1]).expect("space again");
}

#[test]
fn a_disk_that_stays_full_is_full_for_the_next_process_too() {
    let disk = SimDisk::new(1);
    disk.plan(0, Fault::StaysFull);
    assert!(disk.create("a").is_err());
    for disk in [disk.killed(), disk.crashed(Survival::Everything)] {
        assert!(disk.is_full() && disk.create("a").is_err());
        disk.make_space();
        assert!(!disk.is_full() && disk.create("a").is_ok());
    }
}
