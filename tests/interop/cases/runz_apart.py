"""runz: what containers, their programs, callers and other commands must not do to one another."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from cases._runz import RUNC, both, bundle, groups, parts, runz
from lib import Failure

LIMIT = 60  # seconds that nothing here takes
ENTERED = 200_000  # bytes, more than a terminal and every buffer on the way hold


def on_terminal(script):
    def change(config):
        config["process"].update(terminal=True, args=["sh", "-c", RAW + script])
    return change


# From then on, what is typed comes to nobody but who reads it.
RAW = "stty raw -echo; printf r; "


def terminal(t):
    """A program that reads nothing of its terminal: what it says, its end and signals go through all the same."""
    begin = [runz(t), "--root", t.path("root-terminal")]

    def started(*args):
        process = subprocess.Popen([*begin, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.read(process.stdout.fileno(), 1)
        keys, process.stdin = process.stdin, None

        def type_():
            try:
                with keys:
                    keys.write(b"x" * ENTERED)
            except OSError:
                pass  # it has ended
        threading.Thread(target=type_, daemon=True).start()
        return process

    def ended(what, process, want):
        try:
            said, why = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            said, why = process.communicate()
        t.check("terminal: " + what, (process.returncode, said) == want, "%s %r %r" % (process.returncode, said[:99], why))

    def on(name, script):
        return ["run", "--bundle", bundle(t, name, on_terminal(script)), name]
    ended("not read", started(*on("deaf", "sleep 1; printf end; exit 7")), (7, b"end"))
    run = started(*on("waits", 'trap "printf got; exit 9" USR1; while :; do sleep 0.05; done'))
    # The buffers are full by then.
    time.sleep(0.5)
    ended("not read by exec", started("exec", "-t", "waits", "sh", "-c", RAW + "sleep 1; printf end; exit 8"), (8, b"end"))
    run.send_signal(signal.SIGUSR1)
    ended("a signal", run, (9, b"got"))
    # All that is typed arrives where it is read.
    ended("read", started(*on("reads", "sleep 0.3; head -c %d | wc -c" % ENTERED)), (0, b"%d\n" % ENTERED))
    # Who is to read what is said has gone.
    run = started(*on("talks", "exec cat /dev/zero"))
    run.stdout.close()
    try:
        run.wait(LIMIT)
    except subprocess.TimeoutExpired:
        run.kill()
    t.check("terminal: nobody listens", run.returncode == 1, run.returncode)
    for name in ("deaf", "waits", "reads", "talks"):
        t.run(*begin, "delete", "--force", name)


def pretends(t):
    """A program cannot pass for one that was not started."""
    root = t.path("root-pretends")
    place = bundle(t, "pretends", lambda c: c["process"].update(
        args=["sh", "-c", "printf 'youki:[2:INIT]' >/proc/self/comm; >/dev/ready; while :; do sleep 0.05; done"]))
    call = [runz(t), "--root", root]
    t.must(*call, "create", "--bundle", place, "p", stdout=subprocess.DEVNULL)
    status = lambda: json.loads(t.must(*call, "state", "p"))["status"]  # noqa: E731
    t.check("pretends: before", status() == "created")
    t.must(*call, "start", "p")
    t.must(*call, "exec", "p", "sh", "-c", "until test -e /dev/ready; do sleep 0.05; done")
    t.check("pretends: after", status() == "running", status())
    again = t.run(*call, "start", "p")
    t.check("pretends: started once", again.returncode == 1 and b"already running" in again.stderr, again.stderr)
    refused = t.run(*call, "delete", "p")
    t.check("pretends: not removed", refused.returncode == 1 and b"that is not stopped: running" in refused.stderr, refused.stderr)
    t.must(*call, "delete", "--force", "p")


HIDE = [
    # Names in the image, what is masked or read only, and what is asked inside.
    ({}, "maskedPaths", ["/etc/passwd", "/tmp", "/nosuch"], "cat /etc/passwd; ls /tmp; touch /tmp/x"),
    ({"/link": "/etc/passwd"}, "maskedPaths", ["/link"], "cat /link; cat /etc/passwd; ls -l /link | grep -o -e '->.*'"),
    ({"/link": "../../../../tmp"}, "maskedPaths", ["/link"], "ls /link /tmp; touch /tmp/x"),
    ({"/link": "/outside-only"}, "maskedPaths", ["/link"], "cat /link"),
    ({"/dir": "/etc"}, "maskedPaths", ["/dir/passwd"], "cat /etc/passwd"),
    ({"/loop": "/loop"}, "maskedPaths", ["/loop"], "echo reached"),
    ({"/link": "/proc/self/root/etc/passwd"}, "maskedPaths", ["/link"], "cat /etc/passwd"),
    ({"/link": "/tmp"}, "readonlyPaths", ["/link"], "touch /tmp/x; touch /etc/x && echo written"),
    ({"/link": "../../../../tmp"}, "readonlyPaths", ["/link", "/nosuch"], "touch /tmp/x"),
    ({"/loop": "/loop"}, "readonlyPaths", ["/loop"], "echo reached"),
    # What is made read only stays what it was otherwise.
    ({}, "readonlyPaths", ["/bin"], "/bin/busybox true && echo runs; touch /bin/x"),
]


def hidden_paths(t):
    """Paths that are hidden or read only, and links: resolved inside the root, as with runc."""
    for links, member, paths, script in HIDE:
        what = "%s %s %s" % (member, " ".join(paths), " ".join("%s->%s" % x for x in links.items()))

        def change(config):
            config["linux"]["maskedPaths"], config["linux"]["readonlyPaths"] = [], []
            config["linux"][member] = paths
            config["process"]["args"] = ["sh", "-c", script]
        place = bundle(t, "hidden", change)
        for name, target in links.items():
            os.symlink(target, place + "/rootfs" + name)

        def prepare(name, program):
            return lambda step: t.run(program, "--root", t.path("root-hidden-" + name), "run", "--bundle", place, "h", timeout=LIMIT)
        both(t, "hidden", [what], prepare)
        shutil.rmtree(place)


def preserved(t):
    """Open files that are to be passed on, and are not there."""
    place = bundle(t, "preserved", lambda c: c["process"].update(args=["sh", "-c", "cat <&3; ls /proc/self/fd | grep -c ."]))
    with open(t.path("given"), "wb") as f:
        f.write(b"given\n")

    def prepare(name, program):
        def run(step):
            words = [program, "--root", t.path("root-preserved-" + name), *step, "--bundle", place, "p"]
            # The shell puts it where it is to be.
            return t.run("sh", "-c", 'exec 3<"$0"; exec "$@"', t.path("given"), *words, timeout=LIMIT)
        return run
    both(t, "preserved", [["run", "--preserve-fds", "1"], ["run"]], prepare)
    root = t.path("root-preserved-runz")
    # runc takes files of its own for some of them.
    for step in (["run", "--preserve-fds", "2"], ["create", "--preserve-fds", "70000"]):
        done = prepare("runz", runz(t))(step)
        want = "runz %s failed: unable to stat preserved-fd 1 (of %s): stat /proc/self/fd/4: no such file or directory" % (step[0], step[2])
        t.check("preserved: " + " ".join(step), done.returncode == 1 and want in done.stderr.decode(), done.stderr)
    t.check("preserved: nothing left", not os.path.isdir(root) or not os.listdir(root), "in " + root)


SECRET = "not-for-everyone"


def secrets(t):
    """What hooks are given is not in any command line, however much it is."""
    told = t.path("told")

    def change(config):
        config["process"]["args"] = ["true"]
        config["annotations"] = {"k": "v" * 60_000}
        # The hook's parent is runz, its parent in turn what has called that. Inside they have other numbers.
        look = "for p in $PPID $(cut -d' ' -f4 /proc/$PPID/stat); do grep -c %s /proc/$p/cmdline; done >>%s; wc -c >>%s" % ("$A", told, told)
        hook = {"path": "/bin/sh", "args": ["sh", "-c", look], "env": ["PATH=/bin:/usr/bin", "A=" + SECRET, "B=" + "b" * 100_000]}
        config["hooks"] = {kind: [hook] for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
    place = bundle(t, "secrets", change)
    done = t.run(runz(t), "--root", t.path("root-secrets"), "run", "--bundle", place, "s", timeout=LIMIT)
    lines = open(told).read().split() if os.path.exists(told) else []
    whole = [n for n in lines if int(n) > 60_000]
    t.check("secrets: hooks are told the whole state", done.returncode == 0 and len(whole) == 5, "%s %r" % (lines, done.stderr))
    t.check("secrets: in no arguments", len(lines) - len(whole) >= 8 and set(lines) - set(whole) == {"0"}, lines)


def keyring(t):
    """A session keyring for each container, unless the caller's is asked for."""
    if not os.path.exists("/proc/keys"):
        print("note: this kernel has no keys", flush=True)
        return

    def prepare(name, program):
        root = t.path("root-keys-" + name)

        def run(step):
            # Those of containers that have ended go away later, so each has a name of its own.
            id_ = "keys" + "-".join(step)
            ask = ["sh", "-c", "grep -o '_ses.%s:' /proc/keys; exit 3" % id_]

            def change(config):
                config["linux"]["maskedPaths"] = []
                config["process"]["args"] = ask
            place = bundle(t, "keys", change)
            if step != ["exec"]:
                return t.run(program, "--root", root, *step, "--bundle", place, id_, timeout=LIMIT)
            t.must(program, "--root", root, "create", "--bundle", place, id_, stdout=subprocess.DEVNULL)
            try:
                return t.run(program, "--root", root, "exec", "--user", "7:8", id_, *ask)
            finally:
                t.must(program, "--root", root, "delete", "--force", id_)
        return run
    both(t, "keyring", [["run"], ["run", "--no-new-keyring"], ["exec"]], prepare)


