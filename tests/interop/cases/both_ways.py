"""Every quirk image unpacked onto a dataset inside the machine, as a stream and as files: what the peers, or the specification,
make of it."""
import json
import os
import shutil

from lib import GUEST, PLATFORM, QUIRKS, Failure, quirk_expected, quirk_tags, read_rows

# Streams have device numbers in the system's own form, which `stat` shows in another; times are the kernel's to keep.
SCRIPT = GUEST + r"""
while read -r tag; do
    for way in stream files; do
        imageadm unpack --quiet --json --via $way %s "oci:quirks:$tag" dataset:tank/x >"out/$tag.$way.json" </dev/null
        zfs mount tank/x
        listing /tank/x "$tag.$way"
        zfs unmount tank/x
        zfs destroy -r tank/x
    done
done <tags
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
ls -A /tmp >out/tmp
echo unpacked
""" % " ".join(PLATFORM)


def run(t):
    share = t.guest_share()
    shutil.copytree(QUIRKS, share + "/quirks")
    tags = quirk_tags()
    with open(share + "/tags", "w") as f:
        f.writelines(tag + "\n" for tag, _ in tags)
    printed = t.vm(share, SCRIPT, 1800)
    if "unpacked" not in printed:
        raise Failure(printed[-1500:])
    for tag, verdict in tags:
        want, ignore = quirk_expected(tag, verdict)
        for way in ("stream", "files"):
            name = "%s/out/%s.%s" % (share, tag, way)
            t.same("%s: %s" % (tag, way), want, read_rows(name + ".jsonl"), ignore)
            with open(name + ".json") as f:
                losses = [loss for loss in json.load(f)["losses"] if loss["kind"] not in ("oddity", "config")]
            t.check("%s: %s: nothing lost" % (tag, way), not losses, losses)
    with open(os.path.join(share, "out", "tmp")) as f:
        t.check("nothing left", "aurora" not in f.read())
