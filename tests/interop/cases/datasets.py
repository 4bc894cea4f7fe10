"""Images unpacked onto datasets, with imageadm inside the machine: twenty that build on one another share in the pool what
they have in common, and each is what it is without that; a damaged one leaves nothing."""
import json
import os
import shutil

from lib import GUEST, REF, Failure, read_rows

IMAGES = 20
BASE = 4 << 20  # bytes of the layer that all share
OWN = 64 << 10  # bytes of the layer of each

SCRIPT = GUEST + r"""
used() { zpool sync tank; zfs get -H -p -o value used tank; }
zfs create tank/warm
before=$(used)
for i in $(seq 0 %(last)d); do
    imageadm unpack --quiet --json --layers keep oci:images:$i dataset:tank/i$i >out/i$i.json
    zfs get -H -o value mounted tank/i$i >>out/mounted
    [ $i != 0 ] || first=$(used)
done
after=$(used)
echo "$before $first $after" >out/used
imageadm unpack --quiet --json --layers keep oci:images:3 dataset:tank/again >out/again.json
zfs get -H -o value mounted tank/again >>out/mounted
imageadm unpack --quiet --json --layers keep --uid-map 0:1000:65536 --gid-map 0:1000:65536 oci:images:3 dataset:tank/mapped >out/mapped.json
imageadm unpack --quiet oci:images:3 dataset:tank/squash
for name in i0 i3 i%(last)d again mapped squash; do zfs mount tank/$name; listing /tank/$name $name; done
zfs list -H -o name -t snapshot -d 1 tank/i3 >out/i3.snapshots
set +e
imageadm unpack --layers keep oci:damaged:0 dataset:tank/damaged 2>out/damaged.err; echo $? >>out/damaged.err
set -e
zfs list -H -o name -r tank >out/datasets
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
echo unpacked
""" % {"last": IMAGES - 1}


def make_images(t, layout):
    """Image 0 on the base, each further one on image 0, 1 or 2."""
    t.must("umoci", "init", "--layout", layout)
    t.must("umoci", "new", "--image", layout + ":base")
    parts = t.path("parts", "x")[:-2]
    for i in range(-1, IMAGES):
        folder = "%s/%d" % (parts, i)
        os.makedirs(folder + "/sub")
        with open(folder + "/data", "wb") as f:
            f.write(os.urandom(BASE if i < 0 else OWN))
        os.link(folder + "/data", folder + "/sub/link")
        if i < 0:
            t.must("umoci", "insert", "--image", layout + ":base", folder, "/base")
            continue
        below = "base" if i == 0 else str(i % 3 if i > 2 else 0)
        t.must("umoci", "insert", "--image", "%s:%s" % (layout, below), "--tag", str(i), folder, "/own-%d" % i)
        t.must("umoci", "insert", "--image", "%s:%d" % (layout, i), "--whiteout", "/base/sub/link" if i == 0 else "/own-%s/sub/link" % below)


def damage(layout, copy):
    """The last layer of image 0 is not what its digest says."""
    shutil.copytree(layout, copy)
    with open(copy + "/index.json") as f:
        index = json.load(f)
    blob = lambda digest: os.path.join(copy, "blobs", *digest.split(":"))
    first = next(m for m in index["manifests"] if m["annotations"][REF] == "0")
    with open(blob(first["digest"])) as f:
        last = blob(json.load(f)["layers"][-1]["digest"])
    with open(last, "r+b") as f:
        f.seek(-9, os.SEEK_END)
        f.write(b"\xff")


def run(t):
    share = t.guest_share()
    layout = share + "/images"
    make_images(t, layout)
    damage(layout, share + "/damaged")
    printed = t.vm(share, SCRIPT, 1800)
    if "unpacked" not in printed:
        raise Failure(printed[-1500:])

    def read(name):
        with open("%s/out/%s" % (share, name)) as f:
            return f.read()

    def facts(name):
        return json.loads(read(name + ".json"))["facts"]
    rows = {name: read_rows("%s/out/%s.jsonl" % (share, name)) for name in ("i0", "i3", "i%d" % (IMAGES - 1), "again", "mapped", "squash")}
    for tag in ("0", "3", str(IMAGES - 1)):
        t.same("image " + tag, t.ls("oci:%s:%s" % (layout, tag)), rows["i" + tag])
    for name in ("again", "squash"):
        t.same(name, rows["i3"], rows[name])
    t.same("mapped", [dict(r, uid=r["uid"] + 1000, gid=r["gid"] + 1000) for r in rows["i3"]], rows["mapped"])
    shared = [int(facts("i%d" % i).get("shared", 0)) for i in range(IMAGES)]
    # Image 0 has base, own and whiteout; 1 and 2 go on from it, and the others from one of the three.
    t.check("layers shared", shared == [0, 3, 3] + [3 if i % 3 == 0 else 5 for i in range(3, IMAGES)], shared)
    t.check("the same once more", facts("again")["shared"] == facts("again")["snapshots"] and facts("again")["bytes"] == "0", facts("again"))
    t.check("other owners share nothing", "shared" not in facts("mapped"), facts("mapped"))
    before, first, after = map(int, read("used").split())
    t.check("space", BASE < first - before and after - first < (IMAGES - 1) * 8 * OWN and after - first < (first - before) * 3 / 2,
            "first %d, all %d" % (first - before, after - before))
    print("datasets: %d images take %.2f times the space of the first" % (IMAGES, (after - before) / (first - before)), flush=True)
    t.check("not mounted", set(read("mounted").split()) == {"no"}, read("mounted"))
    t.check("snapshots", read("i3.snapshots").split() == ["tank/i3@layer-4", "tank/i3@final"], read("i3.snapshots"))
    said = read("damaged.err").split("\n")
    t.check("damage", said[-2] == "1" and any(x.startswith("error: oci:damaged:0, layer 3 of 3") for x in said), said)
    want = sorted(["tank", "tank/warm", "tank/again", "tank/mapped", "tank/squash"] + ["tank/i%d" % i for i in range(IMAGES)])
    t.check("nothing left", sorted(read("datasets").split()) == want, read("datasets"))
