"""The fake zone host by hand: zones made by typed commands, with podinit as process 1, to their ends. What it proves is that the
stand-ins do what their manual pages say, so that the cases built on them mean something; nothing of it proves anything about
a real illumos."""
import json
import os
import re
import shutil
import subprocess
import time

from cases import podinit as podinit_case
from cases._runz import tree
from cases._zonehost import ZoneHost, build, traces

# What zones of this case run, and nothing else on this machine.
SLEEP = "87654.321"


def root(t):
    """The file system of all zones: with the shell that zlogin -S has on illumos, and without su."""
    found = tree(t)
    os.makedirs(found + "/sbin", exist_ok=True)
    if not os.path.lexists(found + "/sbin/sh"):
        os.symlink("../bin/busybox", found + "/sbin/sh")
    return found


class Web:
    """A zone `web`, made in hand-typed steps."""

    BRAND = {"gate": "aurora", "omnios": "aurora", "smartos": "joyent-minimal"}

    def __init__(self, host, podinit, dialect, script, brand=None, init="/.aurora/podinit", more=""):
        self.host, self.t = host, host.t
        self.path = host.tank + "/web"
        self.control = host.dir + "/control"
        for name in ("ro", "rw"):
            os.makedirs("%s/%s" % (self.control, name), exist_ok=True)
        shutil.copy(podinit, self.control + "/ro/podinit")
        self.program(script)
        lines = ["create -b", "set zonepath=" + self.path, "set brand=" + (brand or self.BRAND[dialect]), "set ip-type=exclusive"]
        if dialect != "smartos":
            lines.append('set bootargs="-i %s"' % init)
        for name, folder, options in ((".aurora", "ro", "ro,nodevices"), (".aurora-run", "rw", "nodevices,nosetuid")):
            lines += ["add fs", "set dir=/" + name, "set special=%s/%s" % (self.control, folder), "set type=lofs",
                      "add options [%s]" % options, "end"]
        if dialect == "smartos":
            for name, value in (("init-name", init), ("restart-init", "false")):
                lines += ["add attr", "set name=" + name, "set type=string", "set value=" + value, "end"]
        with open(self.control + "/zonecfg", "w") as f:
            f.write("\n".join(lines) + "\n" + more + "verify\ncommit\n")

    def program(self, script):
        """What podinit is told to run."""
        process = {"args": ["/bin/sh", "-c", script], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}
        with open(self.control + "/ro/config.json", "w") as f:
            json.dump({"ociVersion": "1.0.2", "process": process, "aurora": {"console": "/dev/console"}}, f)

    def steps(self):
        """From nothing to running; each with what undoes it."""
        zfs = ["zfs", "clone", "-o", "mountpoint=" + self.path, "-o", "devices=off", "tank/image@final", "tank/web"]
        return (
            (zfs, ["zfs", "destroy", "-r", "tank/web"]),
            (["zonecfg", "-z", "web", "-f", self.control + "/zonecfg"], ["zonecfg", "-z", "web", "delete", "-F"]),
            (["zoneadm", "-z", "web", "attach", "-F"], ["zoneadm", "-z", "web", "detach", "-F"]),
            (["zoneadm", "-z", "web", "ready"], ["zoneadm", "-z", "web", "halt"]),
            (["zoneadm", "-z", "web", "boot"], ["zoneadm", "-z", "web", "halt"]),
        )

    def up(self, steps=5):
        for do, _ in self.steps()[:steps]:
            self.host.must(*do)

    def down(self, steps=5):
        """Undoes all of it, whatever there is; twice, as someone does who was interrupted."""
        for _ in range(2):
            for _, undo in reversed(self.steps()[:steps]):
                self.host.run(*undo)
        for name in os.listdir(self.control + "/rw"):
            os.remove("%s/rw/%s" % (self.control, name))

    def exit(self):
        """What podinit has left."""
        with open(self.control + "/rw/exit") as f:
            return json.load(f)


