//! Tokens: what a server of tokens gives to whom has a user, or to anyone (distribution "Token Authentication").

use std::time::{Duration, SystemTime};

use aurora_engine::remote::{Answer, Client, Method, Payload, Request, Url, form};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::challenge::Challenge;
use super::error::message;
use super::{RegistryError, Secret};
use crate::{Error, Result};

/// Answers of servers of tokens.
const MAX_ANSWER: u64 = 1 << 20;
/// How long a token is good for where nobody says ("expires_in").
const DEFAULT_LIFE: u64 = 60;
/// It is renewed so much earlier: a request takes its time.
const MARGIN: Duration = Duration::from_secs(5);

/// A token, and until when it is good.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) until: SystemTime,
}

/// The header of a user and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Asks for a token. `registry` is who sent us there: what it keeps encrypted does not go elsewhere in the clear.
pub(super) fn fetch(
    client: &Client,
    registry: &Url,
    challenge: &Challenge,
    scopes: &[String],
    secret: Option<&Secret>,
    stop: &dyn Fn() -> bool,
) -> Result<Token> {
    let Challenge::Bearer { realm, service, scope } = challenge else {
        return Err(Error::usage("no token is wanted"));
    };
    let fault =
        |url: &Url, reason: &str| RegistryError::Protocol { url: url.to_string(), reason: reason.into() };
    let realm: Url = match realm.contains("://") {
        true => realm.parse().map_err(|_| fault(registry, "the server of tokens has no usable URL"))?,
        false => return Err(fault(registry, "the server of tokens has no usable URL").into()),
    };
    if registry.is_https() && !realm.is_https() {
        return Err(fault(registry, "the server of tokens is to be asked in the clear").into());
    }
    let mut scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    if let Some(scope) = scope
        && !scope.split(' ').all(|one| scopes.contains(&one))
    {
        scopes.push(scope);
    }
    let answer = match secret {
        Some(Secret::Identity(token)) => {
            let form = form(&[
                ("grant_type", "refresh_token"),
                ("service", service.as_deref().unwrap_or_default()),
                ("client_id", "aurora"),
                ("scope", &scopes.join(" ")),
                ("refresh_token", token),
            ]);
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let payload = Payload::Bytes(form.as_bytes());
            ask(client, &realm, Method::Post, &headers, payload, stop)?
        }
        other => {
            let mut parameters: Vec<(&str, &str)> = Vec::new();
            parameters.extend(service.as_deref().map(|service| ("service", service)));
            parameters.extend(scopes.iter().map(|scope| ("scope", *scope)));
            let url = realm.join(&[], &parameters);
            let header = match other {
                Some(Secret::Password(user, password)) => Some(basic(user, password)),
                _ => None,
            };
            let headers: Vec<(&str, &str)> = header.iter().map(|h| ("authorization", h.as_str())).collect();
            ask(client, &url, Method::Get, &headers, Payload::None, stop)?
        }
    };
    if answer.status != 200 {
        return Err(match answer.status {
            400 | 401 | 403 => RegistryError::Unauthorized {
                registry: registry.authority().to_owned(),
                has_user: secret.is_some(),
                message: message(&answer.bytes),
            },
            status => {
                RegistryError::Status { url: realm.to_string(), status, message: message(&answer.bytes) }
            }
        }
        .into());
    }
    let value: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let token = text("token").or(text("access_token"));
    // It becomes a header.
    let token = token.filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
    let token = token.ok_or_else(|| fault(&realm, "the server of tokens gave none"))?;
    let life = value.get("expires_in").and_then(Value::as_u64).filter(|life| *life > 0);
    let life = Duration::from_secs(life.unwrap_or(DEFAULT_LIFE).min(86_400));
    Ok(Token { text: token.to_owned(), until: client.now() + life.saturating_sub(MARGIN) })
}

fn ask(
    client: &Client,
    url: &Url,
    method: Method,
    headers: &[(&str, &str)],
    payload: Payload<'_>,
    stop: &dyn Fn() -> bool,
) -> Result<Answer> {
    let request = Request { method, url, headers, payload, max: MAX_ANSWER };
    Ok(client.exchange(&request, stop)?)
}
