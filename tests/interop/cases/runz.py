"""runz where runc is expected: podman, buildah and containerd drive both, and people too; exit status and texts must be the
same. Then an image of the corpus from end to end, and bundles that are wrong."""
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import time

from lib import Failure

RUNC = "/usr/sbin/runc"
APPLETS = "sh ls cat echo sleep id env ps true false kill pwd hostname stty tty chmod mkdir touch grep head mount seq cut".split()
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


# --- podman

def podman_env(t):
    with open(t.path("containers.conf"), "w") as f:
        f.write('[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
                'runtime_supports_json = ["runc", "runz"]\n[engine.runtimes]\nrunc = ["%s"]\nrunz = ["%s"]\n' % (RUNC, runz(t)))
    with open(t.path("storage.conf"), "w") as f:
        f.write('[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' % (t.path("store"), t.path("store-run")))
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30},
        {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 0o700, "op": "SCMP_CMP_EQ"}]},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3, "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"}]}
    with open(t.path("seccomp.json"), "w") as f:
        json.dump(profile, f)
    env = dict(os.environ, CONTAINERS_CONF=t.path("containers.conf"), CONTAINERS_STORAGE_CONF=t.path("storage.conf"))
    archive = t.path("img.tar")
    t.must("tar", "-C", tree(t), "-cf", archive, ".")
    t.must("podman", "import", "--quiet", "--change", 'CMD ["sh"]', archive, "box", env=env)
    return env


STATE = "inspect --format {{.State.Status}}:{{.State.ExitCode}} a"
SELF = "grep -E 'Cap|NoNew|Seccomp:' /proc/self/status"
RUN = "run --rm --network none "
PODMAN = [
    RUN + "box echo hi",
    RUN + "box sh -c 'exit 9'",
    RUN + "box nosuch",
    RUN + "box /nosuch",
    RUN + "box /plain",
    RUN + "box /badformat",
    RUN + "box /badinterp",
    RUN + "-t box sh -c 'tty; stty size'",
    RUN + "--user 7:8 --hostname h --env Z=1 --workdir /tmp box sh -c 'pwd; id; hostname; env'",
    RUN + "--read-only box sh -c 'ls -ld /run /tmp | cut -c1-42; ls -l /run | cut -c1-42; cat /run/of-image'",
    RUN + "--read-only --tmpfs /tmp:size=1m box sh -c 'touch /x; touch /tmp/y && echo ok; mount | grep /tmp'",
    RUN + "--ulimit nofile=77:88 --pids-limit 20 --memory 32m box sh -c 'ulimit -n; ulimit -Hn'",
    RUN + "--ulimit nproc=1048576:1048576 box true",
    RUN + "--cap-add SYS_PTRACE --cap-drop CHOWN box sh -c \"%s\"" % SELF,
    RUN + "--security-opt no-new-privileges box sh -c \"%s\"" % SELF,
    RUN + "--privileged box sh -c \"%s\"" % SELF,
    RUN + "box sh -c 'mount -t tmpfs none /tmp; mkdir -p /a; chmod 4755 /bin/busybox; echo done'",
    RUN + "--sysctl net.ipv4.ip_forward=1 box cat /proc/sys/net/ipv4/ip_forward",
    RUN + "--uidmap 0:1000:5000 box sh -c \"id; cat /proc/self/uid_map; %s\"" % SELF,
    RUN + "--ipc host --pid host box sh -c 'kill -0 1; echo $?'",
    RUN + "--device /dev/null:/dev/mine box sh -c 'ls -l /dev/mine | cut -c1-10; mknod /x b 7 0; cat </x'",
    "run --rm --network host --uts host box sh -c 'grep -c lo /proc/net/dev'",
    "run --detach --name a --network none box sh -c '%s'" % LOOP,
    "exec a sh -c '%s'" % READY,
    "exec a echo in",
    "exec a nosuch",
    "exec a /plain",
    "exec a /badformat",
    "exec a sh -c 'exit 3'",
    "exec a sh -c 'kill -9 $$'",
    "exec --workdir /nodir a pwd",
    "exec --user 5:6 --env A=b a sh -c 'id; echo $A'",
    "exec -t a tty",
    "exec -i a cat",
    "top a args",
    "pause a",
    STATE,
    "exec a true",
    "unpause a",
    "update --memory 64m --cpus 0.5 --pids-limit 50 a",
    "exec a cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max",
    "stop a",
    STATE,
    "start a",
    "exec a sh -c '%s'" % READY,
    "kill --signal USR1 a",
    "wait a",
    STATE,
    "restart --time 0 a",
    "kill a",
    "wait a",
    "rm --force a",
    "pod create --name p --network none --infra=false",
    "run --rm --pod p box sh -c 'hostname | grep -c .'",
    "pod rm --force p",
    # With a container that holds the namespaces, which podman makes of catatonit.
    "pod create --name q --network none --share ipc,net,uts --infra-name q-infra",
    "run --rm --pod q box sh -c 'hostname; echo >/dev/shm/of-pod'",
    "run --rm --pod q box ls /dev/shm",
    "pod pause q",
    "pod unpause q",
    "pod stop --time 1 q",
    "pod rm --force q",
    RUN + "--security-opt seccomp={seccomp} box sh -c 'mkdir /x; chmod 700 /tmp; echo $?; kill -0 1; echo $?'",
    RUN + "--security-opt seccomp={seccomp} box hostname other",
    RUN + "--rootfs {img} echo rootfs",
]


