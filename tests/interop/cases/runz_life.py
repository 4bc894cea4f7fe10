"""runz by hand, beside runc: all commands in all states, hooks, signals, bundles that are wrong, an image from end to end."""
import json
import os
import shutil
import subprocess
import time

from cases._runz import READY, RUNC, both, bundle, groups, parts, runz
from lib import Failure

LIFE = [
    ["state", "a"], ["start", "a"], ["kill", "a"], ["delete", "a"], ["ps", "a"], ["exec", "a", "true"], ["pause", "a"],
    ["resume", "a"], ["update", "a"], ["events", "a"], ["delete", "--force", "a"], ["delete", "-f", "a"],
    ["create", "--bundle", "/nonexistent", "a"],
    ["create", "--bundle", "{b}", "a"], ["create", "--bundle", "{b}", "a"], ["resume", "a"], ["start", "a"], ["start", "a"],
    ["exec", "a", "sh", "-c", READY],
    ["delete", "a"], ["exec", "a", "sh", "-c", "echo $A-$0; exit 3"], ["exec", "-e", "A=1", "a", "sh", "-c", "echo $A"],
    ["exec", "a", "nosuch"], ["exec", "a", "/plain"], ["exec", "--cwd", "/nodir", "a", "pwd"], ["exec", "--cwd", "/tmp", "a", "pwd"],
    ["exec", "-u", "7:9", "-g", "5", "a", "sh", "-c", "id; echo $HOME"],
    ["exec", "--cap", "CAP_SYS_NICE", "a", "grep", "Cap", "/proc/self/status"],
    ["exec", "a", "sh", "-c", "kill -TERM $$"], ["pause", "a"], ["exec", "a", "true"], ["pause", "a"], ["delete", "a"],
    ["resume", "a"], ["resume", "a"], ["kill", "a", "NOSUCH"], ["kill", "a", "0"], ["kill", "a", "SIGTERM"], ["WAIT"],
    ["kill", "a"], ["kill", "--all", "a", "9"], ["exec", "a", "true"], ["start", "a"], ["delete", "a"], ["delete", "a"],
    ["create", "--bundle", "{b}", "b"], ["delete", "b"],
    # A process more in one that was not started; one that is held, to the end.
    ["create", "--bundle", "{b}", "e"], ["exec", "e", "echo", "early"], ["start", "e"], ["pause", "e"], ["kill", "e", "KILL"], ["WAIT"],
    ["delete", "e"], ["run", "--detach", "--bundle", "{b}", "f"], ["pause", "f"], ["delete", "--force", "f"],
    ["run", "--bundle", "{b}", "--detach", "c"], ["exec", "c", "sh", "-c", READY], ["kill", "c", "10"], ["WAIT"], ["delete", "c"],
]


