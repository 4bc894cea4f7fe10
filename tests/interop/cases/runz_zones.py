"""runz on zones: the whole life of containers on the stand-ins of a zone host, with a real podinit inside; then every step of
the host failing, and runz killed at every point that a build for tests has. `delete --force` leaves no zone, VNIC, mount,
process or file, and a dataset as it was."""
import json
import os
import re
import signal
import subprocess
import time

from cases._runz import LOOP, tree
from cases._zonehost import ZoneHost, build as build_host
from cases.podinit import static
from cases.runz_crashes import build
from lib import Failure

WAIT = 60
READY = "until test -e /dev/ready; do sleep 0.05; done"
# What an engine's shim does: it adopts what runz leaves, and waits for the process in the pid file. It runs on the zones' host.
SHIM = """
import ctypes, json, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
pid_file, commands = sys.argv[1], json.loads(sys.argv[2])
codes = [subprocess.call(command, stdin=subprocess.DEVNULL) for command in commands]
pid = int(open(pid_file).read())
status = os.waitpid(pid, 0)[1]
print("shim", json.dumps({"codes": codes, "end": os.waitstatus_to_exitcode(status), "pid": pid}), flush=True)
"""
# After which commands a point is passed; the last of them is killed there.
POINTS = {
    "create": ["state-written", "state-made", "files-written", "zone-zonepath", "zone-readonly", "zone-control", "zone-configure",
               "zone-attach", "zone-ready", "zone-monitor", "zone-hooks", "environment-made", "created", "pid-file-written"],
    "start": ["start-saved", "zone-booted", "started"],
    "delete": ["undone-ready", "undone-attach", "undone-configure", "undone-readonly", "destroyed", "state-renamed"],
}
# Calls of the host by which a zone is made, and by which it is removed.
MAKING = [("zfs", "set"), ("zonecfg", "-f"), ("zoneadm", "attach"), ("zoneadm", "ready")]
REMOVING = [("zoneadm", "halt"), ("zoneadm", "detach"), ("zonecfg", "delete"), ("zfs", "inherit")]


