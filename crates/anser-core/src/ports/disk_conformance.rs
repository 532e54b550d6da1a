//! What every [`Disk`] must do while nothing goes wrong, as a suite that each adapter runs against
//! itself. What a crash leaves behind is the simulator's to decide and the enumerator's to check.

use std::io::{self, ErrorKind};

use super::disk::{Disk, DiskFile};

/// Runs the whole suite; `fresh` gives a disk without files, or with its own lock file alone, for every
/// case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_disk(fresh: &mut dyn FnMut() -> Box<dyn Disk>) {
    what_is_not_there_is_not_found(&*fresh());
    a_created_file_is_there_once_and_empty(&*fresh());
    a_read_is_short_only_at_the_end(&*fresh());
    a_write_grows_the_file_with_zeros_between(&*fresh());
    a_length_cuts_and_grows(&*fresh());
    room_is_made_and_nothing_is_lost(&*fresh());
    a_renamed_file_replaces_the_target(&*fresh());
    a_removed_file_makes_place_for_another(&*fresh());
    a_sync_changes_nothing_that_is_seen(&*fresh());
    two_handles_are_one_file(&*fresh());
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// The names in the folder, but for those that the adapter keeps for itself.
fn names(disk: &dyn Disk, own: &[String]) -> Vec<String> {
    let mut names = disk.list().expect("a folder is listed");
    names.retain(|name| !own.contains(name));
    names.sort();
    names
}

fn written(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.create(name).expect("a file is created");
    file.write_all_at(0, bytes).expect("bytes are written");
    file
}

/// All that a file holds, read by a buffer that is too long.
fn contents(file: &dyn DiskFile) -> Vec<u8> {
    let len = file.len().expect("a length") as usize;
    let mut whole = vec![0xee; len + 3];
    assert_eq!(file.read_at(0, &mut whole).expect("a read"), len, "short at the end alone");
    assert_eq!(whole.split_off(len), [0xee; 3], "nothing is read past the end");
    whole
}

fn holds(disk: &dyn Disk, name: &str, expected: &[u8]) {
    let file = disk.open(name).expect("what is there opens");
    assert_eq!(contents(&*file), expected, "{name}");
}

fn what_is_not_there_is_not_found(disk: &dyn Disk) {
    assert_eq!(kind(disk.open("a")), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.remove("a")), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.rename("a", "b")), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.open("b")), Some(ErrorKind::NotFound), "a refused rename makes nothing");
}

fn a_created_file_is_there_once_and_empty(disk: &dyn Disk) {
    let own = disk.list().expect("a folder is listed");
    let file = disk.create("a").expect("a file is created");
    assert_eq!(file.len().expect("a length"), 0);
    file.write_all_at(0, b"kept").expect("bytes are written");
    assert_eq!(kind(disk.create("a")), Some(ErrorKind::AlreadyExists));
    holds(disk, "a", b"kept");
    disk.create("b").expect("another name is free");
    assert_eq!(names(disk, &own), ["a", "b"]);
}

fn a_read_is_short_only_at_the_end(disk: &dyn Disk) {
    let bytes: Vec<u8> = (0..70_000u32).map(|at| (at ^ (at >> 7)) as u8).collect();
    let file = written(disk, "a", &bytes);
    assert_eq!(contents(&*file), bytes);
    for (offset, asked) in [(0, 1), (511, 2), (4_095, 4_098), (69_990, 10), (69_990, 11), (69_999, 5)] {
        let mut buffer = vec![0; asked];
        let read = file.read_at(offset as u64, &mut buffer).expect("a read");
        assert_eq!(read, asked.min(bytes.len() - offset), "{asked} bytes at {offset}");
        assert_eq!(buffer[..read], bytes[offset..offset + read], "{asked} bytes at {offset}");
    }
    for past in [70_000, 70_001, 1 << 40] {
        assert_eq!(file.read_at(past, &mut [0; 8]).expect("a read past the end"), 0, "at {past}");
    }
    assert_eq!(file.read_at(0, &mut []).expect("a read of nothing"), 0);
}

