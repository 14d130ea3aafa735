//! Messages as bytes: the one place that knows bincode.
//!
//! A frame is
//!
//! ```text
//! length of the payload   u32, little-endian
//! CRC-32 of all the rest  u32, little-endian: the length's four bytes, then the payload
//! payload                 bincode 2, standard configuration
//! ```
//!
//! The length is covered by the checksum, so a block of zeros is no empty frame.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes before a frame's payload.
pub const HEADER_LEN: usize = 8;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame says that it is longer than any frame here can be.
    #[error("a frame claims {claimed} bytes, and {limit} is the most there can be")]
    TooLong {
        /// What it says.
        claimed: u64,
        /// The most that the reader accepts.
        limit: u64,
    },
    /// The checksum is not that of the bytes.
    #[error("a frame's checksum is {found:08x} and should be {expected:08x}")]
    Checksum {
        /// Of the bytes that came.
        found: u32,
        /// What the frame says.
        expected: u32,
    },
    /// The checksum holds, but the payload is no such message.
    #[error("a frame holds no message of this version: {0}")]
    Payload(String),
    /// The message does not fit a frame.
    #[error("a message of {0} bytes does not fit a frame")]
    MessageTooLong(usize),
}

/// `message` as a frame.
///
/// # Errors
/// Where it is longer than a frame can be (4 GiB).
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let mut frame = vec![0; HEADER_LEN];
    bincode::serde::encode_into_std_write(message, &mut frame, bincode::config::standard())
        .map_err(|error| WireError::Payload(error.to_string()))?;
    let length = frame.len() - HEADER_LEN;
    let length = u32::try_from(length).map_err(|_| WireError::MessageTooLong(length))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(length, &frame[HEADER_LEN..]);
    frame[4..HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
    Ok(frame)
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Turns a stream of bytes, as they come, back into messages.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where in `buffer` the first byte is that was not decoded yet.
    start: usize,
    limit: u32,
}

impl Decoder {
    /// For frames with payloads of at most `limit` bytes: more is an error before it is memory.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { buffer: Vec::new(), start: 0, limit }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes there are that are no whole frame (yet).
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next message, with its frame's length in bytes; `None` while it is not there in whole.
    ///
    /// # Errors
    /// Where the next bytes are no frame or hold no such message. The stream cannot be read on.
    pub fn decode<M: DeserializeOwned>(&mut self) -> Result<Option<(M, usize)>, WireError> {
        let bytes = &self.buffer[self.start..];
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let expected = u32::from_le_bytes([c0, c1, c2, c3]);
        if length > self.limit {
            return Err(WireError::TooLong { claimed: length.into(), limit: self.limit.into() });
        }
        let Some(payload) = rest.get(..length as usize) else {
            return Ok(None);
        };
        let found = checksum(length, payload);
        if found != expected {
            return Err(WireError::Checksum { found, expected });
        }
        let message = message(payload)?;
        let frame = HEADER_LEN + payload.len();
        self.start += frame;
        Ok(Some((message, frame)))
    }
}

/// The message that all of `payload` is.
///
/// bincode allocates what a text says is its length before it looks whether there is so much. Its
/// limit is a constant, so there is one for each size of payloads: at least sixteen times as much,
/// for small numbers are counted with the bytes that they take in memory, up to eight.
fn message<M: DeserializeOwned>(payload: &[u8]) -> Result<M, WireError> {
    let decoded = match payload.len().checked_ilog2().unwrap_or(0) {
        ..12 => limited::<M, { 1 << 16 }>(payload),
        12..16 => limited::<M, { 1 << 20 }>(payload),
        16..20 => limited::<M, { 1 << 24 }>(payload),
        20..24 => limited::<M, { 1 << 28 }>(payload),
        24..28 => limited::<M, { 1 << 32 }>(payload),
        _ => limited::<M, { 1 << 36 }>(payload),
    };
    let (message, read) = decoded.map_err(|error| WireError::Payload(error.to_string()))?;
    match payload.len() - read {
        0 => Ok(message),
        left => Err(WireError::Payload(format!("{left} bytes are left over"))),
    }
}

