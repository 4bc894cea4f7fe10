"""What changes at random between two snapshots, or in a directory upon its image, is one layer, which umoci applies to the
layers below and gets exactly the second; and the same again where imageadm applies it.
"""
import json
import os
import shutil
import sys

from lib import GUEST, HERE, Failure, read_rows

ROUNDS = 12
CHANGES = os.path.join(HERE, "tools", "random_changes.py")

SCRIPT = GUEST + r"""
cp random_changes.py /tmp/
zfs create tank/x
python3 -B /tmp/random_changes.py /tank/x 1 300
zfs snapshot tank/x@0
imageadm pack -q dataset:tank/x@0 oci:out/lay:0
for i in $(seq %d); do
    python3 -B /tmp/random_changes.py /tank/x "1$i" 150
    zfs snapshot "tank/x@$i"
    imageadm pack -q --base "oci:out/lay:$((i - 1))" "dataset:tank/x@$((i - 1))..$i" "oci:out/lay:$i" 2>>out/err
done
for i in $(seq 0 %d); do listing "/tank/x/.zfs/snapshot/$i" "$i"; done
echo "left: $(zfs list -H -o name -t snapshot -r tank | grep -c aurora || :)"
echo packed
""" % (ROUNDS, ROUNDS)


def layers(layout, tag):
    def blob(digest):
        with open(os.path.join(layout, "blobs", *digest.split(":"))) as f:
            return json.load(f)
    with open(layout + "/index.json") as f:
        entries = {m["annotations"]["org.opencontainers.image.ref.name"]: m for m in json.load(f)["manifests"]}
    return blob(entries[str(tag)]["digest"])["layers"]


def snapshots(t):
    share = t.guest_share()
    shutil.copy(CHANGES, share)
    printed = t.vm(share, SCRIPT, 1800)
    if "packed" not in printed:
        raise Failure(printed[-1500:])
    layout = share + "/out/lay"
    t.check("temporary snapshots", "left: 0" in printed, printed)
    with open(share + "/out/err") as f:
        said = f.read()
    t.check("nothing lost", "lost:" not in said and "not the first snapshot" not in said, said)
    below = []
    for i in range(ROUNDS + 1):
        want = read_rows("%s/out/%d.jsonl" % (share, i))
        t.same("snapshot %d: umoci" % i, want, t.umoci_unpack(layout, str(i)))
        t.same("snapshot %d: imageadm" % i, want, t.ls("oci:%s:%d" % (layout, i)))
        now = layers(layout, i)
        t.check("layers of %d" % i, now[:-1] == below, "%d layers" % len(now))
        below = now


def directories(t):
    """The same with a directory that was unpacked, changed, and packed upon its image."""
    layout, work = t.path("dirs", "lay"), t.path("dirs", "work")
    os.mkdir(work)
    t.must(sys.executable, "-B", CHANGES, work, "2", "300")
    t.imageadm("pack", "-q", work, "oci:%s:0" % layout)
    for i in range(1, ROUNDS + 1):
        t.must(sys.executable, "-B", CHANGES, work, "2%d" % i, "150")
        t.imageadm("pack", "-q", "--base", "oci:%s:%d" % (layout, i - 1), work, "oci:%s:%d" % (layout, i))
        want = t.tree(work)
        t.same("directory %d: umoci" % i, want, t.umoci_unpack(layout, str(i)))
        t.same("directory %d: imageadm" % i, want, t.ls("oci:%s:%d" % (layout, i)))
    # What nothing was changed of is a layer of nothing, and what is unpacked and packed again the same image.
    again = t.path("dirs", "again")
    t.imageadm("unpack", "-q", "oci:%s:%d" % (layout, ROUNDS), again)
    t.imageadm("pack", "-q", "--base", "oci:%s:%d" % (layout, ROUNDS - 1), again, "oci:%s:again" % layout)
    t.check("packed again", layers(layout, "again") == layers(layout, ROUNDS), "other layers")


def run(t):
    t.guard(snapshots)
    t.guard(directories)
