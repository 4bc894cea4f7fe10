"""A `zfs receive` that is cut in the middle, at many places, is gone on with by the same command again: of whole streams, of
increments, of clones of what another image has; also where imageadm itself was killed. What comes of it is what comes of it
without a cut."""
import json
import os
import shutil
import sys

from lib import GUEST, HERE, Failure, read_rows

CHANGES = os.path.join(HERE, "tools", "random_changes.py")
LARGE = 5 << 20

# Stands before `zfs`: of the K-th `zfs receive` only N bytes arrive. "cut" kills the receiver, "killed" imageadm.
WRAPPER = r"""#!/bin/bash
here=/tmp/wrap
if [ "$1" = receive ] && [ -e $here/plan ]; then
    read -r how k n <$here/plan
    if [ "$k" -gt 1 ]; then
        echo "$how $((k - 1)) $n" >$here/plan
    else
        rm $here/plan
        head -c "$n" >$here/head
        if [ "$how" = killed ]; then
            kill -9 $PPID
            REAL "$@" <$here/head
            touch $here/done
            exit 1
        fi
        exec 3< <(cat $here/head; exec sleep 1000 </dev/null 2>&-)
        REAL "$@" <&3 &
        sleep 1; zpool sync tank; sleep 1
        kill -9 $!
        wait $!
        kill -9 $$
    fi
fi
exec REAL "$@"
"""

SCRIPT = GUEST + r"""
mkdir /tmp/wrap
sed "s,REAL,$(command -v zfs),g" wrapper >/tmp/wrap/zfs
chmod 755 /tmp/wrap/zfs
PATH=/tmp/wrap:$PATH
# NAME HOW K N IMAGE OPTION…
cut() {
    name=$1 how=$2 k=$3 n=$4 image=$5; shift 5
    rm -f /tmp/wrap/done
    echo "$how $k $n" >/tmp/wrap/plan
    set +e
    imageadm unpack "$@" "oci:lay:$image" "dataset:tank/$name" >/dev/null 2>"out/$name.err"
    echo $? >"out/$name.status"
    while [ "$how" = killed ] && [ ! -e /tmp/wrap/done ]; do sleep 0.2; done
    set -e
    [ ! -e /tmp/wrap/plan ]
    zfs list -H -o name,receive_resume_token -r tank | grep -- "tank/$name-partial-" >"out/$name.partial" || :
    imageadm unpack --json "$@" "oci:lay:$image" "dataset:tank/$name" >"out/$name.json" 2>"out/$name.again"
    zfs mount "tank/$name"
    listing "/tank/$name" "$name"
    zfs list -H -o guid -t snapshot -d 1 "tank/$name" >"out/$name.guids"
}
imageadm unpack --json oci:lay:2 dataset:tank/whole >out/whole.json
zfs list -H -o guid -t snapshot -d 1 tank/whole >out/whole.guids
size=$(python3 -c 'import json; print(json.load(open("out/whole.json"))["facts"]["bytes"])')
for n in 400 70000 2500000 $((size / 2)) $((size - 3000000)) $((size - 312)); do cut "full-$n" cut 1 $n 2; done
cut killed killed 1 3000000 2
cut step-1 cut 1 2000000 2 --layers keep
zfs destroy -r tank/step-1
cut step-2 cut 2 4000000 2 --layers keep
zfs destroy -r tank/step-2
cut step-3 cut 3 1000000 2 --layers keep
cut killed-2 killed 2 4000000 2 --layers keep --uid-map 0:1:300000
zfs destroy -r tank/step-3
imageadm unpack -q --layers keep oci:lay:0 dataset:tank/base
cut clone-1 cut 1 3000000 2 --layers keep
zfs destroy -r tank/clone-1
cut clone-2 cut 2 500000 2 --layers keep
zfs list -H -o name,origin -r tank >out/datasets
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
echo resumed
"""


def run(t):
    share = t.guest_share()
    work = share + "/work"
    os.mkdir(work)
    for i in range(3):
        t.must(sys.executable, "-B", CHANGES, work, "3%d" % i, "300" if i == 0 else "100")
        with open("%s/large-%d" % (work, i), "wb") as f:
            f.write(os.urandom(LARGE))
            f.seek(3 * LARGE)
            f.write(b"behind a hole")
        os.setxattr("%s/large-%d" % (work, i), "user.spills", os.urandom(2000))
        base = ("--base", "oci:%s/lay:%d" % (share, i - 1)) if i else ()
        t.imageadm("pack", "-q", *base, work, "oci:%s/lay:%d" % (share, i))
    want = t.tree(work)
    shutil.rmtree(work)
    with open(share + "/wrapper", "w") as f:
        f.write(WRAPPER)
    printed = t.vm(share, SCRIPT, 1800)
    if "resumed" not in printed:
        raise Failure(printed[-1500:])

    def read(name):
        with open(os.path.join(share, "out", name)) as f:
            return f.read()
    whole = json.loads(read("whole.json"))["facts"]
    names = sorted(name[:-7] for name in os.listdir(share + "/out") if name.endswith(".status"))
    t.check("number of cuts", len(names) == 13, names)
    for name in names:
        killed = name.startswith("killed")
        t.check(name + ": status", read(name + ".status").strip() == ("137" if killed else "1"), read(name + ".err"))
        # Of what was cut before the first record the kernel keeps nothing.
        kept = name != "full-400"
        said = "is kept: the same command goes on from there" in read(name + ".err")
        t.check(name + ": told", said == (kept and not killed), read(name + ".err"))
        partial = read(name + ".partial").split()
        t.check(name + ": kept", len(partial) == 2 and partial[1].startswith("1-") if kept else not partial, partial)
        facts = json.loads(read(name + ".json"))["facts"]
        t.check(name + ": gone on with", ("resumed at" in facts) == kept, json.dumps(facts))
        if name.startswith("full-"):
            sent = int(whole["bytes"]) - int(name[5:])
            # What was on its way when it was cut comes again.
            t.check(name + ": not from the start", int(facts["bytes"]) < sent + (3 << 20), facts["bytes"])
            t.check(name + ": the same snapshot", read(name + ".guids") == read("whole.guids"))
        owned = [dict(r, uid=r["uid"] + 1) for r in want] if name == "killed-2" else want
        t.same(name, owned, read_rows("%s/out/%s.jsonl" % (share, name)))
    rows = read("datasets")
    t.check("origin", "tank/clone-2\ttank/base@" in rows, rows)
    t.check("nothing left", "partial" not in rows, rows)
