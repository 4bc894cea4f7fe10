//! Recipes: how to put a container (an archive, a stream) together again, byte for byte, from the bytes that are
//! only in it and slices of bodies that hold the rest. See `FORMAT.md`.

mod build;
mod codec;
mod ops;
mod replay;

pub use build::Builder;
pub use codec::{decode, encode};
pub use replay::replay;

/// How to rebuild one container. The bodies that it takes slices of are known to whoever keeps it, in an order that
/// does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Bytes of the container.
    length: u64,
    /// Bodies that slices name: every number is below this.
    bodies: u32,
    /// The instructions, packed by zstd.
    ops: Vec<u8>,
}

impl Recipe {
    /// Bytes of what it makes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that it takes of each body, in their order; what is taken twice counts twice.
    /// `bodies` is how many its keeper knows of.
    pub fn taken(&self, bodies: usize) -> Result<Vec<u64>, RecipeError> {
        if self.bodies as usize != bodies {
            return Err(RecipeError::Bodies { expected: self.bodies, actual: bodies });
        }
        let mut out = vec![0_u64; bodies];
        let mut ops = replay::instructions(&self.ops)?;
        while let Some(op) = ops::Op::read(&mut ops)? {
            match op {
                ops::Op::Inline(len) => {
                    std::io::copy(&mut std::io::Read::take(&mut ops, len), &mut std::io::sink())?;
                }
                ops::Op::Slice { body, len, .. } => {
                    let sum = out.get_mut(body as usize).ok_or_else(|| ops::invalid("a slice of no body"))?;
                    *sum = sum.saturating_add(len);
                }
            }
        }
        Ok(out)
    }

    /// How many bodies it needs.
    pub fn bodies(&self) -> u32 {
        self.bodies
    }
}

/// Why a recipe can't be made, read or followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The record is not what `FORMAT.md` says.
    #[error("malformed recipe: {fault}")]
    Malformed {
        /// What is wrong.
        fault: String,
    },
    /// A record of a later version.
    #[error("recipe of a later version than 1: {version}")]
    Version {
        /// Its version.
        version: u64,
    },
    /// Other bodies than it was made for.
    #[error("a recipe for {expected} bodies was given {actual}")]
    Bodies {
        /// Needed.
        expected: u32,
        /// Given.
        actual: usize,
    },
    /// What it makes is not as long as it says.
    #[error("a recipe for {expected} bytes makes {actual}")]
    Length {
        /// Promised.
        expected: u64,
        /// Made, when it was noticed.
        actual: u64,
    },
    /// Reading a body or writing the result failed.
    #[error("recipe: {0}")]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
