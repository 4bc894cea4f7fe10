//! A repository of a registry, and who asks it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aurora_engine::remote::{
    Answer, Client, ClientOptions, Failure, Method, Payload, RemoteError, Request, Trust, Url,
};

use super::challenge::{self, Challenge};
use super::conf::{Endpoint, RegistriesConf};
use super::error::message;
use super::token::{self, Token};
use super::{RegistryError, RegistryName, Secret};
use crate::{Ctx, Error, ErrorKind, Result, interrupt};

/// What is to be done with a repository; a user may have the right to one and not to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading.
    Pull,
    /// Writing, too.
    Push,
    /// Looking which repositories there are.
    List,
}

/// A repository that can be talked to, from several threads.
pub(crate) struct Remote {
    pub(super) client: Arc<Client>,
    stop: Arc<AtomicBool>,
    base: Url,
    pub(super) name: RegistryName,
    is_insecure: bool,
    scopes: Vec<String>,
    secret: Option<Secret>,
    auth: Mutex<Auth>,
    pub(super) chunk: u64,
}

/// How the registry is told who asks.
enum Auth {
    /// Not at all.
    None,
    Basic(String),
    Bearer(Challenge, Token),
}

/// A call of the API.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) payload: Payload<'a>,
    pub(super) max: u64,
}

/// Why a call failed that is tried again elsewhere.
pub(super) enum Broken {
    /// It may go well the next time.
    Failure(Failure),
    /// It will not.
    Error(Error),
}

impl Remote {
    /// The servers to ask for a repository, in order, none of them asked yet.
    pub(crate) fn endpoints(name: &RegistryName, purpose: Purpose, ctx: &Ctx<'_>) -> Result<Vec<Endpoint>> {
        let conf = RegistriesConf::load(&ctx.options.registries.conf, &ctx.options.registries.conf_folders)?;
        conf.endpoints(name, purpose == Purpose::Pull)
    }

    /// Reaches a repository: finds out whether the connection is encrypted, and who has to be told what. A `mounted`
    /// repository of the same registry is one that is read from meanwhile.
    pub(crate) fn open(
        endpoint: &Endpoint,
        purpose: Purpose,
        mounted: Option<&RegistryName>,
        ctx: &Ctx<'_>,
    ) -> Result<Self> {
        let secret = ctx.options.registries.credentials.find(&endpoint.name, ctx.programs())?;
        Self::open_as(secret, endpoint, purpose, mounted, ctx)
    }

    /// Whether a registry takes a secret.
    pub(crate) fn check(name: &RegistryName, secret: Secret, ctx: &Ctx<'_>) -> Result<()> {
        let endpoints = Self::endpoints(name, Purpose::Push, ctx)?;
        let endpoint = endpoints.last().expect("a registry is asked for at its own place at least");
        let remote = Self::open_as(Some(secret), endpoint, Purpose::Pull, None, ctx)?;
        let url = remote.base.resolve("/v2/").expect("a host with a path is a URL");
        let call =
            Call { method: Method::Get, url: &url, headers: &[], payload: Payload::None, max: 1 << 20 };
        match remote.call(&call)? {
            answer if answer.status == 200 => Ok(()),
            answer => Err(remote.refused(&url, &answer)),
        }
    }

