//! What a message remembers of the facts that rewrote it, as it is recorded.

use anser_model::{Edits, N, Rewrite, Rewritten, Seq, UnixMillis, Version};
use bytes::Bytes;

use super::StorageError;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RecallSchema {
    #[prost(uint64, tag = "1")]
    by: u64,
    #[prost(uint64, tag = "2")]
    n: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EditsSchema {
    #[prost(uint64, tag = "1")]
    by: u64,
    #[prost(uint64, tag = "2")]
    n: u64,
    #[prost(uint64, tag = "3")]
    at: u64,
    #[prost(uint32, tag = "4")]
    times: u32,
    #[prost(message, repeated, tag = "5")]
    versions: Vec<VersionSchema>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionSchema {
    #[prost(uint64, tag = "1")]
    by: u64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(string, tag = "3")]
    text: String,
    #[prost(bytes = "bytes", tag = "4")]
    body: Bytes,
}

/// How it is recorded: as one of the two.
pub(super) fn note_of(rewritten: &Rewritten) -> (Option<RecallSchema>, Option<EditsSchema>) {
    let Rewritten { by, n, what } = rewritten;
    match what {
        Rewrite::Recalled => (Some(RecallSchema { by: by.0, n: n.0 }), None),
        Rewrite::Edited(edits) => {
            let versions = edits.versions.iter().map(|version| VersionSchema {
                by: version.by.0,
                at: version.at.0,
                text: version.text.clone(),
                body: version.body.clone(),
            });
            let (at, times, versions) = (edits.at.0, edits.times, versions.collect());
            (None, Some(EditsSchema { by: by.0, n: n.0, at, times, versions }))
        }
        Rewrite::Withheld => unreachable!("what is withheld is made for an answer, and never recorded"),
    }
}

/// Reads [`note_of`] back.
pub(super) fn from_note(
    recalled: Option<RecallSchema>,
    edits: Option<EditsSchema>,
) -> Result<Option<Box<Rewritten>>, StorageError> {
    let rewritten = match (recalled, edits) {
        (None, None) => return Ok(None),
        (Some(recall), None) => Rewritten { by: Seq(recall.by), n: N(recall.n), what: Rewrite::Recalled },
        (None, Some(edits)) => {
            let versions = edits.versions.into_iter().map(|version| Version {
                by: Seq(version.by),
                at: UnixMillis(version.at),
                text: version.text,
                body: version.body,
            });
            let (at, times) = (UnixMillis(edits.at), edits.times);
            let what = Rewrite::Edited(Edits { at, times, versions: versions.collect() });
            Rewritten { by: Seq(edits.by), n: N(edits.n), what }
        }
        (Some(_), Some(_)) => return Err(StorageError::Impossible("rewrite")),
    };
    Ok(Some(Box::new(rewritten)))
}
