"""Volumes as child datasets, with imageadm inside the machine: they mount where they should, and the whole is the tree that
it is without them; their properties are set; layers are shared and a cut is gone on with as without them. The way by files
gives the tree that the stream gives."""
import json
import os
import shutil
import sys

from lib import GUEST, HERE, Failure, read_rows

CHANGES = os.path.join(HERE, "tools", "random_changes.py")
ANNOTATION = "org.aurora-images.volumes={\"/var/lib/db\": {\"recordsize\": \"16K\", \"sharenfs\": \"on\"}}"

SCRIPT = GUEST + r"""
mounted() { for name in "$@"; do zfs mount "$name"; done; }
get() { zfs get -H -p -o value "$1" "$2"; }
unpack() { imageadm unpack --quiet --json "$@"; }
V="--volume /var/lib/db:recordsize=32K,compression=gzip-3 --volume /var --volume /data/new:quota=9000000"
unpack $V -o compression=zle oci:lay:1 dataset:tank/v >out/v.json
mounted tank/v tank/v/var tank/v/var-lib-db tank/v/data-new
listing /tank/v v
for c in v/var v/var-lib-db v/data-new; do get mountpoint tank/$c; done >out/mountpoints
{ get recordsize tank/v/var-lib-db; get compression tank/v/var-lib-db; get quota tank/v/data-new; get compression tank/v/var
  get compression tank/v; } >out/properties
touch /tank/v/var/written
zfs list -H -o name -t snapshot -r tank/v >out/snapshots

# What the image names, and what it may not.
imageadm unpack --image-volumes oci:lay:1 dataset:tank/named 2>out/named.err
zfs list -H -o name,recordsize,sharenfs -r tank/named >out/named
if imageadm unpack --strict --image-volumes oci:lay:1 dataset:tank/strict 2>/dev/null; then exit 1; fi

# Layers are shared, of the volumes too.
unpack --layers keep $V oci:lay:0 dataset:tank/l0 >/dev/null
unpack --layers keep $V oci:lay:1 dataset:tank/l1 >out/l1.json
zfs list -H -o name,origin -r tank/l1 >out/origins
mounted tank/l1 tank/l1/var tank/l1/var-lib-db tank/l1/data-new
listing /tank/l1 l1
imageadm unpack --quiet --layers keep $V oci:lay:1 dataset:tank/l2
mounted tank/l2 tank/l2/var tank/l2/var-lib-db tank/l2/data-new
listing /tank/l2 l2

# In a zonepath, and on a dataset with a mount point of its own.
unpack --placement root --volume /var -o mountpoint=/elsewhere oci:lay:1 dataset:tank/zone >/dev/null
mounted tank/zone tank/zone/var
listing /elsewhere/root zone
get mountpoint tank/zone/var >>out/mountpoints

# By files.
unpack oci:lay:1 dataset:tank/stream >/dev/null
unpack --via files -o compression=lz4 -o atime=off oci:lay:1 dataset:tank/files >out/files.json
zfs get -H -o value mounted tank/files >out/files.state
{ get mountpoint tank/files; get canmount tank/files; get acltype tank/files; get compression tank/files; get atime tank/files
  zfs list -H -o name -t snapshot -d 1 tank/files; } >>out/files.state
mounted tank/stream tank/files
listing /tank/stream stream
listing /tank/files files
zfs create -o quota=3M tank/small
set +e
for way in "--via files" "--via stream" "$V"; do
    imageadm unpack $way oci:lay:1 dataset:tank/small/x >/dev/null 2>>out/small.err
    echo $? >>out/small.status
done
imageadm unpack --via files -o casesensitivity=insensitive oci:cases dataset:tank/small/insensitive >/dev/null 2>out/cases.err
echo $? >>out/small.status
set -e
zfs list -H -o name -r tank >out/datasets
ls -A /tmp >out/tmp
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
echo unpacked
"""


