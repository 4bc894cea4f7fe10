"""With imageadm inside the machine: a folder of SmartOS images migrated onto datasets of a real pool (a chain whose layers the pool
shares, a volume, one that is damaged), and once more, when nothing is left to do; and what imgadm has installed there migrated
to a layout, which is the one that the folder gives."""
import json
import os

from lib import GUEST, REF, Failure, read_rows

SCRIPT = GUEST + r"""
mkdir images
install() { # as imgadm does it, with its record
    local uuid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["uuid"])' "src/$1-1.imgmanifest")
    gzip -dc src/"$1"-1.z*.gz | zfs receive -u "tank/$uuid-partial"
    zfs rename "tank/$uuid-partial" "tank/$uuid"
    printf '{"manifest":%s,"zpool":"tank","source":"https://images.example"}\n' "$(cat "src/$1-1.imgmanifest")" >"images/tank-$uuid.json"
    installed=tank/$uuid
}
zfs create tank/a
mkdir -p /tank/a/root/etc /tank/a/config /tank/a/cores
head -c 3000000 /dev/urandom >/tank/a/root/data; ln /tank/a/root/data /tank/a/root/twin
zfs snapshot tank/a@0
imageadm pack -q dataset:tank/a@0 smartos:src --name base --version 1
install base
zfs clone "$installed@final" tank/b
echo more >/tank/b/root/more; rm /tank/b/root/twin
imageadm pack -q -i --origin smartos:src/base-1.imgmanifest dataset:tank/b smartos:src --name child --version 1
install child
zfs create -V 8M tank/v
head -c 5000000 /dev/urandom >"$(zvoldev tank/v)"; zpool sync tank; zfs snapshot tank/v@0
imageadm pack -q --os other --type zvol dataset:tank/v@0 smartos:src --name disk --version 1
cp /tank/a/root/data junk; imageadm pack -q dataset:tank/a@0 smartos:src --name broken --version 1
truncate -s 1000 src/broken-1.zfs*
zfs create tank/in
imageadm migrate plan smartos:src dataset:tank/in -o out/plan.json >out/plan.txt
set +e
imageadm --store /tmp/s migrate run out/plan.json --json >out/first.json 2>out/first.err; echo $? >out/first.code
imageadm --store /tmp/s migrate run out/plan.json --json >out/second.json 2>out/second.err; echo $? >out/second.code
set -e
python3 - <<'PY' >names
import json
for image in json.load(open("out/plan.json"))["images"]:
    print(image["name"], image["to"].split(":", 1)[1])
PY
while read -r name dataset; do
    case $name in
    base|child) zfs mount "$dataset" 2>/dev/null || :; listing "$(zfs get -H -o value mountpoint "$dataset")/root" "$name" ;;
    disk) cmp "$(zvoldev "$dataset")" "$(zvoldev tank/v)" && echo same >out/disk ;;
    broken) zfs list "$dataset" >/dev/null 2>&1 && echo there >out/broken || : ;;
    esac
done <names
listing /tank/a/root want-base; listing /tank/b/root want-child

install disk
zfs list -H -o name -t all | sort >out/before
imageadm migrate plan imgadm:images oci:out/installed -o out/installed.json >>out/plan.txt
imageadm --store /tmp/s migrate run out/installed.json --json >out/third.json 2>out/third.err || :
imageadm --store /tmp/s migrate run out/installed.json --json >out/fourth.json 2>out/fourth.err || :
for name in base child; do
    imageadm convert -q --layers keep smartos:src/$name-1.imgmanifest oci:out/direct:$name
done
zfs list -H -o name -t all | sort | cmp out/before - && echo same >out/pool
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
echo migrated
"""


def run(t):
    share = t.guest_share()
    printed = t.vm(share, SCRIPT, 900)
    if "migrated" not in printed:
        raise Failure(printed[-2500:])

    def read(name):
        with open("%s/out/%s" % (share, name)) as f:
            return f.read()
    for name in ("base", "child"):
        t.same(name, read_rows("%s/out/want-%s.jsonl" % (share, name)), read_rows("%s/out/%s.jsonl" % (share, name)))
    t.check("disk", os.path.exists(share + "/out/disk"), printed[-500:])
    first, second = json.loads(read("first.json")), json.loads(read("second.json"))
    t.check("first run", (first["done"], first["failed"], read("first.code").strip()) == (3, 1, "1"), read("first.json") + read("first.err"))
    t.check("second run", (second["done"], second["there"], second["failed"], read("second.code").strip()) == (0, 3, 1, "1"),
            read("second.json") + read("second.err"))
    failed = [i for i in first["images"] if i["result"]["state"] == "failed"]
    t.check("damage", [i["name"].split()[0] for i in failed] == ["broken"] and failed[0]["result"]["cause"] == "damaged", failed)
    t.check("nothing of it", not os.path.exists(share + "/out/broken"))

    third, fourth = json.loads(read("third.json")), json.loads(read("fourth.json"))
    # The file of the disk is gone.
    expected = {i["name"]: [e for e in i.get("expect", []) if e.startswith("can't be done")] for i in json.loads(read("installed.json"))["images"]}
    t.check("told beforehand", [name for name, why in expected.items() if why] == ["disk"], expected)
    t.check("what imgadm has installed", (third["done"], third["failed"]) == (2, 1), read("third.json") + read("third.err"))
    t.check("and once more", (fourth["done"], fourth["there"]) == (0, 2), read("fourth.json") + read("fourth.err"))
    t.check("the pool is as it was", os.path.exists(share + "/out/pool"))
    direct, installed = names(share + "/out/direct"), names(share + "/out/installed")
    for name in ("base", "child"):
        t.check(name + ": the same image", direct[name] == installed.get(name + "-1", installed.get(name + ":1")), (direct, installed))


def names(layout):
    """What a layout's names stand for."""
    with open(layout + "/index.json") as f:
        return {m["annotations"][REF]: m["digest"] for m in json.load(f)["manifests"]}
