"""The life of a zone in all three dialects: brands of programs of this system and of Linux, which start their init again or do not;
interfaces, made by whoever makes them there; every call of dladm failing; and `create --dry-run`, which prints what is done."""
import json
import os
import shlex

from cases._runz import LOOP, READY
from cases._zonehost import PROGRAMS, ZoneHost, build as build_host
from cases.podinit import static
from cases.runz_crashes import build
from cases.runz_zones import READONLY, Place, hooks

# Of each dialect: the system that an image says it is for, the brand that an annotation asks for, the brand that the zone gets, and
# whether that starts its init again when it has ended.
BRANDS = {
    "gate": [("illumos", None, "aurora", False), ("illumos", "ipkg", "ipkg", True)],
    "omnios": [("linux", None, "lx", True), ("illumos", None, "illumos", True), ("illumos", "sparse", "sparse", True)],
    "smartos": [("linux", None, "lx", False), ("illumos", None, "joyent-minimal", False), ("illumos", "joyent", "joyent", False)],
}
ANET = {"lowerLink": "igb0", "macAddress": "2:8:20:1:2:3"}
# What only asks.
QUESTIONS = {"zoneadm": ("list",), "dladm": ("show-vnic",), "zfs": ("list", "get")}


def of_brand(place, system, annotation):
    place.annotations = {"org.opencontainers.image.os": system}
    if annotation:
        place.annotations["dev.aurora.zone.brand"] = annotation


def listed(place, field):
    """A field of what zoneadm says of the only zone."""
    return place.host.must("zoneadm", "list", "-cp").splitlines()[1].split(":")[field]


def lives(t, place, brand, restarts):
    """Exit codes and a signal; exec; delete --force."""
    what = "%s, %s: " % (place.dialect, brand)
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)):
        place.config("sh", "-c", "echo out; echo err >&2; " + script)
        done = place.call("run", "--bundle", place.bundle, "one")
        t.check(what + script, (done.returncode, done.stdout, done.stderr) == (code, b"out\n", b"err\n"), done)
        place.is_clean(what + script)
    place.config("sh", "-c", LOOP)
    told, done = place.shim("loop", ["start", "loop"], ["exec", "loop", "sh", "-c", READY + "; cat /proc/1/cmdline; echo; exit 3"],
                            ["kill", "loop", "TERM"])
    t.check(what + "exec, kill", (told["codes"], told["end"]) == ([0, 0, 3, 0], 5) and b"/.aurora/podinit" in done.stdout, done)
    t.check(what + "brand", listed(place, 5) == brand, listed(place, 5))
    place.end("loop", what + "kill")
    # Nobody halts the zone where its monitor is gone: what comes of it is the brand's.
    place.config("sh", "-c", "until test -e /tmp/enough; do sleep 0.05; done; exit 4")
    for args in (["create", "--bundle", place.bundle, "loop"], ["start", "loop"]):
        done = place.call(*args)
        t.check(what + args[0], done.returncode == 0, done)
    place.host.must("kill", "-KILL", str(json.loads(place.call("state", "loop").stdout)["pid"]))
    enough = place.host.inside(place.bundle + "/root/tmp/enough")
    open(enough, "w").close()
    place.until("loop", "stopped")
    os.remove(enough)
    # A brand whose init is started again is halted from within, where programs can do that. Linux' can't.
    if restarts and brand == "lx":
        for _ in range(5):
            t.run("sleep", "0.2")
            t.check(what + "started again", listed(place, 2) == "running", listed(place, 2))
    else:
        place.host.until(lambda: listed(place, 2) == "installed")
    with open(os.path.join(place.root, "loop", "zones", "rw", "exit")) as f:
        t.check(what + "the first end stays", json.load(f) == {"code": 4})
    place.end("loop", what + "without a monitor")
    place.config("sleep", "1000")
    place.create("loop")
    t.check(what + "start", place.call("start", "loop").returncode == 0)
    place.end("loop", what + "of a running one")