class Place:
    """A host of zones, with a dataset that is a bundle, and runz."""

    def __init__(self, t, host, program, podinit, dialect="omnios"):
        self.t, self.host, self.program, self.podinit, self.dialect = t, host, program, podinit, dialect
        self.annotations = {"org.opencontainers.image.os": "linux"}
        self.root = t.path("state-" + dialect, "x")[:-2]
        self.bundle = host.tank + "/web"
        root = tree(t)
        os.makedirs(root + "/sbin", exist_ok=True)
        if not os.path.lexists(root + "/sbin/sh"):
            os.symlink("../bin/busybox", root + "/sbin/sh")
        host.image("web", root)
        self.clean = self.seen()

    def config(self, *args, terminal=False, **more):
        config = {"ociVersion": "1.0.2", "root": {"path": "root"}, "annotations": self.annotations,
                  "process": {"args": list(args), "cwd": "/", "env": ["PATH=/bin:/sbin", "A=b c"], "user": {"uid": 0, "gid": 0},
                              "terminal": terminal}}
        config.update(more)
        with open(self.host.inside(self.bundle + "/config.json"), "w") as f:
            json.dump(config, f)

    def words(self, *args):
        return [self.program, "--root", self.root, "--backend", "zones", "--zone-dialect", self.dialect, "--podinit", self.podinit, *args]

    def call(self, *args, stdin=b"", fail=None):
        """runz; standard input, and a point to be killed at. Into files: what it leaves behind keeps its output open."""
        env = ["env", "RUNZ_FAIL_AT=" + fail] if fail else []
        with open(self.t.path("out"), "w+b") as out, open(self.t.path("err"), "w+b") as err:
            done = subprocess.run(self.host.enter(*env, *self.words(*args)), input=stdin, stdout=out, stderr=err, timeout=3 * WAIT)
            for file in (out, err):
                file.seek(0)
            done.stdout, done.stderr = out.read(), err.read()
        return done

    def create(self, name, *args):
        return self.call("create", "--bundle", self.bundle, *args, name)

    def status(self, name):
        state = self.call("state", name)
        return json.loads(state.stdout)["status"] if state.returncode == 0 else state.stderr.decode()

    def until(self, name, want):
        self.host.until(lambda: self.status(name) == want)

    def shim(self, name, *commands):
        """Makes a container, does the commands, and waits; what it has printed, and how all ended."""
        pid_file = self.t.path("pid")
        made = self.words("create", "--bundle", self.bundle, "--pid-file", pid_file, name)
        all_ = [command if command[0] == "sh" else self.words(*command) for command in commands]
        words = ["python3", "-c", SHIM, pid_file, json.dumps([made, *all_])]
        done = subprocess.run(self.host.enter(*words), stdin=subprocess.DEVNULL, capture_output=True, timeout=3 * WAIT)
        found = re.search(r"^shim (.*)$", done.stdout.decode(), re.M)
        if not found:
            raise Failure("the shim has not come to its end: %s" % done)
        return json.loads(found[1]), done

    def seen(self):
        """All that there is, of the host and of runz."""
        mine = self.host.run("pgrep", "-f", "--", "%s --root|zone-monitor|zone-exec|/.aurora/" % self.program).stdout
        readonly = self.host.must("zfs", "get", "-H", "-o", "value,source", "readonly", "tank/web")
        return dict(self.host.dump(), state=os.listdir(self.root), processes_of_runz=mine.decode().split(), readonly=readonly)

    def is_clean(self, what):
        end = time.monotonic() + WAIT
        # The stand-in of zoneadmd leaves a moment after its zone.
        while (seen := self.seen()) != self.clean and time.monotonic() < end:
            time.sleep(0.1)
        different = {k: v for k, v in seen.items() if v != self.clean.get(k)}
        return self.t.check(what + ": nothing left", not different, different)

    def end(self, name, what):
        """Removes what there is, once and once more; nothing may be left."""
        for _ in range(2):
            done = self.call("delete", "--force", name)
            if not self.t.check(what + ": delete --force", done.returncode == 0, done.stderr):
                return
        self.is_clean(what)


def ends(t, place):
    """What a program prints and how it ends is what `run` prints and how it ends."""
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)):
        place.config("sh", "-c", "echo out; echo err >&2; echo $A; pwd; " + script)
        done = place.call("run", "--bundle", place.bundle, "one")
        t.check("run: " + script, (done.returncode, done.stdout, done.stderr) == (code, b"out\nb c\n/\n", b"err\n"), done)
        place.is_clean("run: " + script)
    place.config("cat")
    data = os.urandom(1 << 20)
    done = place.call("run", "--bundle", place.bundle, "one", stdin=data)
    t.check("run: a megabyte through cat", done.returncode == 0 and done.stdout == data, (done.returncode, len(done.stdout), done.stderr))
    place.config("sh", "-c", "exec >&- 2>&-; sleep 1; exit 9")
    t.check("run: without output", place.call("run", "--bundle", place.bundle, "one").returncode == 9)
    for args, text in ((["nosuch"], "executable file not found in $PATH"), (["/plain"], "permission denied")):
        place.config(*args)
        done = place.call("run", "--bundle", place.bundle, "one")
        t.check("run: " + args[0], done.returncode == 1 and text in done.stderr.decode(), done)
        place.is_clean("run: " + args[0])


def waited_for(t, place):
    """The process in the pid file is one that a shim can wait for, and ends as the program has."""
    for script, want in (("exit 7", 7), ("kill -9 $$", -9)):
        place.config("sh", "-c", script)
        told, done = place.shim("one", ["state", "one"], ["start", "one"])
        t.check("pid file: " + script, (told["codes"], told["end"]) == ([0, 0, 0], want), done)
        t.check("state: created", '"status": "created"' in done.stdout.decode() and '"pid": %d' % told["pid"] in done.stdout.decode(), done)
        t.check("state: stopped", place.status("one") == "stopped", place.status("one"))
        t.check("start again", place.call("start", "one").returncode == 1)
        t.check("delete", place.call("delete", "one").returncode == 0)
        place.is_clean("pid file: " + script)


