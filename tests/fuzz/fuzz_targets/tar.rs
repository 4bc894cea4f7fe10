//! Any bytes as a tar: no panic, and the same members whether they come in one piece or in many.
#![no_main]

use aurora_formats::tar::{Event, Limits, Parser};
use libfuzzer_sys::fuzz_target;

/// What the parser says of `input`, given to it in pieces of `piece` bytes.
fn members(input: &[u8], piece: usize) -> (Vec<String>, bool) {
    let mut parser = Parser::new(Limits::default());
    let (mut said, mut data) = (Vec::new(), 0);
    let (mut at, mut end) = (0, piece.min(input.len()));
    loop {
        let step = match parser.parse(&input[at..end], end == input.len()) {
            Ok(step) => step,
            Err(error) => {
                assert!(error.offset() <= input.len() as u64, "an error beyond the end: {error}");
                said.push(format!("{data} bytes, then {error}"));
                return (said, false);
            }
        };
        at += step.consumed;
        assert!(at <= end, "more was consumed than there was");
        match step.event {
            Event::More if end == input.len() && at == end => return (said, true),
            Event::More => {
                assert!(end < input.len(), "more is wanted after the end");
                end = (end + piece).min(input.len());
            }
            Event::Member(member) => said.push(format!("{data} bytes, then {member:?}")),
            Event::Data(bytes) => data += bytes.len(),
            Event::End(ending) => {
                said.push(format!("{data} bytes, then {ending:?}"));
                return (said, true);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = members(input, input.len().max(1));
    for piece in [512, 700] {
        assert_eq!(whole, members(input, piece), "pieces of {piece} bytes");
    }
});
