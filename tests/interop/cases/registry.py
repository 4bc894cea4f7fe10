"""Docker's registry, as Debian has it, on this machine: in the clear, and with TLS and passwords. What imageadm puts there
is what skopeo finds, digest by digest, and what skopeo puts there is what imageadm gets."""
import hashlib
import json
import os
import socket
import subprocess
import time

from lib import CORPUS, PLATFORM, QUIRKS, REF, Failure

NO_SHA512 = ("manifest-sha512",)  # this registry names manifests by SHA-256 alone


class Registry:
    """One, for as long as it lives."""

    def __init__(self, t, name, more=""):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.host = "127.0.0.1:%d" % s.getsockname()[1]
        config = t.path(name, "config.yml")
        with open(config, "w") as f:
            f.write("version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nlog: {level: info}\n%s\nhttp:\n  addr: %s\n"
                    % (t.path(name, "data"), more.replace("HTTP", ""), self.host))
        if more.startswith("HTTP"):
            with open(config, "a") as f:
                f.write("  tls: {certificate: %s, key: %s}\n" % (t.path(name, "crt"), t.path(name, "key")))
        self.log = t.path(name, "log")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdin=subprocess.DEVNULL,
                                        stdout=open(self.log, "w"), stderr=subprocess.STDOUT)

    def __enter__(self):
        for _ in range(100):
            try:
                socket.create_connection(self.host.split(":"), 1).close()
                return self
            except OSError:
                time.sleep(0.1)
        raise Failure("the registry does not start: " + open(self.log).read()[-600:])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def name(self, rest):
        return "docker://%s/%s" % (self.host, rest)

    def requests(self):
        """Methods and paths of the requests since the last time."""
        lines = open(self.log).read().splitlines()
        open(self.log, "w").close()
        return [line for line in lines if "response completed" in line]


def entries(layout):
    with open(layout + "/index.json") as f:
        return [(m["annotations"][REF], m["digest"]) for m in json.load(f)["manifests"] if REF in m.get("annotations", {})]


def raw_digest(t, name, *flags):
    return "sha256:" + hashlib.sha256(t.must("skopeo", "inspect", "--raw", *flags, name)).hexdigest()


def image(t, registry, layout, tag, digest, store):
    """One image there and back, next to skopeo's."""
    source, aurora = "oci:%s:%s" % (layout, tag), [t.bin, "--insecure", "--store", store]
    there = registry.name("aurora:" + tag)
    pushed = json.loads(t.must(*aurora, "push", "--all", "--json", source, there))
    t.check(tag + ": digest", pushed["digest"] == digest, pushed["digest"])
    t.check(tag + ": skopeo finds it", raw_digest(t, there, "--tls-verify=false") == digest)
    again = json.loads(t.must(*aurora, "push", "--all", "--json", source, there))
    t.check(tag + ": pushed twice", again["copied"] == 0, str(again))
    got = json.loads(t.must(*aurora, "get", "--all", "--json", there, "got:" + tag))
    t.check(tag + ": got", got["digest"] == digest, str(got))
    again = json.loads(t.must(*aurora, "get", "--all", "--json", there, "got:" + tag))
    t.check(tag + ": got twice", again["copied"] == 0, str(again))


def plain(t):
    store = t.path("store")
    with Registry(t, "plain") as registry:
        aurora = [t.bin, "--insecure", "--store", store]
        quirks = [e for e in entries(QUIRKS) if e[0] not in NO_SHA512]
        for tag, digest in quirks:
            t.guard(image, registry, QUIRKS, tag, digest, store)
        for name, layout in t.images():
            t.guard(image, registry, layout, "latest", dict(entries(layout))["latest"], store)
        fsck = t.run(*aurora, "fsck")
        t.check("fsck", fsck.returncode == 0, fsck.stdout.decode("utf-8", "replace")[-600:])
        tags = t.must(*aurora, "tags", registry.name("aurora")).decode().split()
        t.check("tags", set(tags) >= {tag for tag, _ in quirks}, str(len(tags)))
        t.guard(skopeo, registry, store)
        t.guard(trees, registry, store)


