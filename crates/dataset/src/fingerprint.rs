//! A hash of content: equal for equal values, however they were stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The hash of a table's or labels' content, 32 bytes. Displays, and is serialised, as 64
/// lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The hash itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<blake3::Hash> for Fingerprint {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(Self::from).map_err(|_| ParseFingerprintError)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Numbers as the bytes that are hashed: little-endian on every machine.
pub(crate) trait HashValues: Sized {
    fn hash(values: &[Self], hasher: &mut blake3::Hasher);
}

impl HashValues for u8 {
    fn hash(values: &[Self], hasher: &mut blake3::Hasher) {
        hasher.update(values);
    }
}

macro_rules! hash_values {
    ($($type:ty),*) => {$(
        impl HashValues for $type {
            fn hash(values: &[Self], hasher: &mut blake3::Hasher) {
                // Large enough for the hash function to use the processor's full width.
                let mut bytes = vec![0; 1 << 16];
                for values in values.chunks(bytes.len() / size_of::<$type>()) {
                    let bytes = &mut bytes[..size_of_val(values)];
                    let (slots, _) = bytes.as_chunks_mut();
                    for (slot, value) in slots.iter_mut().zip(values) {
                        *slot = value.to_le_bytes();
                    }
                    hasher.update(bytes);
                }
            }
        }
    )*};
}

hash_values!(i16, i32, i64, f32, f64);

/// Hashes a shape so that no two shapes give the same bytes.
pub(crate) fn hash_shape(shape: &[usize], hasher: &mut blake3::Hasher) {
    hasher.update(&(shape.len() as u64).to_le_bytes());
    for &size in shape {
        hasher.update(&(size as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        let fingerprint = Fingerprint::from(blake3::hash(b"x"));
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!("x".parse::<Fingerprint>(), Err(ParseFingerprintError));

        let json = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
        assert!(serde_json::from_str::<Fingerprint>("\"00\"").is_err());
    }

    #[test]
    fn numbers_are_hashed_as_their_little_endian_bytes() {
        // More values than one piece holds, and not a multiple of it.
        let values: Vec<i32> = (0..40_001_i32).map(|i| i.wrapping_mul(77_777)).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut hasher = blake3::Hasher::new();
        HashValues::hash(&values, &mut hasher);
        assert_eq!(hasher.finalize(), blake3::hash(&bytes));
    }
}