def looped(t, place, *commands):
    """A container in a loop that signals end, and what a shim then does with it."""
    place.config("sh", "-c", LOOP)
    return place.shim("loop", ["start", "loop"], ["exec", "loop", "sh", "-c", READY], *commands)


def signals(t, place):
    for word, want in (("TERM", 5), ("USR1", 6), ("SIGKILL", -9)):
        told, done = looped(t, place, ["delete", "loop"], ["kill", "loop", word])
        t.check("kill " + word, (told["codes"], told["end"]) == ([0, 0, 0, 1, 0], want), done)
        t.check("delete of a running one", b"cannot delete container loop that is not stopped: running" in done.stderr, done)
        done = place.call("kill", "loop", word)
        t.check("kill of a stopped one", b"container not running" in done.stderr, done.stderr)
        place.end("loop", "kill " + word)
    # Before the start nothing is there that could live through one.
    told, done = place.shim("loop", ["kill", "loop", "TERM"])
    t.check("kill before start", (told["codes"], told["end"]) == ([0, 0], -15), done)
    t.check("stopped before start", place.status("loop") == "stopped", place.status("loop"))
    place.end("loop", "kill before start")


def begun(t, place):
    """A container in its loop, and the monitor's number."""
    place.config("sh", "-c", LOOP)
    for args in (["create", "--bundle", place.bundle, "loop"], ["start", "loop"], ["exec", "loop", "sh", "-c", READY]):
        done = place.call(*args)
        t.check(args[0], done.returncode == 0, done.stderr)
    return str(json.loads(place.call("state", "loop").stdout)["pid"])


def monitors(t, place):
    # Engines that know no more than the pid file send signals there.
    pid = begun(t, place)
    place.host.must("kill", "-TERM", pid)
    place.until("loop", "stopped")
    place.end("loop", "sent on")
    # Without its monitor the zone goes on.
    pid = begun(t, place)
    place.host.must("kill", "-KILL", pid)
    t.check("without a monitor", place.status("loop") == "running", place.status("loop"))
    t.check("exec without one", place.call("exec", "loop", "true").returncode == 0)
    t.check("kill without one", place.call("kill", "loop", "KILL").returncode == 0)
    t.check("stopped without one", place.status("loop") == "stopped", place.status("loop"))
    place.end("loop", "without a monitor")


def own_end(t, place):
    """Who acts on `stopped` takes neither the last output nor the program's status from whoever waits."""
    place.config("sh", "-c", "sleep 0.3; echo last; exit 7")
    poll = place.words("state", "one")
    until_stopped = ["sh", "-c", "until \"$@\" | grep -q '\"stopped\"'; do :; done", "sh", *poll]
    for _ in range(3):
        told, done = place.shim("one", ["start", "one"], until_stopped, ["delete", "one"])
        t.check("delete at stopped", (told["codes"], told["end"]) == ([0, 0, 0, 0], 7) and b"last\n" in done.stdout, done)
        place.is_clean("delete at stopped")


