"""podinit beside tini and catatonit: the same questions to each, so that what podinit answers is known to be what an init
answers, and that the questions can be failed. Then below podman, as it starts its own init, and at a terminal."""
import fcntl
import os
import pty
import select
import shutil
import signal
import subprocess
import termios

from lib import Failure

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
# Signals whose default is to end the process, by signal(7). 32 and 33 belong to the C library.
DEADLY = [n for n in (*range(1, 17), 24, 25, 26, 27, 29, 30, 31, *range(34, 65))]
ALL = [n for n in range(1, 65) if n not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33)]
# What the others, by their sources, leave alone: what a fault would raise, and what is about the terminal.
FAULTS = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS}
NOT_BY_OTHERS = FAULTS | {signal.SIGTTIN, signal.SIGTTOU}
NOT_BY_CATATONIT = NOT_BY_OTHERS | {signal.SIGTSTP}
WAIT = 60


def static(t):
    """podinit as one file that runs in any image."""
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(top, "target"))
    env = dict(os.environ, RUSTFLAGS="-C target-feature=+crt-static")
    t.must("cargo", "build", "--quiet", "--profile", "small", "--package", "aurora-podinit",
           "--target", "x86_64-unknown-linux-gnu", cwd=top, env=env, timeout=1800)
    podinit = os.path.join(os.path.abspath(target), "x86_64-unknown-linux-gnu", "small", "podinit")
    elf = t.must("readelf", "--program-headers", podinit).decode()
    t.check("static", "INTERP" not in elf, elf)
    return podinit


def exits(t, name, init, codes):
    def code(*program):
        return t.run(*UNSHARE, *init, *program).returncode
    wrong = [(n, got) for n in codes if (got := code("sh", "-c", "exit %d" % n)) != n]
    t.check(name + ": exit codes", not wrong, wrong)
    dies = "ulimit -c 0; kill -%d $$; while :; do sleep 1; done"
    wrong = [(n, got) for n in DEADLY if (got := code("sh", "-c", dies % n)) != 128 + n]
    t.check(name + ": 128 and the signal", not wrong, wrong)
    if name != "catatonit":  # which has 1 for both
        t.check(name + ": not there", code("/no/such") == 127)
        t.check(name + ": not executable", code("/etc/passwd") == 126)


