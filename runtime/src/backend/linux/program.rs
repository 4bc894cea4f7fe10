//! The last steps of a container's process, inside, up to the program: what runc does otherwise than libcontainer.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libcontainer::capabilities::drop_privileges;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use oci_spec::runtime::{LinuxCapabilities, Process};

use super::copy_up::Hidden;
use super::errors::MARK;
use super::paths;
use super::seccomp::Filter;
use super::sys;
use crate::HookCall;
use crate::error::plain;

/// Where programs are looked for when the process has no PATH, as execvp(3) does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Before what fails on the way to the program and is not about its name, as runc has it.
const IN_INIT: &str = "error during container init: ";
/// As callers of runc see it, when the program could not take the place of this process after all.
const FAILED: i32 = 1;

/// What is run, and how.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) process: Arc<Process>,
    pub(super) seccomp: Option<Arc<Filter>>,
    /// What of the image is copied into tmpfs mounts, and whether modes are.
    pub(super) copy_up: Arc<Vec<(Hidden, bool)>>,
    /// What nobody may write from then on.
    pub(super) readonly_paths: Arc<Vec<PathBuf>>,
    /// What nobody may see.
    pub(super) masked_paths: Arc<Vec<PathBuf>>,
    /// The hooks before it.
    pub(super) start_hooks: Option<Arc<HookCall>>,
    /// Where `start` reads how it went; `exec` has a way of its own.
    pub(super) result: Option<Arc<File>>,
}

impl Executor for Program {
    /// In its surroundings, but with all capabilities still: limits, directory, and whether there is such a program.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        self.prepare().map_err(|text| ExecutorValidationError::ArgValidationError(format!("{MARK}{text}")))
    }

    /// The variables are given with the program, in their order.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    /// When `start` was called.
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let text = match self.become_program() {
            Ok(e) => {
                // There was such a file, and `start` has done its part: the rest is said where the program would speak.
                eprintln!("{e}");
                std::process::exit(FAILED);
            }
            Err(text) => text,
        };
        let Some(mut result) = self.result.as_deref() else {
            return Err(ExecutorError::Other(format!("{MARK}{text}")));
        };
        // Whoever reads it may be gone; the exit status says that it failed.
        let _ = result.write_all(text.as_bytes());
        std::process::exit(FAILED);
    }
}