    fn open_as(
        secret: Option<Secret>,
        endpoint: &Endpoint,
        purpose: Purpose,
        mounted: Option<&RegistryName>,
        ctx: &Ctx<'_>,
    ) -> Result<Self> {
        let options = &ctx.options.registries;
        let name = endpoint.name.clone();
        let mut scopes = vec![match purpose {
            Purpose::Pull => format!("repository:{}:pull", name.repository),
            Purpose::Push => format!("repository:{}:pull,push", name.repository),
            Purpose::List => "registry:catalog:*".to_owned(),
        }];
        scopes.extend(mounted.map(|from| format!("repository:{}:pull", from.repository)));
        let insecure = options.insecure || endpoint.insecure;
        let remote_options = ctx.options.remote.clone();
        let trust = if insecure { Trust::Anyone } else { remote_options.trust.clone() };
        let client = interrupt::client(ClientOptions { trust, ..remote_options }, ctx)?;
        let url = |scheme: &str| -> Result<Url> {
            let text = format!("{scheme}://{}", name.server());
            text.parse().map_err(|e| Error::usage(format!("{}: {e}", name.host)))
        };
        let mut remote = Self {
            client,
            stop: ctx.cancel.flag(),
            base: url("https")?,
            name: name.clone(),
            is_insecure: endpoint.insecure,
            scopes,
            secret,
            auth: Mutex::new(Auth::None),
            chunk: options.chunk.max(1),
        };
        let ping = remote.base.resolve("/v2/").expect("a host with a path is a URL");
        let request =
            |url| Request { method: Method::Get, url, headers: &[], payload: Payload::None, max: 1 << 20 };
        let first = match insecure {
            false => remote.client.exchange(&request(&ping), &remote.stop())?,
            true => match remote.client.exchange_once(&request(&ping), &|_| {}) {
                Ok(answer) => answer,
                Err(_) => {
                    remote.base = url("http")?;
                    let ping = remote.base.resolve("/v2/").expect("a host with a path is a URL");
                    remote.client.exchange(&request(&ping), &remote.stop())?
                }
            },
        };
        if first.status == 401 {
            let auth = remote.answer_to(&first)?;
            *remote.auth() = auth;
        }
        Ok(remote)
    }

    /// Another repository of the same registry, over the same connections; nothing is sent. `None` where it is reached in
    /// another way.
    pub(crate) fn beside(&self, endpoint: &Endpoint, ctx: &Ctx<'_>) -> Result<Option<Self>> {
        if endpoint.name.host != self.name.host || endpoint.insecure != self.is_insecure {
            return Ok(None);
        }
        let secret = ctx.options.registries.credentials.find(&endpoint.name, ctx.programs())?;
        let auth = match &*self.auth() {
            Auth::Basic(header) if secret == self.secret => Auth::Basic(header.clone()),
            // Tokens are for one repository: the first answer asks for another one.
            _ => Auth::None,
        };
        Ok(Some(Self {
            client: Arc::clone(&self.client),
            stop: Arc::clone(&self.stop),
            base: self.base.clone(),
            name: endpoint.name.clone(),
            is_insecure: self.is_insecure,
            scopes: vec![format!("repository:{}:pull", endpoint.name.repository)],
            secret,
            auth: Mutex::new(auth),
            chunk: self.chunk,
        }))
    }

    /// The registry and the repository, as they are asked.
    pub(crate) fn name(&self) -> &RegistryName {
        &self.name
    }

    /// A URL of this repository's.
    pub(super) fn url(&self, rest: &str) -> Url {
        let path = format!("/v2/{}/{rest}", self.name.repository);
        self.base.resolve(&path).expect("names are checked, and digests are well-formed")
    }

    /// A URL of the registry's.
    pub(super) fn top(&self, rest: &str) -> Url {
        self.base.resolve(&format!("/v2/{rest}")).expect("a host with a path is a URL")
    }

    /// Asks whether the work is to stop.
    pub(super) fn stop(&self) -> impl Fn() -> bool + use<> {
        let stop = Arc::clone(&self.stop);
        move || stop.load(Ordering::Relaxed)
    }

    fn auth(&self) -> MutexGuard<'_, Auth> {
        self.auth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header that says who asks; renewed in time.
    pub(super) fn authorization(&self, url: &Url) -> Result<Option<String>> {
        // The registry may send on to others, whom it is none of the business.
        if !url.is_same_server(&self.base) {
            return Ok(None);
        }
        let mut auth = self.auth();
        match &mut *auth {
            Auth::None => Ok(None),
            Auth::Basic(header) => Ok(Some(header.clone())),
            Auth::Bearer(challenge, token) => {
                if self.client.now() >= token.until {
                    *token = self.token(challenge)?;
                }
                Ok(Some(format!("Bearer {}", token.text)))
            }
        }
    }

