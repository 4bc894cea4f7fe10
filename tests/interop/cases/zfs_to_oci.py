"""The kernel's streams become OCI images that other people's tools take: skopeo reads and copies them, and umoci unpacks
the tree that imageadm lists. Increments become layers."""
import glob
import json
import os

from lib import ZFS, beyond_host, for_host, from_guest, read_rows, short_xattrs, zfs_index

def origins(rows, row, folder):
    found = []
    while "base" in row:
        row = rows[row["base"]]
        found[:0] = ["--origin", "zfs:%s/%s" % (folder, row["stream"])]
    return found


def peers(t, name, layout, want):
    """One layout through skopeo and umoci."""
    manifest = json.loads(t.must("skopeo", "inspect", "--raw", "oci:%s:latest" % layout))
    t.check(name + ": skopeo inspect", manifest.get("schemaVersion") == 2 and manifest["layers"], manifest)
    t.must("skopeo", "inspect", "oci:%s:latest" % layout)
    archive = t.path("copy.tar")
    if os.path.exists(archive):
        os.remove(archive)
    t.must("skopeo", "copy", "--quiet", "oci:%s:latest" % layout, "oci-archive:%s:latest" % archive)
    t.same(name + ": skopeo's copy", want, t.ls("oci-archive:%s:latest" % archive))
    t.same(name + ": umoci", for_host(want), t.umoci_unpack(layout, "latest"))
    return manifest


def one(t, folder, rows, row):
    name = row["stream"][:-len(".zfs.gz")]
    source, below = "zfs:%s/%s" % (folder, row["stream"]), origins(rows, row, folder)
    # Nobody has the time to hash a terabyte of holes.
    no_hash, ignore = (("--no-hash",), ("sha256",)) if name == "sparse" else ((), ())
    want = t.ls(source, *below, *no_hash)
    manifest = "%s/%s.manifest.jsonl" % (folder, name)
    if os.path.exists(manifest):
        guest = [from_guest(r) for r in read_rows(manifest)]
        t.same(name + ": ls", guest, short_xattrs(want), (*ignore, "data"))
    layout = t.path("oci", name)
    t.convert(source, "oci:%s:latest" % layout, *below)
    # A tar has no sockets.
    want = [r for r in want if r["type"] != "socket"]
    t.same(name + ": back", want, t.ls("oci:%s:latest" % layout, *no_hash), ignore)
    if not beyond_host(want):
        peers(t, name, layout, want)


def chain(t, names, layers):
    """A full stream and its increments as one image, a layer each."""
    streams = ["zfs:%s/%s.zfs.gz" % (ZFS, n) for n in names]
    below = [x for s in streams[:-1] for x in ("--origin", s)]
    layout = t.path("oci", "chain-" + names[-1])
    t.convert(streams[-1], "oci:%s:latest" % layout, "--layers", "keep", *below)
    manifest = peers(t, "chain to " + names[-1], layout, t.ls(streams[-1], *below))
    t.check("layers of " + names[-1], len(manifest["layers"]) == layers, "%d layers" % len(manifest["layers"]))
    for at in range(len(names)):
        upto = [x for s in streams[:at] for x in ("--origin", s)]
        t.guard(lambda t: t.same("layer %d of %s" % (at, names[-1]), t.ls(streams[at], *upto),
                                 t.ls("oci:%s:latest" % partial(t, layout, at + 1))))


def partial(t, layout, count):
    """A layout of the lowest layers only: their tree is that of the snapshot they were made from."""
    import hashlib
    import shutil
    to = t.path("oci", "partial")
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(layout, to)

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        with open("%s/blobs/sha256/%s" % (to, digest), "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def load(descriptor):
        with open("%s/blobs/%s" % (to, descriptor["digest"].replace(":", "/")), "rb") as f:
            return json.load(f)
    with open(to + "/index.json") as f:
        index = json.load(f)
    manifest = load(index["manifests"][0])
    config = load(manifest["config"])
    manifest["layers"] = manifest["layers"][:count]
    config["rootfs"]["diff_ids"] = config["rootfs"]["diff_ids"][:count]
    config.pop("history", None)
    manifest["config"].update(blob(json.dumps(config).encode()))
    index["manifests"][0].update(blob(json.dumps(manifest).encode()))
    with open(to + "/index.json", "w") as f:
        json.dump(index, f)
    return to


def run(t):
    for folder in (ZFS, ZFS + "/2.3"):
        rows = {r["stream"]: r for r in zfs_index(folder)}
        for row in rows.values():
            is_volume = row["stream"].startswith("vol")
            if row["expect"] in ("ok", "embedded-spill") and not is_volume:
                t.guard(one, folder, rows, row)
    assert glob.glob(ZFS + "/inc-*")
    t.guard(chain, ["inc-full-a", "inc-i-a-b", "inc-i-b-c", "inc-i-c-d"], 4)
    t.guard(chain, ["inc-full-a", "inc-i-a-c"], 2)
