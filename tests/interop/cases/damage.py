"""Bad input through the program: cut off and flipped streams and layers. It ends with exit code 1 and one line that says
what and where; it never panics, hangs or leaves a file under the name that it was to write."""
import gzip
import json
import os
import random
import struct
import subprocess
import sys

from lib import QUIRKS, ZFS, zfs_index

STREAMS = ("hello", "special", "xattr-sa", "embed-ec", "comp-zstd-Lec", "acl-on", "props-p", "large-dnode")
TAGS = ("hardlink-same-layer", "stream-zstd", "stream-uncompressed", "sparse-pax-1.0", "xattrs", "names-long")
FLIPS = 6


def refuse(t, name, source, where=(" at 0x", "sha256:", "offset", "record", "layer", "blob", "manifest", "index", "config", "entry", "snapshot"), may_pass=False):
    out = t.path("damaged.out")
    before = set(os.listdir(t.tmp))
    done = t.run(t.bin, "convert", "--quiet", source, "zfs:" + out, timeout=120)
    said = done.stderr.decode("utf-8", "replace")
    left = set(os.listdir(t.tmp)) - before
    if may_pass and done.returncode == 0:
        os.remove(out)
        t.ok()
        return
    for file in left:
        t.run("rm", "-rf", os.path.join(t.tmp, file))
    if done.returncode != 1:
        t.fail(name, "exit %d: %s" % (done.returncode, said))
    elif "panicked" in said or not said.startswith("error:"):
        t.fail(name, said)
    elif left:
        t.fail(name, "left behind: %s" % ", ".join(left))
    elif not any(word in said for word in where):
        t.fail(name, "says no place: " + said)
    else:
        t.ok()


def spoiled(t, stream):
    """What `corpus/zfs/gen/spoil` makes of a stream: cut at record boundaries, bits flipped in each kind of record."""
    folder = t.path("spoilt", stream)
    for line in t.must(sys.executable, ZFS + "/gen/spoil", "%s/%s.zfs.gz" % (ZFS, stream), folder).splitlines():
        case = json.loads(line)
        # The END of a package's head has no checksum, and its guid no meaning.
        is_nothing = stream == "props-p" and case["what"] == "flip-end-toguid"
        refuse(t, case["file"], "zfs:" + os.path.join(folder, case["file"]), may_pass=is_nothing)
    t.run("rm", "-rf", folder)


def boundaries(data):
    """Where records start, by the lengths that they give themselves."""
    at, found = 0, []
    while at + 312 <= len(data):
        kind, n = struct.unpack_from("<II", data, at)
        h = data[at:at + 312]
        u32 = lambda o: struct.unpack_from("<I", h, o)[0]  # noqa: E731
        u64 = lambda o: struct.unpack_from("<Q", h, o)[0]  # noqa: E731
        size = {0: n, 1: u32(36) or (u32(28) + 7) & ~7, 3: u64(96) if h[50] else u64(32),
                7: u64(40) if h[33] else u64(16), 8: (u32(52) + 7) & ~7}.get(kind, 0)
        found.append(at)
        at += 312 + size
    return found


def truncated(t, stream):
    """Cut at every record boundary of a small stream."""
    with gzip.open("%s/%s.zfs.gz" % (ZFS, stream)) as f:
        data = f.read()
    path = t.path("cut.zfs")
    for at in boundaries(data):
        with open(path, "wb") as f:
            f.write(data[:at])
        refuse(t, "%s cut at %d" % (stream, at), "zfs:" + path)


def flipped(t, stream):
    """Random bits of every stream of the corpus: checksums must notice."""
    rng = random.Random(stream)
    with gzip.open("%s/%s" % (ZFS, stream)) as f:
        data = bytearray(f.read())
    path = t.path("flipped.zfs")
    for _ in range(FLIPS):
        at = rng.randrange(len(data))
        bit = 1 << rng.randrange(8)
        data[at] ^= bit
        with open(path, "wb") as f:
            f.write(data)
        data[at] ^= bit
        # The sums of END records that close a package, and what follows the end, are nobody's to check.
        refuse(t, "%s flipped at %d" % (stream, at), "zfs:" + path, may_pass=at >= len(data) - 624)


def layers(t, tag):
    """Layers of an image: cut off, flipped; and missing."""
    rng = random.Random(tag)
    layout = t.path("layout")
    t.run("rm", "-rf", layout)
    subprocess.run(["cp", "-r", QUIRKS, layout], check=True)
    with open(QUIRKS + "/index.json") as f:
        entry = next(m for m in json.load(f)["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == tag)
    blob = lambda d: os.path.join(layout, "blobs", *d["digest"].split(":"))  # noqa: E731
    with open(blob(entry)) as f:
        manifest = json.load(f)
    for n, layer in enumerate([entry, manifest["config"], *manifest["layers"]]):
        path = blob(layer)
        with open(path, "rb") as f:
            good = f.read()
        bad = [good[:len(good) // 2], good[:-1], good + b"x"]
        for _ in range(FLIPS):
            changed = bytearray(good)
            changed[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
            bad.append(bytes(changed))
        for i, data in enumerate(bad):
            with open(path, "wb") as f:
                f.write(data)
            refuse(t, "%s: blob %d, damage %d" % (tag, n, i), "oci:%s:%s" % (layout, tag))
        os.remove(path)
        refuse(t, "%s: blob %d missing" % (tag, n), "oci:%s:%s" % (layout, tag))
        with open(path, "wb") as f:
            f.write(good)


def run(t):
    for stream in STREAMS:
        t.guard(spoiled, stream)
    for stream in ("hello", "empty", "inc-i-c-d"):
        t.guard(truncated, stream)
    for row in zfs_index():
        if row["expect"] == "ok" and "base" not in row:
            t.guard(flipped, row["stream"])
    for tag in TAGS:
        t.guard(layers, tag)
