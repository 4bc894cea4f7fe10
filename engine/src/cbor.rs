//! CBOR (RFC 8949) of derived state: the form of records, for those who define their content elsewhere.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::byte_string;

/// A byte string. (A vector of bytes would be a list of numbers.)
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ByteString(#[serde(with = "byte_string")] pub Vec<u8>);

/// The bytes of a value: definite lengths, shortest integers, members in the order of their declaration.
pub fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    serde_cbor::to_vec(value).ok()
}

/// The value, if the bytes are one and nothing else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_cbor::from_slice(bytes).ok()
}
