//! Follows a recipe.

use std::io::{BufReader, Read, Write};

use super::ops::{Op, invalid};
use super::{Recipe, RecipeError};
use crate::body::Body;

/// Bytes moved at a time.
const CHUNK: usize = 1 << 20;
/// Longest history that unpacking may ask memory for: what the builder's level uses fits.
const MAX_WINDOW_LOG: u32 = 24;

/// The instructions, unpacked.
pub(super) fn instructions(packed: &[u8]) -> std::io::Result<impl Read + use<'_>> {
    let mut decoder = zstd::stream::Decoder::with_buffer(packed)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(BufReader::with_capacity(64 << 10, decoder))
}

/// Writes the container that a recipe makes. Recipes are not trusted: never more is written than they announce.
pub fn replay(recipe: &Recipe, bodies: &[Body], out: &mut dyn Write) -> Result<(), RecipeError> {
    if recipe.bodies as usize != bodies.len() {
        return Err(RecipeError::Bodies { expected: recipe.bodies, actual: bodies.len() });
    }
    let mut ops = instructions(&recipe.ops)?;
    let mut buf = vec![0; CHUNK];
    let mut made = 0u64;
    while let Some(op) = Op::read(&mut ops)? {
        let (Op::Inline(len) | Op::Slice { len, .. }) = op;
        made = made.saturating_add(len);
        if made > recipe.length {
            return Err(RecipeError::Length { expected: recipe.length, actual: made });
        }
        let mut done = 0;
        while done < len {
            let part = &mut buf[..usize::try_from(len - done).unwrap_or(CHUNK).min(CHUNK)];
            match op {
                Op::Inline(_) => ops.read_exact(part)?,
                Op::Slice { body, offset, .. } => {
                    let from = bodies.get(body as usize).zip(offset.checked_add(done));
                    let (body, at) = from.ok_or_else(|| invalid("a slice of no body"))?;
                    body.read_exact_at(part, at)?;
                }
            }
            out.write_all(part)?;
            done += part.len() as u64;
        }
    }
    match made == recipe.length {
        true => Ok(()),
        false => Err(RecipeError::Length { expected: recipe.length, actual: made }),
    }
}
