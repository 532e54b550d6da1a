//! The `FORMAT` file: says that a log was made here, in which format, of which timeline.
//!
//! It is written when the first segment is durable, so from then on a folder without segments is a
//! folder that lost them. It is text, for whoever looks into the folder.

use anser_core::ports::disk::Disk;
use anser_model::Timeline;

use super::error::{OpenError, trying};
use super::segment::{SEGMENT_FORMAT, remove_if_there};

pub(crate) const FORMAT_FILE: &str = "FORMAT";
const UNFINISHED: &str = "FORMAT.tmp";
/// Longer than any version will write.
const FORMAT_BYTES: usize = 4096;

pub(crate) fn read(disk: &dyn Disk) -> Result<Option<Timeline>, OpenError> {
    let file = match disk.open(FORMAT_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trying("opening FORMAT")(error)),
    };
    let mut bytes = vec![0; FORMAT_BYTES];
    let read = file.read_at(0, &mut bytes).map_err(trying("reading FORMAT"))?;
    parse(&bytes[..read]).map(Some)
}

pub(crate) fn write(disk: &dyn Disk, timeline: Timeline) -> Result<(), OpenError> {
    remove_if_there(disk, UNFINISHED).map_err(trying("removing FORMAT.tmp"))?;
    let write = || {
        let file = disk.create(UNFINISHED)?;
        file.write_all_at(0, text(timeline).as_bytes())?;
        file.sync_data()?;
        disk.rename(UNFINISHED, FORMAT_FILE)?;
        disk.sync_folder()
    };
    write().map_err(trying("writing FORMAT"))
}

fn text(timeline: Timeline) -> String {
    let body = format!("anser log\nformat {SEGMENT_FORMAT}\ntimeline {timeline}\n");
    format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()))
}

fn parse(bytes: &[u8]) -> Result<Timeline, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { file: FORMAT_FILE.into(), offset: 0, what: what.into() };
    let content = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let mut lines = content.lines();
    if lines.next() != Some("anser log") {
        return Err(damaged("it does not say `anser log`"));
    }
    let mut number = |word: &str| {
        let line = lines.next()?.strip_prefix(word)?;
        line.strip_prefix(' ')?.parse::<u64>().ok()
    };
    let found = number("format").ok_or_else(|| damaged("it names no format"))?;
    if found != u64::from(SEGMENT_FORMAT) {
        return Err(OpenError::UnknownFormat { file: FORMAT_FILE.into(), found, known: SEGMENT_FORMAT });
    }
    let timeline = Timeline(number("timeline").ok_or_else(|| damaged("it names no timeline"))?);
    // The whole text is a function of the timeline, so this checks the checksum too.
    if content != text(timeline) {
        return Err(damaged("it does not match its checksum"));
    }
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_format_1_stays_what_it_was() {
        let golden = "anser log\nformat 1\ntimeline 42\ncrc32c 79b911fc\n";
        assert_eq!(text(Timeline(42)), golden);
        assert_eq!(parse(golden.as_bytes()).expect("parses"), Timeline(42));
    }

    #[test]
    fn a_newer_format_is_named_and_damage_is_damage() {
        let newer = parse(b"anser log\nformat 2\nwhatever\n").expect_err("newer");
        assert_eq!(
            newer.to_string(),
            "FORMAT has log format 2, this program reads format 1: run the version that wrote it"
        );
        let whole = text(Timeline(42));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..len]).is_err(), "cut at {len}");
        }
    }
}
