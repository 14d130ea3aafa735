//! Frames on a pipe, and those of a journal.

use crate::memory::{MemoryFile, within};
use kscan_protocol::wire::{self, Decoder, HEADER_LEN};
use kscan_protocol::{Job, Report};
use kscan_results::{Entry, Journal, JournalKey, Recovered};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What lists are begun with, however many elements they claim.
const LISTS: usize = 8 << 20;

/// Most memory for the text of a frame: see `wire`.
const PER_BYTE: usize = 600;

/// Bytes that a journal begins with.
const MAGIC_LEN: usize = 8;

/// `bytes` with the checksum of every frame made right.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut repaired = bytes.to_vec();
    let mut rest = repaired.as_mut_slice();
    while let Some((header, payload)) = rest.split_first_chunk_mut::<HEADER_LEN>() {
        let [l0, l1, l2, l3, ..] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some((payload, behind)) = payload.split_at_mut_checked(length) else { break };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[l0, l1, l2, l3]);
        hasher.update(payload);
        header[4..].copy_from_slice(&hasher.finalize().to_le_bytes());
        rest = behind;
    }
    repaired
}

/// What workers say and what they are told.
pub(crate) fn frames(bytes: &[u8]) -> bool {
    let found = [bytes.to_vec(), repaired(bytes)]
        .map(|stream| [messages::<Report>(&stream), messages::<Job>(&stream)]);
    found.iter().flatten().any(|&count| count > 0)
}

/// How many there are in `stream`.
fn messages<M: Serialize + DeserializeOwned>(stream: &[u8]) -> usize {
    let whole = within(PER_BYTE * stream.len() + LISTS, || decode::<M>(stream, stream.len()));
    let pieces = decode::<M>(stream, 3);
    let encoded =
        |messages: &[M]| messages.iter().map(|message| encode(message)).collect::<Vec<_>>();
    assert_eq!(encoded(&whole), encoded(&pieces), "it depends on how the bytes come");
    for message in &whole {
        // Compared as bytes: there may be a NaN in it, which equals nothing.
        let bytes = encode(message);
        let again = decode::<M>(&bytes, bytes.len());
        assert_eq!(again.len(), 1);
        assert_eq!(encode(&again[0]), bytes);
    }
    whole.len()
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    wire::encode(message).expect("what fitted a frame")
}

/// The messages of a stream that comes in pieces.
fn decode<M: DeserializeOwned>(stream: &[u8], piece: usize) -> Vec<M> {
    let mut decoder = Decoder::new(1 << 20);
    let mut messages = Vec::new();
    let mut length = 0;
    for piece in stream.chunks(piece.max(1)) {
        decoder.push(piece);
        loop {
            match decoder.decode() {
                Ok(Some((message, frame))) => {
                    messages.push(message);
                    length += frame;
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    return messages;
                }
            }
        }
    }
    assert_eq!(length + decoder.pending(), stream.len(), "bytes are lost");
    messages
}

/// What `resume`, `status` and `verify` go by.
pub(crate) fn journal(bytes: &[u8]) -> bool {
    let parts = bytes.split_at_checked(MAGIC_LEN);
    let repaired = parts.map(|(magic, frames)| [magic, &repaired(frames)].concat());
    recover(bytes) | repaired.is_some_and(|repaired| recover(&repaired))
}

/// Whether there is an entry in `bytes`.
fn recover(bytes: &[u8]) -> bool {
    let file = MemoryFile::of(bytes);
    let read = within(PER_BYTE * bytes.len() + LISTS, || Journal::read(&file.path()));
    let Ok(Recovered { key, entries, dropped_bytes }) = read else { return false };
    let magic = &bytes[..MAGIC_LEN];
    let written = written(magic, &key, &entries);
    assert!(dropped_bytes < bytes.len() as u64);

    let file = MemoryFile::of(&written);
    let again = Journal::read(&file.path()).expect("what was written");
    assert_eq!(again.dropped_bytes, 0);
    assert_eq!(again.entries.len(), entries.len());
    assert_eq!(self::written(magic, &again.key, &again.entries), written);
    !entries.is_empty()
}

fn written(magic: &[u8], key: &JournalKey, entries: &[Entry]) -> Vec<u8> {
    let entries = entries.iter().flat_map(encode);
    magic.iter().copied().chain(encode(key)).chain(entries).collect()
}
