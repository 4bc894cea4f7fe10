"""Images that mean harm, and places that give out: nothing outside of the target is touched, the target is whole or gone, and
the error names the entry."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time

NOBODY = 65534


def entry(name, kind=tarfile.REGTYPE, data=b"", **more):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(data), more.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def folder(name, **more):
    return entry(name, tarfile.DIRTYPE, **more)


def link(name, target):
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard(name, target):
    return entry(name, tarfile.LNKTYPE, linkname=target)


def tar_of(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layout(path, tars, packed=None):
    """An OCI layout of these layers; `packed` are their bytes as they are stored, gzip if it is not given."""
    os.makedirs(path + "/blobs/sha256")

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        with open(path + "/blobs/sha256/" + digest, "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}
    stored = packed or [gzip.compress(tar, 1) for tar in tars]
    layers = [dict(put(data), mediaType="application/vnd.oci.image.layer.v1.tar+gzip") for data in stored]
    ids = [tar if isinstance(tar, str) else "sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    config = put(json.dumps({"os": "linux", "architecture": "amd64", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": ids}}).encode())
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
                               "config": dict(config, mediaType="application/vnd.oci.image.config.v1+json")}).encode())
    with open(path + "/index.json", "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [dict(manifest, mediaType="application/vnd.oci.image.manifest.v1+json")]}, f)
    with open(path + "/oci-layout", "w") as f:
        json.dump({"imageLayoutVersion": "1.0.0"}, f)
    return "oci:" + path


def yard(t, name):
    """A folder with a neighbour that nobody may touch; where to unpack, and what tells of the neighbour."""
    top = t.path(name, "x")[:-2]
    os.makedirs(top + "/neighbour/sub")
    with open(top + "/neighbour/secret", "w") as f:
        f.write("secret")
    os.chmod(top + "/neighbour/secret", 0o600)
    return top, lambda: t.tree(top + "/neighbour")


DEEP = [link("l%d" % i, "l%d" % (i + 1)) for i in range(41)] + [folder("l41"), entry("l0/victim", data=b"x")]
LONG = "n" * 255
# name: layers, the entry that the error names (None where it is to be unpacked), a part of the error
IMAGES = {
    "dotdot": ([[entry("../victim", data=b"x")]], None),
    "dotdot-within": ([[folder("a"), entry("a/../../neighbour/victim", data=b"x")]], None),
    "absolute": ([[entry("/neighbour/victim", data=b"x")]], None),
    "link-up": ([[link("out", "../neighbour"), entry("out/victim", data=b"x")]], None),
    "link-absolute": ([[link("out", "NEIGHBOUR"), entry("out/victim", data=b"x")]], None),
    "link-of-a-layer-below": ([[link("out", "NEIGHBOUR")], [entry("out/victim", data=b"x")]], None),
    "link-at-the-end": ([[link("out", "NEIGHBOUR/secret"), entry("out", data=b"x")]], None),
    "link-whiteout": ([[link("out", "NEIGHBOUR")], [entry("out/.wh.secret")]], None),
    "link-opaque": ([[link("out", "NEIGHBOUR")], [entry("out/.wh..wh..opq")]], None),
    "hard-link-up": ([[hard("victim", "../neighbour/secret")]], "victim"),
    "hard-link-absolute": ([[hard("victim", "NEIGHBOUR/secret")]], "victim"),
    "hard-link-through-a-link": ([[link("out", "NEIGHBOUR"), hard("victim", "out/secret")]], "victim"),
    "hard-link-to-a-link": ([[link("out", "NEIGHBOUR/secret"), hard("victim", "out")]], None),
    "loop": ([[link("a", "b"), link("b", "a"), entry("a/victim", data=b"x")]], "victim"),
    "deep": ([DEEP], "victim"),
    "long": ([[entry(LONG, data=b"x"), folder("d"), entry("d/" + LONG, data=b"y")]], None),
    "too-long": ([[entry("n" * 256, data=b"x")]], "n" * 256),
    "setuid": ([[entry("su", data=b"x", mode=0o6755, uid=0, gid=0), folder("d", mode=0o1777)]], None),
    "devices": ([[entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3), entry("disk", tarfile.BLKTYPE, devmajor=8)]], None),
    "file-as-directory": ([[entry("f", data=b"x"), entry("f/victim", data=b"y")]], None),
    "root-as-file": ([[entry(".", data=b"x")]], ""),
    "cases": ([[entry("Name", data=b"1"), entry("name", data=b"2"), folder("DIR"), folder("dir")]], None),
}


def images(t, name):
    layers, named = IMAGES[name]
    top, neighbour = yard(t, name)
    for info, _ in [e for layer in layers for e in layer]:
        info.linkname = info.linkname.replace("NEIGHBOUR", top + "/neighbour")
    source, before = layout(top + "/image", [tar_of(layer) for layer in layers]), neighbour()
    for target, more in (("new", ()), ("there", ()), ("bundle", ("--bundle",))):
        if target == "there":
            os.mkdir(top + "/there")
        done = t.run(t.bin, "unpack", "--quiet", *more, source, "%s/%s" % (top, target))
        said = done.stderr.decode("utf-8", "replace")
        t.check(name + ": neighbour", neighbour() == before, "touched")
        if named is None:
            if t.check("%s: %s" % (name, target), done.returncode == 0, said):
                root = "%s/%s%s" % (top, target, "/rootfs" if more else "")
                t.same("%s: %s is whole" % (name, target), t.ls(source), t.tree(root), ("root", "rdev"))
        else:
            t.check("%s: %s" % (name, target), done.returncode == 1 and named in said and "panicked" not in said, said)
            left = os.listdir(top + "/there") if target == "there" else os.path.exists("%s/%s" % (top, target))
            t.check("%s: %s is gone" % (name, target), not left, left)
    names = set(os.listdir(top)) - {"neighbour", "image", "new", "there", "bundle"}
    t.check(name + ": nothing else", not names, names)


def nobody(t):
    """Without root: devices and owners are told as lost, setuid is the caller's own."""
    top, _ = yard(t, "nobody")
    layers = [entry("su", data=b"x", mode=0o4755, uid=7, gid=7), entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
              entry("f", data=b"x", pax_headers={"SCHILY.xattr.security.capability": "\x01"})]
    source = layout(top + "/image", [tar_of(layers)])
    shutil.copy(t.bin, top + "/imageadm")
    os.chown(top, NOBODY, NOBODY)
    os.chmod(t.tmp, 0o755)
    for more in ((), ("--rootless",)):
        target = top + "/target" + "".join(more)
        done = t.run(top + "/imageadm", "unpack", "--json", *more, source, target, user=NOBODY, group=NOBODY, extra_groups=[],
                     env={"HOME": top, "TMPDIR": top, "PATH": os.environ["PATH"]})
        if not t.check("nobody: runs", done.returncode == 0, done.stderr.decode("utf-8", "replace")):
            continue
        lost = {loss["path"] for loss in json.loads(done.stdout)["losses"] if loss["kind"] != "oddity"}
        t.check("nobody: told", {"su", "null"} <= lost, lost)
        su = os.lstat(target + "/su")
        t.check("nobody: his own", (su.st_uid, os.path.lexists(target + "/null")) == (NOBODY, False), su)
        if more:
            # The way back: nothing of what he could not make is taken away.
            done = t.run(top + "/imageadm", "pack", "-q", "--base", source, *more, target, "oci:%s/again" % top, user=NOBODY,
                         group=NOBODY, extra_groups=[], env={"HOME": top, "TMPDIR": top, "PATH": os.environ["PATH"]})
            t.check("nobody: packs", done.returncode == 0, done.stderr.decode("utf-8", "replace"))
            t.same("nobody: the same", t.ls(source), t.ls("oci:%s/again" % top), ("root",))
        done = t.run(top + "/imageadm", "unpack", "--strict", *more, source, target + "-strict", user=NOBODY, group=NOBODY,
                     extra_groups=[], env={"HOME": top, "TMPDIR": top, "PATH": os.environ["PATH"]})
        gone = not os.path.exists(target + "-strict")
        t.check("nobody: strict", done.returncode != 0 and gone, done.stderr.decode("utf-8", "replace"))