def podman(t):
    env = podman_env(t)

    def prepare(name, _):
        def run(step):
            args = shlex.split(step.replace("{img}", tree(t)).replace("{seccomp}", t.path("seccomp.json")))
            return t.run("podman", "--runtime", name, *args, env=env, timeout=60)
        return run
    try:
        both(t, "podman", PODMAN, prepare)
        terminal(t, env)
        seccomp(t, env)
    finally:
        # Also after a step that hung.
        t.run("podman", "pod", "rm", "--all", "--force", "--time", "0", env=env)
        t.run("podman", "rm", "--all", "--force", "--time", "0", env=env)
    t.check("podman: nothing left", not os.path.isdir("/run/runz") or not os.listdir("/run/runz"), "in /run/runz")
    buildah(t, env)


# Every system call by its number, each in a process of its own: what comes back. With arguments that none of them can use.
PROBE = r"""
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    for (long n = 0; n < 520; n++) {
        if (n == SYS_exit || n == SYS_exit_group || n == SYS_rt_sigreturn || n == SYS_fork || n == SYS_vfork || n == SYS_pause
            || n == SYS_sync || n == SYS_syncfs || n == SYS_rt_sigsuspend)
            continue;
        pid_t child = fork();
        if (child == 0) {
            alarm(2);
            long got = syscall(n, -1, -1, -1, -1, -1, -1);
            _exit(got == -1 ? errno : 0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        printf("%ld %d %d\n", n, WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        fflush(stdout);
    }
    return 0;
}
"""


def seccomp(t, env):
    """podman's own profile of some four hundred names: filters made here and by libseccomp answer every call alike."""
    folder = t.path("probe", "x")[:-2]
    with open(folder + "/probe.c", "w") as f:
        f.write(PROBE)
    t.must("cc", "-static", "-o", folder + "/probe", folder + "/probe.c")
    told = {}
    for name in ("runc", "runz"):
        for kind, more in (("", ()), ("with SYS_ADMIN", ("--cap-add", "SYS_ADMIN")), ("unconfined", ("--security-opt", "seccomp=unconfined"))):
            done = t.run("podman", "--runtime", name, "run", "--rm", "--network", "none", "--volume", folder + ":/p:ro", *more,
                         "box", "/p/probe", env=env, timeout=120)
            told[name, kind] = done.stdout.decode().splitlines()
    for kind in ("", "with SYS_ADMIN", "unconfined"):
        theirs, ours = told["runc", kind], told["runz", kind]
        differ = ["%s (runc) %s" % (a, b) for a, b in zip(theirs, ours) if a != b]
        t.check("seccomp: every call %s" % kind, len(ours) > 450 and len(ours) == len(theirs) and not differ, "%d: %s" % (len(ours), differ[:9]))
    t.check("seccomp: the profile matters", told["runz", ""] != told["runz", "unconfined"])


