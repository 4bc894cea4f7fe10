"""Many images from an image server to Docker's registry: by a plan, with a journal, killed at random moments, with servers that
go away, disks that are full and passwords that change. With --full it is 300 images and 20 kills."""
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import time

from cases.registry import Registry
from image_server import ImageServer, corpus_images, damaged_images, made_images
from lib import Failure

SMALL, FULL = (36, 4, 20_000), (290, 20, 400_000)  # good images, kills, bytes of a file in them
SAMPLE = 5  # trees that are compared


def journal(folder):
    with open(folder + "/journal.jsonl") as f:
        return [json.loads(line) for line in f.read().splitlines(True) if line.endswith("\n")]


def tags(registry):
    """Everything in a registry: (repository, tag) to digest, as the registry's own files say it."""
    top = os.path.join(os.path.dirname(registry.log), "data", "docker", "registry", "v2", "repositories")
    found = {}
    for folder, folders, _ in os.walk(top):
        if folder.endswith("_manifests/tags"):
            for tag in list(folders):
                with open(os.path.join(folder, tag, "current", "link")) as f:
                    found[os.path.relpath(folder, top)[:-len("/_manifests/tags")], tag] = f.read()
            folders.clear()
    return found


class Migration:
    """Images on a server, and imageadm with a store of its own."""

    def __init__(self, t, server, name):
        self.t, self.server, self.store = t, server, t.path(name, "store")
        self.plan_file, self.folder = t.path(name, "plan.json"), t.path(name, "journal", "x")[:-2]

    def args(self, *args):
        return [self.t.bin, "--insecure", "--store", self.store, "migrate", *args]

    def plan(self, target, *args):
        self.t.must(*self.args("plan", "imgapi:" + self.server.url, target, "-o", self.plan_file, *args))
        with open(self.plan_file) as f:
            return json.load(f)

    def command(self, verb, *args):
        return self.args(verb, self.plan_file, "--journal", self.folder, *args)

    def run(self, *args, verb="run"):
        return self.t.run(*self.command(verb, *args))

    def done(self, *args, verb="run"):
        """A run, and what it says as JSON."""
        done = self.run("--json", *args, verb=verb)
        if not done.stdout:
            raise Failure("exit %d: %s" % (done.returncode, done.stderr.decode("utf-8", "replace")[-800:]))
        return json.loads(done.stdout), done


def lines_of(log, at):
    with open(log, errors="replace") as f:
        f.seek(at)
        return [line for line in f.read().splitlines() if "response completed" in line]


