//! A unit's program is started.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};

use crate::beneath;
use crate::config::{Kind, Log, Program, Unit, UserOf};
use crate::sys::{self, Ids, Session, Setup, SignalMask, Step};
use crate::terminal::Terminal;
use crate::user;

/// Why there is no process, and the code that shells have for it.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) code: u8,
    pub(crate) message: String,
}

/// The program is not there.
const NOT_FOUND: u8 = 127;

/// The program is there, or may be, and can't be executed.
const NOT_EXECUTED: u8 = 126;

fn failed(message: String) -> NotStarted {
    NotStarted { code: NOT_EXECUTED, message }
}

/// Starts it; the number of its process, which is also that of its process group.
pub(crate) fn start(
    unit: &Unit,
    notify: Option<&Path>,
    input: Option<File>,
    mask: SignalMask,
) -> Result<i32, NotStarted> {
    let program = &unit.program;
    let (ids, home) = identity(program).map_err(failed)?;
    let mut command = Command::new(program.executable());
    command.arg0(&program.args[0]).args(&program.args[1..]);
    if let Some(env) = &program.env {
        command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        if !env.iter().any(|(name, _)| name == "HOME") {
            command.env("HOME", home.as_deref().unwrap_or("/"));
        }
    }
    if let Some(socket) = notify {
        command.env("NOTIFY_SOCKET", socket);
    }
    match input {
        Some(file) => drop(command.stdin(file)),
        None if unit.kind != Kind::Main => drop(command.stdin(Stdio::null())),
        None => {}
    }
    match &unit.log {
        Log::Inherit => {}
        Log::Discard => drop(command.stdout(Stdio::null()).stderr(Stdio::null())),
        Log::File(path) => {
            let problem = |e| failed(format!("can't open the log {}: {e}", path.display()));
            let log = open_log(path).map_err(problem)?;
            command.stdout(log.try_clone().map_err(problem)?).stderr(log);
        }
    }
    let session = match unit.kind {
        Kind::Main => Terminal::of_stdin().session(program.terminal),
        Kind::Daemon | Kind::Oneshot => Session::Group,
    };
    sys::before_exec(&mut command, setup(program, ids, session, mask));
    match command.spawn() {
        // Waited for with all other children, by number: this handle would do nothing more.
        Ok(child) => Ok(child.id().cast_signed()),
        Err(error) => Err(explain(program, &error)),
    }
}

fn setup(program: &Program, ids: Option<Ids>, session: Session, mask: SignalMask) -> Setup {
    Setup {
        session,
        umask: program.umask,
        rlimits: program.rlimits.clone(),
        root: program.root.as_ref().map(|root| {
            CString::new(root.as_os_str().as_bytes()).expect("zero bytes were refused in the document")
        }),
        #[cfg(target_os = "linux")]
        capabilities: program.capabilities,
        ids,
        no_new_privileges: program.no_new_privileges,
        cwd: program.cwd.clone(),
        mask,
    }
}

/// Who it becomes, if anyone else, and whose home it is.
fn identity(program: &Program) -> Result<(Option<Ids>, Option<String>), String> {
    let root = program.root.as_deref().unwrap_or(Path::new("/"));
    match &program.user {
        UserOf::Name(name) => user::resolve(root, name).map(|user| (Some(user.ids), user.home)),
        // Numbers need no account, and only a missing HOME asks for one: without, it is the root.
        UserOf::Ids(ids) => {
            let account = user::resolve(root, &ids.uid.to_string());
            // Who it is already needs no right to become it.
            let other = (*ids != own_ids()).then(|| ids.clone());
            Ok((other, account.ok().and_then(|user| user.home)))
        }
        UserOf::Podinit => {
            let account = user::resolve(root, &rustix::process::geteuid().to_string());
            Ok((None, account.ok().and_then(|user| user.home)))
        }
    }
}

fn own_ids() -> Ids {
    let groups = rustix::process::getgroups().unwrap_or_default();
    Ids {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: groups.into_iter().map(rustix::process::Gid::as_raw).collect(),
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    // A pipe in its place must not hold us up, a link not lead elsewhere, wherever in the path it is.
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let (dir, name) = beneath::open_parent(path)?;
    let file = File::from(rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

fn explain(program: &Program, error: &io::Error) -> NotStarted {
    let name = program.executable().to_string_lossy();
    if error.raw_os_error().is_none() {
        return failed(format!("exec: {name:?}: {error}"));
    }
    let (step, error) = Step::of(error);
    let what = match step {
        Some(Step::Session) => "can't make a process group",
        Some(Step::Terminal) => "can't take the terminal",
        Some(Step::Limits) => "can't set resource limits",
        Some(Step::Root) => "can't change the root",
        Some(Step::Capabilities) => "can't set capabilities",
        Some(Step::Groups) => "can't set additional groups",
        Some(Step::Gid) => "can't set the group",
        Some(Step::Uid) => "can't set the user",
        Some(Step::NoNewPrivileges) => "can't give up new privileges",
        Some(Step::Directory) => {
            let cwd = program.cwd.as_deref().unwrap_or_default().to_string_lossy();
            return failed(format!("chdir {cwd:?}: {}", phrase(&error)));
        }
        Some(Step::Signals) => "can't release signals",
        None => return not_executed(&name, &error),
    };
    failed(format!("{what}: {}", phrase(&error)))
}

/// In the words that container engines look for.
fn not_executed(name: &str, error: &io::Error) -> NotStarted {
    match error.kind() {
        io::ErrorKind::NotFound if !name.contains('/') => NotStarted {
            code: NOT_FOUND,
            message: format!("exec: {name:?}: executable file not found in $PATH"),
        },
        io::ErrorKind::NotFound => {
            NotStarted { code: NOT_FOUND, message: format!("exec: {name:?}: no such file or directory") }
        }
        _ => failed(format!("exec: {name:?}: {}", phrase(error))),
    }
}

fn phrase(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied if error.raw_os_error() == Some(libc::EPERM) => {
            "operation not permitted".to_owned()
        }
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes() {
        let cases = [
            ("nosuch", libc::ENOENT, 127, "exec: \"nosuch\": executable file not found in $PATH"),
            ("/nosuch", libc::ENOENT, 127, "exec: \"/nosuch\": no such file or directory"),
            ("/etc/passwd", libc::EACCES, 126, "exec: \"/etc/passwd\": permission denied"),
            ("/bin/x", libc::EPERM, 126, "exec: \"/bin/x\": operation not permitted"),
            ("/etc/passwd/x", libc::ENOTDIR, 126, "exec: \"/etc/passwd/x\": Not a directory (os error 20)"),
        ];
        for (name, errno, code, message) in cases {
            let got = not_executed(name, &io::Error::from_raw_os_error(errno));
            assert_eq!((got.code, got.message.as_str()), (code, message));
        }
    }
}