impl Program {
    fn prepare(&self) -> Result<(), String> {
        for limit in self.process.rlimits().iter().flatten() {
            sys::set_limit(limit.typ(), limit.soft(), limit.hard()).map_err(|(number, e)| {
                let what = format!("{IN_INIT}error setting rlimits for ready process");
                format!("{what}: error setting rlimit type {number}: {}", plain(&e))
            })?;
        }
        for (hidden, with_mode) in self.copy_up.iter() {
            hidden.copy(*with_mode).map_err(|text| format!("{IN_INIT}{text}"))?;
        }
        for path in self.readonly_paths.iter() {
            paths::make_readonly(path).map_err(|text| format!("{IN_INIT}{text}"))?;
        }
        for path in self.masked_paths.iter() {
            paths::mask(path).map_err(|text| format!("{IN_INIT}{text}"))?;
        }
        null_for_writing().map_err(|e| format!("{IN_INIT}/dev/null: {}", plain(&e)))?;
        self.enter_directory()?;
        if self.process.terminal() == Some(true)
            && let Some(size) = self.process.console_size()
        {
            let cells = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
            let size = rustix::termios::Winsize {
                ws_row: cells(size.height()),
                ws_col: cells(size.width()),
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(rustix::stdio::stdin(), size)
                .map_err(|e| format!("error setting the size of the terminal: {}", plain(&e.into())))?;
        }
        self.find().map(drop)
    }

    /// For a new container the directory is made where there is none, as runc does, and belongs to root then.
    fn enter_directory(&self) -> Result<(), String> {
        let cwd = self.process.cwd();
        let failed = |e: io::Error| {
            format!("chdir to cwd ({:?}) set in config.json failed: {}", cwd.display().to_string(), plain(&e))
        };
        // Only a first process has somebody waiting for the result.
        if self.result.is_some() {
            make_directory(cwd).map_err(failed)?;
        }
        std::env::set_current_dir(cwd).map_err(failed)?;
        // A directory outside the root has no name inside.
        match std::env::current_dir() {
            Ok(dir) if dir.is_absolute() => Ok(()),
            Ok(_) => Err(failed(io::Error::other("it is outside of the container"))),
            Err(e) => Err(failed(e)),
        }
    }

    /// The file to run, found as execvp(3) does.
    fn find(&self) -> Result<PathBuf, String> {
        let args = self.process.args().as_deref().unwrap_or_default();
        let name = args.first().map(String::as_str).unwrap_or_default();
        let failed = |why: &str| format!("exec: {name:?}: {why}");
        if name.contains('/') {
            return match check_executable(Path::new(name)) {
                Ok(()) => Ok(PathBuf::from(name)),
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(failed(&plain(&e))),
                Err(e) => Err(failed(&format!("stat {name}: {}", plain(&e)))),
            };
        }
        let path = variable(&self.process, "PATH").unwrap_or(DEFAULT_PATH);
        let mut denied = false;
        for dir in path.split(':') {
            let file = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
            match check_executable(&file) {
                Ok(()) => return Ok(file),
                Err(e) => denied |= e.kind() == io::ErrorKind::PermissionDenied && file.is_file(),
            }
        }
        Err(failed(if denied { "permission denied" } else { "executable file not found in $PATH" }))
    }

    /// Gives up what the program may not have, and becomes it; or else says why the kernel does not take it.
    fn become_program(&self) -> Result<String, String> {
        let file = self.find()?;
        let no_new_privileges = self.process.no_new_privileges() == Some(true);
        let restrict = || match &self.seccomp {
            Some(filter) => {
                filter.install().map_err(|e| format!("error installing the seccomp filter: {}", plain(&e)))
            }
            None => Ok(()),
        };
        // Without `noNewPrivileges` a filter needs a capability that the next line takes away.
        if !no_new_privileges {
            restrict()?;
        }
        let capabilities = exactly(self.process.capabilities().as_ref());
        drop_privileges(&capabilities, &*create_syscall())
            .map_err(|e| format!("error setting capabilities: {e}"))?;
        if let Some(call) = &self.start_hooks {
            // Inside, its number is another one.
            let mut call = HookCall::clone(call);
            call.state.pid = rustix::process::getpid().as_raw_nonzero().get();
            call.run().map_err(|e| e.to_string())?;
        }
        let text = |text: &str| CString::new(text).map_err(|_| format!("a NUL byte in {text:?}"));
        let args =
            self.process.args().iter().flatten().map(|arg| text(arg)).collect::<Result<Vec<_>, _>>()?;
        let env = self.environment().iter().map(|line| text(line)).collect::<Result<Vec<_>, _>>()?;
        let path = text(&file.to_string_lossy())?;
        sys::default_sigpipe();
        if no_new_privileges {
            restrict()?;
        }
        let e = match nix::unistd::execve(&path, &args, &env) {
            Ok(never) => match never {},
            Err(e) => io::Error::from_raw_os_error(e as i32),
        };
        Ok(format!("exec {}: {}", file.display(), plain(&e)))
    }

    /// Its variables; HOME is where its user's line in `/etc/passwd` says, unless it has one.
    fn environment(&self) -> Vec<String> {
        let mut env = self.process.env().clone().unwrap_or_default();
        if variable(&self.process, "HOME").is_none_or(str::is_empty) {
            let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let home = crate::process::home(&passwd, self.process.user().uid()).unwrap_or("/");
            env.retain(|line| !line.starts_with("HOME="));
            env.push(format!("HOME={home}"));
        }
        // Sockets that the caller has opened for the program; libcontainer has kept them (sd_listen_fds(3)).
        if let Ok(Some(count)) =
            std::env::var("LISTEN_FDS").map(|text| text.parse::<u16>().ok().filter(|n| *n > 0))
        {
            env.extend([format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()]);
        }
        env
    }
}

/// libcontainer replaces a host's `/dev/null` among the first three files by the container's, open for reading only: what
/// the program wrote there would be an error.
fn null_for_writing() -> io::Result<()> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    let is_null = |fd: std::os::fd::BorrowedFd<'_>| {
        let found = rustix::fs::fstat(fd);
        found.is_ok_and(|found| {
            let kind = rustix::fs::FileType::from_raw_mode(found.st_mode);
            kind == rustix::fs::FileType::CharacterDevice && found.st_rdev == rustix::fs::makedev(1, 3)
        })
    };
    let files = [is_null(stdin()), is_null(stdout()), is_null(stderr())];
    if !files.contains(&true) {
        return Ok(());
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    if !is_null(std::os::fd::AsFd::as_fd(&null)) {
        return Err(io::Error::other("it is another device inside the container"));
    }
    if files[0] {
        dup2_stdin(&null)?;
    }
    if files[1] {
        dup2_stdout(&null)?;
    }
    if files[2] {
        dup2_stderr(&null)?;
    }
    Ok(())
}

