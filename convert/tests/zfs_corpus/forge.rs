//! Real streams made into what no current sender writes: big-endian ones, deduplicated ones, those of old senders.

use std::collections::BTreeMap;

use aurora_convert::Layers;
use aurora_formats::zfs::checksum::Fletcher4;
use aurora_formats::zfs::format::{SA_MAGIC, ZAP_HEADER, ZAP_LEAF, ZAP_MICRO, object_type};
use aurora_formats::zfs::parse::Parser;
use aurora_formats::zfs::record::{Endian, Header, RECORD_LEN, WriteByRef};
use aurora_formats::zfs::sa::{self, Tables};
use aurora_formats::zfs::zap;

/// A record with its payload.
#[derive(Clone)]
pub struct Piece {
    pub head: [u8; RECORD_LEN],
    pub header: Header,
    pub payload: Vec<u8>,
    pub is_frame: bool,
    pub offset: usize,
}

/// Takes a little-endian stream apart.
pub fn pieces(stream: &[u8]) -> Vec<Piece> {
    let (mut parser, mut at, mut found) = (Parser::new(), 0, Vec::new());
    while at < stream.len() {
        let head: [u8; RECORD_LEN] = stream[at..at + RECORD_LEN].try_into().unwrap();
        let record = parser.record(&head).unwrap();
        let payload = stream[at + RECORD_LEN..][..record.payload as usize].to_vec();
        parser.payload(&payload);
        found.push(Piece { head, header: record.header, is_frame: record.is_frame, offset: at, payload });
        at = parser.offset() as usize;
    }
    parser.finish().unwrap();
    found
}

/// Puts the stream of a snapshot together again, with new checksums.
pub fn seal(pieces: &[Piece], endian: Endian) -> Vec<u8> {
    let (mut out, mut running) = (Vec::new(), Fletcher4::new(endian));
    let store = |head: &mut [u8; RECORD_LEN], at: usize, sum: [u64; 4]| {
        for (i, word) in sum.into_iter().enumerate() {
            let bytes = if endian == Endian::Little { word.to_le_bytes() } else { word.to_be_bytes() };
            head[at + 8 * i..][..8].copy_from_slice(&bytes);
        }
    };
    for piece in pieces {
        let mut head = piece.head;
        if let Header::End(_) = piece.header {
            store(&mut head, 8, running.sum().0);
        }
        if let Header::Begin(_) = piece.header {
            running.update(&head);
        } else {
            running.update(&head[..280]);
            store(&mut head, 280, running.sum().0);
            running.update(&head[280..]);
        }
        running.update(&piece.payload);
        out.extend(head);
        out.extend(&piece.payload);
    }
    out
}

fn swap(bytes: &mut [u8], fields: &[(usize, usize)]) {
    for &(at, len) in fields {
        bytes[at..at + len].reverse();
    }
}

fn words(bytes: &mut [u8]) {
    bytes.chunks_exact_mut(8).for_each(<[u8]>::reverse);
}

/// Integer fields of each record.
fn fields(header: &Header) -> &'static [(usize, usize)] {
    match header {
        Header::Begin(_) => &[(8, 8), (16, 8), (24, 8), (32, 4), (36, 4), (40, 8), (48, 8)],
        Header::Object(_) => &[(8, 8), (16, 4), (20, 4), (24, 4), (28, 4), (36, 4), (40, 8), (56, 8)],
        Header::FreeObjects(_) => &[(8, 8), (16, 8), (24, 8)],
        Header::Write(_) => &[(8, 8), (16, 4), (24, 8), (32, 8), (40, 8), (88, 8), (96, 8)],
        Header::Free(_) => &[(8, 8), (16, 8), (24, 8), (32, 8)],
        Header::End(_) => &[(40, 8)],
        Header::Spill(_) => &[(8, 8), (16, 8), (24, 8), (40, 8), (84, 4)],
        Header::WriteEmbedded(_) => &[(8, 8), (16, 8), (24, 8), (32, 8), (48, 4), (52, 4)],
        other => panic!("no stream of the corpus has {}", other.name()),
    }
}

fn swap_zap(block: &mut [u8]) {
    match Endian::Little.u64(block, 0) {
        ZAP_MICRO => {
            swap(block, &[(0, 8), (8, 8), (16, 8)]);
            for slot in block.chunks_exact_mut(64).skip(1) {
                swap(slot, &[(0, 8), (8, 4)]);
            }
        }
        ZAP_LEAF => {
            let slots = block.len() / 32;
            swap(block, &[(0, 8), (16, 8), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2)]);
            let (head, chunks) = block.split_at_mut(48 + 2 * slots);
            head[48..].chunks_exact_mut(2).for_each(<[u8]>::reverse);
            for chunk in chunks.chunks_exact_mut(24) {
                if chunk[0] == 252 {
                    swap(chunk, &[(2, 2), (4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 8)]);
                } else {
                    swap(chunk, &[(22, 2)]);
                }
            }
        }
        ZAP_HEADER => words(block),
        _ => words(block),
    }
}

