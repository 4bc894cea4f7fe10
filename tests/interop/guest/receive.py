"""Runs in the guest: receives the streams that /share/jobs.jsonl names, lists what the kernel then shows, changes it,
and sends it back. One job a line:

  name     the dataset (tank/NAME) and the prefix of all that is written to /share/out
  files    streams to receive, in this order
  volume   true for a zvol
  change   true: then change the dataset, list it again, and send it, whole and as an increment
  keep     false: destroy the dataset afterwards (after a scrub)
  archive  true: for the listings, write tars and let the host list them, which takes a tenth of the time

Writes out/NAME@SNAP.jsonl for each snapshot but the last (what tools/tree-manifest prints), out/NAME.jsonl for the mounted
dataset, out/NAME.changed.{jsonl,full.zfs,inc.zfs}, and a line for each job to out/results.jsonl: name, snapshots, error.
"""
import hashlib
import json
import os
import subprocess
import sys
import types

sys.dont_write_bytecode = True
import tree_manifest  # noqa: E402

OUT = "/share/out/"
OPT = types.SimpleNamespace(seconds=False, no_hash=False, acl=False)


def sh(*args, **kw):
    done = subprocess.run(args, stdout=kw.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **kw)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(args), done.stderr.decode("utf-8", "replace").strip()))
    return (done.stdout or b"").decode()


def listing(root, name, archive):
    if archive:
        tar = "/share/lib/ld-linux-x86-64.so.2", "--library-path", "/share/lib", "/share/tar"
        sh(*tar, "--format=posix", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf", OUT + name + ".tar", "-C", root, ".")
        return
    with open(OUT + name + ".jsonl", "w") as out:
        for row in tree_manifest.manifest(root, OPT):
            out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def volume(device, name):
    h, n = hashlib.sha256(), 0
    with open(device, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
            n += len(block)
    with open(OUT + name + ".jsonl", "w") as out:
        out.write(json.dumps({"type": "volume", "size": n, "sha256": h.hexdigest()}) + "\n")


def change(root):
    """A little of everything that a person may do to a tree."""
    root = os.fsencode(root)
    files, dirs = [], []
    for rel in tree_manifest.walk(root):
        full = os.path.join(root, rel)
        if os.path.islink(full):
            continue
        if os.path.isdir(full) and rel != b".":
            dirs.append(full)
        elif os.path.isfile(full):
            files.append(full)
    new = os.path.join(root, b"zz-new")
    os.mkdir(new, 0o2750)
    for i in range(12):
        with open(os.path.join(new, b"file with a name that is long enough for a fat directory %03d" % i), "wb") as f:
            f.write(b"%d" % i * (i * 100))
    with open(os.path.join(new, b"data"), "wb") as f:
        f.write(bytes(range(256)) * 2000)
        f.seek(1 << 20)
        f.write(b"after a hole")
    os.symlink("../somewhere/else" * 20, os.path.join(new, b"long link"))
    os.mkfifo(os.path.join(new, b"fifo"))
    os.setxattr(new, "user.zz", b"\0value\xff")
    os.chown(new, 70000, 80000)
    if files:
        with open(files[0], "ab") as f:
            f.write(b"appended")
        os.chmod(files[0], 0o4711)
        os.setxattr(files[0], "user.zz", b"v" * 300)
        os.link(files[0], os.path.join(new, b"linked"))
    if len(files) > 1:
        os.rename(files[1], os.path.join(new, b"renamed"))
    if len(files) > 2:
        os.remove(files[2])
    if len(files) > 3:
        os.truncate(files[3], os.path.getsize(files[3]) // 2)
        os.utime(files[3], ns=(1, 987654321))
    if dirs:
        with open(os.path.join(dirs[-1], b"zz-in-old-dir"), "wb") as f:
            f.write(b"in an old directory")
        os.chmod(dirs[-1], 0o1777)


def send(path, *args):
    with open(OUT + path, "wb") as out:
        sh("zfs", "send", *args, stdout=out)


def one(job):
    name, ds, archive = job["name"], "tank/" + job["name"], job.get("archive", False)
    for path in job["files"]:
        with open("/share/" + path, "rb") as stream:
            sh("zfs", "receive", "-u", ds, stdin=stream)
    snapshots = sh("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-s", "createtxg", "-d", "1", ds).split()
    snapshots = [s.split("@")[1] for s in snapshots]
    if job.get("volume"):
        sh("zfs", "set", "snapdev=visible", ds)
        for snap in snapshots:
            volume(sh("zvoldev", "%s@%s" % (ds, snap)).strip(), name + "@" + snap)
        device = sh("zvoldev", ds).strip()
        volume(device, name)
        if job.get("change"):
            with open(device, "r+b") as f:
                f.seek(1 << 20)
                f.write(os.urandom(1 << 18))
                f.seek(3 << 20)
                f.write(bytes(1 << 16))
                f.flush()
                os.fsync(f.fileno())
            volume(device, name + ".changed")
    else:
        if len(snapshots) > 1:
            os.makedirs("/tmp/snap", exist_ok=True)
            for snap in snapshots[:-1]:  # the last is what is mounted below
                sh("mount", "-t", "zfs", "-o", "ro", "%s@%s" % (ds, snap), "/tmp/snap")
                try:
                    listing("/tmp/snap", name + "@" + snap, archive)
                finally:
                    sh("umount", "/tmp/snap")
        sh("zfs", "set", "atime=off", ds)
        sh("zfs", "mount", ds)
        root = sh("zfs", "get", "-H", "-o", "value", "mountpoint", ds).strip()
        listing(root, name, archive)
        if job.get("change"):
            change(root)
            listing(root, name + ".changed", archive)
    if job.get("change"):
        sh("zfs", "snapshot", ds + "@zz-changed")
        send(name + ".changed.full.zfs", ds + "@zz-changed")
        send(name + ".changed.inc.zfs", "-i", "@" + snapshots[-1], ds + "@zz-changed")
    return snapshots


def scrub():
    sh("zpool", "scrub", "-w", "tank")
    status = sh("zpool", "status", "-v", "tank")
    return "errors: No known data errors" in status and "repaired 0B" in status and "with 0 errors" in status, status


def main():
    with open("/share/jobs.jsonl") as f:
        jobs = [json.loads(line) for line in f]
    clean, status = True, ""
    with open(OUT + "results.jsonl", "w") as results:
        for job in jobs:
            row = {"name": job["name"]}
            try:
                row["snapshots"] = one(job)
                if job.get("keep") is False:
                    fine, status = scrub()
                    clean = clean and fine
                    sh("zfs", "destroy", "-r", "tank/" + job["name"])
            except (RuntimeError, OSError) as e:
                row["error"] = str(e)
            results.write(json.dumps(row) + "\n")
            results.flush()
    fine, last = scrub()
    print("scrub: no errors" if clean and fine else "scrub: %s %s" % (status, last))


main()
