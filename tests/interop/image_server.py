"""An image server (IMGAPI) on this machine, and images for it: real streams of the corpus, and chains of images that imageadm
makes of layered ones. Some are damaged, each in a known way."""
import gzip
import hashlib
import http.server
import io
import json
import os
import random
import re
import tarfile
import threading
import uuid

from lib import ZFS

MARK = 1 << 19  # bytes of a chunk sent at once
KINDS = (("lx-dataset", "linux"), ("zone-dataset", "smartos"))
# Streams of the corpus, each upon the one before it.
CHAINS = (("inc-full-a", "inc-i-a-b", "inc-i-b-c", "inc-i-c-d"), ("vol8k-full", "vol8k-i"), ("hello",), ("dirs",),
          ("special",), ("xattr-sa",), ("comp-lz4-c",), ("vol16k-full",), ("record512",), ("large-dnode",))


class ImageServer:
    """Serves manifests and files, by uuid. What is asked for is kept in `log`."""

    def __init__(self):
        self.images, self.log, self.faults = {}, [], {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.log.append(self.path)
                server.answer(self)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # whoever asked was killed
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def add(self, manifest, path):
        self.images[manifest["uuid"]] = (manifest, path)

    def answer(self, request):
        path, _, query = request.path.partition("?")
        found = re.fullmatch(r"/images/([0-9a-f-]{36})(/file)?", path)
        if path == "/ping":
            return self.send(request, 200, b'{"ping":"pong","imgapi":true}')
        if path == "/images":
            # Pages, as the real one has them: the marker comes again.
            asked = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
            all_of_it = sorted((m for m, _ in self.images.values()), key=lambda m: (m.get("published_at", ""), m["uuid"]))
            at = next((n for n, m in enumerate(all_of_it) if m["uuid"] == asked.get("marker")), 0)
            page = all_of_it[at:at + int(asked.get("limit", 1000))]
            return self.send(request, 200, json.dumps(page).encode())
        if not found or found[1] not in self.images:
            return self.send(request, 404, b'{"code":"ResourceNotFound","message":"no such image"}')
        manifest, file = self.images[found[1]]
        if not found[2]:
            return self.send(request, 200, json.dumps(manifest).encode())
        if self.faults.get(found[1]) == "no file":
            return self.send(request, 404, b'{"code":"ResourceNotFound","message":"no such file"}')
        self.send_file(request, file)

    def send(self, request, status, body):
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def send_file(self, request, path):
        with open(path, "rb") as f:
            data = f.read()
        begin = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "bytes=0-")
        at = int(begin[1]) if begin else 0
        request.send_response(206 if at else 200)
        if at:
            request.send_header("Content-Range", "bytes %d-%d/%d" % (at, len(data) - 1, len(data)))
        request.send_header("Content-Length", str(len(data) - at))
        request.end_headers()
        try:
            for n in range(at, len(data), MARK):
                request.wfile.write(data[n:n + MARK])
        except OSError:
            pass  # whoever asked was killed


def manifest_of(name, version, kind, path, rng, **more):
    with open(path, "rb") as f:
        data = f.read()
    day = rng.randrange(1, 3000)
    compression = {".gz": "gzip", ".xz": "xz", "bz2": "bzip2"}.get(path[-3:], "none")
    out = {"v": 2, "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "owner": str(uuid.UUID(int=9)), "name": name,
           "version": version, "state": "active", "disabled": False, "public": True, "type": kind[0], "os": kind[1],
           "published_at": "20%02d-%02d-%02dT10:00:00.000Z" % (10 + day // 360, 1 + day // 30 % 12, 1 + day % 28),
           "files": [{"sha1": hashlib.sha1(data).hexdigest(), "size": len(data), "compression": compression}]}
    out.update(more)
    return out


def corpus_images(folder, rng):
    """Kernel-made streams of the corpus as images, chains in order: (manifest, path)."""
    made = []
    for number, chain in enumerate(CHAINS):
        below = None
        for step, name in enumerate(chain):
            kind = ("zvol", "linux") if name.startswith("vol") else KINDS[number % 2]
            path = os.path.join(ZFS, name + ".zfs.gz")
            more = {"nic_driver": "virtio", "disk_driver": "virtio", "cpu_type": "host", "image_size": 1} if kind[0] == "zvol" else {}
            if below:
                more["origin"] = below["uuid"]
            below = manifest_of("corpus-%s" % chain[0], "%d.0" % step, kind, path, rng, **more)
            made.append((below, path))
    return made


def layered(layout, tag, depth, rng, shared, size):
    """An OCI layout with one image of so many layers, the first `shared` of which are functions of nothing but their number."""
    blobs = os.path.join(layout, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}
    layers, diff_ids = [], []
    for n in range(depth):
        own = random.Random("shared %d" % n) if n < shared else rng
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
            def add(name, data=None, **kw):
                info = tarfile.TarInfo(name)
                info.mtime, info.mode = 1500000000 + n, 0o755 if data is None else 0o644
                info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
                for key, value in kw.items():
                    setattr(info, key, value)
                info.size = 0 if data is None or info.type != tarfile.REGTYPE else len(data)
                tar.addfile(info, io.BytesIO(data or b"") if info.size else None)
            for name in ("etc", "usr", "usr/bin", "var", "opt/layer-%d" % n if n else "opt"):
                add(name)
            add("etc/release", b"layer %d of %s\n" % (n, tag.encode() if n >= shared else b"all"), uid=n, gid=7)
            add("usr/bin/tool-%d" % n, own.randbytes(own.randrange(size // 2, size)), mode=0o4755)
            add("usr/bin/alias-%d" % n, b"", type=tarfile.LNKTYPE, linkname="usr/bin/tool-%d" % n)
            add("var/link", b"", type=tarfile.SYMTYPE, linkname="../etc/release")
            if n:
                add("opt/layer-%d/text" % n, (b"%d %s " % (n, tag.encode()) * 400)[:3000 + n])
            if n > 1:
                add("usr/bin/.wh.alias-%d" % (n - 1), b"")
        data = plain.getvalue()
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        packed = put(gzip.compress(data, 1, mtime=0))
        layers.append(dict(packed, mediaType="application/vnd.oci.image.layer.v1.tar+gzip"))
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z",
                             "rootfs": {"type": "layers", "diff_ids": diff_ids},
                             "history": [{"created": "2020-01-01T00:00:00Z"} for _ in layers]}).encode())
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                               "config": dict(config, mediaType="application/vnd.oci.image.config.v1+json"),
                               "layers": layers}).encode())
    entry = dict(manifest, mediaType="application/vnd.oci.image.manifest.v1+json",
                 annotations={"org.opencontainers.image.ref.name": "x"})
    with open(os.path.join(layout, "oci-layout"), "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(os.path.join(layout, "index.json"), "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, f)