fn swap_aces(mut aces: &mut [u8]) {
    while aces.len() >= 8 {
        let flags = Endian::Little.u16(aces, 2);
        let len = if matches!(flags & 0x7040, 0x1000 | 0x2040 | 0x4000) { 8 } else { 16 };
        let (ace, rest) = aces.split_at_mut(len.min(aces.len()));
        swap(ace, &[(0, 2), (2, 2), (4, 4)]);
        if len == 16 {
            swap(ace, &[(8, 8)]);
        }
        aces = rest;
    }
}

fn swap_sa(buffer: &mut [u8], tables: &Tables) {
    if Endian::Little.u32(buffer, 0) != SA_MAGIC {
        return;
    }
    let (_, found) = sa::parse(buffer, tables).unwrap();
    for located in found {
        match tables.name(located.number).unwrap() {
            b"ZPL_SYMLINK" | b"ZPL_DXATTR" | b"ZPL_SCANSTAMP" | b"ZPL_ZNODE_ACL" => {}
            b"ZPL_DACL_ACES" => swap_aces(&mut buffer[located.range]),
            _ => words(&mut buffer[located.range]),
        }
    }
    let header = usize::from(Endian::Little.u16(buffer, 4) >> 10) * 8;
    swap(buffer, &[(0, 4), (4, 2)]);
    buffer[6..header].chunks_exact_mut(2).for_each(<[u8]>::reverse);
}

fn swap_old_bonus(bonus: &mut [u8]) {
    words(&mut bonus[..176]);
    swap(bonus, &[(176, 8), (184, 4), (188, 2), (190, 2)]);
    swap_aces(&mut bonus[192..264]);
}

/// The attribute tables of a full stream.
fn tables(pieces: &[Piece]) -> Tables {
    let mut maps: BTreeMap<u32, (u32, Vec<u8>)> = BTreeMap::new();
    for piece in pieces {
        match &piece.header {
            Header::Object(r) => {
                maps.insert(r.object_type, (r.block_size, Vec::new()));
            }
            Header::Write(r)
                if r.object_type == object_type::SA_REGISTRATION
                    || r.object_type == object_type::SA_LAYOUTS =>
            {
                maps.get_mut(&r.object_type).unwrap().1.extend(&piece.payload);
            }
            _ => {}
        }
    }
    let map = |kind| {
        maps.get(&kind).map_or(vec![], |(size, bytes)| zap::parse(Endian::Little, *size, bytes).unwrap())
    };
    Tables::parse(&map(object_type::SA_REGISTRATION), &map(object_type::SA_LAYOUTS)).unwrap()
}

/// The same snapshot as a host of the other byte order would send it.
pub fn big_endian(stream: &[u8]) -> Vec<u8> {
    let mut all = pieces(stream);
    let tables = tables(&all);
    for piece in &mut all {
        match &piece.header {
            Header::Object(r) if r.bonus_type == object_type::SA => swap_sa(&mut piece.payload, &tables),
            Header::Object(r) if r.bonus_type == object_type::ZNODE => swap_old_bonus(&mut piece.payload),
            Header::Object(r) => assert_eq!(r.bonus_len, 0),
            Header::Spill(_) => swap_sa(&mut piece.payload, &tables),
            Header::Write(r) if !matches!(r.object_type, object_type::PLAIN_FILE | object_type::ZVOL) => {
                swap_zap(&mut piece.payload);
            }
            _ => {}
        }
        swap(&mut piece.head, &[(0, 4), (4, 4)]);
        let fields = fields(&piece.header);
        swap(&mut piece.head, fields);
    }
    seal(&all, Endian::Big)
}

/// The stream, and after it the same snapshot under another guid whose every block of a file is a reference: to the
/// first stream, and then once more to itself. With it the number of references.
fn deduplicated(stream: &[u8]) -> (Vec<u8>, usize) {
    let mut all = pieces(stream);
    let Header::Begin(begin) = all[0].header.clone() else { panic!("a stream begins with BEGIN") };
    let (other, mut count) = (begin.to_guid ^ 1, 0);
    all[0].head[40..48].copy_from_slice(&other.to_le_bytes());
    // Feature bits 0 and 1.
    all[0].head[16] |= 3 << 2;
    let mut out = Vec::new();
    for piece in all {
        let write = match &piece.header {
            Header::Write(w) if w.object_type == object_type::PLAIN_FILE => w.clone(),
            _ => {
                out.push(piece);
                continue;
            }
        };
        for ref_guid in [begin.to_guid, other] {
            let header = Header::WriteByRef(WriteByRef {
                object: write.object,
                offset: write.offset,
                length: write.logical_size,
                to_guid: other,
                ref_guid,
                ref_object: write.object,
                ref_offset: write.offset,
            });
            out.push(Piece { head: header.to_bytes(), header, payload: vec![], ..piece.clone() });
            count += 1;
        }
    }
    ([stream, &seal(&out, Endian::Little)].concat(), count)
}