def interfaces(t, place):
    """Made before the zone, or with it, and gone with it."""
    what = place.dialect + ": interfaces: "
    gate = place.dialect == "gate"
    anet = [dict(ANET, linkProtection="mac-nospoof,restricted") if gate else ANET, {"lowerLink": "igb1"}]
    place.config("sleep", "1000", solaris={"anet": anet})
    done = place.create("net")
    t.check(what + "create", done.returncode == 0, done)
    zone = listed(place, 1)
    names = ["au%s_%d" % (zone[-12:], n) for n in range(2)] if gate else ["%s/net%d" % (zone, n) for n in range(2)]
    found = place.host.dump()["vnics"]
    t.check(what + "there", found == names, found)
    if gate:
        shown = place.host.must("dladm", "show-vnic", "-p", "-o", "link,over,macaddress,zone", names[0])
        t.check(what + "as it was asked for", shown == "%s:igb0:2\\:8\\:20\\:1\\:2\\:3:%s\n" % (names[0], zone), shown)
        shown = place.host.must("dladm", "show-linkprop", "-c", "-o", "value", "-p", "protection", names[0])
        t.check(what + "protected", shown == "mac-nospoof,restricted\n", shown)
    t.check(what + "start", place.call("start", "net").returncode == 0)
    t.check(what + "kill", place.call("kill", "net", "KILL").returncode == 0)
    found = place.host.dump()["vnics"]
    t.check(what + "halted", found == (names if gate else []), found)
    place.end("net", what + "delete")
    # Somebody else's of the same name stays.
    if gate:
        place.host.must("dladm", "create-vnic", "-t", "-l", "igb0", names[1])
        done = place.create("net")
        t.check(what + "taken", done.returncode == 1 and b"there is a link of its name already: " in done.stderr, done)
        found = place.host.dump()["vnics"]
        t.check(what + "and left alone", found == [names[1]], found)
        place.host.must("dladm", "delete-vnic", "-t", names[1])
        place.is_clean(what + "taken")
    else:
        place.config("true", solaris={"anet": [{"lowerLink": "nosuch0"}]})
        done = place.create("net")
        t.check(what + "over nothing", done.returncode == 1 and b"object not found" in done.stderr, done)
        place.is_clean(what + "over nothing")


def failing_links(t, place):
    """Each call of dladm fails, before or after it has done its work, is killed, or tells garbage."""
    place.config("sleep", "1000", solaris={"anet": [dict(ANET, linkProtection="mac-nospoof"), {"lowerLink": "igb1"}]})
    kinds = ("fail", "fail-after", "kill", "kill-after")
    making = [(word, at, kind) for word, at in (("create-vnic", 1), ("create-vnic", 2), ("set-linkprop", 1)) for kind in kinds]
    making += [("show-vnic", at, kind) for at in (1, 2) for kind in ("fail", "garbage")]
    for word, at, kind in making:
        what = "%s: dladm %s %d" % (kind, word, at)
        place.host.inject("-n", str(at), kind, "dladm", word)
        done = place.create("step")
        t.check(what, done.returncode == 1 and b"`/usr/sbin/dladm " in done.stderr, done)
        place.host.inject()
        place.is_clean(what)
    removing = [("delete-vnic", at, kind) for at in (1, 2) for kind in kinds] + [("show-vnic", 1, kind) for kind in ("fail", "garbage")]
    for word, at, kind in removing:
        what = "%s: dladm %s %d, removing" % (kind, word, at)
        place.create("step")
        place.host.inject("-n", str(at), kind, "dladm", word)
        done = place.call("delete", "--force", "step")
        # What was done all the same is seen to be done.
        is_done = kind.endswith("-after")
        t.check(what, done.returncode == (0 if is_done else 1) and (is_done or b"`/usr/sbin/dladm " in done.stderr), done)
        place.host.inject()
        place.end("step", what)


class Shown:
    """What `create --dry-run` prints: commands, files, and what undoes them."""

    def __init__(self, text):
        self.makes, self.starts, self.files, self.undoes = [], [], {}, []
        lines = iter(text.splitlines())
        for line in lines:
            if line.startswith("cat >"):
                path = shlex.split(line)[1][1:]
                self.files[path] = "".join(text + "\n" for text in iter(lambda: next(lines), "END"))
            elif line.startswith("#   undone by: "):
                self.undoes.append(shlex.split(line.split(": ", 1)[1]))
            elif line.startswith("# start: "):
                self.starts.append(shlex.split(line.split(": ", 1)[1]))
            elif not line.startswith("#"):
                self.makes.append(shlex.split(line))


