//! A folder as one compressed file: the tar of POSIX, with what a data folder needs of it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

const BLOCK_BYTES: usize = 512;
const NAME_BYTES: usize = 100;
/// Where the octal size of a file stands in its header, and where the header's checksum does.
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// Bytes that a folder may have unpacked: a golden one is small.
const UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// Packs every file below `folder`, in the order of their names.
///
/// # Errors
/// A file cannot be read, or its name is too long.
pub fn pack(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut names = Vec::new();
    collect(folder, Path::new(""), &mut names)?;
    names.sort();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for name in names {
        let content = std::fs::read(folder.join(&name))?;
        packed.write_all(&header(&name, content.len())?)?;
        packed.write_all(&content)?;
        packed.write_all(&vec![0; content.len().next_multiple_of(BLOCK_BYTES) - content.len()])?;
    }
    packed.write_all(&[0; 2 * BLOCK_BYTES])?;
    Ok(packed.finish()?)
}

/// Unpacks into `folder`, for its owner alone.
///
/// # Errors
/// It is not what [`pack`] makes, or a file cannot be written.
pub fn unpack(packed: &[u8], folder: &Path) -> anyhow::Result<()> {
    let mut unpacked = Vec::new();
    GzDecoder::new(packed).take(UNPACKED_BYTES).read_to_end(&mut unpacked)?;
    let mut rest = unpacked.as_slice();
    loop {
        let (header, after) = rest.split_at_checked(BLOCK_BYTES).context("the archive ends early")?;
        if header.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let name = header[..NAME_BYTES].split(|&byte| byte == 0).next().unwrap_or_default();
        let name = PathBuf::from(std::str::from_utf8(name)?);
        anyhow::ensure!(checksum(header) == octal(&header[CHECKSUM])?, "the header of {name:?} is damaged");
        let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(inside, "{name:?} leads out of the folder");
        let size = octal(&header[SIZE])? as usize;
        let content = after.get(..size).context("the archive ends early")?;
        let path = folder.join(&name);
        let parent = path.parent().context("a file lies in a folder")?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(content)?;
        rest = after.get(size.next_multiple_of(BLOCK_BYTES)..).context("the archive ends early")?;
    }
}

fn collect(folder: &Path, below: &Path, names: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(folder, &name, names)?;
        } else if kind.is_file() {
            names.push(name);
        }
    }
    Ok(())
}

fn header(name: &Path, size: usize) -> anyhow::Result<[u8; BLOCK_BYTES]> {
    let name = name.to_str().context("a name of a data folder is text")?.as_bytes();
    anyhow::ensure!(name.len() < NAME_BYTES, "{name:?} is too long a name");
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(SIZE.start, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum = checksum(&header);
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// The sum of a header's bytes, with spaces where it stands itself.
fn checksum(header: &[u8]) -> u64 {
    let byte = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { b' ' } else { *byte };
    header.iter().enumerate().map(byte).map(u64::from).sum()
}

fn octal(field: &[u8]) -> anyhow::Result<u64> {
    let digits = std::str::from_utf8(field)?.trim_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).with_context(|| format!("{digits:?} is no octal number"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_folder_comes_out_as_it_went_in() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(from.path().join("log")).unwrap();
        let files = [("a", vec![]), ("log/0001", vec![7; 512]), ("log/0002", vec![9; 513])];
        for (name, content) in &files {
            std::fs::write(from.path().join(name), content).unwrap();
        }
        let packed = pack(from.path()).unwrap();
        unpack(&packed, to.path()).unwrap();
        for (name, content) in &files {
            assert_eq!(&std::fs::read(to.path().join(name)).unwrap(), content, "{name}");
        }
        assert_eq!(pack(to.path()).unwrap(), packed);
        assert!(unpack(&packed[..packed.len() / 2], tempfile::tempdir().unwrap().path()).is_err());
    }
}
