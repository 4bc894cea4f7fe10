"""What the interop cases share: running imageadm, comparing listings, the corpus, the virtual machine."""
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(TOP, "corpus")
ZFS = os.path.join(CORPUS, "zfs")
QUIRKS = os.path.join(CORPUS, "oci", "quirks")
EXPECTED = os.path.join(CORPUS, "oci", "quirks.expected")
OURS = os.path.join(CORPUS, "oci", "quirks.ours")
PLATFORM = ("--platform", "linux/amd64")  # one of the quirk images wants to be told
REFUSED = ("hardlink-onto-itself", "hardlink-dotdot")  # by all peers, and by us
MALFORMED = os.path.join(CORPUS, "oci", "malformed")
TREE_MANIFEST = os.path.join(HERE, "tools", "tree-manifest")
IMAGES = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "aurora-corpus")
LARGE = ("debian", "multi", "node-app", "big")
REF = "org.opencontainers.image.ref.name"
MANY = 20000  # entries that a listing in the guest takes a quarter of an hour for: the host lists a tar of them
MOST = 3  # differences shown of one check

# How a script in the guest begins that uses what `Harness.guest_share` has put there.
GUEST = r"""
set -e
export TMPDIR=/tmp
cd /share
# The share keeps nothing in memory, and a program is read at every start.
mkdir /tmp/bin
cp -r tree_manifest.py lib imageadm /tmp/bin/
imageadm() { /tmp/bin/lib/ld-linux-x86-64.so.2 --library-path /tmp/bin/lib /tmp/bin/imageadm "$@"; }
listing() { python3 -B /tmp/bin/tree_manifest.py "$1" >"out/$2.jsonl"; }
"""


class Failure(Exception):
    """A check that fails, with what is to be said about it."""


def rows(data):
    """A canonical listing, parsed."""
    if isinstance(data, bytes):
        data = data.decode()
    return [json.loads(line) for line in data.splitlines() if line]


