"""How long it takes to get an image onto a pool, as ratios in one run: as a stream, as files, and by `tar x`. Not part of the
gate: `cargo xtask interop direct` measures node-app, once `corpus/oci/make-corpus` has made it."""
import json
import os
import shutil
import statistics

from lib import GUEST, IMAGES, Failure

ROUNDS = 3

SCRIPT = GUEST + r"""
now() { date +%%s.%%N; }
cp -r lay image.tar.gz /dev/shm/
imageadm unpack -q oci:/dev/shm/lay dataset:tank/warm && zfs destroy -r tank/warm
for round in $(seq %d); do
    for way in stream files tar; do
        zpool sync tank; sync; echo 3 >/proc/sys/vm/drop_caches
        begin=$(now)
        case $way in
        tar) zfs create tank/x; tar -xzpf /dev/shm/image.tar.gz -C /tank/x;;
        *) imageadm unpack -q --via $way oci:/dev/shm/lay dataset:tank/x;;
        esac
        zpool sync tank
        echo "$way $(echo "$(now) $begin" | awk '{print $1 - $2}') $(zfs get -H -p -o value used tank/x)" >>out/times
        zfs destroy -r tank/x
    done
done
echo measured
""" % ROUNDS


def run(t):
    layout = os.path.join(IMAGES, "node-app")
    if not os.path.exists(layout + "/.done"):
        raise Failure("corpus/oci/make-corpus has not made node-app")
    share = t.guest_share()
    shutil.copytree(layout, share + "/lay")
    t.convert("oci:%s:latest" % layout, "tar:%s/image.tar.gz" % share, "--compress", "gzip")
    printed = t.vm(share, SCRIPT, 3600)
    if "measured" not in printed:
        raise Failure(printed[-1500:])
    times, used = {}, {}
    with open(share + "/out/times") as f:
        for line in f:
            way, seconds, size = line.split()
            times.setdefault(way, []).append(float(seconds))
            used[way] = int(size)
    median = {way: statistics.median(all_) for way, all_ in times.items()}
    print("note: " + json.dumps({"seconds": times, "used": used}), flush=True)
    for way in ("files", "tar"):
        print("note: node-app: stream : %s = 1 : %.2f" % (way, median[way] / median["stream"]), flush=True)
    t.check("measured", len(median) == 3)