fn a_write_grows_the_file_with_zeros_between(disk: &dyn Disk) {
    let file = written(disk, "a", b"begin");
    file.write_all_at(9, b"end").expect("bytes are written past the end");
    assert_eq!(contents(&*file), b"begin\0\0\0\0end");
    file.write_all_at(3, b"__").expect("bytes are written over");
    file.write_all_at(11, b"D!").expect("bytes are written over the end");
    assert_eq!(contents(&*file), b"beg__\0\0\0\0enD!");
    file.write_all_at(2, b"").expect("nothing is written");
    assert_eq!(file.len().expect("a length"), 13);
}

fn a_length_cuts_and_grows(disk: &dyn Disk) {
    let file = written(disk, "a", b"0123456789");
    file.set_len(4).expect("a file is cut");
    assert_eq!(contents(&*file), b"0123");
    file.set_len(8).expect("a file is grown");
    assert_eq!(contents(&*file), b"0123\0\0\0\0", "what was cut away does not come back");
    file.set_len(0).expect("a file is emptied");
    assert_eq!(contents(&*file), b"");
}

fn room_is_made_and_nothing_is_lost(disk: &dyn Disk) {
    let file = written(disk, "a", b"kept");
    file.allocate(10_000).expect("there is room");
    let mut expected = b"kept".to_vec();
    expected.resize(10_000, 0);
    assert_eq!(contents(&*file), expected);
    file.write_all_at(9_996, b"last").expect("bytes are written where room is");
    assert_eq!(file.len().expect("a length"), 10_000);
}

fn a_renamed_file_replaces_the_target(disk: &dyn Disk) {
    let own = disk.list().expect("a folder is listed");
    let file = written(disk, "a", b"new");
    written(disk, "b", b"old and longer");
    disk.rename("a", "b").expect("a file is renamed over another");
    assert_eq!(names(disk, &own), ["b"]);
    holds(disk, "b", b"new");
    disk.rename("b", "c").expect("a file is renamed");
    assert_eq!(names(disk, &own), ["c"]);
    file.write_all_at(3, b"er").expect("an open file follows its name");
    holds(disk, "c", b"newer");
}

fn a_removed_file_makes_place_for_another(disk: &dyn Disk) {
    let own = disk.list().expect("a folder is listed");
    written(disk, "a", b"first");
    written(disk, "b", b"other");
    disk.remove("a").expect("a file is removed");
    assert_eq!(names(disk, &own), ["b"]);
    assert_eq!(kind(disk.open("a")), Some(ErrorKind::NotFound));
    let second = disk.create("a").expect("the name is free");
    assert_eq!(second.len().expect("a length"), 0, "nothing of the first is left");
    holds(disk, "b", b"other");
}

fn a_sync_changes_nothing_that_is_seen(disk: &dyn Disk) {
    let own = disk.list().expect("a folder is listed");
    disk.sync_folder().expect("an empty folder is synced");
    let file = written(disk, "a", b"one");
    file.sync_data().expect("a file is synced");
    disk.rename("a", "b").expect("a file is renamed");
    disk.sync_folder().expect("a folder is synced");
    file.write_all_at(3, b" two").expect("bytes are written after a sync");
    (0..2).for_each(|_| file.sync_data().expect("a file is synced again"));
    assert_eq!(names(disk, &own), ["b"]);
    holds(disk, "b", b"one two");
}

fn two_handles_are_one_file(disk: &dyn Disk) {
    let first = written(disk, "a", b"first");
    let second = disk.open("a").expect("what is there opens");
    second.write_all_at(5, b", second").expect("an opened file is written");
    assert_eq!(contents(&*first), b"first, second");
    first.set_len(2).expect("a file is cut");
    assert_eq!(contents(&*second), b"fi");
}