def lives(t, program, podinit, dialect):
    """Exit codes and a signal, in each dialect: from configured to installed again by itself."""
    with ZoneHost(t, program, dialect) as host:
        host.image("image", root(t))
        before = host.dump()
        states = []
        web = Web(host, podinit, dialect, "exit 0")
        for do, _ in web.steps()[:4]:
            host.must(*do)
            states.append(host.state("web"))
        t.check(dialect + ": states", states == [None, "configured", "installed", "ready"], states)
        seen = os.listdir(host.inside(web.path + "/root/.aurora"))
        t.check(dialect + ": mounted once ready", sorted(seen) == ["config.json", "podinit"], seen)
        t.check(dialect + ": nothing runs yet", host.dump()["processes"] == [], host.dump()["processes"])
        for script, want in (("exit 0", {"code": 0}), ("exit 7", {"code": 7}), ("kill -9 $$", {"code": 137, "signal": "KILL"})):
            web.program(script)
            host.must("zoneadm", "-z", "web", "boot")
            host.until(lambda: host.state("web") == "installed")
            t.check("%s: %s" % (dialect, script), web.exit() == want, web.exit())
        t.check(dialect + ": unmounted with it", host.dump()["mounts"] == [], host.dump()["mounts"])
        web.down()
        t.check(dialect + ": nothing left", host.dump() == before, host.dump())


def within(t, program, podinit):
    """What a zone's process has, and zlogin."""
    with ZoneHost(t, program, "omnios") as host:
        host.image("image", root(t))
        before = host.dump()
        script = 'trap "exit 5" TERM; echo "on the console"; >/tmp/up; while :; do sleep 0.05; done'
        net = "add net\nset physical=net0\nset global-nic=igb0\nend\n"
        more = net + "add fs\nset dir=/scratch\nset special=/dev/null\nset type=tmpfs\nadd options \"size=1m\"\nend\n"
        web = Web(host, podinit, "omnios", script, more=more)
        web.up()
        host.until(lambda: os.path.exists(host.inside(web.path + "/root/tmp/up")))
        t.check("running", host.state("web") == "running")

        def ask(*words, **kw):
            done = host.run("zlogin", *words, **kw)
            return done.returncode, done.stdout.decode(), done.stderr.decode()

        safe = ("-Q", "-S", "web")
        for words, want in (
            ((*safe, "echo", "a", "b"), (0, "a b\n", "")),
            # Words with blanks are kept together, and nothing else is quoted.
            ((*safe, "echo", "a  b", "$((40 + 2))"), (0, "a  b $((40 + 2))\n", "")),
            ((*safe, "echo", "a  b", "$((40+2))"), (0, "a  b 42\n", "")),
            ((*safe, "echo a  b"), (0, "a b\n", "")),
            ((*safe, "echo", "a;", "echo", "b"), (0, "a\nb\n", "")),
            ((*safe, "exit 7"), (7, "", "")),
            ((*safe, "exit 1"), (1, "", "")),
            # zlogin has no status for it.
            ((*safe, "kill -9 $$"), (0, "", "")),
            ((*safe, "hostname; pwd; id -u; echo $HOME $SHELL"), (0, "web\n/\n0\n/ /sbin/sh\n", "")),
            # The zone has no su, so there is no shell: nothing is looked for, nothing is joined.
            (("-Q", "web", "/bin/echo", "$HOME  x"), (0, "$HOME  x\n", "")),
            (("-Q", "web", "echo", "x"), (1, "", "zlogin: exec failure: No such file or directory\n")),
            (("-l", "web", "web", "true"), (1, "", "zlogin: unable to find 'su' command\n")),
        ):
            got = ask(*words)
            t.check("zlogin " + " ".join(words), got == want, "%s, not %s" % (got, want))
        t.check("zlogin: input", ask(*safe, "cat", input=b"typed\n", stdin=None) == (0, "typed\n", ""))
        t.check("zlogin -n", ask("-n", *safe, "cat", input=b"typed\n", stdin=None) == (0, "", ""))
        zone = ask(*safe, "cat /proc/mounts /proc/1/cmdline; ls -l /proc/1/fd")[1]
        for name, text in (("lofs, read-only", r" /\.aurora \S+ ro,"), ("tmpfs", r" /scratch tmpfs rw,\S*size=1024k"),
                           ("console", r"1 -> /dev/console"), ("process 1", r"/\.aurora/podinit")):
            t.check("within: " + name, re.search(text, zone), zone)
        links = [line.split(":")[0].strip() for line in ask(*safe, "cat /proc/net/dev")[1].splitlines() if ":" in line]
        t.check("within: a network of its own", links == ["lo"], links)
        with open(host.inside("/run/zonehost/zones/web/console.log")) as f:
            t.check("console", "on the console" in f.read())
        booted = host.run("zoneadm", "-z", "web", "boot")
        t.check("booted twice", (booted.returncode, booted.stderr.decode()) == (0, "zoneadm: zone 'web': zone is already booted\n"))
        t.check("vnic", host.dump()["vnics"] == ["web/net0"])
        host.must("zoneadm", "-z", "web", "shutdown")
        t.check("shutdown", (host.state("web"), web.exit()) == ("installed", {"code": 5}), web.exit())
        host.must("zoneadm", "-z", "web", "boot")
        host.must("zoneadm", "-z", "web", "halt")
        t.check("halted", host.state("web") == "installed" and not host.dump()["processes"], host.dump())
        web.down()
        t.check("within: nothing left", host.dump() == before, host.dump())


