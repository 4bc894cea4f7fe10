"""runz on zones with datasets of their own: `run --image`, whose image is unpacked to one, and run directories, which each has its
quota. Whole lives, every new call of the host failing or hanging, runz killed at every new point, two at once, and datasets
that are somebody else's."""
import hashlib
import json
import os
import signal
import subprocess
import time

from cases._runz import tree
from cases._zonehost import ZoneHost, build as build_host
from cases.podinit import static
from cases.runz_crashes import build
from cases.runz_zones import Place

WAIT = 60
PARENT = "tank/c"
# What programs of the host may take where one hangs; the others take far less, also on a busy machine.
LIMIT_MS = 6000
# After which commands a point is passed; the last of them is killed there.
POINTS = {
    "run": ["image-placed", "image-named", "image-dataset", "state-written", "zone-rundir", "zone-control", "created", "started"],
    "delete": ["undone-ready", "undone-configure", "undone-rundir", "destroyed", "image-destroyed", "state-renamed"],
}


def zone_of(root, name):
    return "aurora-" + hashlib.sha256(root.encode() + b"\0" + name.encode()).hexdigest()[:40]


class Images(Place):
    """A host of zones and its images."""

    def __init__(self, t, host, program, podinit):
        self.options, self.variables, self.packed = ["--dataset", PARENT], [], 0
        host.must("zfs", "create", PARENT)
        super().__init__(t, host, program, podinit)

    def words(self, *args):
        words = super().words(*args)
        env = ["env", *self.variables] if self.variables else []
        return env + words[:3] + self.options + words[3:]

    def image(self, script, more=None):
        """The name of an image whose program is a script."""
        self.packed += 1
        layout = "oci:%s:x" % self.t.path("layouts", str(self.packed))
        self.t.imageadm("pack", "--quiet", "--cmd", json.dumps(["sh", "-c", script]), "--env", "PATH=/bin:/sbin", more or tree(self.t), layout)
        return layout

    def run(self, image, name, *args, **kw):
        return self.call("run", "--image", image, *args, name, **kw)

    def datasets(self, name):
        """That of an image's root and that of the run directory."""
        zone = "%s/%s" % (PARENT, zone_of(self.root, name))
        return zone, zone + "-run"

    def seen(self):
        # Quotas are mounts, and so is a dataset; and what has been given up must not go on.
        with open("/proc/%s/mountinfo" % self.host.pid) as f:
            mounts = sorted(line.split(" ")[4] for line in f if "@bundles" in line or "/datasets/" in line or self.root in line)
        running = self.host.run("pgrep", "-f", "--", "^/usr/sbin/(zfs|zoneadm|zonecfg|dladm) |unpack-image").stdout
        return dict(super().seen(), all_mounts=mounts, programs=running.decode().split())


def lives(t, place):
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)):
        image = place.image("echo out; echo err >&2; pwd; " + script)
        done = place.run(image, "one")
        t.check("run --image: " + script, (done.returncode, done.stdout, done.stderr) == (code, b"out\n/\n", b"err\n"), done)
        place.is_clean("run --image: " + script)
    image = place.image("echo begun; while :; do sleep 0.1; done")
    done = place.run(image, "long", "--detach")
    t.check("detached", done.returncode == 0, done)
    root, run_dir = place.datasets("long")
    told = place.host.must("zfs", "get", "-H", "-o", "value,source", "quota,mountpoint,devices,setuid,aurora:container", run_dir)
    want = ["64M\tlocal", place.root + "/long/zones/rw\tlocal", "off\tlocal", "off\tlocal", "long\tlocal"]
    t.check("the run directory's dataset", told.splitlines() == want, told)
    told = place.host.must("zfs", "get", "-H", "-o", "value,source", "quota,mountpoint,devices,canmount,aurora:container", root)
    want = ["none\tdefault", place.root + "/@bundles/long/bundle\tlocal", "off\tlocal", "on\tdefault", "long\tlocal"]
    t.check("the image's dataset", told.splitlines() == want, told)
    t.check("running", place.status("long") == "running", place.status("long"))
    done = place.call("exec", "long", "sh", "-c", "ls -ld /.aurora-run | cut -c1-10; exit 4")
    t.check("exec", (done.returncode, done.stdout) == (4, b"drwx------\n"), done)
    done = place.run(image, "long")
    t.check("again", done.returncode == 1 and b"container with given ID already exists" in done.stderr, done)
    t.check("again: the first one runs", place.status("long") == "running", place.status("long"))
    t.check("kill", place.call("kill", "long", "KILL").returncode == 0)
    t.check("delete", place.call("delete", "long").returncode == 0)
    place.is_clean("detached")
    # A bundle has its run directory bounded, too.
    place.config("true")
    t.check("a bundle: create", place.create("bundle").returncode == 0)
    names = place.host.must("zfs", "list", "-H", "-r", "-o", "name", PARENT).split()
    t.check("a bundle: one dataset", names == [PARENT, place.datasets("bundle")[1]], names)
    t.check("a bundle: start", place.call("start", "bundle").returncode == 0)
    place.end("bundle", "a bundle")
    done = place.run(image, "one", "--image-quota", "64KiB")
    t.check("a small quota", done.returncode == 1 and b"o space left on device" in done.stderr, done)
    place.is_clean("a small quota")
    done = place.run(place.image("exit 6"), "one", "--image-quota", "100MiB")
    t.check("a large quota", done.returncode == 6, done)
    place.is_clean("a large quota")
    for args, text in ((["--image", "oci:/nonexistent:x"], b"unpacking: no such image: oci:/nonexistent:x"), (["--image", "nosuch:1"], b"nosuch:1")):
        done = place.call("run", *args, "--store", t.path("no-store"), "one")
        t.check("no image: " + args[1], done.returncode == 1 and text in done.stderr, done)
        place.is_clean("no image: " + args[1])
    done = place.run(place.image("exec nosuch-program"), "one")
    t.check("no program", done.returncode == 127, done)
    place.is_clean("no program")


