//! Damaged input is refused with an error, whatever the damage: no panic, nothing left behind.

use aurora_convert::Layers;
use aurora_tests::{Run, corpus, error_of, gunzip, streams};

/// A fixed sequence: failures must come again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; the upper bits are good enough for picking bytes.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

#[test]
fn cut_streams_are_refused() {
    let run = Run::new();
    for name in ["hello", "special", "embed-ec"] {
        let bytes = gunzip(&corpus(&format!("zfs/{name}.zfs.gz")));
        let mut dice = Dice(1);
        let path = run.path("cut.zfs");
        let cuts = (0..40).map(|_| dice.roll(bytes.len())).chain([0, 1, 311, 312, bytes.len() - 1]);
        for cut in cuts {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let said = error_of(
                &format!("{name} cut at {cut}"),
                run.read(&run.image("zfs", "cut.zfs"), Layers::Squash, &[]),
            );
            assert!(said.contains("cut.zfs"), "{said}");
        }
    }
}

#[test]
fn flipped_bits_are_noticed() {
    let run = Run::new();
    let mut dice = Dice(2);
    for stream in
        streams("").iter().filter(|s| s.expect == "ok" && s.origins.is_empty() && !s.name.contains("-R"))
    {
        let mut bytes = gunzip(&stream.path);
        let is_package = stream.name.starts_with("props");
        for _ in 0..4 {
            // What closes a package is covered by no checksum.
            let at = dice.roll(bytes.len() - if is_package { 624 } else { 0 });
            let bit = 1 << dice.roll(8);
            bytes[at] ^= bit;
            std::fs::write(run.path("flipped.zfs"), &bytes).unwrap();
            let read = run.read(&run.image("zfs", "flipped.zfs"), Layers::Squash, &[]);
            error_of(&format!("{} flipped at {at}, bit {bit}", stream.name), read);
            bytes[at] ^= bit;
        }
    }
}

#[test]
fn a_failed_conversion_leaves_nothing() {
    let run = Run::new();
    let bytes = gunzip(&corpus("zfs/special.zfs.gz"));
    std::fs::write(run.path("cut.zfs"), &bytes[..bytes.len() / 2]).unwrap();
    for form in ["zfs", "oci", "oci-archive", "tar", "dir"] {
        let name = format!("out.{form}");
        assert!(run.convert(&run.image("zfs", "cut.zfs"), &run.image(form, &name), Layers::Squash).is_err());
        assert!(!run.path(&name).exists(), "{form}: left behind");
    }
}
