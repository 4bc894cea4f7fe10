"""Guest program: receives the vectors of a folder with the kernel's own ZFS and compares what comes
out with the manifests.  /share is that folder, or $VECTORS; names of streams may be given, else all that say ok.
  printf 'python3 /share/gen/verify.py' >verify.sh; tests/interop/zfsvm/run --timeout 1800 --share corpus/zfs verify.sh
"""
import glob, json, os, subprocess, sys

os.chdir(os.environ.get("VECTORS", "/share"))
rows = {r["stream"]: r for r in map(json.loads, open("index.jsonl"))}


def sh(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, **kw).stdout


def load(data):
    return [json.loads(line) for line in data.splitlines()]


sh("zfs", "set", "acltype=posixacl", "tank")  # no property of a plain stream's; without it ACLs do not show
bad = 0
for number, (stream, row) in enumerate(rows.items()):
    name = stream[: -len(".zfs.gz")]
    if row["expect"] != "ok" or (len(sys.argv) > 1 and name not in sys.argv[1:]):
        continue
    chain = [row]
    while "base" in chain[0]:
        chain.insert(0, rows[chain[0]["base"]])
    target = "tank/v%d" % number
    try:
        for at, link in enumerate(chain):
            # an increment of a clone makes a new dataset beside its origin
            to = target + "clone" if at and "clone" in link["stream"] else target
            data = sh("gzip", "-dc", link["stream"])
            sh("zfs", "receive", "-F", "-u", to, input=data)
        manifests = glob.glob(glob.escape(name) + "[.,@]*manifest.jsonl")
        assert manifests or name.startswith("inc-I"), "no manifest"
        for m in manifests:
            part, _, snap = m[len(name) : -len(".manifest.jsonl")].partition("@")
            ds = to + "".join("/" + p for p in part.split(",")[2:])
            if not snap:
                snap = sh("zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-s", "createtxg", ds)
                snap = snap.decode().split()[-1].split("@")[1]
            want = load(open(m, "rb").read())
            if want[0]["type"] == "volume":
                sh("zfs", "set", "snapdev=visible", ds)
                dev = sh("zvoldev", "%s@%s" % (ds, snap)).decode().strip()
                got = load(sh("manifest", "--volume", dev))
            else:
                os.makedirs("/tmp/v", exist_ok=True)
                sh("mount", "-t", "zfs", "-o", "ro", "%s@%s" % (ds, snap), "/tmp/v")
                try:
                    got = load(sh("manifest", "/tmp/v"))
                finally:
                    sh("umount", "/tmp/v")
            if got != want:
                bad += 1
                print("DIFFERS:", m, [(g, w) for g, w in zip(got, want) if g != w][:2], len(got), len(want))
        print("ok: %s (%d manifests)" % (name, len(manifests)), flush=True)
        subprocess.run(["zfs", "destroy", "-r", to if to != target else target], capture_output=True)
    except (subprocess.CalledProcessError, AssertionError) as e:
        bad += 1
        print("FAILED:", name, e, getattr(e, "stderr", b""), flush=True)
print("bad:", bad)
sys.exit(bad != 0)