def called(words):
    """Those that a stand-in would write down, as it does."""
    return [[os.path.basename(line[0]), *line[1:]] for line in words if os.path.basename(line[0]) in PROGRAMS]


def shown(t, place, brand):
    """A dry run prints the very commands that are then run, in their order."""
    what = "%s, %s: dry run: " % (place.dialect, brand)
    mounts = [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
              {"destination": "/run", "type": "bind", "source": place.bundle + "/shared", "options": ["rbind", "ro"]}]
    place.host.must("mkdir", "-p", place.bundle + "/shared")
    anet = [dict(ANET, linkProtection="mac-nospoof") if place.dialect == "gate" else ANET]
    place.config("sleep", "1000", root=READONLY, mounts=mounts, solaris={"anet": anet})
    before = len(place.host.calls())

    def calls():
        """Since it was asked last, without questions."""
        nonlocal before
        all_ = place.host.calls()
        new, before = all_[before:], len(all_)
        done = [[call["program"], *call["args"]] for call in new]
        return [line for line in done if not any(word in QUESTIONS.get(line[0], ()) for word in line)]

    done = place.create("dry", "--dry-run")
    dry = Shown(done.stdout.decode())
    t.check(what + "nothing is done", done.returncode == 0 and calls() == [] and os.listdir(place.root) == [], done)
    t.check(what + "create", place.create("dry").returncode == 0)
    made = calls()
    t.check(what + "what makes it", made == called(dry.makes), (made, called(dry.makes)))
    for path, text in dry.files.items():
        with open(place.host.inside(path)) as f:
            found = f.read()
        t.check(what + os.path.basename(path), found == text, found)
    kinds = {"mkdir": "-d", "install": "-x", "mkfifo": "-p"}
    for line in dry.makes:
        if line[0] in kinds:
            there = place.host.run("test", kinds[line[0]], line[-1]).returncode == 0
            t.check(what + " ".join(line), there)
        elif line[0] == "/usr/bin/chmod":
            mode = place.host.must("stat", "-c", "%a", line[2]).strip()
            t.check(what + " ".join(line), mode == line[1], mode)
    t.check(what + "all that is printed is known", {line[0] for line in dry.makes} <= {
        *kinds, "/usr/bin/chmod", *("/usr/sbin/" + name for name in PROGRAMS)}, dry.makes)
    t.check(what + "start", place.call("start", "dry").returncode == 0)
    started = calls()
    t.check(what + "what starts it", started == called(dry.starts) and len(started) == 1, (started, dry.starts))
    t.check(what + "delete", place.call("delete", "--force", "dry").returncode == 0)
    undone = calls()
    t.check(what + "what undoes it", undone == called(reversed(dry.undoes)), (undone, dry.undoes))
    place.host.must("rmdir", place.bundle + "/shared")
    place.is_clean(what)


def run(t):
    podinit, program, host_program = static(t), build(t), build_host(t)
    for dialect, brands in BRANDS.items():
        with ZoneHost(t, host_program, dialect) as host:
            place = Place(t, host, program, podinit, dialect)
            for system, annotation, brand, restarts in brands:
                of_brand(place, system, annotation)
                t.guard(lives, place, brand, restarts)
                t.guard(shown, place, brand)
            t.guard(hooks, place)
            t.guard(interfaces, place)
            if dialect == "gate":
                t.guard(failing_links, place)
    # Where a brand is not known, it is said before anything is done.
    with ZoneHost(t, host_program, "gate") as host:
        place = Place(t, host, program, podinit, "gate")
        place.config("true")
        done = place.create("none")
        t.check("lx on gate", done.returncode == 1 and b"lx" in done.stderr and place.host.calls()[-1]["program"] != "zonecfg", done)
        place.is_clean("lx on gate")
