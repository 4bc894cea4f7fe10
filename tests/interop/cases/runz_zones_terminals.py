"""Terminals of zones: the console of the first program, and `exec -t`, where zlogin makes a terminal of the zone. What people and
engines do with one: type, interrupt, stop, resize, look away, go."""
import fcntl
import glob
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from cases._zonehost import ZoneHost, build as build_host
from cases.podinit import static
from cases.runz_crashes import build
from cases.runz_zones import SHIM, WAIT, Place, begun
from lib import Failure

# A program that goes on until it is told to end.
WAITS = "while :; do sleep 0.1; done"


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Screen:
    """One side of a terminal, and what was read from it so far."""

    def __init__(self, fd):
        self.fd, self.said = fd, b""

    def more(self, seconds):
        """Reads some; whether there may be more."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # Nobody has the other side.
                data = b""
            self.said += data
            return bool(data)
        return True

    def until(self, text):
        """Reads up to some text; what came before and with it. The rest is kept."""
        end = time.monotonic() + WAIT
        while text not in self.said:
            if not self.more(1) or time.monotonic() > end:
                raise Failure("%r does not come: %r" % (text, self.said[-2000:]))
        head, _, self.said = self.said.partition(text)
        return head + text

    def type(self, keys):
        while keys:
            keys = keys[os.write(self.fd, keys):]


class Caller(Screen):
    """Somebody at a terminal who runs a command there."""

    def __init__(self, words, rows=24, columns=80):
        self.pid, fd = pty.fork()
        if self.pid == 0:
            resize(0, rows, columns)
            os.execvp(words[0], words)
        super().__init__(fd)

    def end(self):
        """The command's status, and what is left to read."""
        end = time.monotonic() + WAIT
        while self.more(1):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status), self.said


class Engine:
    """A process more, made as engines do: detached, with a socket that its terminal comes to, and waited for by its number."""

    def __init__(self, t, place, *args):
        self.t, pid_file, path = t, t.path("exec-pid"), t.path("console")
        for name in (pid_file, path):
            if os.path.exists(name):
                os.remove(name)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(WAIT)
            words = place.words("exec", "--detach", "--pid-file", pid_file, "--console-socket", path, *args)
            self.shim = subprocess.Popen(place.host.enter("python3", "-c", SHIM, pid_file, json.dumps([words])),
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            stream, _ = listener.accept()
        with stream:
            self.name, fds, _, _ = socket.recv_fds(stream, 4096, 1)
        self.screen = Screen(fds[0])
        place.host.until(lambda: os.path.exists(pid_file))
        with open(pid_file) as f:
            self.pid = f.read()

    def end(self):
        """How the process has ended, as one that has waited for it knows."""
        done = self.shim.communicate(timeout=WAIT)[0].decode()
        return json.loads(done.split("shim ")[1])["end"]


def console(t, place):
    """The zone's console, at the caller's terminal."""
    place.config("sh", "-c", "tty; echo ready; read x; echo got $x; exit 6", terminal=True)
    done = place.create("tty")
    t.check("console: nobody has it", b"cannot allocate tty if runz will detach" in done.stderr, done)
    caller = Caller(place.host.enter(*place.words("run", "--bundle", place.bundle, "tty")))
    said = caller.until(b"ready")
    caller.type(b"this\r")
    code, rest = caller.end()
    t.check("console", code == 6 and b"/dev/console" in said and b"got this" in rest, (code, said, rest))
    place.is_clean("console")


class Session:
    """A container to run more in, and how."""

    def __init__(self, t, place):
        self.t, self.place = t, place
        begun(t, place)

    def words(self, *args):
        return self.place.host.enter(*self.place.words("exec", *args))

    def at_terminal(self, script, *options):
        return Caller(self.words("--tty", *options, "loop", "sh", "-c", script))


def ends(t, place, session):
    for script, want in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)):
        code, said = session.at_terminal("echo said; " + script).end()
        t.check("exec -t: " + script, (code, said) == (want, b"said\r\n"), (code, said))
    code, said = Caller(session.words("--tty", "loop", "nosuch")).end()
    t.check("exec -t: nosuch", code == 255 and b"executable file not found in $PATH" in said, (code, said))
    code, said = session.at_terminal("head -c 300000 /dev/zero | tr '\\0' x; exit 3").end()
    t.check("exec -t: much", (code, said.count(b"x")) == (3, 300000), (code, len(said)))
    done = place.call("exec", "--tty", "--detach", "loop", "true")
    t.check("exec -t: nobody has it", done.returncode == 255 and b"cannot allocate tty if runz will detach" in done.stderr, done)
    done = place.call("exec", "--tty", "--detach", "--console-socket", t.path("nobody"), "loop", "true")
    t.check("exec -t: nobody listens", done.returncode == 255 and done.stderr.count(b"no such file") == 1, done)