def parents(t, place):
    """The dataset is named by an option or a variable, or is the one around the state directory."""
    image, options = place.image("exit 5"), place.options
    place.options, place.variables = [], ["RUNZ_DATASET=" + PARENT]
    t.check("by a variable", place.run(image, "one").returncode == 5)
    place.variables = ["RUNZ_DATASET=@"]
    done = place.run(image, "one")
    t.check("a variable that is none", done.returncode == 1 and b"RUNZ_DATASET: " in done.stderr, done)
    place.variables = []
    done = place.run(image, "one")
    t.check("none", done.returncode == 1 and b"no dataset that those of containers could be made in: " in done.stderr
            and b"`runz --dataset POOL/NAME` or RUNZ_DATASET" in done.stderr, done)
    place.is_clean("none")
    place.options = ["--dataset", "tank/nosuch"]
    done = place.run(image, "one")
    t.check("missing", done.returncode == 1 and b": there is no tank/nosuch" in done.stderr, done)
    place.is_clean("missing")
    # The one line of the README.
    place.options, state = [], place.root
    place.root = place.host.tank + "/state"
    os.makedirs(place.host.inside(place.root))
    before = len(place.host.calls())
    t.check("around the state directory", place.run(image, "one").returncode == 5)
    made = [call["args"][-1] for call in place.host.calls()[before:] if call["program"] == "zfs" and call["args"][0] == "create"]
    t.check("around the state directory: one dataset", made == ["tank/" + zone_of(place.root, "one")], made)
    place.options, place.root = options, state
    place.is_clean("around the state directory")


def shown(t, place):
    """What would be done is printed, and nothing of it is done."""
    image, before = place.image("exit 5"), len(place.host.calls())
    done = place.run(image, "one", "--dry-run")
    root, run_dir = place.datasets("one")
    path = place.root + "/@bundles/one/bundle"
    lines = done.stdout.decode().splitlines()
    want = ["# dataset", "/usr/sbin/zfs create -o mountpoint=%s -o devices=off -o aurora:container=one %s" % (path, root),
            "#   undone by: /usr/sbin/zfs destroy -rf " + root, "# image",
            "# %s is unpacked as by `imageadm unpack --bundle --zonepath` to %s" % (image, path), "# zonepath", "/usr/bin/chmod 700 " + path]
    t.check("shown: the image", done.returncode == 0 and lines[:len(want)] == want, done)
    made = "/usr/sbin/zfs create -o mountpoint=%s/one/zones/rw -o devices=off -o setuid=off -o quota=64M -o aurora:container=one %s"
    t.check("shown: the run directory", made % (place.root, run_dir) in lines and "set zonepath=" + path in lines, done.stdout)
    verbs = {call["args"][0] for call in place.host.calls()[before:]}
    t.check("shown: nothing is done", verbs <= {"list", "get"}, verbs)
    place.is_clean("shown")


