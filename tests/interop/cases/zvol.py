"""Disks: a raw image becomes a zvol stream that the kernel receives; the kernel's volumes become raw images."""
import hashlib
import os

from lib import ZFS, read_rows, zfs_index


def volume_row(path):
    h, n = hashlib.sha256(), 0
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
            n += len(block)
    return [{"type": "volume", "size": n, "sha256": h.hexdigest()}]


def write(t):
    share = t.path("share", "x")[:-2]
    disk = os.path.join(share, "disk.raw")
    with open(disk, "wb") as f:
        f.write(os.urandom(300000))
        f.seek(2 << 20)
        f.write(b"\0" * 65536 + os.urandom(100))
        f.seek(9 << 20)
        f.write(b"end")
        f.truncate(16 << 20)
    want = volume_row(disk)
    t.same("ls of raw", want, t.ls("raw:" + disk))
    t.convert("raw:" + disk, "zfs:" + share + "/disk.zfs")
    t.same("ls of the stream", want, t.ls("zfs:" + share + "/disk.zfs"))
    answer = t.receive(share, [{"name": "disk", "files": ["disk.zfs"], "volume": True, "change": True}])["disk"]
    if not t.check("receive", "error" not in answer, answer.get("error")):
        return
    t.same("the kernel's volume", want, read_rows(share + "/out/disk.jsonl"))
    changed = read_rows(share + "/out/disk.changed.jsonl")
    t.same("changed, sent whole", changed, t.ls("zfs:" + share + "/out/disk.changed.full.zfs"))
    t.same("changed, as an increment", changed,
           t.ls("zfs:" + share + "/out/disk.changed.inc.zfs", "--origin", "zfs:" + share + "/disk.zfs"))
    back = t.path("back.raw")
    t.convert("zfs:" + share + "/out/disk.changed.full.zfs", "raw:" + back)
    t.same("raw image of the kernel's stream", changed, volume_row(back))


def read(t):
    rows = {r["stream"]: r for r in zfs_index()}
    for name in (s for s in rows if s.startswith("vol")):
        origins, base = [], rows[name].get("base")
        while base:
            origins[:0] = ["--origin", "zfs:%s/%s" % (ZFS, base)]
            base = rows[base].get("base")
        out = t.path(name + ".raw")
        t.convert("zfs:%s/%s" % (ZFS, name), "raw:" + out, *origins)
        want = read_rows("%s/%s.manifest.jsonl" % (ZFS, name[:-len(".zfs.gz")]))
        t.same(name, want, volume_row(out))


def run(t):
    t.guard(read)
    t.guard(write)