def is_one(t, place, session):
    """It is a terminal in every way that programs ask for."""
    caller = session.at_terminal("tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo three; echo own >/dev/tty; "
                                 "read x </dev/tty; echo got-$x; echo name >$(tty); id -u", "--user", "7:8")
    said = caller.until(b"own\r\n").decode().split("\r\n")
    t.check("exec -t: what it is", said[0].startswith("/dev/pts/") and said[1:] == ["24 80", "three", "own", ""], said)
    caller.type(b"typed\r")
    code, said = caller.end()
    t.check("exec -t: read and opened by its user", (code, said) == (0, b"typed\r\ngot-typed\r\nname\r\n7\r\n"), (code, said))


def sizes(t, place, session):
    caller = session.at_terminal("trap 'stty size' WINCH; trap 'exit 5' TERM; echo ready; " + WAITS)
    caller.until(b"ready")
    for rows, columns in ((50, 132), (10, 20)):
        resize(caller.fd, rows, columns)
        caller.until(b"%d %d\r\n" % (rows, columns))
    # Its child: it has only made the namespaces.
    with open("/proc/%d/task/%d/children" % (caller.pid, caller.pid)) as f:
        os.kill(int(f.read()), signal.SIGTERM)
    t.check("exec -t: sizes, and a signal", caller.end()[0] == 5)


def keys(t, place, session):
    """What is typed arrives as it is typed, and is nobody's escape."""
    everything = b"~.\r~~x\r~.\n~\x04" + bytes(range(256)) * 4
    path = place.host.inside(place.bundle + "/root/tmp/typed")
    caller = session.at_terminal("stty raw -echo; echo ready; head -c %d >/tmp/typed; cat /tmp/typed; exit 6" % len(everything))
    caller.until(b"ready\n")
    caller.type(everything)
    code, said = caller.end()
    with open(path, "rb") as f:
        typed = f.read()
    os.remove(path)
    t.check("exec -t: keys", (code, typed, said) == (6, everything, everything), (code, typed[:20], said[:20]))
    caller = session.at_terminal("trap 'echo caught; exit 4' INT; echo ready; " + WAITS)
    caller.until(b"ready")
    caller.type(b"\x03")
    code, said = caller.end()
    t.check("exec -t: ^C", code == 4 and b"caught" in said, (code, said))
    # Nobody could go on with what ^Z stops: it is of no effect, as for a program that leads its session.
    caller = Caller(session.words("--tty", "loop", "cat"))
    caller.type(b"one\r")
    caller.until(b"one\r\none\r\n")
    caller.type(b"\x1a")
    caller.type(b"two\r")
    caller.until(b"two\r\ntwo\r\n")
    caller.type(b"\x04")
    t.check("exec -t: ^Z, ^D", caller.end()[0] == 0)


def jobs(t, place, session):
    """A shell has jobs."""
    caller = Caller(session.words("--tty", "--env", "PS1=prompt>", "loop", "sh"))
    caller.until(b"prompt>")
    caller.type(b"cat -- -\r")
    caller.until(b"cat -- -\r\n")
    # Not before it is there.
    place.host.until(lambda: place.host.run("pgrep", "-f", "^cat -- -").returncode == 0)
    caller.type(b"\x1a")
    said = caller.until(b"prompt>")
    t.check("exec -t: a job is stopped", b"Stopped" in said, said)
    caller.type(b"fg\r")
    caller.until(b"cat -- -\r\n")
    caller.type(b"\x03")
    said = caller.until(b"prompt>")
    caller.type(b"echo $?; exit 9\r")
    code, rest = caller.end()
    t.check("exec -t: and interrupted", code == 9 and b"130\r\n" in rest and b"job control" not in said + rest, (code, said, rest))


