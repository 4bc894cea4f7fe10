"""What the cases about runz share: a root file system, bundles, and the same steps with runc and with runz."""
import json
import os
import re
import shutil
import time

RUNC = "/usr/sbin/runc"
APPLETS = "sh ls cat echo sleep id env ps true false kill pwd hostname stty tty chmod mkdir touch grep head mount seq cut wc printf sort uniq test mknod tr rm".split()
# Programs in the image that no kernel runs.
BAD = {"plain": (b"plain\n", 0o644), "badinterp": (b"#!/bin/nosuch\n", 0o755), "badformat": (b"xx\0bin", 0o755)}
# /dev is new at every start. A first process without a handler does not even notice signals, so steps that send some wait for it.
LOOP = 'trap "exit 5" TERM; trap "exit 6" USR1; >/dev/ready; while :; do sleep 0.05; done'
READY = "until test -e /dev/ready; do sleep 0.05; done"


def runz(t):
    return os.path.join(os.path.dirname(t.bin), "runz")


def tree(t):
    """The root file system that all containers have: a shell and files that cannot be run."""
    root = t.path("img", "bin", "x")[:-6]
    if not os.path.exists(root + "/bin/sh"):
        shutil.copy(shutil.which("busybox"), root + "/bin/busybox")
        for name in APPLETS:
            os.symlink("busybox", root + "/bin/" + name)
        for name in ("etc", "tmp", "proc", "dev", "sys", "run", "run/sub"):
            os.mkdir(root + "/" + name)
        with open(root + "/run/of-image", "w") as f:
            f.write("begins with it\n")
        for name, text in (("passwd", "root:x:0:0::/root:/bin/sh\nweb:x:7:8::/srv:\n"), ("group", "root:x:0:\n")):
            with open(root + "/etc/" + name, "w") as f:
                f.write(text)
        for name, (data, mode) in BAD.items():
            with open(root + "/" + name, "wb") as f:
                f.write(data)
            os.chmod(root + "/" + name, mode)
    return root


def plain(text, name, program):
    """What was said, without what is different by nature: the runtime's name, ids, times, how it writes a line of its log."""
    text = re.sub(r'time="[^"]*" level=\w+ msg="((?:[^"\\]|\\.)*)"', lambda m: m[1].replace('\\"', '"').replace("\\\\", "\\"), text)
    text = re.sub(r"(^|: )(error|warning): ", r"\1", text, flags=re.M)
    text = re.sub(r"^  help: .*\n?", "", text, flags=re.M)
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID", text.replace(program, "RUNTIME"))
    return re.sub(r"\b%s\b" % name, "RUNTIME", text).strip()


def both(t, what, steps, prepare, cleanup=None):
    """Runs the same steps with runc and with runz; every one must end and speak alike."""
    told = {}
    for name, program in (("runc", RUNC), ("runz", runz(t))):
        run = prepare(name, program)
        told[name] = []
        for step in steps:
            done = run(step)
            text = (done.stdout or b"") + (done.stderr or b"")
            told[name].append((done.returncode, plain(text.decode("utf-8", "replace"), name, program)))
        if cleanup:
            cleanup(name, program)
    for step, theirs, ours in zip(steps, told["runc"], told["runz"]):
        t.check("%s: %s" % (what, step if isinstance(step, str) else " ".join(step)), theirs == ours,
                "exit %d: %s\nwith runc exit %d: %s" % (ours + theirs))


def bundle(t, name, change=None):
    """A bundle as `imageadm unpack` makes it, with changes."""
    place = t.path("bundles", name)
    if not os.path.exists(place):
        os.mkdir(place)
        t.must(runz(t), "spec", "--bundle", place)
        shutil.copytree(tree(t), place + "/rootfs", symlinks=True)
    config = json.load(open(place + "/config.json"))
    config["process"].update(terminal=False, args=["sh", "-c", LOOP])
    config["root"] = {"path": "rootfs"}
    if change:
        change(config)
    with open(place + "/config.json", "w") as f:
        json.dump(config, f)
    return place


def groups(name):
    """Control groups of this name, in whatever state directory it is."""
    names = (name, "runz-" + name)
    return [path for path, dirs, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path).split("@")[0] in names]


def parts(t, *all_):
    """Runs parts of a case, and says how long each took."""
    for part in all_:
        begun = time.monotonic()
        t.guard(part)
        print("note: %s: %.0f s" % (part.__name__, time.monotonic() - begun), flush=True)