def whole(t, server, good, bad):
    """An undisturbed run, and what there is afterwards."""
    m = Migration(t, server, "whole")
    with Registry(t, "whole-registry") as registry:
        plan = m.plan(registry.name("images"))
        t.check("all images are planned", len(plan["images"]) == len(good) + len(bad), str(len(plan["images"])))
        places = {image["id"]: n for n, image in enumerate(plan["images"])}
        origins_first = all(places[i["origin"]] < places[i["id"]] for i in plan["images"] if "origin" in i)
        t.check("origins come first", origins_first)
        t.check("nothing is done by planning", not tags(registry) and not any("/file" in path for path in server.log))
        dry, _ = m.done("--dry-run")
        t.check("a dry run does nothing", dry["left"] == len(plan["images"]) and not tags(registry), str(dry)[:300])
        start = time.monotonic()
        summary, done = m.done("--jobs", "2")
        first = time.monotonic() - start
        t.check("the run tells of failures", done.returncode == 1, "exit %d" % done.returncode)
        t.check("good images arrive", summary["done"] == len(good), json.dumps(
            [i for i in summary["images"] if i["result"]["state"] == "failed" and i["id"] in {g["uuid"] for g, _ in good}])[:1500])
        t.check("damaged ones do not", summary["failed"] == len(bad), str(summary["failed"]))
        outcomes = {image["id"]: image for image in summary["images"]}
        for manifest, _, says in bad:
            result = outcomes[manifest["uuid"]]["result"]
            t.check("reported: " + manifest["name"], result["state"] == "failed" and says in result["message"], str(result))
        for manifest, _ in good:
            outcome = outcomes[manifest["uuid"]]
            if outcome["result"]["state"] != "done":
                continue
            name = outcome["to"][:outcome["to"].rindex(":")] + ":" + manifest["uuid"]
            raw = t.must("skopeo", "inspect", "--raw", "--tls-verify=false", name)
            t.check("skopeo finds " + name, "sha256:" + hashlib.sha256(raw).hexdigest() == outcome["digest"], outcome["digest"])
            carried = json.loads(json.loads(raw)["annotations"]["dev.aurora.smartos.manifest"])
            t.check("the manifest came along: " + name, carried["uuid"] == manifest["uuid"])
        trees(t, good, outcomes)
        files = sum("/file" in path for path in server.log)
        t.check("every file is fetched once", files == len(good) + len(bad) - 1, "%d of %d" % (files, len(good) + len(bad)))
        found = tags(registry)
        t.check("two names each", len(found) == 2 * len(good), str(len(found)))

        at, server.log[:] = os.path.getsize(registry.log), []
        start = time.monotonic()
        summary, done = m.done()
        second = time.monotonic() - start
        asked = lines_of(registry.log, at)
        t.check("a second run finds all", (summary["done"], summary["there"]) == (0, len(good)), str(summary)[:300])
        blobs = [line for line in asked if "/blobs/" in line or "method=P" in line]
        t.check("it asks for no blob", asked and not blobs, "%d: %s" % (len(blobs), blobs[:1]))
        t.check("and for no file", not server.log, str(server.log[:3]))
        print("note: %d images, %d damaged: first run %.1f s, second %.2f s (%.1f %%), %d requests"
              % (len(good), len(bad), first, second, 100 * second / first, len(asked)), flush=True)
        again = m.plan(registry.name("images"))
        t.check("a plan tells what is done", sum("done" in image for image in again["images"]) == len(good))
        retried, _ = m.done(verb="retry")
        t.check("retry tries the damaged", retried["failed"] == len(bad) and any("/file" in p for p in server.log), str(retried)[:300])
        page = t.path("whole", "report.html")
        t.must(*m.command("report", "--html", page))
        with open(page) as f:
            text = f.read()
        t.check("a page with plots", text.count("<svg") == 4 and "damaged-cut-stream" in text, str(len(text)))
        status = json.loads(t.must(*m.command("status", "--json")))
        t.check("status", (status["done"], status["failed"], status["left"]) == (len(good), len(bad), 0), str(status))
        # Without its journal a run finds all of it by the documents at the target.
        os.remove(m.folder + "/journal.jsonl")
        summary, _ = m.done()
        t.check("found without a journal", (summary["done"], summary["there"]) == (0, len(good)), str(summary)[:300])
        t.check("nothing has changed", tags(registry) == found)
        return found, first