def life(t):
    """All commands in all states."""
    place = bundle(t, "life")

    def prepare(name, program):
        root = t.path("root-" + name)

        def run(step):
            if step == ["WAIT"]:
                for _ in range(200):
                    states = json.loads(t.must(program, "--root", root, "list", "-f", "json") or b"[]") or []
                    if all(s["status"] == "stopped" for s in states):
                        break
                    time.sleep(0.02)
                return subprocess.CompletedProcess([], 0, b"", b"")
            args = [x.replace("{b}", place) for x in step]
            # What a container writes to must not be a pipe that is read to its end.
            with open(t.path("out"), "w+b") as out:
                done = t.run(program, "--root", root, *args, stdout=out, stderr=subprocess.STDOUT, timeout=60)
                out.seek(0)
                return subprocess.CompletedProcess([], done.returncode, out.read(), b"")
        return run
    both(t, "by hand", LIFE, prepare)
    t.check("by hand: no state left", not os.listdir(t.path("root-runz")), os.listdir(t.path("root-runz")))

    program, root = runz(t), t.path("root-more")

    def call(*args, **kw):
        with open(t.path("out"), "w+b") as out:
            done = t.run(program, "--root", root, *args, stdout=out, stderr=subprocess.STDOUT, timeout=60, **kw)
            out.seek(0)
            return done.returncode, out.read().decode("utf-8", "replace")
    # The members of `state`, the pid file, the log.
    pid_file, log = t.path("pid"), t.path("log")
    t.check("create", call("create", "--bundle", place, "--pid-file", pid_file, "x")[0] == 0)
    state = json.loads(call("state", "x")[1])
    t.check("state", (state["id"], state["status"], state["bundle"], state["rootfs"], state["owner"]) ==
            ("x", "created", place, place + "/rootfs", "root") and state["pid"] == int(open(pid_file).read()), state)
    call("start", "x")
    table = call("list")[1].splitlines()
    t.check("list", table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"] and "running" in table[1], table)
    pids = json.loads(call("ps", "--format", "json", "x")[1])
    t.check("ps", state["pid"] in pids, pids)
    stats = json.loads(call("events", "--stats", "x")[1])
    t.check("events", stats["id"] == "x" and stats["data"]["pids"]["current"] >= 1, stats)
    t.check("update", call("update", "--pids-limit", "33", "x")[0] == 0 and
            json.loads(call("events", "--stats", "x")[1])["data"]["pids"]["limit"] == 33)
    t.check("update: from standard input", call("update", "--resources", "-", "x", input=b'{"pids":{"limit":44}}', stdin=None)[0] == 0
            and json.loads(call("events", "--stats", "x")[1])["data"]["pids"]["limit"] == 44)
    t.check("delete: running", call("delete", "--force", "x")[0] == 0 and not os.path.exists("/proc/%d/cwd" % state["pid"]))
    call("--log", log, "--log-format", "json", "start", "x")
    lines = [json.loads(line) for line in open(log)]
    t.check("log", [(x["level"], x["msg"]) for x in lines] == [("error", "container does not exist")], lines)
    call("--log=" + log + ".2", "--log-format=json", "create", "--nonsense")
    t.check("log: wrong arguments", "--nonsense" in json.loads(open(log + ".2").read())["msg"])


def hooks(t):
    """All kinds, in their order, with the state that runc tells."""
    inside = "cat >/hook.startContainer; echo startContainer >>/order"
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    told = {}
    for name, program in (("runc", RUNC), ("runz", runz(t))):
        log = t.path("hooks-" + name, "x")[:-2]

        def change(config):
            config["annotations"] = {"k": "v"}
            config["process"]["args"] = ["true"]
            config["hooks"] = {}
            for kind in kinds:
                script = inside if kind == "startContainer" else "cat >%s/hook.%s; echo %s >>%s/order" % (log, kind, kind, log)
                if name == "runz" and kind == "createRuntime":
                    script += "; %s --root %s/root state h >%s/asked" % (program, log, log)
                config["hooks"][kind] = [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]
        place = bundle(t, "hooks", change)
        done = t.run(program, "--root", log + "/root", "run", "--bundle", place, "h")
        t.check("hooks: %s" % name, done.returncode == 0, done.stderr)
        shutil.move(place + "/rootfs/hook.startContainer", log)
        order = open(log + "/order").read().split()
        t.check("hooks: %s: order" % name, order + open(place + "/rootfs/order").read().split() ==
                [k for k in kinds if k != "startContainer"] + ["startContainer"], order)
        states = [json.load(open("%s/hook.%s" % (log, kind))) for kind in kinds]
        # runc still says `created` at poststart, where the specification has `running`.
        states[4]["status"] = "running" if name == "runc" else states[4]["status"]
        told[name] = [(kind, s["id"], s["status"], s["bundle"], s.get("annotations"), min(s.get("pid", 0), 2)) for kind, s in zip(kinds, states)]
        if name == "runz":
            asked = json.load(open(log + "/asked"))
            t.check("hooks: a hook may ask", (asked["status"], asked["bundle"]) == ("creating", place), asked)
        shutil.rmtree(place)
    for theirs, ours in zip(told["runc"], told["runz"]):
        t.check("hooks: " + ours[0], ours == theirs, "%s, not %s" % (ours, theirs))


def bad_bundles(t):
    """Each has one clear error, and leaves nothing."""
    def put(pointer, value):
        def change(config):
            at, keys = config, pointer.split("/")
            for key in keys[:-1]:
                at = at[int(key)] if isinstance(at, list) else at[key]
            at[keys[-1]] = value
        return change
    cases = [
        ("root", put("root/path", "nowhere"), "root.path: "),
        ("version", put("ociVersion", "2.0.0"), "ociVersion: only 1.x is known"),
        ("args", put("process/args", []), "process.args: must not be empty"),
        ("cwd", put("process/cwd", "relative"), "process.cwd: must be an absolute path"),
        ("user", put("process/user", {"uid": -1, "gid": 0}), "config.json: "),
        ("unmapped", lambda c: c["linux"].update(namespaces=c["linux"]["namespaces"] + [{"type": "user"}],
                                                 uidMappings=[{"containerID": 0, "hostID": 1000, "size": 1}],
                                                 gidMappings=[{"containerID": 0, "hostID": 1000, "size": 1}],
                                                 ) or c["process"]["user"].update(uid=77), ""),
        ("mount-source", lambda c: c["mounts"].append({"destination": "/m", "type": "bind", "source": "/nonexistent/m",
                                                       "options": ["bind"]}), "/nonexistent/m"),
        ("mount-type", lambda c: c["mounts"].append({"destination": "/m", "type": "nosuchfs", "source": "none"}), "nosuchfs"),
        ("namespace", put("linux/namespaces", [{"type": "pid"}]), "linux.namespaces: one of type mount is required"),
        ("namespace-path", lambda c: c["linux"]["namespaces"].append({"type": "time", "path": "/nonexistent/ns"}), ""),
        ("sysctl", put("linux/sysctl", {"kernel.nosuch": "1"}), "kernel.nosuch"),
        ("rlimit", put("process/rlimits", [{"type": "RLIMIT_CORE", "hard": 1, "soft": 2}]), "soft is above hard"),
        ("seccomp", put("linux/seccomp", {"defaultAction": "SCMP_ACT_NOTIFY"}), "linux.seccomp"),
        ("selinux", put("process/selinuxLabel", "system_u:x"), "process.selinuxLabel"),
        ("hook", put("hooks", {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 3"]}]}), "exit status 3, stderr: why"),
        ("hook-inside", put("hooks", {"createContainer": [{"path": "/nonexistent/h"}]}), "createContainer hook #0: /nonexistent/h"),
        ("no-json", None, "config.json"),
    ]
    root = t.path("root-bad")
    for name, change, want in cases:
        place = bundle(t, "bad", None if change is None else change)
        if change is None:
            with open(place + "/config.json", "w") as f:
                f.write("{")
        done = t.run(runz(t), "--root", root, "create", "--bundle", place, "bad-" + name, timeout=60)
        said = done.stderr.decode("utf-8", "replace")
        t.check("bad bundle: " + name, done.returncode == 1 and want in said and said.count("error:") == 1, said)
        left = (os.listdir(root) if os.path.isdir(root) else []) + groups("bad-" + name)
        t.check("bad bundle: %s: nothing left" % name, not left, left)
        shutil.rmtree(place)
    good = bundle(t, "bad", lambda c: c.update(unheardOf={"a": 1}) or c["process"].update(args=["echo", "fine"]))
    done = t.run(runz(t), "--root", root, "run", "--bundle", good, "good")
    t.check("unknown members are ignored", (done.returncode, done.stdout) == (0, b"fine\n"), done.stderr)


def signals_arrive(t):
    """A hook that hangs is no reason for a signal to wait; and many that exec at once are all served."""
    def change(config):
        config["hooks"] = {"startContainer": [{"path": "/bin/sleep", "args": ["sleep", "600"]}]}
    place, root, program = bundle(t, "hang", change), t.path("root-hang"), runz(t)
    t.must(program, "--root", root, "create", "--bundle", place, "h", stdout=subprocess.DEVNULL)
    start = subprocess.Popen([program, "--root", root, "start", "h"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    t.check("kill past a hook", t.run(program, "--root", root, "kill", "h", "KILL").returncode == 0 and start.wait(30) in (0, 1))
    t.must(program, "--root", root, "delete", "--force", "h")
    t.must(program, "--root", root, "create", "--bundle", place, "h", stdout=subprocess.DEVNULL)
    start = subprocess.Popen([program, "--root", root, "start", "h"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    begun = time.monotonic()
    t.must(program, "--root", root, "delete", "--force", "h")
    t.check("delete --force past a hook", start.wait(30) in (0, 1) and time.monotonic() - begun < 30)
    place = bundle(t, "many")
    t.must(program, "--root", root, "run", "--detach", "--bundle", place, "m", stdout=subprocess.DEVNULL)
    once = bundle(t, "null", lambda c: c["process"].update(args=["sh", "-c", "echo x && exit 4; exit 5"]))
    done = t.run(program, "--root", root, "run", "--bundle", once, "n", stdout=subprocess.DEVNULL)
    t.check("run to /dev/null", done.returncode == 4, done.returncode)
    # A control group that others live in is theirs.
    group = "/" + os.path.basename(groups("m")[0])
    alone = bundle(t, "alone", lambda c: c["linux"].update(cgroupsPath=group))
    done = t.run(program, "--root", root, "create", "--bundle", alone, "other")
    t.check("one group, one container", done.returncode == 1 and b"container's cgroup is not empty: " in done.stderr, done.stderr)
    alive = t.must(program, "--root", root, "state", "m")
    t.check("the first one lives", b'"running"' in alive and not os.path.exists(root + "/other"), alive)
    all_ = [subprocess.Popen([program, "--root", root, "exec", "m", "sh", "-c", "exit %d" % n], stdin=subprocess.DEVNULL) for n in range(12)]
    # Standard output that leads nowhere can be written to.
    null = t.run(program, "--root", root, "exec", "m", "sh", "-c", "echo x && exit 4; exit 5", stdout=subprocess.DEVNULL)
    t.check("to /dev/null", null.returncode == 4, null.returncode)
    t.check("twelve at once", [p.wait(60) for p in all_] == list(range(12)))
    folder = os.path.join(root, "m", "linux")
    left = [x for x in os.listdir(folder) + os.listdir(folder + "/container") if "tenant" in x or "process" in x]
    t.check("exec leaves nothing", not left, left)
    t.must(program, "--root", root, "delete", "--force", "m")


def shielded(t):
    """What is inside before the program is a sealed copy: a container does not reach the runtime's file (CVE-2019-5736)."""
    place, root = bundle(t, "shield"), t.path("root-shield")
    t.must(runz(t), "--root", root, "create", "--bundle", place, "s", stdout=subprocess.DEVNULL)
    pid = json.loads(t.must(runz(t), "--root", root, "state", "s"))["pid"]
    exe = "/proc/%d/exe" % pid
    t.check("shield: a copy in memory", os.readlink(exe).startswith("/memfd:runz"), os.readlink(exe))
    try:
        with open(exe, "r+b", buffering=0) as f:
            f.write(b"x")
        t.fail("shield: the copy is sealed", "it was written")
    except OSError:
        t.ok()
    t.must(runz(t), "--root", root, "delete", "s")


def end_to_end(t):
    """An image: converted, unpacked, run; and by its name."""
    layout = t.image("small")
    copy, place = t.path("copy"), t.path("small-bundle")
    t.imageadm("convert", "--quiet", "oci:%s:latest" % layout, "oci:%s:x" % copy)
    t.imageadm("unpack", "--quiet", "--bundle", "oci:%s:x" % copy, place)
    config = json.load(open(place + "/config.json"))
    for args, want in ((["sh", "-c", "echo from-image; exit 12"], (12, b"from-image\n")), (["cat", "/etc/nosuch"], (1, b""))):
        config["process"]["args"] = args
        with open(place + "/config.json", "w") as f:
            json.dump(config, f)
        theirs = t.run("runc", "run", "--bundle", place, "aurora-small")
        ours = t.run(runz(t), "run", "--bundle", place, "aurora-small")
        t.check("end to end: %s" % args, (ours.returncode, ours.stdout) == want == (theirs.returncode, theirs.stdout),
                "%d %r %r" % (ours.returncode, ours.stdout, ours.stderr))
    store = t.path("image-store")
    t.imageadm("convert", "--quiet", "--store", store, "oci:%s:x" % copy, "small:1")
    packed = t.path("packed")
    t.imageadm("pack", "--quiet", "--store", store, "--base", "small:1", "--cmd", '["sh", "-c", "echo by-name; exit 13"]',
               place + "/rootfs", "oci:%s:x" % packed)
    root = t.path("root-image")
    done = t.run(runz(t), "--root", root, "run", "--image", "oci:%s:x" % packed, "by-name")
    t.check("run --image", (done.returncode, done.stdout) == (13, b"by-name\n"), done.stderr)
    t.check("run --image: nothing left", os.listdir(root) == [], os.listdir(root))
    done = t.run(runz(t), "--root", root, "run", "--image", "nosuch:1", "--store", store, "by-name")
    t.check("run --image: none", done.returncode == 1 and b"nosuch:1" in done.stderr and os.listdir(root) == [], done.stderr)


def run(t):
    if not shutil.which(RUNC):
        raise Failure("missing: %s" % RUNC)
    parts(t, life, hooks, signals_arrive, shielded, bad_bundles, end_to_end)
