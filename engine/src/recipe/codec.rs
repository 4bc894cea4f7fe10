//! Recipes as CBOR.

use serde::{Deserialize, Serialize};

use super::{Recipe, RecipeError};
use crate::byte_string;

/// The version that is written, and the last that is read.
const VERSION: u64 = 1;
const KIND: &str = "recipe";

/// The record; its members are written in this order (`FORMAT.md`).
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    v: u64,
    k: &'a str,
    n: u64,
    b: u32,
    #[serde(with = "byte_string")]
    o: Vec<u8>,
}

/// The record of a recipe.
pub fn encode(recipe: &Recipe) -> Vec<u8> {
    let record = Record { v: VERSION, k: KIND, n: recipe.length, b: recipe.bodies, o: recipe.ops.clone() };
    serde_cbor::to_vec(&record).expect("numbers, text and bytes always have a CBOR form")
}

/// The recipe of a record. Its instructions are looked at only when it is followed.
pub fn decode(bytes: &[u8]) -> Result<Recipe, RecipeError> {
    let malformed = |fault: String| RecipeError::Malformed { fault };
    let record: Record<'_> = serde_cbor::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    match record {
        Record { v: VERSION, k: KIND, n, b, o } => Ok(Recipe { length: n, bodies: b, ops: o }),
        Record { k: KIND, v, .. } if v > VERSION => Err(RecipeError::Version { version: v }),
        Record { v, k, .. } => Err(malformed(format!("it is version {v} of kind {k:?}"))),
    }
}