def hostile(t, place):
    """What the zone's root writes where podinit tells of its end."""
    stop = "echo '{\"code\":0,\"signal\":\"TSTP\"}' >/.aurora-run/x; mv /.aurora-run/x /.aurora-run/exit; sleep 1000"
    place.config("sh", "-c", stop)
    done = place.call("run", "--bundle", place.bundle, "loop")
    t.check("an end by a signal that stops", done.returncode == 0, done)
    place.is_clean("an end by a signal that stops")
    for script, want in (("mkdir /.aurora-run/exit", "running"), ("echo x >/.aurora-run/exit", "running"),
                         ("echo '{\"code\":0}' >/.aurora-run/exit", "stopped")):
        pid = begun(t, place)
        place.host.must("kill", "-KILL", pid)
        t.check(script, place.call("exec", "loop", "sh", "-c", script).returncode == 0)
        state = json.loads(place.call("state", "loop").stdout)
        t.check(script + ": state", (state["status"], state["pid"]) == (want, 0), state)
        done = place.call("kill", "loop", "KILL")
        t.check(script + ": kill", done.returncode == 0 and place.status("loop") == "stopped", done)
        place.end("loop", script)
    # Deeper than there are descriptors.
    pid = begun(t, place)
    deep = "cd /.aurora-run; n=0; while [ $n -lt 2000 ]; do mkdir d && cd d || exit 1; n=$((n+1)); done"
    t.check("deep folders", place.call("exec", "loop", "sh", "-c", deep).returncode == 0)
    place.end("loop", "deep folders")


def readers(t, place):
    """A slow reader holds up nothing but output; a full disk ends only that."""
    place.config("sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done")
    words = place.host.enter(*place.words("run", "--bundle", place.bundle, "loop"))
    slow = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    place.until("loop", "running")
    time.sleep(1)
    monitor = str(json.loads(place.call("state", "loop").stdout)["pid"])
    place.host.must("kill", "-TERM", monitor)
    # It arrives, though nothing is read.
    place.until("loop", "stopped")
    slow.stdout.read()
    t.check("a slow reader", slow.wait(WAIT) == 143, slow.returncode)
    place.is_clean("a slow reader")
    place.config("sh", "-c", "echo x; trap '' PIPE; sleep 1; exit 4")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(place.host.enter(*place.words("run", "--bundle", place.bundle, "loop")), stdin=subprocess.DEVNULL,
                              stdout=full, stderr=subprocess.PIPE, timeout=WAIT)
    t.check("a full disk", done.returncode == 4 and done.stderr.count(b"standard output: No space left") == 1, done)
    place.is_clean("a full disk")


def harmless(t, place):
    """Before the start, what would not end a program does not end the container; its streams are its user's."""
    place.config("sh", "-c", "echo anew >/dev/stdout; exit 3", user={"uid": 7, "gid": 8})
    config = json.load(open(place.host.inside(place.bundle + "/config.json")))
    config["process"]["user"] = config.pop("user")
    with open(place.host.inside(place.bundle + "/config.json"), "w") as f:
        json.dump(config, f)
    told, done = place.shim("one", ["kill", "one", "0"], ["kill", "one", "WINCH"], ["kill", "one", "STOP"], ["start", "one"])
    t.check("harmless signals", (told["codes"], told["end"]) == ([0, 0, 0, 0, 0], 3) and b"anew\n" in done.stdout, done)
    place.end("one", "harmless signals")
    # Halted, a process more ends as killed.
    begun(t, place)
    words = place.host.enter(*place.words("exec", "loop", "sh", "-c", "echo begun; sleep 1000"))
    more = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    more.stdout.readline()
    t.check("kill", place.call("kill", "loop", "KILL").returncode == 0)
    t.check("exec in a halted zone", more.wait(WAIT) == 137, more.returncode)
    place.end("loop", "exec in a halted zone")


