"""SmartOS images: what is written is received by the kernel as imgadm would have it received, and shows the source's tree
below root/; what the kernel sends becomes an OCI image whose tree umoci unpacks; disks by way of qcow2, with qemu-img as the
second opinion.
"""
import bz2
import gzip
import hashlib
import json
import lzma
import os
import shutil

from lib import MANY, QUIRKS, TREE_MANIFEST, quirk_tags, read_rows

BATCH = 40  # images in one machine run, so that one that hurts the kernel hides few others
PACKED = {"gzip": (".gz", gzip.compress), "bzip2": (".bz2", bz2.compress), "xz": (".xz", lzma.compress), "none": ("", bytes)}

# Installs every image of /share/in in the order of the list, by the steps of imgadm; then shows what is below root/.
INSTALL = r"""
set -e
cd /share
cp tree_manifest.py /tmp/
while read -r uuid file packing look; do
  case "$packing" in gzip) unpack="gzip -dc";; *) unpack=cat;; esac
  $unpack "in/$file" | zfs receive -u "tank/$uuid-partial"
  test "$(zfs list -H -t snapshot -d 1 -o name "tank/$uuid-partial")" = "tank/$uuid-partial@final"
  zfs rename "tank/$uuid-partial" "tank/$uuid"
  if [ "$look" != pass ]; then
    zfs mount "tank/$uuid"
    test "$(ls "/tank/$uuid")" = root
    if [ "$look" = archive ]; then
      lib/ld-linux-x86-64.so.2 --library-path lib ./tar --format=posix --numeric-owner -cf "out/$uuid.tar" -C "/tank/$uuid/root" .
    else
      python3 -B /tmp/tree_manifest.py "/tank/$uuid/root" >"out/$uuid.jsonl"
    fi
  fi
  echo "$uuid $(zfs get -H -o value origin "tank/$uuid")" >>out/origins
done <list
zpool scrub -w tank
zpool status tank | grep -q 'No known data errors'
echo installed
"""

# A zone's dataset as vmadm leaves it, imaged; a clone of it, changed and imaged; a disk.
MAKE = r"""
set -e
cd /share
zfs create tank/zone
mkdir -p /tank/zone/root/etc /tank/zone/root/usr/bin /tank/zone/config /tank/zone/cores
cd /tank/zone/root
echo web >etc/hostname; head -c 700000 /dev/urandom >usr/bin/app; chmod 4755 usr/bin/app; ln usr/bin/app usr/bin/app2
ln -s ../usr/bin etc/link; mkfifo etc/fifo; truncate -s 5M etc/sparse; echo end >>etc/sparse; chown 123:456 etc/hostname
setfattr -n user.note -v value etc/hostname
mkdir many; for i in $(seq 400); do echo $i >many/file-with-a-long-name-$i; done
cd /share
zfs snapshot tank/zone@final
zfs send tank/zone@final >base.zfs
zfs clone tank/zone@final tank/clone
cd /tank/clone/root
rm -r many/file-with-a-long-name-1* usr/bin/app2; echo changed >etc/hostname; mkdir new; echo x >new/x; chmod 700 etc
cd /share
zfs snapshot tank/clone@final
zfs send -i tank/zone@final tank/clone@final >top.zfs
zfs get -H -p -o value guid tank/zone@final >base.guid
zfs get -H -p -o value guid tank/clone@final >top.guid
cp tree_manifest.py /tmp/
python3 -B /tmp/tree_manifest.py /tank/zone/root >base.jsonl
python3 -B /tmp/tree_manifest.py /tank/clone/root >top.jsonl
zfs create -s -V 16M tank/disk
dev=$(zvoldev tank/disk)
head -c 300000 /dev/urandom | dd of=$dev bs=4096 seek=3 conv=notrunc,fsync 2>/dev/null
zfs snapshot tank/disk@final
zfs send tank/disk@final >disk.zfs
zfs get -H -p -o value guid tank/disk@final >disk.guid
sha256sum <$dev | cut -d' ' -f1 >disk.sha256
zfs create tank/old; zfs create tank/old/root; zfs create tank/old/vroot
mkdir /tank/old/root/etc /tank/old/root/bin /tank/old/vroot/etc
echo web >/tank/old/root/etc/hostname; echo other >/tank/old/vroot/etc/hostname
head -c 300000 /dev/urandom >/tank/old/root/bin/app; ln /tank/old/root/bin/app /tank/old/root/bin/twin
python3 -B /tmp/tree_manifest.py /tank/old/root >old.jsonl
zfs snapshot -r tank/old@final
zfs send -R tank/old@final >old.zfs
zfs get -H -p -o value guid tank/old@final >old.guid
echo made
"""

BASE, TOP, DISK, OLD = ("%s0000000-0000-4000-8000-000000000001" % c for c in "abde")


