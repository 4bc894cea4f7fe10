"""The README's two commands in a fresh Debian that has a Rust toolchain and a C compiler and nothing more. With --full
only: it compiles everything anew."""
import os
import re
import subprocess

from lib import TOP

# A shell script for `unshare --mount`: the toolchain comes from the host, all else from Debian.
INSIDE = r"""
set -e
root=$1
mount --bind "$HOST_RUSTUP" "$root/rustup"
mount --bind "$HOST_CARGO" "$root/cargo-bin"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot "$root" /usr/bin/env -i PATH=/cargo-bin:/usr/bin:/bin HOME=/root RUSTUP_HOME=/rustup CARGO_HOME=/cargo \
  LC_ALL=C.UTF-8 CARGO_TERM_COLOR=never /bin/sh -c "cd /src && $2"
"""


def commands():
    """What the README's first block of shell says."""
    with open(TOP + "/README.md") as f:
        block = re.search(r"```sh\n(.*?)```", f.read(), re.S).group(1)
    return [line for line in block.splitlines() if line.strip()]


def run(t):
    if not t.full:
        print("note: left out (--full runs it)", flush=True)
        t.ok()
        return
    root = t.path("debian")
    t.must("mmdebstrap", "--quiet", "--variant=minbase", "--include=gcc,libc6-dev,ca-certificates", "bookworm", root,
           timeout=1800)
    for folder in ("src", "rustup", "cargo", "cargo-bin"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    archive = subprocess.run(["git", "-C", TOP, "archive", "HEAD"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", root + "/src"], input=archive, check=True)
    t.run("cp", "-L", "/etc/resolv.conf", "/etc/hosts", root + "/etc/")
    t.run("sh", "-c", "cp -rL /etc/ssl/certs/* %s/etc/ssl/certs/" % root)
    home = os.path.expanduser("~")
    env = dict(os.environ, HOST_RUSTUP=os.environ.get("RUSTUP_HOME", home + "/.rustup"),
               HOST_CARGO=os.environ.get("CARGO_HOME", home + "/.cargo") + "/bin")
    for command in commands():
        done = t.run("unshare", "--mount", "sh", "-c", INSIDE, "sh", root, command, timeout=5400, env=env)
        t.check(command, done.returncode == 0,
                "exit %d: %s %s" % (done.returncode, done.stdout.decode("utf-8", "replace")[-1500:],
                                    done.stderr.decode("utf-8", "replace")[-1500:]))
        print("note: %s: %s" % (command, done.stdout.decode("utf-8", "replace").strip().splitlines()[-1:]), flush=True)
    t.check("the stream is there", os.path.exists(root + "/src/hardlinks.zfs"))
