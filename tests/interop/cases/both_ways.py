"""Every quirk image unpacked onto a dataset inside the machine as files, and some as a stream (zfs_receive does all of them so):
what the peers, or the specification, make of it."""
import json
import os
import shutil

from lib import GUEST, PLATFORM, QUIRKS, Failure, quirk_expected, quirk_tags, read_rows

STREAMS = 12  # every so many images

# All are listed by one process, as starting it takes longer than what it does.
SCRIPT = GUEST + r"""
while read -r n tag way; do
    imageadm unpack --quiet --json --via $way %s "oci:quirks:$tag" "dataset:tank/q$n" >"out/$n.json" </dev/null
    zfs mount "tank/q$n"
done <tags
python3 -B - <<'END'
import argparse, json, os, sys
sys.path.insert(0, "/tmp/bin")
import tree_manifest
for name in os.listdir("/tank"):
    with open("/share/out/%%s.jsonl" %% name[1:], "w") as f:
        for row in tree_manifest.manifest("/tank/" + name, argparse.Namespace(no_hash=False, acl=False, seconds=False)):
            f.write(json.dumps(row) + "\n")
END
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
ls -A /tmp >out/tmp
echo unpacked
""" % " ".join(PLATFORM)


def run(t):
    share = t.guest_share()
    shutil.copytree(QUIRKS, share + "/quirks")
    tags = quirk_tags()
    ways = [(tag, verdict, "files") for tag, verdict in tags]
    ways += [(tag, verdict, "stream") for tag, verdict in tags[::STREAMS]]
    with open(share + "/tags", "w") as f:
        f.writelines("%d %s %s\n" % (n, tag, way) for n, (tag, _, way) in enumerate(ways))
    printed = t.vm(share, SCRIPT, 1800)
    if "unpacked" not in printed:
        raise Failure(printed[-1500:])
    for n, (tag, verdict, way) in enumerate(ways):
        want, ignore = quirk_expected(tag, verdict)
        name = "%s/out/%d" % (share, n)
        t.same("%s: %s" % (tag, way), want, read_rows(name + ".jsonl"), ignore)
        with open(name + ".json") as f:
            losses = [loss for loss in json.load(f)["losses"] if loss["kind"] not in ("oddity", "config")]
        t.check("%s: %s: nothing lost" % (tag, way), not losses, losses)
    with open(os.path.join(share, "out", "tmp")) as f:
        t.check("nothing left", "aurora" not in f.read())
