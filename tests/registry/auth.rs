//! Who asks.

use aurora_convert::ErrorKind;
use aurora_convert::ops;
use aurora_convert::registry::RegistryError;
use aurora_tests::Door;

use crate::{Case, Image, bytes};

/// `user:secret`
const PAIR: &str = "dXNlcjpzZWNyZXQ=";

fn case(door: Door) -> (Case, Image) {
    let (case, image) = (Case::new(door), Image::new(bytes(1000), ""));
    image.put(&case.server, "x/y", "1");
    (case, image)
}

fn logged_in(case: &Case) {
    case.log_in(&format!(r#"{{"auth":"{PAIR}"}}"#));
}

#[test]
fn a_password_is_asked_for() {
    let (case, _) = case(Door::Basic(PAIR));
    let e = case.get("x/y:1").unwrap_err();
    assert!(
        matches!(e.kind(), ErrorKind::Registry(RegistryError::Unauthorized { has_user: false, .. })),
        "{e:?}"
    );
    assert!(e.hint().unwrap().contains("login"));
    case.log_in(r#"{"auth":"dXNlcjp3cm9uZw=="}"#);
    let e = case.get("x/y:1").unwrap_err();
    assert!(
        matches!(e.kind(), ErrorKind::Registry(RegistryError::Unauthorized { has_user: true, .. })),
        "{e:?}"
    );
    assert!(!format!("{e} {e:?}").contains("wrong"), "no secret is told");
    logged_in(&case);
    assert_eq!(case.get("x/y:1").unwrap().moved.copied, 2);
    assert_eq!(case.push(&format!("{}/x/y:1", case.server.host()), "z:1", false).unwrap().moved.documents, 1);
}

#[test]
fn tokens_are_for_what_is_done_and_are_renewed() {
    // Good for one request each: every second one is refused first.
    let (case, image) = case(Door::Token(PAIR, 1));
    let e = case.get("x/y:1").unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Registry(RegistryError::Unauthorized { .. })), "{e:?}");
    logged_in(&case);
    case.server.requests();
    assert_eq!(case.get("x/y:1").unwrap().digest, image.digest());
    let asked = case.server.requests();
    let tokens: Vec<&String> = asked.iter().filter(|line| line.contains("/token")).collect();
    assert!(tokens.len() > 1, "{asked:#?}");
    assert!(
        tokens
            .iter()
            .all(|line| line.contains("service=test")
                && line.contains(&format!("authorization: Basic {PAIR}")))
    );
    let to_others: Vec<&String> = asked.iter().filter(|line| !line.contains("/token")).collect();
    assert!(
        to_others.iter().all(|line| !line.contains(PAIR)),
        "the registry sees tokens only: {to_others:#?}"
    );
    // The registry's own scope stands last in the query, as it is not among ours.
    case.push(&format!("{}/x/y:1", case.server.host()), "z:1", false).unwrap();
    assert!(case.server.manifest("z", "1").is_some());
}

#[test]
fn a_token_is_changed_for_another() {
    let (case, image) = case(Door::Token(PAIR, 100));
    case.log_in(r#"{"identitytoken":"I-am-me"}"#);
    assert_eq!(case.get("x/y:1").unwrap().digest, image.digest());
    assert!(case.server.requests().iter().any(|line| line == "POST /token"));
    case.log_in(r#"{"identitytoken":"I-am-not"}"#);
    assert!(case.get("x/y:1").is_err());
}

#[test]
fn a_login_is_tried_before_it_is_kept() {
    for door in [Door::Basic(PAIR), Door::Token(PAIR, 10)] {
        let (case, _) = case(door);
        let host = case.server.host();
        let e = case.with(|ctx| ops::login(&host, "user", "wrong", ctx)).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Registry(RegistryError::Unauthorized { .. })), "{e:?}");
        assert!(!case.dir.path().join("auth.json").exists());
        case.with(|ctx| ops::login(&host, "user", "secret", ctx)).unwrap();
        case.get("x/y:1").unwrap();
        assert_eq!(case.with(|ctx| ops::logout(Some(&host), ctx)).unwrap(), [host]);
        assert!(case.get("x/y:1").is_err());
    }
}
