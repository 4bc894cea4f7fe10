//! Recipes there and back, and what must not be believed.

use std::sync::Arc;

use super::*;
use crate::body::{Body, MemBody};

fn bodies() -> Vec<Body> {
    vec![Arc::new(MemBody(b"0123456789".to_vec())), Arc::new(MemBody(vec![b'x'; 3 << 20]))]
}

fn made(recipe: &Recipe, bodies: &[Body]) -> Result<Vec<u8>, RecipeError> {
    let mut out = Vec::new();
    replay(recipe, bodies, &mut out).map(|()| out)
}

#[test]
fn rebuilds_what_was_read() {
    let mut builder = Builder::new().unwrap();
    let mut want = Vec::new();
    for n in 0..300u64 {
        let header = vec![n as u8; (n * 7 % 1500) as usize];
        builder.inline(&header).unwrap();
        want.extend(&header);
        builder.slice(0, n % 10, 10 - n % 10).unwrap();
        want.extend(&b"0123456789"[(n % 10) as usize..]);
    }
    builder.slice(1, 0, 1 << 20).unwrap();
    builder.slice(1, 1 << 20, 2 << 20).unwrap();
    want.extend(vec![b'x'; 3 << 20]);
    builder.inline(&vec![0; 200_000]).unwrap();
    want.extend(vec![0; 200_000]);
    let recipe = builder.finish().unwrap();
    assert_eq!((recipe.length(), recipe.bodies()), (want.len() as u64, 2));
    let record = encode(&recipe);
    assert!(record.len() < 10_000, "{}", record.len());
    let again = decode(&record).unwrap();
    assert_eq!(again, recipe);
    assert!(made(&again, &bodies()).unwrap() == want);
    assert!(matches!(made(&again, &bodies()[..1]), Err(RecipeError::Bodies { expected: 2, actual: 1 })));
}

#[test]
fn an_empty_container_has_a_recipe() {
    let recipe = decode(&encode(&Builder::new().unwrap().finish().unwrap())).unwrap();
    assert_eq!(made(&recipe, &[]).unwrap(), b"");
}

#[test]
fn lies_are_noticed() {
    let mut builder = Builder::new().unwrap();
    builder.inline(b"head").unwrap();
    builder.slice(0, 5, 5).unwrap();
    let good = builder.finish().unwrap();
    let one = &bodies()[..1];
    assert_eq!(made(&good, one).unwrap(), b"head56789");
    for length in [0, 8, 10] {
        let e = made(&Recipe { length, ..good.clone() }, one).unwrap_err();
        assert!(matches!(e, RecipeError::Length { .. }), "{e}");
    }
    let mut beyond = Builder::new().unwrap();
    beyond.slice(0, 5, 6).unwrap();
    assert!(matches!(made(&beyond.finish().unwrap(), one), Err(RecipeError::Io(_))));
    let cut = Recipe { ops: good.ops[..good.ops.len() - 4].to_vec(), ..good.clone() };
    assert!(made(&cut, one).is_err());

    let record = encode(&good);
    assert!(matches!(decode(&record[..record.len() - 1]), Err(RecipeError::Malformed { .. })));
    assert!(matches!(decode(&[&record[..], b"\0"].concat()), Err(RecipeError::Malformed { .. })));
    let at = record.iter().position(|&b| b == b'v').unwrap() + 1;
    let mut later = record.clone();
    later[at] = 2;
    assert!(matches!(decode(&later), Err(RecipeError::Version { version: 2 })));
    assert!(decode(b"\xa0").is_err() && decode(b"").is_err());
}