def bounded(t, place):
    """What fills the run directory fills nothing else."""
    image = place.image("while :; do sleep 0.1; done")
    place.run(image, "full", "--detach")
    fill = "busybox dd if=/dev/zero of=/.aurora-run/fill bs=1048576 count=200 2>/dev/null; echo $?"
    done = place.call("exec", "full", "sh", "-c", fill)
    t.check("full: no more is taken", done.stdout == b"1\n", done)
    there, around = (os.stat(place.host.inside(place.root + path)) for path in ("/full/zones/rw/fill", "/full/zones"))
    t.check("full: bounded", there.st_size <= 64 << 20 and there.st_dev != around.st_dev, there)
    done = place.call("exec", "full", "true")
    # Whether it has begun may be told still, and how it has ended not: it counts as killed then.
    t.check("full: exec says why", done.returncode in (137, 255) and b"o space left on device" in done.stderr, done)
    t.check("full: runs", place.status("full") == "running", place.status("full"))
    t.check("full: kill", place.call("kill", "full", "KILL").returncode == 0)
    t.check("full: stopped", place.status("full") == "stopped", place.status("full"))
    place.end("full", "full")


def somebody_elses(t, place):
    image = place.image("while :; do sleep 0.1; done")
    for name in place.datasets("one"):
        place.host.must("zfs", "create", name)
        folder = "%s/%s" % (place.host.tank, name[len("tank/"):])
        place.host.must("touch", folder + "/kept")
        done = place.run(image, "one")
        t.check("there before", done.returncode == 1 and b"dataset %s exists already" % name.encode() in done.stderr, done)
        t.check("there before: delete", place.call("delete", "--force", "one").returncode == 0)
        t.check("there before: kept", os.path.exists(place.host.inside(folder + "/kept")))
        place.host.must("zfs", "destroy", name)
        place.is_clean("there before")
    place.run(image, "one", "--detach")
    root, run_dir = place.datasets("one")
    place.host.must("zfs", "create", "-o", "mountpoint=none", root + "/data")
    done = place.call("delete", "--force", "one")
    t.check("one below", done.returncode == 1 and b"somebody has made %s/data below it" % root.encode() in done.stderr, done)
    place.host.must("zfs", "destroy", root + "/data")
    # Snapshots that the host takes of everything are no obstacle.
    place.host.must("zfs", "snapshot", root + "@hourly")
    place.end("one", "one below")
    place.run(image, "one", "--detach")
    place.host.must("zfs", "set", "aurora:container=two", run_dir)
    done = place.call("delete", "--force", "one")
    t.check("another's mark", done.returncode == 1 and b"it is not marked as that of container one" in done.stderr, done)
    place.host.must("zfs", "set", "aurora:container=one", run_dir)
    place.end("one", "another's mark")


def together(t, place):
    """Two that begin one of the same id: one runs, the other is told, and nobody's dataset is harmed."""
    image = place.image("cat /etc/passwd >/dev/null && echo ran; sleep 1")
    for n in range(6):
        all_ = []
        for _ in range(2):
            words = place.host.enter(*place.words("run", "--image", image, "one"))
            all_.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            time.sleep(0.06 * n)
        told = sorted((p.wait(2 * WAIT), *p.communicate()) for p in all_)
        fine = told[0] == (0, b"ran\n", b"") and told[1][0] == 1 and b"container with given ID already exists" in told[1][2]
        t.check("together: %d" % n, fine, told)
        place.is_clean("together: %d" % n)


def unpacking(t, place):
    """runz is killed while the image is unpacked: what unpacks it ends, and `delete --force` at once leaves nothing."""
    many = t.path("many", "files", "x")[:-2]
    for n in range(20000):
        with open("%s/%d" % (many, n), "w") as f:
            f.write("x" * (n % 7000))
    image = place.image("true", os.path.dirname(many))
    for n in range(6):
        limit = "%.2f" % (0.1 + 0.12 * n)
        words = place.host.enter("timeout", "--foreground", "-s", "KILL", limit, *place.words("run", "--image", image, "one"))
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * WAIT)
        # A fast machine may be done with it before the last of them.
        t.check("unpacking: killed after %s s" % limit, n > 0 or done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done)
        done = place.call("delete", "--force", "one")
        t.check("unpacking: delete --force", done.returncode == 0, done)
        place.end("one", "unpacking: %s s" % limit)