def made_images(t, count, rng, size):
    """Chains up to eight deep that share bases, each made by imageadm of a layered image: (manifest, path), origins first."""
    made, seen, number = [], set(), 0
    while len(made) < count:
        depth = rng.choice((1, 2, 3, 3, 5, 8))
        layout, folder = t.path("layered", str(number), "x")[:-2], t.path("made", str(number), "x")[:-2]
        layered(layout, "image-%d" % number, depth, rng, rng.choice((0, 1, min(2, depth - 1))), size)
        compress = rng.choice(("gzip", "gzip", "xz", "none"))
        t.convert("oci:%s:x" % layout, "smartos:" + folder, "--layers", "keep", "--name", "image-%d" % number, "--version",
                  "1.%d" % number, "--compress", compress)
        found = {}
        for name in os.listdir(folder):
            if name.endswith(".imgmanifest"):
                with open(os.path.join(folder, name)) as f:
                    manifest = json.load(f)
                stem = os.path.join(folder, name[:-len(".imgmanifest")])
                path = next(stem + end for end in (".zfs.gz", ".zfs.xz", ".zfs") if os.path.exists(stem + end))
                found[manifest["uuid"]] = (manifest, path)
        # Origins first.
        ordered = []
        while found:
            ready = [u for u, (m, _) in found.items() if m.get("origin") not in found]
            ordered += [found.pop(u) for u in sorted(ready)]
        for step, (manifest, path) in enumerate(ordered):
            if manifest["uuid"] in seen or len(made) >= count:
                continue
            seen.add(manifest["uuid"])
            kind = KINDS[(number + step) % 2]
            day = len(made)
            manifest.update(name="image-%d" % number, version="1.%d.%d" % (number, step), type=kind[0], os=kind[1], state="active",
                            published_at="2015-%02d-%02dT%02d:00:00.000Z" % (1 + day // 28 % 12, 1 + day % 28, number % 24))
            made.append((manifest, path))
        number += 1
    return made


def damaged_images(t, rng, base):
    """One image for each way in which images are damaged: (manifest, path, what the report says), and faults of the server."""
    whole = os.path.join(ZFS, "hello.zfs.gz")
    with gzip.open(whole) as f:
        plain = f.read()
    with open(whole, "rb") as f:
        packed = f.read()

    def write(name, data):
        path = t.path("damaged", name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def flip(data, at):
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]

    def image(name, path, **more):
        return manifest_of("damaged-" + name, "1", KINDS[0], path, rng, **more)
    out, faults = [], {}

    def add(name, path, says, change=None, **more):
        manifest = image(name, path, **more)
        if change:
            change(manifest)
        out.append((manifest, path, says))
        return manifest
    add("flipped-file", write("flipped.gz", flip(packed, len(packed) // 2)), "does not match its sha1",
        lambda m: m["files"][0].update(sha1=hashlib.sha1(packed).hexdigest()))
    add("short-file", write("short.gz", packed[:-100]), "must have",
        lambda m: m["files"][0].update(size=len(packed), sha1=hashlib.sha1(packed).hexdigest()))
    cut = add("cut-stream", write("cut.zfs", plain[:len(plain) // 2]), "at 0x")
    add("flipped-stream", write("flipped.zfs", flip(plain, len(plain) - 2000)), "checksum")
    add("flipped-gzip", write("packed.gz", flip(packed, len(packed) // 2)), "at 0x")
    add("no-stream", write("text.zfs", b"no stream at all\n" * 100), "not a ZFS send stream")
    add("other-origin", os.path.join(ZFS, "inc-i-a-b.zfs.gz"), "guid", origin=base["uuid"])
    add("lost-origin", os.path.join(ZFS, "inc-i-a-b.zfs.gz"), "guid", origin=str(uuid.UUID(int=0xdead, version=4)))
    faults[add("no-file", whole, "ResourceNotFound")["uuid"]] = "no file"
    add("of-damaged", os.path.join(ZFS, "inc-i-a-b.zfs.gz"), "what it builds on was not migrated", origin=cut["uuid"])
    return out, faults