def read_rows(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rb") as f:
        return rows(f.read())


def differences(want, got, ignore=()):
    """What is different between two listings, in words. `ignore`: fields, also root and dir_mtime_ns."""
    left, right = ({r.get("path", "volume"): r for r in x} for x in (want, got))
    if len(left) != len(want) or len(right) != len(got):
        return ["a path is listed twice"]
    found = []
    for path in sorted(left.keys() | right.keys()):
        if path == "." and "root" in ignore:
            continue
        a, b = left.get(path), right.get(path)
        if a is None or b is None:
            found.append("%s: only in %s" % (path, "what was got" if a is None else "what was expected"))
            continue
        for field in sorted(a.keys() | b.keys()):
            skip = field in ignore or (a["type"] == "dir" and "dir_" + field in ignore)
            if not skip and a.get(field) != b.get(field):
                found.append("%s: %s: %s, expected %s" % (path, field, json.dumps(b.get(field)), json.dumps(a.get(field))))
    return found


def from_guest(row):
    """A row of the guest's `manifest` (which the ZFS corpus was made with) in the words of the canonical listing."""
    def text(key):
        if key + "_hex" in row:
            raw = bytes.fromhex(row[key + "_hex"])
        elif key in row:
            raw = row[key].encode()
        else:
            return None
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    if row["type"] == "volume":
        return dict(row)
    out = {"path": text("path"), "type": {"chr": "char", "blk": "block"}.get(row["type"], row["type"]),
           "mode": "0%o" % int(row["mode"], 8), "uid": row["uid"], "gid": row["gid"], "mtime_ns": row["mtime_ns"]}
    for key in ("size", "sha256"):
        if key in row:
            out[key] = row[key]
    if "target" in row or "target_hex" in row:
        out["target"] = text("target")
        out["mode"] = "0777"
    attrs = {k: v for k, v in row.get("xattrs", {}).items() if not k.startswith("system.posix_acl_")}
    if attrs:
        out["xattrs"] = attrs
    if "link_of" in row or "link_of_hex" in row:
        out["hardlink"] = text("link_of")
    if "rdev" in row:
        out["rdev"] = "%d:%d" % tuple(row["rdev"])
    return out


HOST_TIMES = -2147483648, 15032385535  # seconds that ext4 keeps; at both ends without fractions
HOST_XATTRS = 3500  # bytes of attributes of one file that it surely keeps
HOST_NAME = 255


def for_host(listing):
    """A listing as the host's file system can hold it, but for what `beyond_host` says."""
    low, high = (s * 10**9 for s in HOST_TIMES)

    def clamp(ns):
        return low if ns < low + 10**9 else min(ns, high)
    return [dict(r, mtime_ns=clamp(r["mtime_ns"])) for r in listing]


def beyond_host(listing):
    """What of a listing the host's file system cannot hold at all; None when nothing."""
    for r in listing:
        if sum(len(n) + len(v) // 2 for n, v in r.get("xattrs", {}).items()) > HOST_XATTRS:
            return "attributes of %s" % r["path"]
        if len(r["path"].rpartition("/")[2].encode()) > HOST_NAME:
            return "a long name"
        if r.get("size", 0) > 1 << 33:
            return "the size of %s" % r["path"]
    return None


def short_xattrs(listing):
    """A listing with long attributes as the guest's `manifest` has them: size and digest."""
    def short(value):
        raw = bytes.fromhex(value)
        return value if len(raw) <= 256 else {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    return [dict(r, xattrs={n: short(v) for n, v in r["xattrs"].items()}) if "xattrs" in r else r for r in listing]


def zfs_index(folder=ZFS):
    with open(os.path.join(folder, "index.jsonl")) as f:
        return [json.loads(line) for line in f]


def quirk_tags():
    """(tag, verdict of the peers) of every quirk image that is to be read."""
    with open(os.path.join(EXPECTED, "agreement.tsv")) as f:
        rows = [tuple(line.split("\t")[:2]) for line in f if not line.startswith("tag\t")]
    return [(tag, verdict) for tag, verdict in rows if tag not in REFUSED]


def quirk_expected(tag, verdict):
    """The tree of a quirk image, and what of it cannot be compared."""
    ours = os.path.join(OURS, tag + ".jsonl")
    if os.path.exists(ours):
        return read_rows(ours), ()
    # Peers make up the root, where no layer has it.
    ignore = ("root", "dir_mtime_ns") if verdict == "loose" else ("root",)
    return read_rows(os.path.join(EXPECTED, tag + ".jsonl")), ignore


class Harness:
    """One case being run: counts, a scratch folder, and the tools."""

    def __init__(self, name, binary, full, backports):
        self.name, self.bin, self.full, self.backports = name, binary, full, backports
        self.passed = self.failed = 0

    def __enter__(self):
        self.tmp = tempfile.mkdtemp(prefix="aurora-%s." % self.name, dir=os.environ.get("AURORA_INTEROP_TMP", "/var/tmp"))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.tmp, ignore_errors=True)

    def path(self, *parts):
        full = os.path.join(self.tmp, *parts)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    # --- checks

    def ok(self):
        self.passed += 1

    def fail(self, name, why):
        self.failed += 1
        print("FAIL %s: %s: %s" % (self.name, name, str(why).strip()[:1500]), flush=True)

    def check(self, name, fine, why="not so"):
        self.ok() if fine else self.fail(name, why)
        return fine

    def guard(self, work, *args):
        """Runs a part; an exception in it is one failed check."""
        try:
            work(self, *args)
        except Failure as e:
            self.fail(getattr(work, "__name__", "part") + " " + " ".join(str(a) for a in args if isinstance(a, str)), e)
        except Exception:  # a bug in the harness must not hide the other cases
            self.fail(getattr(work, "__name__", "part"), traceback.format_exc())

    def same(self, name, want, got, ignore=()):
        found = differences(want, got, ignore)
        return self.check(name, not found, "%d differences: %s" % (len(found), "; ".join(found[:MOST])))

    # --- programs

    def run(self, *args, timeout=900, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        try:
            return subprocess.run(args, capture_output="stdout" not in kw, timeout=timeout, **kw)
        except subprocess.TimeoutExpired:
            raise Failure("hangs: %s" % " ".join(map(str, args)))

    def must(self, *args, **kw):
        done = self.run(*args, **kw)
        if done.returncode:
            raise Failure("exit %d: %s: %s" % (done.returncode, " ".join(map(str, args)),
                                               (done.stderr or b"").decode("utf-8", "replace")[-600:]))
        return done.stdout

    def imageadm(self, *args, **kw):
        return self.must(self.bin, *args, **kw)

    def convert(self, source, target, *args, **kw):
        return self.imageadm("convert", "--quiet", *args, source, target, **kw)

    def ls(self, source, *args, **kw):
        return rows(self.imageadm("ls", "--jsonl", *args, source, **kw))

    def tree(self, path):
        return rows(self.must(sys.executable, TREE_MANIFEST, path))

    def umoci_unpack(self, layout, tag):
        """The tree that umoci makes of an image."""
        bundle = self.path("umoci", "b")
        shutil.rmtree(bundle, ignore_errors=True)
        self.must("umoci", "unpack", "--image", "%s:%s" % (layout, tag), bundle)
        try:
            return self.tree(bundle + "/rootfs")
        finally:
            shutil.rmtree(bundle, ignore_errors=True)

    def gunzip(self, source, target):
        with gzip.open(source) as f, open(target, "wb") as g:
            shutil.copyfileobj(f, g, 1 << 20)
        return target

    # --- the corpus

    def image(self, name):
        """The layout of a generated image, or None where it is missing and was not asked for."""
        layout = os.path.join(IMAGES, name)
        if os.path.exists(layout + "/.done"):
            return layout
        if name in LARGE and not self.full:
            print("note: left out, as it is not built (--full builds it): %s" % name, flush=True)
            return None
        os.makedirs(IMAGES, exist_ok=True)
        with open(os.path.join(IMAGES, "lock"), "w") as lock:  # another case may need it too
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(layout + "/.done"):
                self.must(os.path.join(CORPUS, "oci", "make-corpus"), IMAGES, name, timeout=7200)
        return layout

    def images(self, *names):
        """Those of the generated images that are to be tested, with their layouts."""
        wanted = ("small",) + (LARGE if self.full else ())
        if "AURORA_IMAGES" in os.environ:
            wanted = tuple(os.environ["AURORA_IMAGES"].split())
        found = ((n, self.image(n)) for n in wanted if not names or n in names)
        return [(n, layout) for n, layout in found if layout]

    # --- the virtual machine

    def vm(self, share, script, timeout=900):
        """Runs a shell script in the machine, with `share` at /share; returns what it printed."""
        zfsvm = os.path.join(HERE, "zfsvm")
        flavour = ["--backports"] if self.backports else []
        self.must(zfsvm + "/build", *flavour, timeout=7200)
        path = self.path("guest-script")
        with open(path, "w") as f:
            f.write(script)
        done = self.run(zfsvm + "/run", *flavour, "--timeout", str(timeout), "--share", share, path, timeout=timeout + 60)
        if done.returncode:
            raise Failure("guest: exit %d: %s %s" % (done.returncode, done.stdout.decode("utf-8", "replace")[-1500:],
                                                     done.stderr.decode("utf-8", "replace")[-1500:]))
        return done.stdout.decode("utf-8", "replace")

    def for_guest(self, share, program, name):
        """Puts a program, under this name, and what it is linked with into `share`, whence lib/ld-linux-x86-64.so.2 runs it."""
        linked = [word for line in self.must("ldd", program).decode().splitlines() for word in line.split() if word[0] == "/"]
        os.makedirs(share + "/lib", exist_ok=True)
        for path, copy in [(program, name)] + [(path, "lib/" + os.path.basename(path)) for path in linked]:
            copy = os.path.join(share, copy)
            # Its symbols are most of it, and of no use there.
            if self.run("strip", "-o", copy, path).returncode:
                shutil.copyfile(path, copy)
            os.chmod(copy, 0o755)

    def guest_share(self):
        """A folder for the guest with imageadm, what makes listings, and out/ for what they say."""
        share = self.path("share", "x")[:-2]
        os.makedirs(share + "/out")
        shutil.copyfile(TREE_MANIFEST, share + "/tree_manifest.py")
        self.for_guest(share, self.bin, "imageadm")
        return share

    def unpack_listings(self, out):
        """Makes the listings of jobs with `archive`, whose trees the guest has sent as tars."""
        for name in sorted(f for f in os.listdir(out) if f.endswith(".tar")):
            tree = self.path("unpacked", "x")[:-2]
            self.must("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", os.path.join(out, name), "-C", tree)
            listing = self.must(sys.executable, TREE_MANIFEST, tree)
            with open(os.path.join(out, name[:-4] + ".jsonl"), "wb") as f:
                f.write(listing)
            shutil.rmtree(tree)
            os.remove(os.path.join(out, name))

    def receive(self, share, jobs, timeout=900):
        """Has the guest receive streams of `share` (guest/receive.py says what a job is); returns its answers by name."""
        for source, name in ((TREE_MANIFEST, "tree_manifest.py"), (os.path.join(HERE, "guest", "receive.py"), "receive.py")):
            shutil.copyfile(source, os.path.join(share, name))
        os.makedirs(share + "/out", exist_ok=True)
        if any(job.get("archive") for job in jobs):
            self.for_guest(share, shutil.which("tar"), "tar")
        with open(share + "/jobs.jsonl", "w") as f:
            f.writelines(json.dumps(job) + "\n" for job in jobs)
        if os.path.exists(share + "/out/results.jsonl"):
            os.remove(share + "/out/results.jsonl")
        printed = self.vm(share, "exec python3 -B /share/receive.py\n", timeout)
        self.unpack_listings(share + "/out")
        found = {r["name"]: r for r in read_rows(share + "/out/results.jsonl")}
        for job in jobs:
            if job["name"] not in found:
                raise Failure("the guest says nothing of %s: %s" % (job["name"], printed[-800:]))
        self.check("scrub", "scrub: no errors" in printed, printed[-800:])
        return found