def begins(t, program, podinit):
    """Process 1 by arguments of `boot`, before those of the configuration: nothing is open, nothing is in its environment."""
    with ZoneHost(t, program, "gate") as host:
        found = t.path("first", "x")[:-2]
        shutil.copytree(root(t), found, symlinks=True, dirs_exist_ok=True)
        with open(found + "/first", "w") as f:
            f.write("#!/bin/sh\npwd >/seen\necho $$ $* >>/seen\n/bin/env >>/seen\n/bin/ls -l /proc/self/fd >>/seen\n")
        os.chmod(found + "/first", 0o755)
        host.image("image", found)
        web = Web(host, podinit, "gate", "exit 0")
        web.up(3)
        host.must("zoneadm", "-z", "web", "boot", "--", "-i", "/first", "-m", "verbose", "-s")
        host.until(lambda: host.state("web") == "installed")
        with open(host.inside(web.path + "/root/seen")) as f:
            seen = f.read()
        lines = seen.splitlines()
        t.check("begins: where, as what", lines[:2] == ["/", "1 -m verbose -s"], seen)
        t.check("begins: with nothing", not any(word in seen for word in ("pipe:", "/dev/null", "ZONEHOST", "LC_ALL")), seen)
        web.down()


def console(t, program, podinit):
    """A program on the zone's console hears what is typed, and is heard; zlogin goes with the zone."""
    with ZoneHost(t, program, "omnios") as host:
        host.image("image", root(t))
        web = Web(host, podinit, "omnios", "tty; read line; echo got-$line; exit 3")
        web.up(4)
        with subprocess.Popen(host.enter("zlogin", "-C", "-d", "-E", "web"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as zlogin:
            zlogin.stdout.readline()
            host.must("zoneadm", "-z", "web", "boot")
            zlogin.stdin.write(b"typed\n")
            zlogin.stdin.flush()
            said = zlogin.stdout.read().decode().replace("\r", "")
        want = ("\n[NOTICE: Zone booting up]\n", "/dev/console\n", "typed\n", "got-typed\n",
                "\n[NOTICE: Zone halted.  Disconnecting...]\n\n[Connection to zone 'web' console closed]\n")
        t.check("console", all(text in said for text in want), said)
        t.check("console: exit", zlogin.returncode == 0 and web.exit() == {"code": 3}, (zlogin.returncode, web.exit()))
        web.down()


def interactive(t, program, podinit):
    """A command on a terminal of the zone: zlogin -i, with the keys that it keeps, and without."""
    with ZoneHost(t, program, "omnios") as host:
        host.image("image", root(t))
        web = Web(host, podinit, "omnios", "sleep " + SLEEP)
        web.up()

        def zlogin(*words):
            return podinit_case.Terminal(*host.enter("zlogin", *words))

        terminal = zlogin("-i", "-S", "web", "/bin/sh", "-c", "tty; echo ready; read x; echo got-$x-; exit 7")
        terminal.until(b"ready")
        terminal.type(b"~~a\r")
        terminal.until(b"closed]")
        said = terminal.text.decode()
        want = ("[Connected to zone 'web' pts/0]", "/dev/pts/0\r\n", "got-~a-", "[Connection to zone 'web' pts/0 closed]")
        t.check("zlogin -i", terminal.end() == 7 and all(text in said for text in want), said)
        terminal = zlogin("-Q", "-E", "-i", "-S", "web", "/bin/sh", "-c", "echo ready; read x; read y; echo got-$x-$y-; kill -9 $$")
        terminal.until(b"ready")
        terminal.type(b"~.\r~~\r")
        terminal.until(b"got-~.-~~-")
        t.check("zlogin -E: no escapes", terminal.end() == 130, terminal.text)
        terminal = zlogin("-Q", "-i", "-S", "web", "/bin/sh", "-c", "trap '>/tmp/hung; exit' HUP; echo ready; while :; do sleep 0.05; done")
        terminal.until(b"ready")
        terminal.type(b"\r~.")
        t.check("zlogin: disconnected", terminal.end() == 0, terminal.text)
        host.until(lambda: os.path.exists(host.inside(web.path + "/root/tmp/hung")))
        terminal = zlogin("-Q", "-i", "-S", "web", "true")
        t.check("zlogin -i: nothing is looked for", terminal.end() == 8, terminal.text)
        done = host.run("zlogin", "-i", "-S", "web", "/bin/true", stdin=subprocess.DEVNULL)
        t.check("zlogin -i: no terminal", done.returncode == 1 and b"not a terminal" in done.stderr, done)
        web.down()


def started_again(t, program, podinit):
    """A brand that does not say otherwise starts its init for ever, until the zone is halted from within or without."""
    with ZoneHost(t, program, "omnios") as host:
        host.image("image", root(t))
        web = Web(host, podinit, "omnios", "echo x >>/count", brand="lipkg")
        web.up()
        count = host.inside(web.path + "/root/count")
        host.until(lambda: os.path.exists(count) and open(count).read().count("x") >= 3)
        t.check("init is started again", host.state("web") == "running")
        host.must("zoneadm", "-z", "web", "halt")
        counted = open(count).read()
        t.run("sleep", "1")
        t.check("and not after halt", (host.state("web"), open(count).read()) == ("installed", counted))
        web.program("/bin/busybox poweroff -f")
        host.must("zoneadm", "-z", "web", "boot")
        host.until(lambda: host.state("web") == "installed")
        t.ok()
        web.down()


def refusals(t, program, podinit):
    """What zoneadmd does not boot, and that nothing of it stays mounted."""
    with ZoneHost(t, program, "omnios") as host:
        found = t.path("links", "x")[:-2]
        shutil.copytree(root(t), found, symlinks=True, dirs_exist_ok=True)
        os.symlink("/tmp", found + "/link")
        host.image("image", found)
        fs = "add fs\nset dir=%s\nset special=%s\nset type=lofs\nend\n"
        file = host.dir + "/file"
        open(file, "w").close()
        usual = "/.aurora/podinit"
        for name, more, init, step, says in (
            ("a link as mount point", fs % ("/link/x", "/tmp"), usual, "ready", "is a symlink"),
            ("a file upon nothing", fs % ("/etc/new", file), usual, "ready", "mount"),
            ("no init", "", "/nosuch", "boot", "could not stat"),
            ("an init that can't be executed", "", "/etc/passwd", "boot", "is not executable"),
        ):
            web = Web(host, podinit, "omnios", "exit 0", init=init, more=more)
            web.up(4 if step == "boot" else 3)
            done = host.run("zoneadm", "-z", "web", step)
            fine = done.returncode == 1 and says in done.stderr.decode()
            t.check(name, fine and host.state("web") == "installed", done.stderr)
            t.check(name + ": nothing mounted", not host.dump()["mounts"] and not host.dump()["keepers"], host.dump())
            web.down()


def failures(t, program, podinit):
    """Each step fails, before or after it was done, or is killed; what undoes the steps leaves nothing."""
    with ZoneHost(t, program, "omnios") as host:
        host.image("image", root(t))
        before = host.dump()
        web = Web(host, podinit, "omnios", "sleep " + SLEEP)
        for step, (do, _) in enumerate(web.steps()):
            for kind in ("fail", "fail-after", "kill", "kill-after", "garbage"):
                web.up(step)
                host.inject(kind, do[0], do[3] if do[0] == "zoneadm" else do[1])
                done = host.run(*do)
                name = "%s: %s" % (" ".join(do[:1] + do[3:4]), kind)
                t.check(name, (done.returncode == 0) == (kind == "garbage"), done.returncode)
                web.down()
                t.check(name + ": nothing left", host.dump() == before, host.dump())
        t.check("every order was carried out", open(host.inside("/run/zonehost/injections.json")).read().strip() == "[]")


def together(t, program, podinit):
    """Of many that boot a zone at once one does, and the others hear that it is done; of many that halt it, too. What a killed zoneadm
    has left is undone by the next."""
    with ZoneHost(t, program, "omnios") as host:
        host.image("image", root(t))
        before = host.dump()
        net = "add net\nset physical=net0\nset global-nic=igb0\nend\n"
        web = Web(host, podinit, "omnios", "sleep " + SLEEP, more=net)
        web.up(3)
        for command, says in (("boot", "zone is already booted"), ("halt", "zone is already halted")):
            all_ = [subprocess.Popen(host.enter("zoneadm", "-z", "web", command), stderr=subprocess.PIPE) for _ in range(6)]
            said = [process.communicate()[1].decode().strip() for process in all_]
            fine = all(process.returncode == 0 for process in all_)
            t.check("together: " + command, fine and sorted(said) == [""] + ["zoneadm: zone 'web': " + says] * 5, said)
        began = time.monotonic()
        host.run("zoneadm", "-z", "web", "ready")
        whole = time.monotonic() - began
        host.run("zoneadm", "-z", "web", "halt")
        killed = 0
        with open("/dev/null", "w") as nobody:
            for n in range(20):
                process = subprocess.Popen(host.enter("zoneadm", "-z", "web", "ready"), stderr=nobody)
                time.sleep(whole * n / 20)
                # nsenter's child, which is zoneadm; the one above ends as it does.
                killed += host.run("pkill", "-9", "-x", "zoneadm").returncode == 0
                process.wait()
                done = host.run("zoneadm", "-z", "web", "halt")
                left = dict(host.dump(), zones=None, datasets=None)
                fine = done.returncode == 0 and host.state("web") == "installed"
                t.check("killed after %d of 20 parts" % n, fine and left == dict(before, zones=None, datasets=None), (done.stderr, left))
        t.check("some were killed", killed > 0, killed)
        web.down()
        t.check("together: nothing left", host.dump() == before, host.dump())


def interrupted(t, program, podinit):
    """The case is killed while a zone runs: nothing is left on this machine."""
    marks = (t.tmp, "sleep " + SLEEP, "tmpfs zonehost ")
    t.check("nothing of the other parts", not traces(*marks), traces(*marks))
    host = ZoneHost(t, program, "omnios")
    host.__enter__()
    host.image("image", root(t))
    Web(host, podinit, "omnios", "sleep " + SLEEP).up()
    host.until(lambda: any("process sleep" in found for found in traces(*marks)))
    host.__exit__()
    t.check("interrupted: nothing left", not traces(*marks), traces(*marks))


def run(t):
    program = build(t)
    podinit = podinit_case.static(t)
    for dialect in ("gate", "omnios", "smartos"):
        t.guard(lives, program, podinit, dialect)
    t.guard(within, program, podinit)
    t.guard(begins, program, podinit)
    t.guard(console, program, podinit)
    t.guard(interactive, program, podinit)
    t.guard(started_again, program, podinit)
    t.guard(refusals, program, podinit)
    t.guard(failures, program, podinit)
    t.guard(together, program, podinit)
    t.guard(interrupted, program, podinit)