def engines(t, place, session):
    process = {"args": ["sh", "-c", "stty size; sleep 0.3; read x; echo got $x; exit 8"], "cwd": "/", "env": ["PATH=/bin"],
               "user": {"uid": 0, "gid": 0}, "terminal": True, "consoleSize": {"height": 33, "width": 44}}
    with open(t.path("process.json"), "w") as f:
        json.dump(process, f)
    # What is typed at once is not lost.
    engine = Engine(t, place, "--process", t.path("process.json"), "loop")
    engine.screen.type(b"early\r")
    said = engine.screen.until(b"got early\r\n")
    t.check("--process: a terminal", engine.name.startswith(b"/dev/pts/") and b"33 44\r\n" in said, (engine.name, said))
    t.check("--process: its end", engine.end() == 8)
    # Signals go to the process that engines know.
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "trap 'exit 3' USR1; echo ready; " + WAITS)
    engine.screen.until(b"ready")
    place.host.must("kill", "-USR1", engine.pid)
    t.check("exec -t: a signal", engine.end() == 3)
    # The terminal is closed: its program hears of it, once.
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "n=0; trap 'n=$((n+1))' HUP; echo ready; while test $n = 0; do sleep 0.1; done; "
                    "sleep 1; exit $((10 + n))")
    engine.screen.until(b"ready")
    os.close(engine.screen.fd)
    t.check("exec -t: closed", engine.end() == 11)
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "echo ready; " + WAITS)
    engine.screen.until(b"ready")
    os.close(engine.screen.fd)
    t.check("exec -t: closed, and ended by it", engine.end() == -signal.SIGHUP)


def killed(t, place, session):
    """What stands for it is killed, and so it is."""
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "trap 'echo >/tmp/heard; exit' HUP; echo ready; " + WAITS)
    engine.screen.until(b"ready")
    place.host.must("kill", "-KILL", engine.pid)
    heard = place.host.inside(place.bundle + "/root/tmp/heard")
    place.host.until(lambda: os.path.exists(heard))
    os.remove(heard)
    t.check("exec -t: killed", engine.end() == -signal.SIGKILL)


def hostile(t, place, session):
    """Who does not read holds up his own output and nothing else; nor does the zone's root."""
    pours = "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "trap 'exit 5' TERM; " + pours)
    time.sleep(1)
    t.check("exec beside it", place.call("exec", "loop", "true").returncode == 0)
    t.check("state beside it", place.status("loop") == "running", place.status("loop"))
    place.host.must("kill", "-KILL", engine.pid)
    t.check("one that pours, killed", engine.end() == -signal.SIGKILL)
    os.close(engine.screen.fd)
    # It has ended, and all that is waited for is who reads its last output: more than one terminal holds, and less than two.
    ends_of = place.root + "/loop/zones/rw/exec-*/exit"
    before = glob.glob(ends_of)
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "head -c 24000 /dev/zero | tr '\\0' x; exit 4")
    place.host.until(lambda: glob.glob(ends_of) != before)
    t.check("one whose output nobody reads", engine.shim.poll() is None)
    place.host.must("kill", "-TERM", engine.pid)
    t.check("and that is told to end", engine.end() == 4)
    os.close(engine.screen.fd)
    # podinit is killed from within: nothing is told, and it is an end all the same.
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "sleep 0.5; kill -9 $PPID; " + WAITS)
    t.check("one without podinit", engine.end() == -signal.SIGKILL)
    os.close(engine.screen.fd)
    # An end that the zone's root has written, and a folder in its place.
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", "for d in /.aurora-run/exec-*; do mkdir $d/exit; done 2>/dev/null; echo ready; read x")
    engine.screen.until(b"ready")
    engine.screen.type(b"\r")
    t.check("one that hides its end", engine.end() > 0)
    os.close(engine.screen.fd)
    # The zone is halted while it pours, and nobody reads.
    engine = Engine(t, place, "--tty", "loop", "sh", "-c", pours)
    time.sleep(1)
    began = time.monotonic()
    t.check("kill beside it", place.call("kill", "loop", "KILL").returncode == 0)
    t.check("exec -t in a halted zone", engine.end() == -signal.SIGKILL, time.monotonic() - began)
    os.close(engine.screen.fd)


def halted(t, place):
    begun(t, place)
    caller = Caller(place.host.enter(*place.words("exec", "--tty", "loop", "sh", "-c", "echo ready; " + WAITS)))
    caller.until(b"ready")
    t.check("kill", place.call("kill", "loop", "KILL").returncode == 0)
    t.check("exec -t in a halted zone, at a terminal", caller.end()[0] == 137)
    place.end("loop", "exec -t in a halted zone")


def run(t):
    podinit, program, host_program = static(t), build(t), build_host(t)
    with ZoneHost(t, host_program, "omnios") as host:
        place = Place(t, host, program, podinit)
        t.guard(console, place)
        session = Session(t, place)
        for part in (ends, is_one, sizes, keys, jobs, engines):
            t.guard(part, place, session)
        # Documents, with the environment, and folders. Of a process that stands for one, and is killed, they stay for `delete`.
        left = [name for folder in ("", "ro", "rw") for name in os.listdir(os.path.join(place.root, "loop/zones", folder))
                if name.startswith("exec")]
        t.check("exec -t: nothing left", not left, left)
        for part in (killed, hostile):
            t.guard(part, place, session)
        place.end("loop", "exec -t")
        t.guard(halted, place)
