"""Datasets of the host, with imageadm inside the machine: pack of a zone's dataset as it is, and of a clone as an increment
upon the image; what was packed is received as imgadm would have it; datasets written directly; nothing left behind.
"""
import json
import os

from lib import GUEST, Failure, read_rows

# The kernel hides attributes and device numbers in illumos's form.
HIDDEN = ("rdev", "xattrs")

SCRIPT = GUEST + r"""
snapshots() { zfs list -H -o name -t snapshot -r tank | grep -c aurora || :; }
field() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }

# As vmadm leaves a zone.
zfs create tank/zone
mkdir -p /tank/zone/root/etc /tank/zone/root/usr/bin /tank/zone/root/var/log /tank/zone/config
cd /tank/zone/root
echo web >etc/hostname; head -c 300000 /dev/urandom >usr/bin/app; chmod 4755 usr/bin/app; ln usr/bin/app usr/bin/app2
ln -s ../usr/bin etc/link; mkfifo etc/fifo; truncate -s 1M etc/sparse; echo end >>etc/sparse; chown 123:456 etc/hostname
mkdir many; for i in $(seq 100); do echo $i >many/file-with-a-long-name-$i; done
echo secret >../config/metadata.json; echo line >var/log/messages
cd /share
listing /tank/zone/root zone
imageadm pack dataset:tank/zone smartos:out/base --name base --version 1 --os illumos --exclude 'var/log/*' 2>out/base.err
echo "left: $(snapshots)"

# As imgadm installs it.
base=$(field out/base/base-1.imgmanifest uuid)
gzip -dc out/base/base-1.zfs.gz | zfs receive -u "tank/$base-partial"
zfs rename "tank/$base-partial" "tank/$base"
zfs mount "tank/$base"
listing "/tank/$base/root" base
ls -A "/tank/$base" >out/base.top

# A zone made of it, changed.
zfs clone "tank/$base@final" tank/vm
cd /tank/vm/root
rm -r many/file-with-a-long-name-1* usr/bin/app2; echo changed >etc/hostname; mkdir new; echo x >new/x; chmod 700 etc
head -c 200000 /dev/urandom >new/data
cd /share
imageadm pack -i dataset:tank/vm smartos:out/top --origin smartos:out/base --name top --version 1 --max-origin-depth 1 \
    -c bzip2 2>out/top.err
echo "left: $(snapshots)"
listing /tank/vm/root vm
top=$(field out/top/top-1.imgmanifest uuid)
bzip2 -dc out/top/top-1.zfs.bz2 | zfs receive -u "tank/$top-partial"
zfs list -H -o name -t snapshot -d 1 "tank/$top-partial" >out/top.snapshots
zfs rename "tank/$top-partial" "tank/$top"
zfs get -H -o value origin "tank/$top" >out/top.origin
zfs mount "tank/$top"
listing "/tank/$top/root" top

# Snapshots, pairs of them, and datasets written.
zfs snapshot tank/vm@one; echo two >/tank/vm/root/two; zfs snapshot tank/vm@two
imageadm ls --jsonl --placement top dataset:tank/vm@one..two >out/two.ls
imageadm convert --layers keep dataset:tank/vm@one..two dataset:tank/copy
zfs list -H -o name -t snapshot -d 1 tank/copy >out/copy.snapshots
zfs mount tank/copy
listing /tank/copy copy
listing /tank/vm two
imageadm convert dataset:tank/vm@one tar:out/one.tar

# What fails leaves nothing.
status() { set +e; "$@" >/dev/null 2>out/last.err; printf '%s %s\n' "$?" "$(head -1 out/last.err)" >>out/failures; set -e; }
status imageadm pack dataset:tank/none smartos:out/none
status imageadm convert dataset:tank/vm@three tar:out/three.tar
status imageadm convert dir:/tank/vm/root dataset:tank/copy
status imageadm convert dir:/tank/vm/root dataset:tank/no/such
zfs set quota=1M tank/copy
status imageadm convert dir:/tank/vm/root dataset:tank/copy/full
zfs list -H -o name -r tank >out/datasets
echo "left: $(snapshots)"
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
echo packed
"""


def read(share, name):
    with open(os.path.join(share, "out", name)) as f:
        return f.read()


def manifest(share, name):
    return json.loads(read(share, "%s/%s-1.imgmanifest" % (name, name)))


def run(t):
    share = t.guest_share()
    printed = t.vm(share, SCRIPT, 1800)
    if "packed" not in printed:
        raise Failure(printed[-1500:])
    t.check("temporary snapshots", printed.count("left: 0") == 3, printed)
    rows = {name: read_rows("%s/out/%s.jsonl" % (share, name)) for name in ("zone", "base", "vm", "top", "copy", "two")}
    base, top = manifest(share, "base"), manifest(share, "top")

    kept = [r for r in rows["zone"] if r["path"] != "var/log/messages"]
    t.same("what was packed", kept, rows["base"], HIDDEN)
    t.check("a zonepath", read(share, "base.top") == "root\n", read(share, "base.top"))
    t.check("config", "config: oddity" in read(share, "base.err"), read(share, "base.err"))
    t.same("increment", rows["vm"], rows["top"])
    t.check("snapshots", read(share, "top.snapshots").strip().endswith("-partial@final"), read(share, "top.snapshots"))
    t.check("origin", read(share, "top.origin").strip() == "tank/%s@final" % base["uuid"], read(share, "top.origin"))
    t.check("manifests", (top["origin"], top["os"], top["type"]) == (base["uuid"], "illumos", "zone-dataset"), json.dumps(top))
    for name, more in (("base", ()), ("top", ("--origin", "smartos:%s/out/base" % share))):
        done = t.run(t.bin, "verify", "smartos:%s/out/%s" % (share, name), *more)
        t.check("verify " + name, done.returncode == 0, done.stdout.decode("utf-8", "replace"))

    t.same("a pair of snapshots", rows["two"], read_rows(share + "/out/two.ls"))
    t.same("a dataset written", rows["two"], rows["copy"])
    want = "tank/copy@one\ntank/copy@two\n"
    t.check("its snapshots", read(share, "copy.snapshots") == want, read(share, "copy.snapshots"))
    want = {r["path"][5:] or "." for r in rows["two"] if r["path"].startswith("root") and r["path"] != "root/two"}
    got = {r["path"] for r in t.ls("tar:%s/out/one.tar" % share)}
    t.check("a snapshot", want == got, sorted(got ^ want)[:5])

    failures = read(share, "failures").splitlines()
    for line, (code, text) in zip(failures, (("3", "no such image"), ("3", "no such image"), ("1", "already exists"),
                                             ("1", "zfs receive"), ("1", "zfs receive")), strict=True):
        t.check("failure: " + text, line.startswith(code + " error: ") and text in line, line)
    there = sorted(["tank", "tank/zone", "tank/vm", "tank/copy", "tank/" + base["uuid"], "tank/" + top["uuid"]])
    t.check("nothing left", sorted(read(share, "datasets").split()) == there, read(share, "datasets"))
