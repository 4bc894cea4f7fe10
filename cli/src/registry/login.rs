//! `imageadm login` and `logout`.

use std::io::{self, IsTerminal, Read, Write};

use aurora_convert::Error;
use aurora_convert::ops;
use aurora_convert::registry::credential_key;

use super::args::{Login, Logout};
use crate::exit::Exit;
use crate::output::safe;
use crate::session::{Session, Stop};

/// Longer passwords are mistakes, or tokens of megabytes.
const MAX_PASSWORD: u64 = 64 << 10;

pub(crate) fn login(args: &Login, session: &Session) -> Result<Exit, Stop> {
    let key = credential_key(&args.registry)?;
    let user = match &args.username {
        Some(user) => user.clone(),
        None if args.password_stdin => return Err(Error::usage("--password-stdin needs --username").into()),
        None => ask("Username: ", false)?,
    };
    if user.is_empty() || user.contains(':') {
        return Err(Error::usage("a user has a name, and no colon in it").into());
    }
    let password = if args.password_stdin { piped()? } else { ask("Password: ", true)? };
    if password.is_empty() {
        return Err(Error::usage("the password is empty").into());
    }
    let place = ops::login(&key, &user, &password, &session.ctx())?;
    let mut out = session.done(&[]);
    if !session.common.quiet {
        out.line(&safe(&format!("logged in to {key} as {user}; kept in {place}")))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

pub(crate) fn logout(args: &Logout, session: &Session) -> Result<Exit, Stop> {
    let key = args.registry.as_deref().map(credential_key).transpose()?;
    let forgotten = ops::logout(key.as_deref(), &session.ctx())?;
    let mut out = session.done(&[]);
    if !session.common.quiet {
        for key in &forgotten {
            out.line(&safe(&format!("logged out of {key}")))?;
        }
    }
    out.finish()?;
    match (key, forgotten.is_empty()) {
        (Some(key), true) => Err(Error::usage(format!("nobody is logged in to {key}")).into()),
        _ => Ok(Exit::Done),
    }
}

fn piped() -> Result<String, Stop> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text);
    read.map_err(|e| Error::io("standard input", e))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks on the terminal; what is secret is not shown.
fn ask(prompt: &str, is_secret: bool) -> Result<String, Stop> {
    if !io::stdin().is_terminal() {
        let text = "there is no terminal to ask: use --username and --password-stdin";
        return Err(Error::usage(text).into());
    }
    let failed = |e| Error::io("the terminal", e);
    let mut err = io::stderr();
    write!(err, "{prompt}").and_then(|()| err.flush()).map_err(failed)?;
    let hidden = is_secret.then(Hidden::begin).transpose().map_err(failed)?;
    let mut text = String::new();
    io::stdin().read_line(&mut text).map_err(failed)?;
    if hidden.is_some() {
        let _ = writeln!(err);
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden(rustix::termios::Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nobody is left to tell if the terminal is gone.
        let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Flush, &self.0);
    }
}