def terminal(t, env):
    """On a terminal of one's own, keys and all."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("podman", ["podman", "--runtime", "runz", "run", "--rm", "-it", "--network", "none", "box", "sh"], env)
    said, end = b"", time.monotonic() + 30
    os.write(fd, b"echo $((40+2))-here; exit 11\n")
    while time.monotonic() < end:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    t.check("podman: -it", code == 11 and b"42-here" in said, "exit %d: %r" % (code, said))


def buildah(t, env):
    files = ["RUN echo built > /made && cat /made\nRUN [\"sh\", \"-c\", \"id; pwd; echo err >&2\"]\n", "RUN exit 3\n", "RUN [\"nosuch\"]\n"]

    def prepare(name, program):
        def run(step):
            path = t.path("build", "Containerfile")
            with open(path, "w") as f:
                f.write("FROM localhost/box\n" + step)
            done = t.run("buildah", "bud", "--isolation", "oci", "--runtime", program, "--network", "none", "-f", path,
                         "-t", "built", os.path.dirname(path), env=env, timeout=60)
            # Which blobs were copied is told too, and differs by the time of day.
            keep = [x for x in done.stdout.splitlines() + done.stderr.splitlines()
                    if not re.match(rb"Copying|Getting|Writing|Storing|-->|[0-9a-f]{64}", x)]
            return subprocess.CompletedProcess([], done.returncode, b"\n".join(keep), b"")
        return run
    both(t, "buildah", files, prepare)


# --- containerd

TASK = [
    ["run", "--rm", "{rt}", "{img}", "c", "sh", "-c", "echo hi; exit 4"],
    ["run", "--rm", "{rt}", "{img}", "c", "nosuch"],
    ["run", "--rm", "{rt}", "--seccomp", "{img}", "c", "grep", "Seccomp:", "/proc/self/status"],
    ["run", "--detach", "{rt}", "{img}", "d", "sleep", "100"],
    ["task", "exec", "--exec-id", "e1", "d", "sh", "-c", "echo in; exit 6"],
    ["task", "exec", "--exec-id", "e2", "d", "nosuch"],
    ["task", "pause", "d"],
    ["task", "ls"],
    ["task", "resume", "d"],
    ["task", "kill", "--signal", "KILL", "d"],
    ["task", "rm", "--force", "d"],
    ["container", "rm", "d"],
]


def containerd(t):
    folder = t.path("containerd", "x")[:-2]
    socket = folder + "/s"
    with open(folder + "/config.toml", "w") as f:
        f.write('version = 2\nroot = "{0}/root"\nstate = "{0}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                '[grpc]\naddress = "{1}"\n[plugins."io.containerd.internal.v1.opt"]\npath = "{0}/opt"\n'.format(folder, socket))
    layout = t.path("box-layout")
    t.imageadm("convert", "--quiet", "dir:" + tree(t), "oci:%s:latest" % layout, *("--compress", "gzip"))
    archive = t.path("box.tar")
    t.must("tar", "-C", layout, "-cf", archive, ".")
    with open(folder + "/log", "wb") as log:
        daemon = subprocess.Popen(["containerd", "-c", folder + "/config.toml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        ctr = ("ctr", "--address", socket)
        for _ in range(100):
            if t.run(*ctr, "version").returncode == 0:
                break
            time.sleep(0.1)
        t.must(*ctr, "images", "import", "--base-name", "localhost/box", "--snapshotter", "native", archive)
        image = t.must(*ctr, "images", "ls", "-q").decode().split()[0]

        def prepare(_, program):
            def run(step):
                args = []
                for word in step:
                    if word == "{rt}":
                        args += ["--runc-binary", program, "--snapshotter", "native", "--cgroup", "/aurora-ctr"]
                    else:
                        args.append(image if word == "{img}" else word)
                done = t.run(*ctr, *args, timeout=60)
                text = re.sub(rb"\b\d{3,}\b", b"N", done.stdout + re.sub(rb'time="[^"]*"', b"", done.stderr))
                return subprocess.CompletedProcess([], done.returncode, re.sub(rb" +", b" ", text), b"")
            return run
        both(t, "ctr", TASK, prepare)
    finally:
        daemon.terminate()
        daemon.wait(30)


# --- by hand

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


def groups(name):
    """Control groups of this name."""
    return [path for path, dirs, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path) == name]


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
    alone = bundle(t, "alone", lambda c: c["linux"].update(cgroupsPath="/runz/m"))
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
    for program in (RUNC, "podman", "buildah", "containerd"):
        if not shutil.which(program):
            raise Failure("missing: %s" % program)
    for part in (life, hooks, signals_arrive, shielded, bad_bundles, end_to_end, containerd, podman):
        begun = time.monotonic()
        t.guard(part)
        print("note: %s: %.0f s" % (part.__name__, time.monotonic() - begun), flush=True)
        sys.stdout.flush()