def manifest_of(folder):
    names = [n for n in os.listdir(folder) if n.endswith(".imgmanifest")]
    out = []
    for name in names:
        with open(os.path.join(folder, name)) as f:
            out.append((json.load(f), name[:-len(".imgmanifest")]))
    done = []
    # Bases first, as imgadm import does it.
    while out:
        ready = [m for m in out if m[0].get("origin") not in {o[0]["uuid"] for o in out}]
        done += ready
        out = [m for m in out if m not in ready]
    return done


# Of a stream in illumos's form a Linux kernel shows neither: device numbers are split otherwise, and attributes
# bear names there that it hides.
HIDDEN = ("rdev", "xattrs")


def write(t, name, sources):
    share = t.path("write-" + name, "in", "x")[:-2][:-3]
    os.makedirs(share + "/out", exist_ok=True)
    shutil.copyfile(TREE_MANIFEST, share + "/tree_manifest.py")
    wanted, listed, trees = {}, [], {}
    for number, (source, mode) in enumerate(sources):
        folder = t.path("made-%s-%d" % (name, number), "x")[:-2]
        made = t.run(t.bin, "convert", "--quiet", "--layers", mode, source, "smartos:" + folder, "--name", "image-%d" % number,
                     "--compress", ("gzip", "none")[number % 2])
        if not t.check("write " + source, made.returncode == 0, made.stderr.decode("utf-8", "replace")):
            continue
        verified = t.run(t.bin, "verify", "smartos:" + folder)
        t.check("imgadm's checks of " + source, verified.returncode == 0, verified.stdout.decode("utf-8", "replace"))
        images = manifest_of(folder)
        for manifest, stem in images:
            packing = manifest["files"][0]["compression"]
            file = stem + ".zfs" + PACKED[packing][0]
            if manifest["uuid"] in wanted:
                continue
            shutil.move(os.path.join(folder, file), os.path.join(share, "in", "%d-%s" % (number, file)))
            look = "pass"
            if manifest is images[-1][0]:
                trees[source] = trees.get(source) or t.ls(source)
                look = "archive" if len(trees[source]) > MANY else "look"
            listed.append("%s %d-%s %s %s\n" % (manifest["uuid"], number, file, packing, look))
            wanted[manifest["uuid"]] = (None, manifest.get("origin"))
        top = images[-1][0]
        wanted[top["uuid"]] = (source, top.get("origin"))
    with open(share + "/list", "w") as f:
        f.writelines(listed)
    if any(" archive" in line for line in listed):
        t.for_guest(share, shutil.which("tar"), "tar")
    printed = t.vm(share, INSTALL, 3000)
    t.check("installed", "installed" in printed, printed[-800:])
    t.unpack_listings(share + "/out")
    with open(share + "/out/origins") as f:
        origins = dict(line.split() for line in f)
    for uuid, (source, origin) in wanted.items():
        want = "tank/%s@final" % origin if origin else "-"
        t.check("origin of " + uuid, origins.get(uuid) == want, origins.get(uuid))
        if source:
            t.same("tree of " + source, trees[source], read_rows(share + "/out/%s.jsonl" % uuid), HIDDEN)


def image(folder, uuid, stem, share, kind, packing, **more):
    """A manifest as imgadm create makes it, with its file."""
    ending, pack = PACKED[packing]
    with open("%s/%s.zfs" % (share, stem), "rb") as f:
        packed = pack(f.read())
    with open("%s/%s.guid" % (share, stem)) as f:
        guid = f.read().strip()
    path = "%s/%s-1.%s%s" % (folder, stem, "zvol" if kind == "zvol" else "zfs", ending)
    with open(path, "wb") as f:
        f.write(packed)
    manifest = {"v": 2, "uuid": uuid, "owner": "00000000-0000-0000-0000-000000000000", "name": stem, "version": "1",
                "state": "active", "disabled": False, "public": True, "published_at": "2024-05-06T07:08:09.123Z",
                "type": kind, "os": "smartos" if kind == "zone-dataset" else "linux",
                "files": [{"sha1": hashlib.sha1(packed).hexdigest(), "size": len(packed), "compression": packing,
                           "dataset_guid": guid}],
                "description": "made by the kernel", "tags": {"role": "os"}}
    manifest.update(more)
    with open("%s/%s-1.imgmanifest" % (folder, stem), "w") as f:
        json.dump(manifest, f, indent=2)
    return manifest


