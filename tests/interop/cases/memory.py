"""`big` converts within its memory: `--memory 256MiB`, a peak of resident memory below 450 MiB, from and to files and pipes."""
import os
import subprocess

LIMIT = 450 << 20


def peak(t, name, args, stdin=None, stdout=None):
    """Runs imageadm and looks at the most memory it had."""
    with open(t.path("stderr"), "wb") as err:
        child = subprocess.Popen([t.bin, *args], stdin=stdin or subprocess.DEVNULL, stdout=stdout or subprocess.DEVNULL, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    rss = usage.ru_maxrss << 10
    with open(t.path("stderr"), "rb") as f:
        said = f.read().decode("utf-8", "replace")
    if t.check(name + ": runs", child.returncode == 0, "exit %d: %s" % (child.returncode, said[-500:])):
        t.check(name + ": memory", rss < LIMIT, "%d MiB" % (rss >> 20))
    print("note: %s: peak %d MiB, %.0f s of processor time" % (name, rss >> 20, usage.ru_utime + usage.ru_stime), flush=True)


def run(t):
    # The largest of the generated images that is there.
    images = t.images()
    name, layout = images[-1]
    oci = "oci:%s:latest" % layout
    convert = ["convert", "--quiet", "--memory", "256MiB"]
    full, piped = t.path("full.zfs"), t.path("piped.zfs")
    peak(t, name + " to a file", [*convert, oci, "zfs:" + full])
    with open(piped, "wb") as out:
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out)
        peak(t, name + " to a pipe", [*convert, oci, "zfs:-"], stdout=cat.stdin)
        cat.stdin.close()
        cat.wait()
    t.check(name + ": file and pipe alike", t.run("cmp", full, piped).returncode == 0)
    os.remove(piped)
    peak(t, name + " stream to oci", [*convert, "zfs:" + full, "oci:%s:latest" % t.path("from-file")])
    cat = subprocess.Popen(["cat", full], stdout=subprocess.PIPE)
    peak(t, name + " stream from a pipe", [*convert, "zfs:-", "oci:%s:latest" % t.path("from-pipe")], stdin=cat.stdout)
    cat.stdout.close()
    cat.wait()
    t.check(name + ": layouts alike",
            t.run("diff", "-r", t.path("from-file"), t.path("from-pipe")).returncode == 0)
    peak(t, name + " listed", ["ls", "--jsonl", "--memory", "256MiB", "zfs:" + full])
