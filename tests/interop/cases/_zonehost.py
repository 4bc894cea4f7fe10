"""The fake zone host, for cases: a place in which stand-ins of illumos's programs lie where illumos has them.

The place is a mount and a pid namespace. Its first process ends with the case, however the case ends, and with it goes every
process, zone and mount that was made in it; of the host's file system only the case's own folder is written."""
import json
import os
import select
import shutil
import subprocess

from lib import TOP, Failure

PROGRAMS = ("zonecfg", "zoneadm", "zlogin", "zfs", "dladm")
STATE = "/run/zonehost"
WAIT = 60

# /usr/sbin as it was, but for the stand-ins. (Not every kernel has overlays, and nothing can be mounted upon what is not there.)
# The last loop waits for whatever is left behind, as process 1 has to.
SETUP = """set -e
mount --bind /usr/sbin "$1/sbin"
mount -t tmpfs -o mode=755 zonehost /usr/sbin
ln -s "$1"/sbin/* /usr/sbin/
for name in %s; do ln -sf "$2" "/usr/sbin/$name"; done
ln -s "$2" /usr/sbin/zonehost
mount -t tmpfs -o mode=755 zonehost /run
echo ready
while :; do sleep 86400 & wait; done
""" % " ".join(PROGRAMS)


def build(t):
    """The program that is all of the stand-ins."""
    env = dict(os.environ, CARGO_TERM_COLOR="never")
    t.must("cargo", "build", "--quiet", "--package", "aurora-tests", "--bin", "zonehost", cwd=TOP, env=env, timeout=1800)
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(TOP, "target")
    # Another build may take its place.
    return shutil.copy(os.path.join(TOP, target, "debug", "zonehost"), t.path("zonehost", "bin", "zonehost"))


class ZoneHost:
    """A host with one pool, `tank`, mounted in the case's folder."""

    def __init__(self, t, program, dialect, links=("igb0", "igb1")):
        self.t = t
        self.dir = t.path("zonehost", dialect, "x")[:-2]
        self.tank = self.dir + "/tank"
        self.pid = None
        os.makedirs(self.dir + "/sbin", exist_ok=True)
        os.makedirs(self.tank, exist_ok=True)
        self.words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                      "--kill-child", "--mount-proc", "sh", "-c", SETUP, "sh", self.dir, program]
        self.options = ["-d", dialect, "-p", "tank=" + self.tank] + [word for link in links for word in ("-l", link)]

    def __enter__(self):
        self.first = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if not select.select([self.first.stdout], [], [], WAIT)[0] or self.first.stdout.readline() != b"ready\n":
            self.__exit__()
            raise Failure("the host has not come up")
        with open("/proc/%d/task/%d/children" % (self.first.pid, self.first.pid)) as f:
            self.pid = f.read().split()[0]
        self.must("zonehost", "init", *self.options)
        return self

    def __exit__(self, *_):
        self.first.kill()
        self.first.wait()
        self.first.stdout.close()
        # Its child is killed with it, and with that all others; this takes a moment.
        if self.pid:
            self.until(lambda: not os.path.exists("/proc/" + self.pid))

    def enter(self, *words):
        """How these are run there."""
        return ["nsenter", "--target", self.pid, "--mount", "--pid", "--", *words]

    def run(self, *words, **kw):
        return self.t.run(*self.enter(*words), **kw)

    def must(self, *words, **kw):
        return self.t.must(*self.enter(*words), **kw).decode()

    def inside(self, path):
        """A file there, from here: mounts are seen."""
        return "/proc/%s/root%s" % (self.pid, path)

    def state(self, zone):
        """What zoneadm says; None if it does not know the zone."""
        done = self.run("zoneadm", "-z", zone, "list", "-p")
        return done.stdout.decode().split(":")[2] if done.returncode == 0 else None

    def dump(self):
        """Everything that exists there."""
        return json.loads(self.must("zonehost", "dump"))

    def calls(self):
        """All calls of the stand-ins so far: program, args, status."""
        with open(self.inside(STATE + "/calls.jsonl")) as f:
            return [json.loads(line) for line in f]

    def inject(self, *words):
        """Orders a failure; without words, forgets all orders."""
        self.must("zonehost", "inject", *(words or ("-c",)))

    def until(self, what):
        """Asks again and again, not forever."""
        for _ in range(WAIT * 20):
            if what():
                return
            self.t.run("sleep", "0.05")
        raise Failure("it does not come")

    def image(self, name, root):
        """A dataset with a snapshot `final` of a root file system, as a zone's dataset has it: in the folder root/."""
        self.must("zfs", "create", "tank/" + name)
        self.must("chmod", "700", "%s/%s" % (self.tank, name))
        self.must("cp", "-a", root, "%s/%s/root" % (self.tank, name))
        self.must("zfs", "snapshot", "tank/%s@final" % name)


def traces(*marks):
    """What this machine has of a case's: mounts whose place has one of these in it, and processes whose words have."""
    with open("/proc/self/mountinfo") as f:
        found = ["mount " + line.split(" ")[4] for line in f if any(mark in line for mark in marks)]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if any(mark in words for mark in marks):
            found.append("process " + words)
    return found