def execs(t, place):
    begun(t, place)
    words = ["a 'b'", 'c "d"', "$e `f`; g\\h", "", "*", "\u00fc\n"]
    done = place.call("exec", "loop", "sh", "-c", 'for w; do printf "<%s>" "$w"; done; exit 3', "sh", *words)
    t.check("exec: words", (done.returncode, done.stdout.decode()) == (3, "".join("<%s>" % w for w in words)), done)
    done = place.call("exec", "-e", "X=y z", "--cwd", "/tmp", "-u", "7:8", "loop", "sh", "-c", "echo $X; pwd; id -u; id -g")
    t.check("exec: surroundings", done.stdout == b"y z\n/tmp\n7\n8\n", done)
    done = place.call("exec", "loop", "cat", stdin=b"in\n")
    t.check("exec: standard input", (done.returncode, done.stdout) == (0, b"in\n"), done)
    t.check("exec: 1 is the program's", place.call("exec", "loop", "false").returncode == 1)
    t.check("exec: signal", place.call("exec", "loop", "sh", "-c", "kill -9 $$").returncode == 137)
    done = place.call("exec", "loop", "nosuch")
    t.check("exec: nosuch", done.returncode == 255 and b"executable file not found in $PATH" in done.stderr, done)
    pid_file = t.path("exec-pid")
    helper = place.words("exec", "--detach", "--pid-file", pid_file, "loop", "sh", "-c", "sleep 0.2; exit 4")
    done = place.host.run("python3", "-c", SHIM, pid_file, json.dumps([helper]))
    t.check("exec --detach", b'"codes": [0], "end": 4' in done.stdout, done)
    left = os.listdir(os.path.join(place.root, "loop", "zones")) + os.listdir(os.path.join(place.root, "loop", "zones", "rw"))
    t.check("exec: nothing left", not [name for name in left if name.startswith("exec")], left)
    for args in (["ps", "loop"], ["pause", "loop"], ["update", "loop"], ["events", "--stats", "loop"], ["kill", "--all", "loop", "TERM"]):
        done = place.call(*args)
        t.check(args[0] + " is refused", done.returncode == 1 and b"not supported by the zones backend" in done.stderr, done.stderr)
    place.end("loop", "exec")


def hooks(t, place):
    log = t.path("hooks-" + place.dialect)
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    note = "(printf '%s '; cat; echo) >>" + log
    all_ = {k: [{"path": "/bin/sh", "args": ["sh", "-c", note % k], "env": ["PATH=/bin"]}] for k in kinds}
    all_["startContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/state"], "env": ["PATH=/bin"]}]
    place.config("cat", "/state", hooks=all_)
    done = place.call("run", "--bundle", place.bundle, "hooked")
    told = [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])["status"]) for line in open(log)]
    want = [("prestart", "creating"), ("createRuntime", "creating"), ("createContainer", "creating"), ("poststart", "running"),
            ("poststop", "stopped")]
    t.check("hooks: order and states", told == want, told)
    t.check("hooks: within", done.returncode == 0 and json.loads(done.stdout)["id"] == "hooked", done)
    os.remove(place.host.inside(place.bundle + "/root/state"))
    place.is_clean("hooks")
    failing = {"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 3"]}
    place.config("true", hooks={"createRuntime": [failing]})
    done = place.create("hooked")
    t.check("hooks: one fails", done.returncode == 1 and b"exit status 3, stderr: why" in done.stderr, done)
    place.is_clean("hooks: one fails")
    place.config("true", hooks={"startContainer": [failing]})
    done = place.call("run", "--bundle", place.bundle, "hooked")
    t.check("hooks: one within fails", done.returncode == 1 and b"hook-0: has failed: exit 3" in done.stderr, done)
    place.is_clean("hooks: one within fails")


def unpacked(t, place):
    """The recipe of the README: an image, unpacked into a new dataset, run."""
    layout = "oci:" + t.path("layout") + ":web"
    command = json.dumps(["sh", "-c", "echo $0 $GREETING; exit 8"])
    t.imageadm("pack", "--quiet", "--cmd", command, "--env", "GREETING=hello", tree(t), layout)
    place.host.must("zfs", "create", "tank/image")
    zonepath = place.host.tank + "/image"
    place.host.must(t.bin, "unpack", "--quiet", "--bundle", "--zonepath", layout, zonepath)
    done = place.call("run", "--bundle", zonepath, "image")
    t.check("unpacked and run", (done.returncode, done.stdout, done.stderr) == (8, b"sh hello\n", b""), done)
    place.host.must("zfs", "destroy", "tank/image")
    place.is_clean("unpacked and run")