def make_images(t, share):
    """Two layers with directories that become volumes, one of them in another, and a hard link across."""
    work = share + "/work"
    os.makedirs(work + "/var/lib/db/deep")
    os.chmod(work + "/var/lib/db", 0o2770)
    os.mkdir(work + "/bin")
    for i in range(2):
        t.must(sys.executable, "-B", CHANGES, work + "/var/lib/db/deep", "4%d" % i, "60")
        t.must(sys.executable, "-B", CHANGES, work + "/bin", "5%d" % i, "60")
        with open(work + "/var/lib/db/table-%d" % i, "wb") as f:
            f.write(os.urandom(2 << 20))
        with open(work + "/var/log-%d" % i, "w") as f:
            f.write("log")
        base = ("--base", "oci:%s/lay:0" % share) if i else ()
        t.imageadm("pack", "-q", *base, "--annotation", ANNOTATION, "--volume", "/srv", work, "oci:%s/lay:%d" % (share, i))
    os.link(work + "/var/log-0", work + "/bin/log")
    t.imageadm("pack", "-q", "--base", "oci:%s/lay:0" % share, work, "oci:%s/lay:1" % share)
    want = t.tree(work)
    shutil.rmtree(work)
    os.mkdir(work)
    for name in ("Name", "name"):
        with open("%s/%s" % (work, name), "w") as f:
            f.write(name)
    t.imageadm("pack", "-q", work, "oci:%s/cases" % share)
    shutil.rmtree(work)
    return want


def run(t):
    share = t.guest_share()
    want = make_images(t, share)
    printed = t.vm(share, SCRIPT, 1800)
    if "unpacked" not in printed:
        raise Failure(printed[-1500:])

    def read(name):
        with open(os.path.join(share, "out", name)) as f:
            return f.read()

    def rows(name):
        return read_rows("%s/out/%s.jsonl" % (share, name))
    by_path = {r["path"]: r for r in want}
    # The link across is two files, and data/new was made.
    link = by_path["bin/log"]
    cut = [dict(r) for r in want]
    for row in cut:
        if row["path"] in ("bin/log", "var/log-0"):
            row.pop("hardlink", None)
            row.update({k: link[k] for k in ("size", "sha256")})
    for name in ("v", "l1", "l2"):
        got = [r for r in rows(name) if r["path"] not in ("data", "data/new")]
        made = [r["type"] for r in rows(name) if r["path"] in ("data", "data/new")]
        t.same("with volumes: " + name, cut, got, ("root",))
        t.check("made: " + name, made == ["dir", "dir"], made)
    t.same("zonepath", cut, rows("zone"), ("root",))
    t.check("mount points", read("mountpoints").split() == ["/tank/v/var", "/tank/v/var/lib/db", "/tank/v/data/new",
                                                           "/elsewhere/root/var"], read("mountpoints"))
    t.check("properties", read("properties").split() == ["32768", "gzip-3", "9000000", "zle", "zle"], read("properties"))
    names = ["tank/v@final", "tank/v/data-new@final", "tank/v/var@final", "tank/v/var-lib-db@final"]
    t.check("snapshots", sorted(read("snapshots").split()) == sorted(names), read("snapshots"))
    facts = json.loads(read("v.json"))
    t.check("facts", facts["facts"].get("volume /var/lib/db") == "tank/v/var-lib-db", json.dumps(facts))
    t.check("a link across", any("hard link" in loss["detail"] for loss in facts["losses"]), json.dumps(facts["losses"]))

    t.check("no property of others", "sharenfs" in read("named.err"), read("named.err"))
    named = [line.split("\t") for line in read("named").splitlines()]
    t.check("named by the image", ["tank/named/srv", "128K", "off"] in named
            and ["tank/named/var-lib-db", "16K", "off"] in named and len(named) == 3, named)
    t.check("shared", all(line.split("\t")[1].startswith("tank/l0") for line in read("origins").splitlines()
                          if "data" not in line), read("origins"))

    t.same("files and stream", rows("stream"), rows("files"))
    t.same("files", want, rows("files"))
    t.check("state", read("files.state").split() == ["no", "/tank/files", "on", "off", "lz4", "off", "tank/files@final"],
            read("files.state"))
    t.check("failures", read("small.status").split() == ["1"] * 4, read("small.status") + read("small.err"))
    files = next(line for line in read("small.err").splitlines() if line.startswith("error"))
    t.check("a full quota", "quota" in files and ("var/" in files or "bin/" in files), files)
    t.check("names that are one", ", name: " in read("cases.err") and "exists" in read("cases.err"), read("cases.err"))
    left = [name for name in read("datasets").split() if "partial" in name or name.startswith("tank/small/")]
    t.check("nothing left", not left and "aurora" not in read("tmp"), read("datasets") + read("tmp"))