def places(t):
    """A full disk, and one that can't be written."""
    top, _ = yard(t, "places")
    data = os.urandom(1 << 20)
    entries = [folder("d")] + [entry("d/file-%d" % i, data=data) for i in range(24)]
    source = layout(top + "/image", [tar_of(entries)])
    os.mkdir(top + "/disk")
    t.must("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", top + "/disk")
    try:
        done = t.run(t.bin, "unpack", source, top + "/disk/target")
        said = done.stderr.decode("utf-8", "replace")
        fine = done.returncode == 1 and "d/file-" in said and "No space left" in said
        t.check("full disk", fine and not os.listdir(top + "/disk"), said)
        # What is replaced again and again has to lie somewhere, but not there.
        same = [entry("d/file", data=b"%06d" % i * 20000) for i in range(150)]
        again = layout(top + "/again", [tar_of([folder("d")] + same)])
        done = t.run(t.bin, "unpack", again, top + "/disk/target")
        left = t.tree(top + "/disk/target") if done.returncode == 0 else []
        t.check("more than fits, of which little is left", [row.get("size") for row in left] == [None, None, 120000], done.stderr)
        t.must("rm", "-rf", top + "/disk/target")
        t.must("mount", "-o", "remount,ro", top + "/disk")
        done = t.run(t.bin, "unpack", source, top + "/disk/target")
        said = done.stderr.decode("utf-8", "replace")
        t.check("read-only", done.returncode == 1 and "Read-only" in said and not os.listdir(top + "/disk"), said)
    finally:
        subprocess.run(["umount", top + "/disk"], check=False)


