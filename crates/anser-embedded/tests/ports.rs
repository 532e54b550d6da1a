//! The small ports on the real machine: its disk, its clock, its randomness.

use std::time::Duration;

use anser_core::ports::clock_conformance::check_clock;
use anser_core::ports::disk_conformance::check_disk;
use anser_core::ports::random_conformance::check_random;
use anser_embedded::disk::FolderDisk;
use anser_embedded::system::{SystemClock, SystemRandom};

#[test]
fn the_folder_is_a_disk() {
    let mut folders = Vec::new();
    check_disk(&mut || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = FolderDisk::open(folder.path()).expect("the folder is free");
        folders.push(folder);
        Box::new(disk)
    });
}

#[test]
fn the_system_has_a_clock() {
    check_clock(&SystemClock, &mut |ms| std::thread::sleep(Duration::from_millis(ms)));
}

#[test]
fn the_system_has_randomness() {
    check_random(&SystemRandom);
}
