"""runz where runc is expected: podman, buildah and containerd drive both, and exit status and texts must be the same."""
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import time

from cases._runz import LOOP, READY, RUNC, both, parts, runz, tree
from lib import Failure


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
    ["run", "--rm", "{rt}", "{img}", "c", "sh", "-c", "echo hi; sleep 0.3; exit 4"],
    ["run", "--rm", "{rt}", "{img}", "c", "nosuch"],
    ["run", "--rm", "{rt}", "--seccomp", "{img}", "c", "grep", "-q", "Seccomp:.2", "/proc/self/status"],
    ["run", "--detach", "{rt}", "{img}", "d", "sleep", "100"],
    ["task", "exec", "--exec-id", "e1", "d", "sh", "-c", "echo in; sleep 0.3; exit 6"],
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


def run(t):
    for program in (RUNC, "podman", "buildah", "containerd", "catatonit"):
        if not shutil.which(program):
            raise Failure("missing: %s" % program)
    parts(t, containerd, podman)