    fn token(&self, challenge: &Challenge) -> Result<Token> {
        token::fetch(&self.client, &self.base, challenge, &self.scopes, self.secret.as_ref(), &self.stop())
    }

    /// What a 401 asks for.
    fn answer_to(&self, answer: &Answer) -> Result<Auth> {
        match (challenge::parse(&answer.headers("www-authenticate")), &self.secret) {
            (Some(challenge @ Challenge::Bearer { .. }), _) => {
                let token = self.token(&challenge)?;
                Ok(Auth::Bearer(challenge, token))
            }
            (Some(Challenge::Basic), Some(Secret::Password(user, password))) => {
                Ok(Auth::Basic(token::basic(user, password)))
            }
            _ => Err(self.unauthorized(&answer.bytes)),
        }
    }

    fn unauthorized(&self, bytes: &[u8]) -> Error {
        RegistryError::Unauthorized {
            registry: self.name.host.clone(),
            has_user: self.secret.is_some(),
            message: message(bytes),
        }
        .into()
    }

    /// Told by a download that nobody may have this: gets a new token, or finds out who has to be told what.
    pub(super) fn renew(&self, url: &Url) -> Result<()> {
        if let Auth::Bearer(challenge, token) = &mut *self.auth() {
            *token = self.token(challenge)?;
            return Ok(());
        }
        let call = Call { method: Method::Head, url, headers: &[], payload: Payload::None, max: 0 };
        self.call(&call).map(drop)
    }

    /// Calls the API. Answers that may pass are tried again; a 401 is answered, once.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Answer> {
        let attempt = || self.with_authorization(call, |request| self.client.exchange(request, &self.stop()));
        attempt().map_err(|e| match e {
            Broken::Error(e) => e,
            Broken::Failure(failure) => failure.into_error().into(),
        })
    }

    /// Calls the API, once.
    pub(super) fn call_once(&self, call: &Call<'_>, count: &dyn Fn(u64)) -> Result<Answer, Broken> {
        self.with_authorization(call, |request| self.client.exchange_once(request, count))
    }

    fn with_authorization<E: Into<Broken>>(
        &self,
        call: &Call<'_>,
        send: impl Fn(&Request<'_>) -> Result<Answer, E>,
    ) -> Result<Answer, Broken> {
        let mut is_second = false;
        loop {
            let header = self.authorization(call.url).map_err(Broken::Error)?;
            let mut headers = call.headers.to_vec();
            headers.extend(header.iter().map(|h| ("authorization", h.as_str())));
            let Call { method, url, payload, max, .. } = *call;
            let answer =
                send(&Request { method, url, headers: &headers, payload, max }).map_err(Into::into)?;
            if answer.status != 401 || !url.is_same_server(&self.base) {
                return Ok(answer);
            }
            // The second time it is the right that is missing, not the word.
            if is_second {
                return Err(Broken::Error(self.unauthorized(&answer.bytes)));
            }
            is_second = true;
            let auth = self.answer_to(&answer).map_err(Broken::Error)?;
            *self.auth() = auth;
        }
    }

    /// An answer that is not the one that was asked for.
    pub(super) fn refused(&self, url: &Url, answer: &Answer) -> Error {
        match answer.status {
            401 | 403 => self.unauthorized(&answer.bytes),
            status => {
                let message = message(&answer.bytes);
                RegistryError::Status { url: url.to_string(), status, message }.into()
            }
        }
    }

    /// An answer that breaks the specification.
    pub(super) fn broken(&self, url: &Url, reason: impl Into<String>) -> Error {
        RegistryError::Protocol { url: url.to_string(), reason: reason.into() }.into()
    }

    /// There is no such thing.
    pub(crate) fn missing(&self, what: &str) -> Error {
        ErrorKind::NoSuchImage(format!("{what} is not in {}", self.name.path())).into()
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<RemoteError> for Broken {
    fn from(e: RemoteError) -> Self {
        Self::Error(e.into())
    }
}
