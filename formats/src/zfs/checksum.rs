//! Fletcher-4, the running checksum of a stream (`docs/zfs-send-stream.md` §1.6).

use super::record::Endian;

/// The four accumulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(pub [u64; 4]);

impl Sum {
    /// As a little-endian stream stores it.
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (chunk, word) in out.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Whether all is zero, which receivers take for "no checksum".
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The sum of two runs of bytes from the sums of each, begun at zero; the second is `words` 32-bit words long.
    /// With this, payloads can be summed in parallel.
    pub fn combine(self, second: Self, words: u64) -> Self {
        let n = u128::from(words);
        // Exact before they are reduced: n is below 2^62, as bytes are counted by a u64; so n(n+1)/2 is below
        // 2^123, and of the product of three the factors are divided first.
        let triangle = n * (n + 1) / 2;
        let third = n + 2;
        let tetra = if triangle.is_multiple_of(3) {
            (triangle / 3).wrapping_mul(third)
        } else {
            triangle.wrapping_mul(third / 3)
        };
        let (n, triangle, tetra) = (words, triangle as u64, tetra as u64);
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = second.0;
        let mul = u64::wrapping_mul;
        Self([
            a.wrapping_add(e),
            b.wrapping_add(mul(n, a)).wrapping_add(f),
            c.wrapping_add(mul(n, b)).wrapping_add(mul(triangle, a)).wrapping_add(g),
            d.wrapping_add(mul(n, c))
                .wrapping_add(mul(triangle, b))
                .wrapping_add(mul(tetra, a))
                .wrapping_add(h),
        ])
    }
}

/// A running fletcher-4 sum. Pieces fed to it must be multiples of 4 bytes, as all parts of a stream are; the odd
/// end of a hostile one is taken as if zeros followed.
#[derive(Debug, Clone)]
pub struct Fletcher4 {
    sum: Sum,
    endian: Endian,
}

impl Fletcher4 {
    /// All accumulators zero, as at each BEGIN.
    pub fn new(endian: Endian) -> Self {
        Self { sum: Sum::default(), endian }
    }

    /// Feeds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self.endian {
            Endian::Little => self.feed(bytes, u32::from_le_bytes),
            Endian::Big => self.feed(bytes, u32::from_be_bytes),
        }
    }

    #[inline(always)]
    fn feed(&mut self, bytes: &[u8], word: impl Fn([u8; 4]) -> u32) {
        let [mut a, mut b, mut c, mut d] = self.sum.0;
        let mut add = |raw: [u8; 4]| {
            a = a.wrapping_add(u64::from(word(raw)));
            b = b.wrapping_add(a);
            c = c.wrapping_add(b);
            d = d.wrapping_add(c);
        };
        let (words, rest) = bytes.as_chunks::<4>();
        words.iter().for_each(|raw| add(*raw));
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            add(last);
        }
        self.sum = Sum([a, b, c, d]);
    }

    /// Feeds `words` 32-bit words whose own sum is known.
    pub fn append(&mut self, part: Sum, words: u64) {
        self.sum = self.sum.combine(part, words);
    }

    /// The sum so far.
    pub fn sum(&self) -> Sum {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_known_words() {
        let mut sum = Fletcher4::new(Endian::Little);
        sum.update(&[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(sum.sum(), Sum([6, 10, 15, 21]));
        let mut big = Fletcher4::new(Endian::Big);
        big.update(&[0, 0, 0, 1, 0, 0, 0, 2]);
        big.update(&[0, 0, 0, 3]);
        assert_eq!(big.sum(), sum.sum());
    }

    #[test]
    fn parts_combine_to_the_whole() {
        let bytes: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let of = |part: &[u8]| {
            let mut sum = Fletcher4::new(Endian::Little);
            sum.update(part);
            sum.sum()
        };
        for at in [0, 4, 8, 12, 1000, 20_004, 39_996, 40_000] {
            let (left, right) = bytes.split_at(at);
            assert_eq!(of(left).combine(of(right), right.len() as u64 / 4), of(&bytes), "cut at {at}");
        }
        let ones = Sum([1; 4]);
        assert_eq!(ones.combine(Sum::default(), 1 << 61).0[0], 1, "no overflow for the longest stream");
    }
}