def twice(t):
    """A layer that is there twice, with a file that its owner may not read: two files, and nobody's link."""
    top, _ = yard(t, "twice")
    layer = tar_of([entry("a", data=b"x" * 100000, mode=0o200, uid=NOBODY, gid=NOBODY)])
    source = layout(top + "/image", [layer, tar_of([hard("b", "a")]), layer])
    shutil.copy(t.bin, top + "/imageadm")
    os.chown(top, NOBODY, NOBODY)
    done = t.run(top + "/imageadm", "unpack", source, top + "/target", user=NOBODY, group=NOBODY, extra_groups=[],
                 env={"HOME": top, "TMPDIR": top, "PATH": os.environ["PATH"]})
    if t.check("twice: runs", done.returncode == 0, done.stderr.decode("utf-8", "replace")):
        rows = [(row["path"], row.get("size"), row.get("hardlink")) for row in t.tree(top + "/target")]
        t.check("twice: two files", rows[1:] == [("a", 100000, None), ("b", 100000, None)], rows)


def bombs(t):
    """A layer that unpacks to a terabyte is refused before it fills anything, and a sparse file of that size takes no room."""
    top, _ = yard(t, "bombs")
    zeros = gzip.compress(bytes(1 << 30), 9)
    head = tarfile.TarInfo("bomb")
    head.size = 1 << 40
    packed = gzip.compress(head.tobuf(tarfile.GNU_FORMAT), 9) + zeros * 1024
    source = layout(top + "/image", ["sha256:" + "0" * 64], [packed])
    begin = time.monotonic()
    done = t.run(t.bin, "unpack", "--max-decoded", "2GiB", source, top + "/target", timeout=600)
    said = done.stderr.decode("utf-8", "replace")
    t.check("bomb", done.returncode == 1 and "panicked" not in said and not os.path.exists(top + "/target"), said)
    print("note: bomb: %.0f s: %s" % (time.monotonic() - begin, said.strip()[:300]), flush=True)


def races(t):
    """Somebody turns directories into links to the neighbour while we unpack below them."""
    top, neighbour = yard(t, "races")
    entries = []
    for i in range(300):
        entries.append(folder("d%d" % i))
        entries.append(folder("d%d/sub" % i))
        entries += [entry("d%d/sub/victim-%d" % (i, j), data=b"x" * 2000) for j in range(20)]
    source, before = layout(top + "/image", [tar_of(entries)]), neighbour()
    known, swapped = set(os.listdir(top)), 0
    is_over = threading.Event()

    def attack():
        nonlocal swapped
        while not is_over.is_set():
            for name in set(os.listdir(top)) - known:
                root = os.path.join(top, name)
                try:
                    for d in os.listdir(root)[-5:]:
                        path = os.path.join(root, d)
                        if not os.path.islink(path):
                            os.rename(path, os.path.join(top, "image", "away-%d" % swapped))
                            os.symlink(top + "/neighbour", path)
                            swapped += 1
                except OSError:
                    pass
    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        codes = []
        for _ in range(10):
            done = t.run(t.bin, "unpack", "--quiet", source, top + "/target")
            codes.append(done.returncode)
            t.check("race: no panic", done.returncode in (0, 1), done.stderr.decode("utf-8", "replace"))
            shutil.rmtree(top + "/target", ignore_errors=True)
    finally:
        is_over.set()
        attacker.join()
    t.check("race: there was one", swapped > 0)
    t.check("race: neighbour", neighbour() == before, "touched")
    print("note: races: %d swaps, exits %s" % (swapped, codes), flush=True)


def run(t):
    for name in IMAGES:
        t.guard(images, name)
    for part in (nobody, places, twice, bombs, races):
        t.guard(part)
