"""Runs in the guest: receives each stream of /share that `convert/tests/zfs_streams` wrote, compares what the kernel shows
of every snapshot with the listing beside it, changes and deletes what it can, and scrubs the pool.

Prints one line for each problem and `done: N streams, M problems`; the exit code is 0 for none.
"""
import hashlib
import json
import os
import stat
import subprocess
import sys
import types

sys.dont_write_bytecode = True
import tree_manifest  # noqa: E402

SHARE = "/share/"
MOST = 5  # differences shown of one listing
problems = 0


def problem(name, text):
    global problems
    problems += 1
    print("%s: %s" % (name, text), flush=True)


def sh(*args, **kw):
    done = subprocess.run(args, stdout=kw.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **kw)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(args), done.stderr.decode("utf-8", "replace").strip()))
    return (done.stdout or b"").decode("utf-8", "replace")


def compare(name, want_path, root, ignore=()):
    options = types.SimpleNamespace(seconds=False, no_hash=name.startswith("tebibyte"), acl=True)
    got = {row["path"]: row for row in tree_manifest.manifest(root, options)}
    with open(want_path) as f:
        want = {row["path"]: row for row in map(json.loads, f)}
    shown = 0
    for path in sorted(want.keys() | got.keys()):
        a, b = want.get(path, {}), got.get(path, {})
        for field in sorted(a.keys() | b.keys()):
            # The mode of a symbolic link is not shown by every system.
            if a.get(field) != b.get(field) and field not in ignore and not (field == "mode" and a.get("type") == "symlink"):
                shown += 1
                if shown <= MOST:
                    problem(name, "%s: %s: %.200s, expected %.200s" % (path, field, b.get(field), a.get(field)))
    if shown > MOST:
        problem(name, "%d more differences" % (shown - MOST))


def links(name, root):
    """Link counts and sizes of directories, which no listing shows: find and rm trust them."""
    for at, dirs, files in os.walk(os.fsencode(root)):
        st = os.lstat(at)
        below = sum(1 for d in dirs if not os.path.islink(os.path.join(at, d)))
        if (st.st_nlink, st.st_size) != (2 + below, 2 + len(dirs) + len(files)):
            problem(name, "%s: nlink %d size %d, has %d + %d" % (at, st.st_nlink, st.st_size, below, len(dirs) + len(files)))


def tebibyte(name, root):
    with open(os.path.join(root, "tebibyte"), "rb") as f:
        size = os.fstat(f.fileno()).st_size
        at, data = 0, 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            data, at = data + end - at, end
        f.seek(0)
        first = f.read(5)
        f.seek(size - 4)
        if (first, f.read()) != (b"first", b"last") or data > 1 << 20:
            problem(name, "%s, %d bytes of data" % (first, data))


def change(name, root):
    """Whatever a person may do afterwards, then everything goes."""
    root = os.fsencode(root)
    for at, dirs, files in list(os.walk(root)):
        with open(os.path.join(at, b"zz new file"), "wb") as f:
            f.write(b"n" * 5000)
        os.setxattr(at, "user.zz", b"v" * 500)
        for old in files[:50]:
            old = os.path.join(at, old)
            st = os.lstat(old)
            if not stat.S_ISLNK(st.st_mode):
                os.chmod(old, 0o640)
            if stat.S_ISREG(st.st_mode):
                os.setxattr(old, "user.zz", b"w" * 3000)
                os.getxattr(old, "user.zz")
                if st.st_size < 1 << 30:
                    with open(old, "ab") as f:
                        f.write(b"appended" * 100)
            os.rename(old, old[:200] + b" moved"[:255 - len(old.split(b"/")[-1])])
    sh("zfs", "snapshot", "tank/%s@zz" % name)
    sh("sh", "-c", "zfs send tank/%s@zz | cat >/dev/null" % name)
    for entry in os.listdir(root):
        sh("rm", "-rf", os.path.join(root, entry))
    if os.listdir(root):
        problem(name, "not all can be removed")


def filesystem(name):
    dataset = "tank/" + name
    wants = sorted(f for f in os.listdir(SHARE) if f.startswith(name + "@"))
    with open(SHARE + name + ".zfs", "rb") as stream:
        sh("zfs", "receive", "-o", "atime=off", "-o", "acltype=posix", dataset, stdin=stream)
    if sh("zfs", "get", "-H", "-o", "value", "mounted", dataset).strip() != "yes":
        problem(name, "not mounted")
        sh("zfs", "mount", dataset)
    snapshots = sh("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-s", "createtxg", "-d", "1", dataset).split()
    if len(snapshots) != len(wants):
        problem(name, "%d snapshots, expected %d" % (len(snapshots), len(wants)))
    # Linux looks for illumos's attribute files under other names and reads device numbers another way.
    ignore = ("xattrs", "rdev") if name == "illumos" else ()
    os.makedirs("/tmp/snap", exist_ok=True)
    for number, (snapshot, want) in enumerate(zip(snapshots, wants)):
        if number + 1 == len(snapshots):
            root = "/" + dataset
            compare(name, SHARE + want, root, ignore)
            links(name, root)
        else:
            sh("mount", "-t", "zfs", "-o", "ro", snapshot, "/tmp/snap")
            compare(snapshot, SHARE + want, "/tmp/snap", ignore)
            links(snapshot, "/tmp/snap")
            sh("umount", "/tmp/snap")
    if name == "tebibyte":
        tebibyte(name, root)
    change(name, root)
    for line in sh("zdb", "-d", dataset).splitlines():
        if "error" in line.lower() or "leak" in line.lower():
            problem(name, line)


def volume():
    with open(SHARE + "volume.zvol", "rb") as stream:
        sh("zfs", "receive", "-o", "snapdev=visible", "tank/volume", stdin=stream)
    snapshots = sh("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-s", "createtxg", "-d", "1", "tank/volume").split()
    for number, snapshot in enumerate(snapshots):
        h, n = hashlib.sha256(), 0
        with open(sh("zvoldev", snapshot).strip(), "rb") as f:
            while block := f.read(1 << 20):
                h.update(block)
                n += len(block)
        with open("%svolume@%d.want" % (SHARE, number + 1)) as f:
            if f.read().split() != [str(n), h.hexdigest()]:
                problem(snapshot, "other bytes: %d %s" % (n, h.hexdigest()))
    if len(snapshots) != 3:
        problem("volume", "snapshots: %s" % snapshots)


def guard(name, work, *args):
    try:
        work(*args)
    except Exception as e:
        problem(name, e)


def main():
    names = sorted(f[:-4] for f in os.listdir(SHARE) if f.endswith(".zfs"))
    for name in names:
        guard(name, filesystem, name)
        print("%s: received" % name, flush=True)
    if os.path.exists(SHARE + "volume.zvol"):
        guard("volume", volume)
    sh("zpool", "scrub", "-w", "tank")
    status = sh("zpool", "status", "-v", "tank")
    if "errors: No known data errors" not in status or "with 0 errors" not in status:
        problem("scrub", status)
    print("done: %d streams, %d problems" % (len(names), problems))
    sys.exit(problems > 0)


main()
