"""runz killed: at every point that a build for tests has, and at any moment. `delete --force` leaves no file, control group, mount
or process."""
import os
import re
import shutil
import subprocess
import time

from cases._runz import bundle, groups
from lib import TOP

# After which commands a point is passed; the last of them is killed there.
POINTS = {
    "create": ["state-written", "state-made", "files-written", "making", "made", "environment-made", "created", "pid-file-written"],
    "start": ["start-saved", "notified", "started"],
    "delete": ["destroyed", "state-renamed"],
}
SLEEP = "98765.4321"  # what a container of this case runs, and nothing else on the host


def build(t):
    """runz with points to be killed at."""
    env = dict(os.environ, CARGO_TERM_COLOR="never")
    t.must("cargo", "build", "--quiet", "--package", "aurora-cli", "--bin", "runz", "--features", "fail-points", cwd=TOP, env=env,
           timeout=1800)
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(TOP, "target")
    # Another build may take its place.
    return shutil.copy(os.path.join(TOP, target, "debug", "runz"), t.path("runz"))


def mounts():
    with open("/proc/self/mountinfo") as f:
        return sorted(line.split(" ")[4] for line in f)


def processes(program):
    """Those that a container has left, or runz itself."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                args = f.read()
            name = open("/proc/%s/comm" % pid).read()
            # Parts of libcontainer name themselves.
            if SLEEP.encode() in args or program.encode() in args or name.startswith("youki:"):
                with open("/proc/%s/stat" % pid) as f:
                    if f.read().rsplit(") ", 1)[1][0] != "Z":
                        found.append("%s %s" % (pid, args.replace(b"\0", b" ").decode("utf-8", "replace")))
        except OSError:
            pass
    return found


class Place:
    def __init__(self, t, program):
        self.t, self.program = t, program
        self.root = t.path("root", "x")[:-2]
        self.bundle = bundle(t, "crash", lambda c: c["process"].update(args=["sleep", SLEEP]))
        self.mounts = mounts()

    def call(self, *args, fail=None):
        env = dict(os.environ, RUNZ_FAIL_AT=fail or "")
        with open(self.t.path("out"), "w+b") as out:
            done = subprocess.Popen([self.program, "--root", self.root, *args], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
            return done

    def end(self, name, what):
        """Removes what there is, once and once more; nothing may be left."""
        for _ in range(2):
            code = self.call("delete", "--force", name).wait(60)
            if not self.t.check("%s: delete --force" % what, code == 0, open(self.t.path("out")).read()):
                return
        # Parts of libcontainer that another case runs come and go.
        for _ in range(50):
            left = os.listdir(self.root) + groups(name) + processes(self.program)
            left += ["mount " + m for m in mounts() if m not in self.mounts]
            if not left:
                break
            time.sleep(0.2)
        self.t.check("%s: nothing left" % what, not left, left)


def at_points(t, place):
    for command, points in POINTS.items():
        for point in points:
            name = "crash-" + point
            create = ["create", "--bundle", place.bundle, "--pid-file", t.path("pid"), name]
            steps = [create, ["start", name], ["delete", "--force", name]]
            for step in steps:
                last = step[0] == command
                code = place.call(*step, fail=point if last else None).wait(60)
                if last:
                    t.check("%s: is passed" % point, code == -9, code)
                    break
            # Whatever it was, it can be asked, and only a whole container is one.
            state = t.run(place.program, "--root", place.root, "state", name)
            says = re.search(r'"status": "(\w+)"', state.stdout.decode())
            t.check("%s: state" % point, state.returncode == 1 or says[1] in ("created", "running", "stopped"), state.stdout)
            place.end(name, point)


def at_any_moment(t, place):
    """Also inside libcontainer, where there are no points."""
    begun = time.monotonic()
    place.call("create", "--bundle", place.bundle, "whole").wait(60)
    took = time.monotonic() - begun
    place.end("whole", "whole")
    for n in range(40):
        process = place.call("create", "--bundle", place.bundle, "any")
        time.sleep(took * n / 36)
        process.kill()
        process.wait(60)
        place.end("any", "killed after %d/36 of the time" % n)


def in_exec(t, place):
    """A process more that was on its way when its runz was killed does not come back after the container."""
    for n in range(20):
        place.call("run", "--detach", "--bundle", place.bundle, "more").wait(60)
        process = place.call("exec", "more", "sleep", SLEEP)
        time.sleep(0.004 * n)
        process.kill()
        process.wait(60)
        place.end("more", "exec killed after %d ms" % (4 * n))


def made_and_removed(t, place):
    """What is removed while it is made leaves nothing, whoever comes last."""
    for n in range(40):
        create = place.call("create", "--bundle", place.bundle, "both")
        time.sleep(0.003 * n)
        remove = place.call("delete", "--force", "both")
        t.check("made and removed %d" % n, create.wait(60) in (0, 1) and remove.wait(60) == 0, open(t.path("out")).read())
        place.end("both", "made and removed %d" % n)


def together(t, place):
    """Of many that make one container, one does."""
    all_ = [place.call("create", "--bundle", place.bundle, "one") for _ in range(8)]
    codes = [p.wait(60) for p in all_]
    t.check("one of eight", sorted(codes) == [0] + [1] * 7, codes)
    all_ = [place.call("start", "one") for _ in range(4)] + [place.call("delete", "--force", "one")]
    t.check("ended by one", all(p.wait(60) in (0, 1) for p in all_) and all_[-1].returncode == 0)
    place.end("one", "together")


def run(t):
    place = Place(t, build(t))
    t.guard(at_points, place)
    t.guard(at_any_moment, place)
    t.guard(in_exec, place)
    t.guard(made_and_removed, place)
    t.guard(together, place)