def trees(t, good, outcomes):
    """What is in the registry has the trees of the images."""
    manifests = {manifest["uuid"]: (manifest, path) for manifest, path in good}
    layered = [m for m, _ in good if m["type"] != "zvol" and outcomes[m["uuid"]]["result"]["state"] == "done"]
    layered.sort(key=lambda m: -len(chain(manifests, m)))
    for manifest in layered[:SAMPLE] + layered[-SAMPLE:]:
        folder = t.path("tree", manifest["uuid"], "x")[:-2]
        for link in chain(manifests, manifest):
            with open("%s/%s.imgmanifest" % (folder, link["uuid"]), "w") as f:
                json.dump(link, f)
            os.symlink(manifests[link["uuid"]][1], "%s/%s.file" % (folder, link["uuid"]))
        want = t.ls("smartos:%s/%s.imgmanifest" % (folder, manifest["uuid"]))
        layout, to = t.path("copied", manifest["uuid"]), outcomes[manifest["uuid"]]["to"]
        t.must("skopeo", "copy", "--quiet", "--src-tls-verify=false", to, "oci:%s:x" % layout)
        # The corpus has names, times and attributes that the host cannot hold, and umoci wants Linux alone.
        if manifest["name"].startswith("corpus-") or manifest["os"] != "linux":
            t.same("tree of " + to, want, t.ls("oci:%s:x" % layout))
        else:
            t.same("tree of " + to, want, t.umoci_unpack(layout, "x"), ("root", "dir_mtime_ns"))
        # And it is what converting it alone gives.
        alone = t.path("alone", manifest["uuid"])
        t.convert("smartos:%s/%s.imgmanifest" % (folder, manifest["uuid"]), "oci:%s:x" % alone, "--layers", "keep")
        with open(alone + "/index.json") as f:
            digest = json.load(f)["manifests"][0]["digest"]
        t.check("as converted alone: " + to, digest == outcomes[manifest["uuid"]]["digest"], digest)
    for manifest in [m for m, _ in good if m["type"] == "zvol"][:2]:
        to, layout = outcomes[manifest["uuid"]]["to"], t.path("copied", manifest["uuid"])
        t.must("skopeo", "copy", "--quiet", "--src-tls-verify=false", to, "oci:%s:x" % layout)
        with open(manifests[manifest["uuid"]][1], "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        t.check("the disk as it came: " + to, os.path.exists("%s/blobs/sha256/%s" % (layout, digest)))


def chain(manifests, manifest):
    out = [manifest]
    while out[-1].get("origin"):
        out.append(manifests[out[-1]["origin"]][0])
    return out


def killed(t, server, good, bad, found, first, kills, rng):
    """kill -9 at random moments: what there is in the end is what an undisturbed run gives."""
    m = Migration(t, server, "killed")
    with Registry(t, "killed-registry") as registry:
        m.plan(registry.name("images"))
        survived = 0
        for _ in range(kills):
            process = subprocess.Popen(m.command("run", "--quiet", "--jobs", "2"), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                # Most of them while there is something to do.
                process.wait(rng.uniform(0.05, max(0.3, 1.6 * first / kills)))
                survived += 1
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
        summary, _ = m.done()
        t.check("killed: all arrive", summary["done"] + summary["there"] == len(good) and summary["failed"] == len(bad),
                json.dumps({k: v for k, v in summary.items() if k != "images"}))
        now = tags(registry)
        t.check("killed: the same registry", now == found, str(set(now.items()) ^ set(found.items()))[:600])
        done = [r["id"] for r in journal(m.folder) if r["event"] == "image" and r["result"]["state"] == "done"]
        t.check("killed: nothing that was committed is done again", len(done) == len(set(done)), str(len(done)))
        left = [name for name in os.listdir(m.folder) if name not in ("journal.jsonl", "files")]
        files = os.listdir(m.folder + "/files") if os.path.isdir(m.folder + "/files") else []
        t.check("killed: nothing is left behind", not left and not files, str(left + files))
        print("note: %d kills, %d runs came to their end before" % (kills - survived, survived), flush=True)


def troubles(t, server, good, bad):
    """Bad plans, servers that go away, full disks: told clearly, and gone on with."""
    m = Migration(t, server, "troubles")
    with Registry(t, "troubles-registry") as registry:
        plan = m.plan(registry.name("images"), "--filter", "name=~image-1")
        t.check("filters choose", 0 < len(plan["images"]) < len(good), str(len(plan["images"])))

        def refused(name, says, *args, code=1, verb="run"):
            done = m.run(*args, verb=verb)
            said = done.stderr.decode("utf-8", "replace")
            t.check(name, done.returncode == code and says in said, "exit %d: %s" % (done.returncode, said[-600:]))
        with open(m.plan_file) as f:
            text = f.read()
        for name, bad_text, says in (("no plan", "[]", "not a plan"), ("cut plan", text[:-40], "not a plan"),
                                     ("later plan", text.replace('"version": 1', '"version": 2', 1), "version 1 is read"),
                                     ("twice", text.replace(plan["images"][-1]["id"], plan["images"][0]["id"]), "twice")):
            with open(m.plan_file, "w") as f:
                f.write(bad_text)
            refused("bad plan: " + name, says)
        with open(m.plan_file, "w") as f:
            f.write(text)
        t.check("bad plans do nothing", not tags(registry) and not os.path.exists(m.folder + "/journal.jsonl"))

        # A small disk for the journal and what is fetched.
        t.must("mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", m.folder)
        try:
            refused("full disk", "No space left")
            before = journal(m.folder) if os.path.exists(m.folder + "/journal.jsonl") else []
            t.must("mount", "-o", "remount,size=64m", m.folder)
            limited, _ = m.done("--limit-rate", "200MiB", "--jobs", "1")
            t.check("a disk with room again", limited["done"] + limited["there"] == len(plan["images"]), str(limited)[:300])
            t.check("the journal is whole", journal(m.folder)[:len(before)] == before)
        finally:
            t.run("umount", "-l", m.folder)
    # The registry is gone: no image is blamed for that, and the run ends.
    os.makedirs(m.folder, exist_ok=True)
    refused("registry is gone", "127.0.0.1")
    t.check("nothing is noted of it", not any(r["event"] == "image" for r in journal(m.folder)))


def passwords(t, server):
    """A password that changes in the middle of a run."""
    m = Migration(t, server, "passwords")
    users, authfile = t.path("passwords-registry", "users"), t.path("passwords", "auth.json")
    t.must("htpasswd", "-Bbc", users, "me", "one")
    auth = "auth: {htpasswd: {realm: test, path: %s}}" % users
    with Registry(t, "passwords-registry", auth) as registry:
        def login(word):
            import base64
            with open(authfile, "w") as f:
                json.dump({"auths": {registry.host: {"auth": base64.b64encode(b"me:" + word).decode()}}}, f)
        login(b"one")
        m.args = lambda *args: [t.bin, "--insecure", "--store", m.store, "--authfile", authfile, "migrate", *args]
        plan = m.plan(registry.name("images"), "--filter", "name=~image-2")
        process = subprocess.Popen(m.command("run", "--jobs", "1", "--jsonl"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        first = json.loads(process.stdout.readline())
        t.must("htpasswd", "-Bb", users, "me", "two")
        # The registry looks at the time of its file.
        os.utime(users, (time.time() + 10, time.time() + 10))
        out, err = process.communicate(timeout=300)
        said = err.decode("utf-8", "replace")
        t.check("a password that changed", process.returncode == 1 and "may not" in said and "the same command again" in said,
                "exit %d: %s" % (process.returncode, said[-600:]))
        t.check("what was done is in the journal", first["id"] in {r.get("id") for r in journal(m.folder)})
        login(b"two")
        summary, _ = m.done()
        t.check("with the new one it goes on", summary["done"] + summary["there"] == len(plan["images"]) and summary["there"] > 0,
                str(summary)[:300])


def others(t, good):
    """The other sources and targets, by way of a folder."""
    folder = t.path("others", "images", "x")[:-2]
    manifests = {manifest["uuid"]: (manifest, path) for manifest, path in good}
    deep = max((m for m, _ in good), key=lambda m: len(chain(manifests, m)))
    disk = next(m for m, _ in good if m["type"] == "zvol" and m.get("origin"))
    links = chain(manifests, deep) + chain(manifests, disk)
    for link in links:
        with open("%s/%s.imgmanifest" % (folder, link["uuid"]), "w") as f:
            json.dump(link, f)
        os.symlink(manifests[link["uuid"]][1], "%s/%s.file" % (folder, link["uuid"]))
    names = t.path("others", "names.csv")
    with open(names, "w") as f:
        f.write("image,name\nsmartos:%s/%s.imgmanifest,named\n" % (folder, deep["uuid"]))

    def migrate(name, source, target, *args):
        plan = t.path("others", name + ".json")
        base = [t.bin, "--insecure", "--store", t.path("others", name + "-store"), "migrate"]
        t.must(*base, "plan", source, target, "-o", plan, *args)
        first, second = (json.loads(t.must(*base, "run", plan, "--json")) for _ in range(2))
        t.check(name, (first["failed"], second["done"], second["there"]) == (0, 0, first["done"]), str(second)[:300])
        return {image["id"]: image for image in first["images"]}
    layout, files, streams = (t.path("others", n) for n in ("layout", "files", "streams"))
    done = migrate("folder to layout", "smartos:" + folder, "oci:" + layout)
    t.check("all of them", len(done) == len(links), str(len(done)))
    done = migrate("folder to folder", "smartos:" + folder, "smartos:" + files)
    t.same("files as they came", t.ls("smartos:%s/%s.imgmanifest" % (folder, deep["uuid"])), t.ls(done[deep["uuid"]]["to"]))
    done = migrate("folder to streams", "smartos:" + folder, "zfs:" + streams)
    t.same("a whole stream", t.ls("smartos:%s/%s.imgmanifest" % (folder, deep["uuid"])), t.ls(done[deep["uuid"]]["to"]))
    done = migrate("a list", "list:" + names, "oci:" + t.path("others", "of-list"))
    t.check("with its origins", len(done) == len(chain(manifests, deep)) and "named:" in done[deep["uuid"]]["to"], str(done)[:300])
    with Registry(t, "others-registry") as registry:
        migrate("layout to registry", "oci:" + layout, registry.name("copied"))
        migrate("catalogue to layout", registry.name("copied"), "oci:" + t.path("others", "back"))
        with open(layout + "/index.json") as f, open(t.path("others", "back") + "/index.json") as g:
            there, back = ({m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in json.load(x)["manifests"]}
                           for x in (f, g))
        t.check("there and back", there == back, str(set(there.items()) ^ set(back.items()))[:300])


@contextlib.contextmanager
def served(t, rng, count, size):
    """A server, and the good and the damaged images that it has."""
    good = corpus_images(t.path("corpus"), rng)
    good += made_images(t, count - len(good), rng, size)
    bad, faults = damaged_images(t, rng, next(m for m, _ in good if m["name"] == "corpus-hello"))
    with ImageServer() as server:
        for manifest, path in good + [(m, path) for m, path, _ in bad]:
            server.add(manifest, path)
        server.faults.update(faults)
        yield server, good, bad


def run(t):
    count, kills, size = FULL if t.full else SMALL
    rng = random.Random(8)
    with served(t, rng, count, size) as (server, good, bad):
        found, first = whole(t, server, good, bad)
        t.guard(killed, server, good, bad, found, first, kills, rng)
        t.guard(troubles, server, good, bad)
        t.guard(passwords, server)
        t.guard(others, good)