/// As senders before 0.8.1 wrote it: nothing said of spill blocks, slots not counted.
fn old_sender(stream: &[u8]) -> Vec<u8> {
    let mut all = pieces(stream);
    for piece in &mut all {
        match &piece.header {
            Header::Begin(_) => piece.head[36] &= !8,
            Header::Object(_) => {
                piece.head[34] = 0;
                piece.head[35] = 0;
            }
            Header::Spill(_) => piece.head[32] = 0,
            _ => {}
        }
    }
    seal(&all, Endian::Little)
}

/// With every checksum but that of END left out.
fn unsummed(stream: &[u8]) -> Vec<u8> {
    let mut out = stream.to_vec();
    // The sums that follow a record cover its own, so they are made anew from those that are left out.
    let mut running = Fletcher4::new(Endian::Little);
    for piece in pieces(stream) {
        let head = &mut out[piece.offset..piece.offset + RECORD_LEN];
        if let Header::End(_) = piece.header {
            head[8..40].copy_from_slice(&running.sum().to_le_bytes());
        }
        if !matches!(piece.header, Header::Begin(_)) {
            head[280..].fill(0);
        }
        running.update(head);
        running.update(&piece.payload);
    }
    out
}

fn check(name: &str, stream: &[u8], what: &str) -> Vec<aurora_convert::Loss> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    std::fs::write(&path, stream).unwrap();
    let [corpus, _] = super::corpora();
    let manifest = corpus.join(format!("{name}.manifest.jsonl"));
    let (loaded, losses) =
        super::read(&path, None, &[], Layers::Squash).unwrap_or_else(|e| panic!("{name} {what}: {e}"));
    super::compare(&loaded, &manifest, &format!("{name} {what}"));
    losses
}

fn stream(name: &str) -> Vec<u8> {
    super::unpacked(&super::path_of(&super::corpora()[0], name))
}

#[test]
fn streams_of_big_endian_hosts() {
    for name in [
        "hello",
        "dirs",
        "fatzap",
        "special",
        "xattr-sa",
        "xattr-dir",
        "acl-sa",
        "zpl-v3",
        "zpl-v4",
        "vol8k-full",
    ] {
        let original = stream(name);
        let swapped = big_endian(&original);
        assert_eq!(&swapped[8..16], b"\0\0\0\x02\xf5\xba\xcb\xac");
        check(name, &swapped, "big-endian");
    }
}

/// An increment may come from a host of another byte order than its base.
#[test]
fn chains_of_both_byte_orders() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("base");
    std::fs::write(&path, big_endian(&stream("inc-full-a"))).unwrap();
    let [corpus, _] = super::corpora();
    let step = super::path_of(&corpus, "inc-i-a-b");
    let (loaded, _) = super::read(&step, None, &[path], Layers::Squash).unwrap();
    super::compare(&loaded, &corpus.join("inc-i-a-b.manifest.jsonl"), "big-endian base");
}

#[test]
fn deduplicated_streams() {
    for name in ["inc-full-a", "sparse", "comp-lz4-c"] {
        let (bytes, count) = deduplicated(&stream(name));
        assert!(count > 10, "{name}: {count} references");
        check(name, &bytes, "deduplicated");
    }
    let (bytes, _) = deduplicated(&stream("hello"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    // Without the first stream there is nothing to refer to.
    std::fs::write(&path, &bytes[stream("hello").len()..]).unwrap();
    let e = super::read(&path, None, &[], Layers::Squash).map(|_| ()).unwrap_err();
    assert!(e.to_string().contains("refers to data that is not here"), "{e}");
    assert!(e.hint().is_some_and(|h| h.contains("redup")));
}

#[test]
fn streams_of_old_senders() {
    for name in ["xattr-sa", "special", "dirs"] {
        check(name, &old_sender(&stream(name)), "of an old sender");
    }
}

#[test]
fn checksums_left_out_are_odd_and_no_more() {
    let losses = check("hello", &unsummed(&stream("hello")), "without checksums");
    assert!(losses.iter().any(|l| l.detail.contains("carry no checksum")), "{losses:?}");
}
