//! Any bytes as a line or as headers of a NATS server: no panic, no length beyond what is taken, and a message reads the same
//! again.
#![no_main]

use aurora_engine::remote::nats::wire::{MAX_PAYLOAD, Op, parse, status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = status(input);
    match parse(input) {
        Ok(Op::Msg { subject, reply, headers, total }) => {
            assert!(headers <= total && total <= MAX_PAYLOAD, "{headers} of {total}");
            let line = match &reply {
                Some(reply) => format!("HMSG {subject} 1 {reply} {headers} {total}"),
                None => format!("HMSG {subject} 1 {headers} {total}"),
            };
            assert_eq!(parse(line.as_bytes()), Ok(Op::Msg { subject, reply, headers, total }));
        }
        Ok(Op::Err(text)) => assert!(text.len() <= 4 * 200, "{}", text.len()),
        Ok(_) | Err(_) => {}
    }
});