fn limited<M: DeserializeOwned, const LIMIT: usize>(
    payload: &[u8],
) -> Result<(M, usize), bincode::error::DecodeError> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    bincode::serde::decode_from_slice(payload, config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attempt, FailureKind, Hello, Iterated, Report, RunFailure};
    use proptest::prelude::*;

    const LIMIT: u32 = 1 << 20;

    fn reports() -> Vec<Report> {
        vec![
            Report::Hello(Hello { protocol: 1, pid: 4711, simd: "avx2".into() }),
            Report::Seeded,
            Report::Iterated(Iterated {
                iteration: 7,
                inertia: 1.5e7,
                rows_changed: 60_000,
                rows_visited: 9,
            }),
            Report::Failed(RunFailure { kind: FailureKind::Shared, message: "gone".into() }),
        ]
    }

    fn stream() -> Vec<u8> {
        reports().iter().flat_map(|report| encode(report).unwrap()).collect()
    }

    fn decode_all(decoder: &mut Decoder) -> Result<Vec<Report>, WireError> {
        std::iter::from_fn(|| decoder.decode().transpose())
            .map(|next| next.map(|(report, _)| report))
            .collect()
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_messages(cuts in prop::collection::vec(1_usize..20, 1..50)) {
            let stream = stream();
            let mut decoder = Decoder::new(LIMIT);
            let mut found = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at(cut.min(rest.len()));
                decoder.push(now);
                found.extend(decode_all(&mut decoder).unwrap());
                rest = later;
            }
            prop_assert_eq!(found, reports());
            prop_assert_eq!(decoder.pending(), 0);
        }

        #[test]
        fn a_flipped_bit_never_gives_another_message(bit in 0_usize..8 * 100) {
            let mut stream = stream();
            let bit = bit % (stream.len() * 8);
            stream[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::new(LIMIT);
            decoder.push(&stream);
            let found: Vec<Report> = std::iter::from_fn(|| decoder.decode().ok().flatten())
                .map(|(report, _): (Report, usize)| report)
                .collect();
            prop_assert!(found.len() < reports().len());
            prop_assert_eq!(&found, &reports()[..found.len()]);
        }

        #[test]
        fn arbitrary_bytes_are_an_error_or_wait_for_more(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::new(LIMIT);
            decoder.push(&bytes);
            let _ = decode_all(&mut decoder);
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        let mut decoder = Decoder::new(LIMIT);
        decoder.push(&[0; 64]);
        assert!(matches!(decoder.decode::<Attempt>(), Err(WireError::Checksum { .. })));
    }

    #[test]
    fn a_claim_of_four_gigabytes_is_refused_at_once() {
        let mut decoder = Decoder::new(LIMIT);
        decoder.push(&[0xff; 8]);
        assert_eq!(
            decoder.decode::<Attempt>(),
            Err(WireError::TooLong { claimed: u32::MAX.into(), limit: LIMIT.into() })
        );
    }

    #[test]
    fn a_text_that_claims_more_than_there_is_is_refused() {
        for claim in [300_u64, 1 << 20, 1 << 33, 1 << 62, u64::MAX] {
            let mut decoder = Decoder::new(LIMIT);
            decoder.push(&encode(&claim).unwrap());
            assert!(matches!(decoder.decode::<String>(), Err(WireError::Payload(_))), "{claim}");
        }
    }

    #[test]
    fn numbers_and_texts_of_every_size_of_frames_come_back() {
        for count in [3_000, 60_000, 1 << 20, 1 << 22] {
            let mut decoder = Decoder::new(u32::MAX);
            let message = (vec![7_u64; count], "x".repeat(count));
            decoder.push(&encode(&message).unwrap());
            assert_eq!(decoder.decode::<(Vec<u64>, String)>().unwrap().unwrap().0, message);
        }
    }

    #[test]
    fn bytes_left_over_in_a_frame_are_an_error() {
        let mut decoder = Decoder::new(LIMIT);
        decoder.push(&encode(&(1_u32, 2_u32)).unwrap());
        assert!(matches!(decoder.decode::<Attempt>(), Err(WireError::Payload(_))));
    }
}