def failing(t, place):
    """Each new call of the host fails, before or after it has done its work, is killed, or tells garbage."""
    image = place.image("while :; do sleep 0.1; done")
    for dataset in place.datasets("step"):
        for kind in ("fail", "fail-after", "kill", "kill-after"):
            what = "%s: create %s" % (kind, dataset[-4:])
            place.host.inject(kind, "zfs", "create", dataset)
            done = place.run(image, "step", "--detach")
            t.check(what, done.returncode == 1 and b"error: runz run failed: `/usr/sbin/zfs create " in done.stderr, done)
            place.host.inject()
            place.is_clean(what)
        for kind in ("fail", "kill"):
            what = "%s: destroy %s" % (kind, dataset[-4:])
            place.run(image, "step", "--detach")
            place.host.inject(kind, "zfs", "destroy", dataset)
            done = place.call("delete", "--force", "step")
            t.check(what, done.returncode == 1 and b"`/usr/sbin/zfs destroy " in done.stderr, done)
            place.host.inject()
            place.end("step", what)
    for words in (["list", "filesystem,volume"], ["list", "filesystem"], ["get"]):
        what = "garbage: " + " ".join(words)
        for command in ("run", "delete"):
            if command == "delete":
                place.run(image, "step", "--detach")
            elif words == ["get"]:
                continue
            place.host.inject("garbage", "zfs", *words)
            done = place.run(image, "step", "--detach") if command == "run" else place.call("delete", "--force", "step")
            t.check("%s: %s" % (what, command), done.returncode == 1 and b"printed a line that is not understood" in done.stderr, done)
            place.host.inject()
            place.end("step", what)


def hanging(t, place):
    """A program of the host that hangs is given up, with an error that names it."""
    image = place.image("while :; do sleep 0.1; done")
    limit, seconds = ["RUNZ_LIMIT=%d" % LIMIT_MS], b"did not end within %d s" % (LIMIT_MS // 1000)
    root, run_dir = place.datasets("slow")
    for kind, program, *words in (("hang", "zfs", "create", root), ("hang-after", "zfs", "create", run_dir), ("hang", "zonecfg", "-f"),
                                  ("hang-after", "zoneadm", "attach"), ("hang", "zoneadm", "ready"), ("hang-after", "zoneadm", "boot")):
        what = "%s: %s %s" % (kind, program, words[0])
        place.host.inject(kind, program, *words)
        place.variables = limit
        done = place.run(image, "slow", "--detach")
        place.variables = []
        named = b"`/usr/sbin/%s " % program.encode() in done.stderr and words[0].encode() in done.stderr
        t.check(what, done.returncode == 1 and named and seconds in done.stderr, done)
        place.host.inject()
        place.end("slow", what)
    for program, *words in (("zoneadm", "halt"), ("zonecfg", "delete"), ("zfs", "destroy", root)):
        what = "hang: %s %s" % (program, words[0])
        place.run(image, "slow", "--detach")
        place.host.inject("hang", program, *words)
        place.variables = limit
        done = place.call("delete", "--force", "slow")
        place.variables = []
        t.check(what, done.returncode == 1 and b"`/usr/sbin/%s " % program.encode() in done.stderr and seconds in done.stderr, done)
        place.host.inject()
        place.end("slow", what)


def at_points(t, place):
    """Killed at every point."""
    image = place.image("while :; do sleep 0.1; done")
    for command, points in POINTS.items():
        for point in points:
            name = "crash-" + point
            for step in (["run", "--image", image, "--detach", name], ["delete", "--force", name]):
                last = step[0] == command
                done = place.call(*step, fail=point if last else None)
                if last:
                    t.check("%s: is passed" % point, done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done)
                    break
            place.end(name, point)
        # What was left is no obstacle for the next one, either.
        for point in points if command == "run" else ():
            place.run(image, "again", "--detach", fail=point)
            done = place.run(image, "again", "--detach")
            told = done.returncode == 0 or b"container with given ID already exists" in done.stderr
            t.check("%s: the next one" % point, told, done)
            place.end("again", point + ": the next one")


def run(t):
    podinit, program, host_program = static(t), build(t), build_host(t)
    with ZoneHost(t, host_program, "omnios") as host:
        place = Images(t, host, program, podinit)
        for part in (lives, parents, shown, bounded, somebody_elses, together, unpacking, failing, hanging, at_points):
            t.guard(part, place)
