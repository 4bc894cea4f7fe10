//! Runs the program.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program, with nothing of the caller's surroundings that could change what it says.
pub(crate) fn imageadm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imageadm"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    for name in ["REGISTRY_AUTH_FILE", "CONTAINERS_REGISTRIES_CONF", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"] {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent/config").env("HOME", "/nonexistent/home");
    command.env_remove("NO_COLOR").env_remove("SOURCE_DATE_EPOCH").env("LC_ALL", "C").stdin(Stdio::null());
    // No test may touch the store of whoever runs it.
    command.env("AURORA_STORE", "/nonexistent/store");
    command
}

/// Sends a signal. Not by way of `kill`, which a small system need not have.
pub(crate) fn send(signal: Signal, child: &Child) {
    kill_process(Pid::from_child(child), signal).expect("the process is ours, and has not been waited for");
}

/// Runs it to its end in a directory, with temporary files in another one that must be empty afterwards.
pub(crate) fn run_in(dir: &Path, args: &[&str]) -> Done {
    run_with(dir, args, &[])
}

/// The same with other surroundings.
fn run_with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Done {
    let temp = tempfile::tempdir().expect("a temporary directory can be made");
    let output = imageadm()
        .args(args)
        .current_dir(dir)
        .env("TMPDIR", temp.path())
        .envs(env.iter().copied())
        .output()
        .expect("the program was built with this test");
    let left = names(temp.path());
    assert!(left.is_empty(), "{args:?} left temporary files: {left:?}");
    Done::new(args, output)
}

/// Runs it where no files matter.
pub(crate) fn run(args: &[&str]) -> Done {
    run_in(Path::new("/"), args)
}

/// A process that has ended.
pub(crate) struct Done {
    what: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn new(args: &[&str], output: Output) -> Self {
        Self {
            what: args.join(" "),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Ends with this status.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "imageadm {}\n{}{}", self.what, self.out, self.err);
        self
    }

    /// Says this on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "imageadm {}: not {text:?} but\n{}", self.what, self.err);
        self
    }

    /// Says nothing on standard error.
    #[track_caller]
    pub(crate) fn quietly(self) -> Self {
        assert_eq!(self.err, "", "imageadm {}", self.what);
        self
    }

    /// Prints nothing.
    #[track_caller]
    pub(crate) fn prints_nothing(self) -> Self {
        assert_eq!(self.out, "", "imageadm {}", self.what);
        self
    }
}

/// Names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("the directory is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("directories of tests can be read").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

/// A directory with a small root file system in `tree/`.
pub(crate) struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let tree = dir.path().join("tree");
        let make = || -> std::io::Result<()> {
            std::fs::create_dir_all(tree.join("etc/empty"))?;
            std::fs::create_dir_all(tree.join("bin"))?;
            std::fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost\n")?;
            std::fs::write(tree.join("etc/odd\u{1b}[31m\\name\n"), "x")?;
            std::fs::write(tree.join("bin/tool"), vec![7; 300_000])?;
            std::fs::hard_link(tree.join("bin/tool"), tree.join("bin/twin"))?;
            symlink("tool", tree.join("bin/link"))?;
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(tree.join("bin/tool"), executable.clone())?;
            for name in ["", "etc", "etc/empty", "bin"] {
                std::fs::set_permissions(tree.join(name), executable.clone())?;
            }
            for name in ["etc/hosts", "bin/tool", "etc/empty", "bin", "etc", ""] {
                let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
                std::fs::File::open(tree.join(name))?.set_modified(time)?;
            }
            Ok(())
        };
        make().expect("a small tree can be made");
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        run_in(self.path(), args)
    }

    #[track_caller]
    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        run_with(self.path(), args, env)
    }

    /// Names beside `tree`.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.path()).into_iter().filter(|name| name != "tree").collect()
    }
}