/// The last of its variables of that name.
fn variable<'a>(process: &'a Process, name: &str) -> Option<&'a str> {
    let lines = process.env().as_ref()?;
    lines.iter().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// As runc sees it: a file, and somebody may execute it.
fn check_executable(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.is_dir() || found.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error()));
    }
    Ok(())
}

/// Capabilities of which none is left open: what is not named is not had.
fn exactly(named: Option<&LinuxCapabilities>) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    let set = |get: fn(&LinuxCapabilities) -> &Option<HashSet<oci_spec::runtime::Capability>>| {
        Some(named.and_then(|named| get(named).clone()).unwrap_or_default())
    };
    sets.set_bounding(set(LinuxCapabilities::bounding))
        .set_effective(set(LinuxCapabilities::effective))
        .set_permitted(set(LinuxCapabilities::permitted))
        .set_inheritable(set(LinuxCapabilities::inheritable))
        .set_ambient(set(LinuxCapabilities::ambient));
    sets
}

/// Makes what is missing of a directory, for root. Links of `/proc` that stand for open files are not followed: a descriptor
/// that whoever called runz has left open may lead out of the container.
fn make_directory(path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat, openat2};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut missing = Vec::new();
    let mut at = path;
    let mut dir = loop {
        match openat2(CWD, at, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
            Ok(dir) => break dir,
            Err(rustix::io::Errno::NOENT) => {
                missing.push(at.file_name().ok_or(io::ErrorKind::InvalidInput)?);
                at = at.parent().unwrap_or(Path::new("/"));
            }
            Err(e) => return Err(e.into()),
        }
    };
    for name in missing.into_iter().rev() {
        mkdirat(&dir, name, Mode::from_raw_mode(0o755))?;
        chownat(&dir, name, Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::SYMLINK_NOFOLLOW)?;
        dir = openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn program(args: &[&str], env: &[&str]) -> Program {
        let process = json!({"user": {"uid": 0, "gid": 0}, "args": args, "env": env, "cwd": "/"});
        let process = serde_json::from_value(process).unwrap();
        Program {
            process: Arc::new(process),
            seccomp: None,
            copy_up: Arc::default(),
            readonly_paths: Arc::default(),
            masked_paths: Arc::default(),
            start_hooks: None,
            result: None,
        }
    }

    #[test]
    fn programs_are_found_as_by_execvp() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        };
        let (good, plain) = (file("good", 0o755), file("plain", 0o644));
        let path = format!("PATH=/nonexistent:{}", dir.path().display());
        assert_eq!(program(&["good"], &[&path]).find().unwrap(), Path::new(&good));
        assert_eq!(program(&[&good], &[]).find().unwrap(), Path::new(&good));
        assert_eq!(program(&["sh"], &[]).find().unwrap(), Path::new("/bin/sh"));
        let cases = [
            ("nosuch", "exec: \"nosuch\": executable file not found in $PATH".to_owned()),
            ("plain", "exec: \"plain\": permission denied".to_owned()),
            (&plain, format!("exec: \"{plain}\": permission denied")),
            (
                "/nonexistent/x",
                "exec: \"/nonexistent/x\": stat /nonexistent/x: no such file or directory".to_owned(),
            ),
            ("/", "exec: \"/\": permission denied".to_owned()),
        ];
        for (name, want) in cases {
            assert_eq!(program(&[name], &[&path]).find().unwrap_err(), want);
        }
    }

    #[test]
    fn a_process_has_a_home_and_its_variables_in_order() {
        let home = |env: &[&str]| program(&["a"], env).environment();
        assert_eq!(home(&["B=1", "HOME=/x", "A=2"]), ["B=1", "HOME=/x", "A=2"]);
        assert_eq!(home(&["B=1", "A=2"]).len(), 3);
        assert!(home(&["HOME="])[0].starts_with("HOME=/"));
    }

    #[test]
    fn capabilities_that_are_not_named_are_not_had() {
        let none = exactly(None);
        assert_eq!((none.bounding(), none.ambient()), (&Some(HashSet::new()), &Some(HashSet::new())));
    }
}