READONLY = {"path": "root", "readonly": True}


def read_only(t, place):
    mounts = [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]}]
    place.config("touch", "/tmp/x", root=READONLY, mounts=mounts)
    done = place.create("ro")
    t.check("create", done.returncode == 0, done.stderr)
    value = place.host.must("zfs", "get", "-H", "-o", "value,source", "readonly", "tank/web")
    t.check("root.readonly", value == "on\tlocal\n", value)
    place.end("ro", "root.readonly")
    done = place.call("run", "--bundle", place.bundle, "ro")
    t.check("root.readonly: runs", done.returncode == 0, done)
    place.is_clean("root.readonly: runs")


def failing_steps(t, place):
    """Each call of the host fails, before or after it has done its work, is killed, or tells garbage."""
    place.config("true", root=READONLY)
    for program, word in MAKING:
        for kind in ("fail", "fail-after", "kill", "kill-after"):
            what = "%s: %s %s" % (kind, program, word)
            place.host.inject(kind, program, word)
            done = place.create("step")
            t.check(what, done.returncode == 1 and b"error: runz create failed: `/usr/sbin/" in done.stderr, done)
            place.host.inject()
            place.is_clean(what)
            place.end("step", what)
    for kind in ("fail", "fail-after", "kill", "kill-after"):
        what = "%s: boot" % kind
        place.create("step")
        place.host.inject(kind, "zoneadm", "boot")
        done = place.call("start", "step")
        t.check(what, done.returncode == 1, done)
        place.host.inject()
        place.end("step", what)
    for program, word in REMOVING:
        for kind in ("fail", "kill"):
            what = "%s: %s %s" % (kind, program, word)
            place.create("step")
            place.host.inject(kind, program, word)
            done = place.call("delete", "--force", "step")
            t.check(what, done.returncode == 1 and b"`/usr/sbin/" in done.stderr, done)
            place.host.inject()
            place.end("step", what)
    # What is there before, and whether it is ready: the monitor asks as well, but later.
    for at in range(1, 3):
        what = "garbage: list %d" % at
        place.host.inject("-n", str(at), "garbage", "zoneadm", "list")
        done = place.create("step")
        t.check(what, done.returncode == 1 and b"printed a line that is not understood" in done.stderr, done)
        place.host.inject()
        place.end("step", what)
    place.create("step")
    for command in ("state", "start", "delete"):
        # The monitor asks now and then, too.
        for _ in range(2):
            place.host.inject("garbage", "zoneadm", "list")
        done = place.call(command, "step")
        t.check("garbage: " + command, done.returncode == 1 and b"printed a line that is not understood" in done.stderr, done)
        place.host.inject()
    place.end("step", "garbage")


def at_points(t, place):
    """Killed at every point."""
    place.config("sleep", "1000", root=READONLY)
    for command, points in POINTS.items():
        for point in points:
            name = "crash-" + point
            create = ["create", "--bundle", place.bundle, "--pid-file", t.path("pid"), name]
            for step in [create, ["start", name], ["delete", "--force", name]]:
                last = step[0] == command
                done = place.call(*step, fail=point if last else None)
                if last:
                    t.check("%s: is passed" % point, done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done)
                    break
            # Whatever it was, it can be asked, and only a whole container is one.
            state = place.call("state", name)
            says = re.search(r'"status": "(\w+)"', state.stdout.decode())
            t.check("%s: state" % point, state.returncode == 1 or says[1] in ("created", "running", "stopped"), state.stdout)
            place.end(name, point)


def run(t):
    podinit, program, host_program = static(t), build(t), build_host(t)
    with ZoneHost(t, host_program, "omnios") as host:
        place = Place(t, host, program, podinit)
        for part in (ends, waited_for, own_end, signals, monitors, hostile, readers, harmless, execs, hooks, unpacked,
                     read_only, failing_steps, at_points):
            t.guard(part, place)
