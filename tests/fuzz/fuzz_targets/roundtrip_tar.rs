//! Any entry that can be written as a tar member reads as the same entry.
#![no_main]

use aurora_formats::model::{Device, Metadata, Owner, Timestamp};
use aurora_formats::tar::build::{self, Content};
use aurora_formats::tar::{Event, Kind, Limits, Parser};
use libfuzzer_sys::fuzz_target;

/// Takes values from the front of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        let len = usize::from(self.byte() % 9);
        (0..len).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    fn bytes(&mut self, max: usize) -> &'a [u8] {
        let len = (self.number() as usize % (max + 1)).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let kind = input.byte() % 7;
    let mut meta = Metadata {
        mode: (input.number() & 0o7777) as u32,
        owner: Owner { uid: input.number() as u32, gid: input.number() as u32 },
        mtime: Timestamp {
            // Beyond this nothing that keeps times has years.
            secs: input.number() as i64 >> 8,
            nanos: (input.number() % 1_000_000_000) as u32,
        },
        ..Metadata::default()
    };
    for _ in 0..input.byte() % 4 {
        let name = [b"user.", input.bytes(80)].concat();
        let value = input.bytes(300);
        meta.xattrs.insert(name.into(), value.into());
    }
    let device = Device { major: input.number() as u32 & 0xfff_ffff, minor: input.number() as u32 & 0xfff_ffff };
    let link = input.bytes(600);
    let path = input.bytes(600);
    let data = input.bytes(4000);
    if path.is_empty() || path.ends_with(b"/") || (matches!(kind, 2 | 3) && link.is_empty()) {
        return;
    }
    let content = match kind {
        0 => Content::Dir,
        1 => Content::File(data.len() as u64),
        2 => Content::Symlink(link),
        3 => Content::Hardlink(link),
        4 => Content::Char(device),
        5 => Content::Block(device),
        _ => Content::Fifo,
    };
    let mut archive = Vec::new();
    let Ok(stored) = build::header(path, content, &meta, &mut archive) else { return };
    assert_eq!(stored, if kind == 1 { data.len() as u64 } else { 0 });
    if kind == 1 {
        archive.extend_from_slice(data);
        archive.extend_from_slice(build::padding_after(stored));
    }
    archive.extend_from_slice(&build::END);

    let mut parser = Parser::new(Limits::default());
    let mut rest = &archive[..];
    let (mut found, mut read) = (None, Vec::new());
    loop {
        let step = parser.parse(rest, true).expect("what was written reads");
        rest = &rest[step.consumed..];
        match step.event {
            Event::More => panic!("more is wanted after the end"),
            Event::Member(member) => assert!(found.replace(member).is_none(), "one member became two"),
            Event::Data(bytes) => read.extend_from_slice(bytes),
            Event::End(_) => break,
        }
    }
    let member = found.expect("the member is there");
    let wanted = match kind {
        0 => Kind::Dir,
        1 => Kind::File,
        2 => Kind::Symlink,
        3 => Kind::Hardlink,
        4 => Kind::Char(device),
        5 => Kind::Block(device),
        _ => Kind::Fifo,
    };
    assert_eq!(member.kind, wanted);
    assert_eq!(member.path.strip_suffix(b"/").unwrap_or(&member.path), path);
    assert_eq!(&member.link[..], if matches!(kind, 2 | 3) { link } else { b"" });
    assert_eq!(read, if kind == 1 { data } else { b"" });
    assert_eq!(member.meta, meta);
});