class Init:
    """An init that runs, as process 1, and the lines that its program prints."""

    def __init__(self, init, script):
        self.unshare = subprocess.Popen([*UNSHARE, *init, "sh", "-c", script], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.left = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unshare.kill()
        self.unshare.wait()
        self.unshare.stdout.close()

    def line(self, wait=WAIT):
        """The next line; None when there is none for so long."""
        while b"\n" not in self.left:
            if not select.select([self.unshare.stdout], [], [], wait)[0]:
                return None
            data = os.read(self.unshare.stdout.fileno(), 4096)
            if not data:
                return None
            self.left += data
        line, self.left = self.left.split(b"\n", 1)
        return line.decode()

    def pid(self):
        return int(open("/proc/%d/task/%d/children" % (self.unshare.pid, self.unshare.pid)).read().split()[0])


def signals(t, name, init, want):
    """Which of all signals reach the program. What does not come is not waited for: after each, TERM, which reaches
    everybody's program, is sent and comes back; at last often enough that a shell has no other trap left to run."""
    traps = "".join("trap 'echo %d' %d;" % (n, n) for n in ALL)
    got = set()
    with Init(init, traps + "echo ready; while :; do sleep 0.01; done") as running:
        if running.line() != "ready":
            raise Failure("%s: the program has not started" % name)
        for n in ALL + [signal.SIGTERM] * 50:
            os.kill(running.pid(), n)
            os.kill(running.pid(), signal.SIGTERM)
            while (line := running.line()) != str(int(signal.SIGTERM)):
                if line is None:
                    raise Failure("%s: nothing comes any more, signal %d" % (name, n))
                got.add(int(line))
    got.add(int(signal.SIGTERM))
    missing, more = sorted(set(want) - got), sorted(got - set(want))
    t.check(name + ": signals", not missing and not more, "missing %s, more %s" % (missing, more))


def orphans(t, name, init):
    """A thousand that end after their parent has: at last only init and the asking shell are there."""
    script = """n=0
        while [ $n -lt 100 ]; do
            sh -c 'for i in 0 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done'
            n=$((n + 1))
        done
        while set -- /proc/[0-9]*; [ $# -gt 2 ]; do sleep 0.01; done
        exit 5"""
    done = t.run(*UNSHARE, *init, "sh", "-c", script, timeout=WAIT)
    t.check(name + ": orphans", done.returncode == 5, "exit %d" % done.returncode)


def honest(t):
    """No init at all: what is asked of each is not true of every process 1."""
    with Init([], "(sleep 0.1 &); echo ready; exec sleep 60") as running:
        running.line()
        proc = "/proc/%d/root/proc" % running.pid()

        def states():
            return [open("%s/%s/stat" % (proc, n)).read().split()[2] for n in os.listdir(proc) if n.isdigit()]
        until(t, lambda: "Z" in states())
        t.ok()


# --- podman

CONTAINERS_CONF = """[containers]
default_ulimits = []
[engine]
helper_binaries_dir = ["%s"]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


class Podman:
    """podman with nothing of this machine's, and an image of busybox alone."""

    def __init__(self, t, name):
        self.t, self.dir = t, t.path(name, "x")[:-2]
        with open(self.dir + "/containers.conf", "w") as f:
            f.write(CONTAINERS_CONF % t.path(name, "helpers", "x")[:-2])
        image = t.path(name, "image", "bin", "busybox")
        shutil.copy(shutil.which("busybox"), image)
        for applet in ("sh", "sleep", "ps", "cat", "kill"):
            os.symlink("busybox", os.path.join(os.path.dirname(image), applet))
        t.must("tar", "-C", self.dir + "/image", "-cf", self.dir + "/image.tar", ".")
        self("import", self.dir + "/image.tar", "localhost/init:1", must=True)

    def words(self, *args):
        places = [a for pair in (("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")) for a in (pair[0], self.dir + "/" + pair[1])]
        return ["env", "CONTAINERS_CONF=%s/containers.conf" % self.dir, "podman", *places, "--storage-driver", "vfs",
                "--cgroup-manager", "cgroupfs", *args]

    def __call__(self, *args, must=False):
        return (self.t.must if must else self.t.run)(*self.words(*args))


def below_podman(t, podinit):
    podman = Podman(t, "podman")
    answers = {}
    for name, init in (("podinit", podinit), ("catatonit", shutil.which("catatonit"))):
        run = ("run", "--network", "none", "--init", "--init-path", init)

        def asked(*args):
            done = podman(*run, "--rm", *args)
            return done.returncode, done.stdout.decode()

        found = {
            "exit": asked("localhost/init:1", "sh", "-c", "echo out; exit 7"),
            "process 1": asked("localhost/init:1", "cat", "/proc/1/cmdline"),
            "killed": asked("localhost/init:1", "sh", "-c", "kill -9 $$"),
            "not there": asked("localhost/init:1", "nosuch"),
            "not executable": asked("localhost/init:1", "/etc/hostname"),
            "user": asked("--user", "1000:1000", "localhost/init:1", "sh", "-c", "echo $(cat /proc/self/status | busybox grep ^Uid)"),
        }
        script = "trap 'echo term; exit 4' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
        podman(*run, "-d", "--name", name, "localhost/init:1", "sh", "-c", script, must=True)
        logs = lambda: podman("logs", name).stdout.decode().split()  # noqa: E731
        until(t, lambda: "ready" in logs())
        podman("kill", "-s", "USR1", name, must=True)
        until(t, lambda: "usr1" in logs())
        podman("stop", "-t", "30", name, must=True)
        found["stopped"] = int(podman("inspect", "-f", "{{.State.ExitCode}}", name, must=True)), logs()
        podman("rm", "-f", name, must=True)
        ask = "trap 'echo got-int; exit 6' INT; echo ready; read line; echo got-$line; while :; do sleep 0.05; done"
        terminal = Terminal(*podman.words(*run, "--rm", "-it", "localhost/init:1", "sh", "-c", ask))
        terminal.until(b"ready")
        terminal.type(b"typed\n")
        terminal.until(b"got-typed")
        terminal.type(b"\x03")
        terminal.until(b"got-int")
        found["terminal"] = terminal.end()
        answers[name] = found
    # catatonit has 1 for both; the codes of shells, and of tini, are what podinit has.
    answers["catatonit"].update({"not there": (127, ""), "not executable": (126, "")})
    for question, want in answers["catatonit"].items():
        got = answers["podinit"][question]
        t.check("podman, %s: as with catatonit" % question, got == want, "%s, not %s" % (got, want))
    t.check("podman: exit", answers["podinit"]["exit"] == (7, "out\n"), answers["podinit"]["exit"])
    t.check("podman: stopped", answers["podinit"]["stopped"] == (4, ["ready", "usr1", "term"]), answers["podinit"]["stopped"])


def below_a_pod(t, podinit):
    """As the process that holds a pod's namespaces, which podman takes from its helpers under catatonit's name."""
    podman = Podman(t, "pod")
    shutil.copy(podinit, podman.dir + "/helpers/catatonit")
    podman("pod", "create", "--network", "none", "--name", "pod", must=True)
    program = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    podman("run", "-d", "--pod", "pod", "--name", "in-pod", "localhost/init:1", "sh", "-c", program, must=True)
    until(t, lambda: b"ready" in podman("logs", "in-pod").stdout)
    infra = podman("pod", "inspect", "-f", "{{.InfraContainerID}}", "pod", must=True).decode().strip()
    called = podman("top", infra, "args", must=True).decode().split()
    t.check("pod: called", called[-2:] == ["/catatonit", "-P"], called)
    root = podman("mount", infra, must=True).decode().strip()
    t.check("pod: it is podinit", open(root + "/catatonit", "rb").read() == open(podinit, "rb").read())
    podman("umount", infra)
    podman("pod", "stop", "-t", "60", "pod", must=True)
    code = {name: int(podman("inspect", "-f", "{{.State.ExitCode}}", name, must=True)) for name in (infra, "in-pod")}
    t.check("pod: stopped", code == {infra: 0, "in-pod": 5}, code)
    podman("pod", "rm", "-f", "pod", must=True)


def until(t, what):
    """Asks again and again, not forever."""
    for _ in range(600):
        if what():
            return
        t.run("sleep", "0.1")
    raise Failure("it does not come")


# --- terminals

class Terminal:
    """A program on a terminal of its own, in the foreground of it, as a shell starts it."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.text = b""
        self.shell = os.fork()
        if self.shell == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.execvp("sh", ["sh", "-c", 'exec "$@"', "sh", *args])
        os.close(slave)

    def type(self, data):
        os.write(self.master, data)

    def until(self, text):
        while text not in self.text:
            if not select.select([self.master], [], [], WAIT)[0]:
                raise Failure("no %r on the terminal: %r" % (text, self.text))
            try:
                self.text += os.read(self.master, 4096)
            except OSError:  # nobody is left on the other side
                raise Failure("no %r before the end: %r" % (text, self.text))

    def end(self):
        _, status = os.waitpid(self.shell, 0)
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)


def at_a_terminal(t, name, init):
    """What is typed reaches the program and nobody else."""
    script = "trap 'echo got-int; exit 3' INT; trap 'echo got-winch' WINCH; echo ready; while :; do sleep 0.01; done"
    terminal = Terminal(*UNSHARE, *init, "sh", "-c", script)
    terminal.until(b"ready")
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, b"\x10\0\x20\0\0\0\0\0")
    terminal.until(b"got-winch")
    terminal.type(b"\x03")
    terminal.until(b"got-int")
    got = terminal.end()
    t.check(name + ": a terminal's signals", got == 3, "exit %d: %r" % (got, terminal.text))
    terminal = Terminal(*UNSHARE, *init, "sh", "-c", "read line; echo read-$line; exit 4")
    terminal.type(b"typed\n")
    terminal.until(b"read-typed")
    got = terminal.end()
    t.check(name + ": reads what is typed", got == 4, "exit %d" % got)


def below_a_shell(t, podinit):
    """^Z stops the program, and the shell that called podinit gets its prompt; fg goes on. (The program does not fork meanwhile: a
    shell that is stopped within vfork is not stopped, and neither is anyone above it.)"""
    terminal = Terminal("bash", "--norc", "--noprofile", "-i")
    terminal.type(b"PS1='prom''pt '\n")
    terminal.until(b"prompt ")
    terminal.type(("%s -s -- sh -c 'echo be''gun; read line; echo got-$line; exit 6'\n" % podinit).encode())
    terminal.until(b"begun")
    terminal.type(b"\x1a")
    terminal.until(b"Stopped")
    terminal.type(b"echo shell-$((40 + 2))\n")
    terminal.until(b"shell-42")
    terminal.type(b"fg\n")
    terminal.type(b"again\n")
    terminal.until(b"got-again")
    terminal.type(b"exit $?\n")
    got = terminal.end()
    t.check("^Z and fg below a shell", got == 6, "exit %d: %r" % (got, terminal.text))


def leads_a_session(t, podinit):
    """Nobody could go on with what ^Z stops: it is of no effect, as it is for a program that leads its session itself."""
    script = "echo ready; read line; echo got-$line; exit 4"
    for what, words in (("without an init", ()), ("podinit", (podinit, "-s", "--"))):
        terminal = Terminal(*words, "sh", "-c", script)
        terminal.until(b"ready")
        terminal.type(b"\x1a")
        terminal.type(b"more\n")
        terminal.until(b"got-more")
        got = terminal.end()
        t.check("^Z, %s" % what, got == 4, "exit %d: %r" % (got, terminal.text))


def run(t):
    podinit = static(t)
    t.check("size", os.path.getsize(podinit) < 4 << 20, os.path.getsize(podinit))
    inits = (("podinit", [podinit, "--"], ALL),
             ("tini", [shutil.which("tini"), "--"], set(ALL) - NOT_BY_OTHERS),
             ("catatonit", [shutil.which("catatonit"), "--"], set(ALL) - NOT_BY_CATATONIT))
    for name, init, forwarded in inits:
        t.guard(exits, name, init, range(256) if name == "podinit" else (0, 1, 2, 7, 126, 127, 128, 255))
        t.guard(signals, name, init, forwarded)
        t.guard(orphans, name, init)
        t.guard(at_a_terminal, name, init)
    t.guard(honest)
    t.guard(below_a_shell, podinit)
    t.guard(leads_a_session, podinit)
    t.guard(below_podman, podinit)
    t.guard(below_a_pod, podinit)