def read(t):
    share = t.path("kernel", "x")[:-2]
    shutil.copyfile(TREE_MANIFEST, share + "/tree_manifest.py")
    printed = t.vm(share, MAKE, 900)
    if not t.check("made", "made" in printed, printed[-800:]):
        return
    trees = {stem: read_rows("%s/%s.jsonl" % (share, stem)) for stem in ("base", "top")}
    plain = {"min_platform": {"7.0": "20141030T081701Z"}, "networks": [{"name": "net0", "description": "public"}]}
    for packing in PACKED:
        folder = t.path("images-" + packing, "x")[:-2]
        # umoci takes images of Linux only.
        kind = "lx-dataset" if packing in ("gzip", "xz") else "zone-dataset"
        requirements = dict(plain, brand="lx") if kind == "lx-dataset" else plain
        tags = {"role": "os", "kernel_version": "5.10.0"}
        manifests = {"base": image(folder, BASE, "base", share, kind, packing, requirements=requirements, tags=tags),
                     "top": image(folder, TOP, "top", share, kind, packing, origin=BASE, requirements=requirements, tags=tags)}
        for stem, manifest in manifests.items():
            name = "smartos:%s/%s-1.imgmanifest" % (folder, stem)
            verified = t.run(t.bin, "verify", name)
            t.check("verify %s, %s" % (stem, packing), verified.returncode == 0, verified.stdout.decode("utf-8", "replace"))
            layout = t.path("oci-%s-%s" % (stem, packing), "x")[:-2]
            t.convert(name, "oci:%s:x" % layout, *(("--layers", "keep") if stem == "top" else ()))
            t.same("%s, %s, as OCI" % (stem, packing), trees[stem], t.ls("oci:%s:x" % layout))
            if kind == "lx-dataset":
                t.same("%s, %s, umoci" % (stem, packing), trees[stem], t.umoci_unpack(layout, "x"), ("root", "dir_mtime_ns"))
            back = t.path("back-%s-%s" % (stem, packing), "x")[:-2]
            t.convert("oci:%s:x" % layout, "smartos:" + back)
            again, last = manifest_of(back)[-1]
            kept = {k: v for k, v in manifest.items() if k not in ("files", "origin")}
            t.check("%s, %s, fields" % (stem, packing), {k: again.get(k) for k in kept} == kept, json.dumps(again))
            layout = t.path("again-%s-%s" % (stem, packing), "x")[:-2]
            t.convert("smartos:%s/%s.imgmanifest" % (back, last), "oci:%s:x" % layout)
            t.same("%s, %s, and back" % (stem, packing), trees[stem], t.ls("oci:%s:x" % layout))
    package(t, share)
    disk(t, share)


def package(t, share):
    """Packages of older tools: a dataset whose children `root` and `vroot` hold the files. imgadm takes none of them."""
    folder, layout = t.path("images-old", "x")[:-2], t.path("oci-old", "x")[:-2]
    image(folder, OLD, "old", share, "zone-dataset", "gzip")
    want = read_rows(share + "/old.jsonl")
    t.same("package", want, t.ls("smartos:" + folder))
    t.convert("smartos:" + folder, "oci:%s:x" % layout)
    t.same("package, as OCI", want, t.ls("oci:%s:x" % layout))
    verified = t.run(t.bin, "verify", "smartos:" + folder)
    said = verified.stdout.decode("utf-8", "replace")
    t.check("verify package", verified.returncode == 1 and "exactly one snapshot" in said, said)


def disk(t, share):
    with open(share + "/disk.sha256") as f:
        want = [{"type": "volume", "size": 16 << 20, "sha256": f.read().strip()}]
    folder = t.path("images-disk", "x")[:-2]
    image(folder, DISK, "disk", share, "zvol", "gzip", nic_driver="virtio", disk_driver="virtio", cpu_type="host", image_size=16)
    t.same("zvol image", want, t.ls("smartos:" + folder))
    raw, qcow2, packed = t.path("disk.raw"), t.path("disk.qcow2"), t.path("packed.qcow2")
    t.convert("smartos:" + folder, "raw:" + raw)
    t.convert("raw:" + raw, "qcow2:" + qcow2)
    t.must("qemu-img", "check", "-f", "qcow2", qcow2)
    t.must("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, qcow2)
    t.ok()
    for args in (("-c",), ("-c", "-o", "compression_type=zstd"), ("-o", "compat=0.10"), ("-o", "cluster_size=512"),
                 ("-o", "cluster_size=2M")):
        t.must("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *args, raw, packed)
        t.same("qemu-img's %s" % " ".join(args), want, t.ls("qcow2:" + packed))
        os.remove(packed)
    back = t.path("disk", "in", "x")[:-2][:-3]
    os.makedirs(back + "/out", exist_ok=True)
    t.convert("qcow2:" + qcow2, "zfs:" + back + "/disk.zfs")
    answer = t.receive(back, [{"name": "disk", "files": ["disk.zfs"], "volume": True}])["disk"]
    if t.check("receive", "error" not in answer, answer.get("error")):
        t.same("the kernel's volume", want, read_rows(back + "/out/disk.jsonl"))


def run(t):
    t.guard(read)
    for name, layout in t.images():
        t.guard(write, name, [("oci:%s:latest" % layout, mode) for mode in ("squash", "keep")])
    tags = [tag for tag, verdict in quirk_tags() if verdict in ("all", "loose")]
    for at in range(0, len(tags), BATCH):
        t.guard(write, "quirks-%d" % at, [("oci:%s:%s" % (QUIRKS, tag), "squash") for tag in tags[at:at + BATCH]])