def one_name(t):
    """Two that unpack an image for the same id: one runs, the other is told, and nobody's tree is harmed."""
    place, packed, root = t.path("one"), t.path("packed"), t.path("root-one")
    t.imageadm("unpack", "--quiet", "oci:%s:latest" % t.image("small"), place)
    t.imageadm("pack", "--quiet", "--cmd", json.dumps(["sh", "-c", "cat /etc/passwd >/dev/null && echo ran; sleep 1"]), place, "oci:%s:x" % packed)
    for n in range(6):
        # Each begins while the other is somewhere else in its work.
        all_ = []
        for _ in range(2):
            all_.append(subprocess.Popen([runz(t), "--root", root, "run", "--image", "oci:%s:x" % packed, "one"],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            time.sleep(0.04 * n)
        told = sorted((p.wait(LIMIT), *p.communicate()) for p in all_)
        fine = told[0] == (0, b"ran\n", b"") and told[1][0] == 1 and b"container with given ID already exists" in told[1][2]
        t.check("one name: %d" % n, fine, told)
        t.check("one name: %d: nothing left" % n, os.listdir(root) == [], os.listdir(root))
    # One that is killed while it unpacks leaves what the next one, or `delete --force`, removes, at once: what unpacks is waited for.
    for n in range(4):
        process = subprocess.Popen([runz(t), "--root", root, "run", "--image", "oci:%s:x" % packed, "one"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.02 * (n + 1))
        process.kill()
        process.wait()
        t.must(runz(t), "--root", root, "delete", "--force", "one")
        t.check("one name: killed %d: nothing left" % n, os.listdir(root) == [], [x for x in os.walk(root)][:9])


def two_roots(t):
    """The same id in two state directories."""
    place = bundle(t, "twice")
    roots = [t.path("root-a"), t.path("root-b")]
    for root in roots:
        t.must(runz(t), "--root", root, "run", "--detach", "--bundle", place, "twice", stdout=subprocess.DEVNULL)
    t.must(runz(t), "--root", roots[0], "delete", "--force", "twice")
    status = json.loads(t.must(runz(t), "--root", roots[1], "state", "twice"))["status"]
    t.check("two roots: the other lives", status == "running", status)
    t.must(runz(t), "--root", roots[1], "delete", "--force", "twice")
    t.check("two roots: nothing left", not groups("twice"), groups("twice"))


UNIFIED = 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
NODES = "for d in b,8,0 c,1,1 c,1,3 c,10,1; do set -- $(echo $d | tr , ' '); mknod /x $1 $2 $3; (: </x) 2>/tmp/why && echo open || cut -d: -f3 </tmp/why; rm /x; done"


def devices(t):
    """Where control groups are of the second version alone: which devices may be opened, as with runc."""
    cases = {
        "none": [{"allow": False, "access": "rwm"}],
        "one": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 1, "access": "r"}],
        "write": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 1, "access": "w"}],
        "all": [{"allow": True, "access": "rwm"}],
    }
    if t.run("unshare", "-m", "sh", "-c", UNIFIED, "sh", "test", "-e", "/sys/fs/cgroup/cgroup.controllers").returncode:
        print("note: no hierarchy of the second version here", flush=True)
        return
    for name, rules in cases.items():
        def change(config):
            config["linux"]["resources"] = {"devices": rules}
            config["process"]["args"] = ["sh", "-c", NODES]
            for names in config["process"]["capabilities"].values():
                names.append("CAP_MKNOD")
        place = bundle(t, "devices", change)

        def prepare(runtime, program):
            return lambda step: t.run("unshare", "-m", "sh", "-c", UNIFIED, "sh", program, "--root", t.path("root-devices-" + runtime),
                                      "run", "--bundle", place, "d", timeout=LIMIT)
        both(t, "devices", [name], prepare)
        shutil.rmtree(place)


def run(t):
    if not shutil.which(RUNC):
        raise Failure("missing: %s" % RUNC)
    parts(t, terminal, pretends, hidden_paths, preserved, secrets, keyring, devices, one_name, two_roots)
