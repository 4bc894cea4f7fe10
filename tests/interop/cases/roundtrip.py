"""There and back again, and on any number of threads: the same bytes."""
import hashlib
import os

from lib import QUIRKS

TAGS = ("opaque-before", "hardlink-same-layer", "modes", "names-bytes", "xattrs", "devices", "sparse-pax-1.0",
        "symlinks", "manifest-128-layers", "mtimes")


def digest(path):
    """Of a file, or of every file of a folder with its name."""
    h = hashlib.sha256()
    files = [path] if os.path.isfile(path) else sorted(os.path.join(d, f) for d, _, fs in os.walk(path) for f in fs)
    for file in files:
        h.update(os.path.relpath(file, path).encode() + b"\0")
        with open(file, "rb") as f:
            while block := f.read(1 << 20):
                h.update(block)
    return h.hexdigest()


def circle(t, name, source, layers):
    """OCI, ZFS, OCI, ZFS: the second stream is the first."""
    first, layout, second = (t.path("%s.%s.%s" % (name, layers, x)) for x in ("1.zfs", "oci", "2.zfs"))
    t.convert(source, "zfs:" + first, "--layers", layers)
    t.convert("zfs:" + first, "oci:%s:latest" % layout, "--layers", layers)
    t.convert("oci:%s:latest" % layout, "zfs:" + second, "--layers", layers)
    t.check("%s: circle, %s" % (name, layers), digest(first) == digest(second),
            "%d bytes, then %d" % (os.path.getsize(first), os.path.getsize(second)))
    for path in (first, layout, second):
        t.run("rm", "-rf", path)


def threads(t, name, source):
    """1, 2 and 8 threads, for every form of output."""
    for form, to in (("zfs:%s", "zfs"), ("oci:%s:latest", "oci"), ("tar:%s", "tar"), ("oci-archive:%s:latest", "archive")):
        found = set()
        for n in ("1", "2", "8"):
            path = t.path("%s.%s.%s" % (name, n, to))
            t.convert(source, form % path, "--threads", n)
            found.add(digest(path))
            t.run("rm", "-rf", path)
        t.check("%s to %s: threads" % (name, to), len(found) == 1, "%d results" % len(found))


def run(t):
    sources = [(tag, "oci:%s:%s" % (QUIRKS, tag)) for tag in TAGS]
    sources += [(name, "oci:%s:latest" % layout) for name, layout in t.images("small", "debian", "multi")]
    for name, source in sources:
        for layers in ("squash", "keep"):
            t.guard(circle, name, source, layers)
    for name, source in sources[:1] + sources[len(TAGS):]:
        t.guard(threads, name, source)
