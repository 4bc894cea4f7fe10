//! The instructions on the wire: varints, and inline bytes behind theirs.

use std::io::{self, Read, Write};

/// What comes next in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// So many bytes, which follow at once.
    Inline(u64),
    /// Bytes of a body.
    Slice {
        /// Which.
        body: u32,
        /// The first.
        offset: u64,
        /// How many.
        len: u64,
    },
}

impl Op {
    /// Writes it: length and kind in one number, then body and offset.
    pub(super) fn write(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Inline(len) => write_varint(out, u128::from(len) << 1),
            Self::Slice { body, offset, len } => {
                write_varint(out, u128::from(len) << 1 | 1)?;
                write_varint(out, body.into())?;
                write_varint(out, offset.into())
            }
        }
    }

    /// Reads the next; `None` at the end.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let Some(head) = read_varint(from)? else { return Ok(None) };
        let len = narrow(head >> 1)?;
        if head & 1 == 0 {
            return Ok(Some(Self::Inline(len)));
        }
        let mut number = || read_varint(from)?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof));
        Ok(Some(Self::Slice { body: narrow(number()?)?, offset: narrow(number()?)?, len }))
    }
}

fn narrow<T: TryFrom<u128>>(number: u128) -> io::Result<T> {
    T::try_from(number).map_err(|_| invalid("a number is too large"))
}

pub(super) fn invalid(fault: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

/// Seven bits a byte, least first, the eighth bit on all but the last.
fn write_varint(out: &mut impl Write, mut number: u128) -> io::Result<()> {
    let mut bytes = [0; 19];
    let mut len = 0;
    loop {
        bytes[len] = (number & 0x7f) as u8;
        number >>= 7;
        len += 1;
        if number == 0 {
            return out.write_all(&bytes[..len]);
        }
        bytes[len - 1] |= 0x80;
    }
}

fn read_varint(from: &mut impl Read) -> io::Result<Option<u128>> {
    let mut number = 0;
    for at in 0..10 {
        let mut byte = [0];
        match from.read_exact(&mut byte) {
            Err(e) if at == 0 && e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        number |= u128::from(byte[0] & 0x7f) << (7 * at);
        if byte[0] & 0x80 == 0 {
            return Ok(Some(number));
        }
    }
    Err(invalid("a number does not end"))
}