def skopeo(t, registry, store):
    """What skopeo puts there, and what it takes from there."""
    aurora = [t.bin, "--insecure", "--store", store]
    flags = ["--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
    for tag in ("manifest-many-platforms", "manifest-docker-schema2", "whiteout-file", "xattrs"):
        found = dict(entries(QUIRKS)).get(tag)
        if found is None:
            continue
        there, local = registry.name("skopeo:" + tag), t.path("skopeo", tag)
        # Of Docker's own manifests skopeo takes none from a layout.
        source = registry.name("aurora:" + tag) if "docker" in tag else "oci:%s:%s" % (QUIRKS, tag)
        t.must("skopeo", "copy", *flags, "--all", source, there)
        want = raw_digest(t, there, "--tls-verify=false")
        got = json.loads(t.must(*aurora, "get", "--all", "--json", there, "skopeo:" + tag))
        t.check(tag + ": of skopeo", got["digest"] == want, str(got))
        if "docker" not in tag:
            t.must("skopeo", "copy", *flags, "--all", registry.name("aurora:" + tag), "oci:%s:x" % local)
            t.check(tag + ": to skopeo", dict(entries(local))["x"] == found, str(entries(local)))
        copied = t.path("copied", tag)
        t.must(*aurora, "copy", "--all", there, "oci:%s:x" % copied)
        t.check(tag + ": copied", dict(entries(copied))["x"] == want, str(entries(copied)))
    # From one repository to another one nothing passes through here.
    moved = json.loads(t.must(*aurora, "copy", "--json", registry.name("aurora:whiteout-file"), registry.name("moved:1")))
    t.check("mounted", moved["mounted"] > 0 and moved["copied"] == 0, str(moved))


def trees(t, registry, store):
    """Read from there, an image is what it is anywhere."""
    aurora = [t.bin, "--insecure", "--store", store]
    for tag in ("whiteout-and-hardlinks", "opaque-after", "modes", "names-bytes"):
        want = t.ls("oci:%s:%s" % (QUIRKS, tag), *PLATFORM)
        there = registry.name("aurora:" + tag)
        done = t.must(*aurora, "ls", "--jsonl", *PLATFORM, there)
        t.same(tag + ": ls", want, [json.loads(line) for line in done.splitlines()])
        layout = t.path("unpacked", tag)
        t.must(*aurora, "copy", there, "oci:%s:x" % layout)
        t.same(tag + ": umoci", want, t.umoci_unpack(layout, "x"), ("root", "dir_mtime_ns"))
    registry.requests()
    fresh = [t.bin, "--insecure", "--store", t.path("fresh")]
    for n in range(2):
        t.must(*fresh, "convert", "--quiet", registry.name("aurora:modes"), "zfs:" + t.path("zfs", str(n)))
        blobs = [line for line in registry.requests() if "/blobs/" in line]
        t.check("blobs of conversion %d" % n, bool(blobs) == (n == 0), str(blobs))
    same = open(t.path("zfs", "0"), "rb").read() == open(t.path("zfs", "1"), "rb").read()
    t.check("the same stream", same)
    t.must(*aurora, "convert", "--quiet", "zfs:" + t.path("zfs", "0"), registry.name("of-zfs:1"))
    t.must(*aurora, "diff", "--quiet", registry.name("of-zfs:1"), registry.name("aurora:modes"))
    t.check("skopeo reads what was made of a stream", bool(raw_digest(t, registry.name("of-zfs:1"), "--tls-verify=false")))


def guarded(t):
    """TLS with a certificate of our own making, and a password."""
    crt, key, users = t.path("guarded", "crt"), t.path("guarded", "key"), t.path("guarded", "users")
    t.must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
           "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", crt)
    t.must("htpasswd", "-Bbc", users, "me", "s3cret")
    auth = "HTTPauth: {htpasswd: {realm: test, path: %s}}" % users
    authfile, store = t.path("guarded", "auth.json"), t.path("guarded", "store")
    with Registry(t, "guarded", auth) as registry:
        bare = [t.bin, "--store", store, "--authfile", authfile]
        aurora = bare + ["--ca", crt]
        there, source = registry.name("a/b:1"), "oci:%s:whiteout-file" % QUIRKS

        def refused(name, says, *args, **kw):
            done = t.run(*args, **kw)
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            t.check(name, done.returncode == 1 and says in said and "s3cret" not in said, "exit %d: %s" % (done.returncode, said))

        refused("an unknown certificate", "no trusted connection", *bare, "push", source, there)
        refused("nobody", "a user is needed", *aurora, "push", source, there)
        word = t.path("guarded", "word")
        for text, fine in (("wrong", False), ("s3cret\n", True)):
            with open(word, "w") as f:
                f.write(text)
            login = aurora + ["login", "--username", "me", "--password-stdin", registry.host]
            with open(word) as stdin:
                if fine:
                    t.must(*login, stdin=stdin)
                else:
                    refused("a wrong password", "may not", *login, stdin=stdin)
        t.check("the file is its owner's", os.stat(authfile).st_mode & 0o777 == 0o600)
        digest = json.loads(t.must(*aurora, "push", "--json", source, there))["digest"]
        got = json.loads(t.must(*aurora, "get", "--json", there))
        t.check("digests", digest == got["digest"] == dict(entries(QUIRKS))["whiteout-file"], str(got))
        t.must(*bare, "--insecure", "get", there, "insecure:1")
        certs = t.path("guarded", "certs", "ca.crt")
        t.must("cp", crt, certs)
        found = raw_digest(t, there, "--authfile", authfile, "--cert-dir", os.path.dirname(certs))
        t.check("skopeo with our file", found == digest, found)
        t.must("skopeo", "login", "--authfile", authfile + ".2", "--cert-dir", os.path.dirname(certs), "-u", "me", "-p",
               "s3cret", registry.host)
        t.must(t.bin, "--store", store, "--authfile", authfile + ".2", "--ca", crt, "tags", there)
        t.ok()
        t.must(*aurora, "logout", registry.host)
        refused("logged out", "a user is needed", *aurora, "tags", there)


def run(t):
    t.check("a corpus is there", os.path.isdir(CORPUS))
    t.guard(plain)
    t.guard(guarded)
