"""Images unpacked onto this host: trees on several file systems, as other users, with other numbers; bundles that runc runs,
with the process that umoci makes of the same image."""
import json
import os
import shutil
import subprocess

from lib import PLATFORM, QUIRKS, for_host, quirk_expected, quirk_tags

NOBODY = 65534


def shifted(listing, by):
    return [dict(r, uid=r["uid"] + by, gid=r["gid"] + by) for r in listing]


def quirk(t, tag, verdict, memory):
    source = "oci:%s:%s" % (QUIRKS, tag)
    want, ignore = quirk_expected(tag, verdict)
    for place, name, want in ((t.path("disk", tag), "disk", for_host(want)), (os.path.join(memory, tag), "memory", want)):
        t.imageadm("unpack", "--quiet", *PLATFORM, source, place)
        t.same("%s: %s" % (tag, name), want, t.tree(place), ignore)
        shutil.rmtree(place)
    place = t.path("mapped", tag)
    maps = ["--uid-map=0:1000:4000000000", "--gid-map=0:1000:4000000000"]
    rows = t.ls(source, *PLATFORM)
    if any(max(r["uid"], r["gid"]) >= 4000000000 for r in rows):
        done = t.run(t.bin, "unpack", "--quiet", *PLATFORM, *maps, source, place)
        said = done.stderr.decode("utf-8", "replace")
        t.check(tag + ": beyond the map", done.returncode == 1 and "is in no range" in said and not os.path.exists(place), said)
        return
    t.imageadm("unpack", "--quiet", *PLATFORM, *maps, source, place)
    t.same(tag + ": mapped", shifted(for_host(rows), 1000), t.tree(place))
    shutil.rmtree(place)


def rootless(t):
    """Nobody unpacks: all is his, and that it was not is told."""
    home = t.path("nobody", "x")[:-2]
    shutil.copy(t.bin, home + "/imageadm")
    os.chown(home, NOBODY, NOBODY)
    os.chmod(t.tmp, 0o755)
    done = t.run(home + "/imageadm", "unpack", "--rootless", "--json", "--bundle", "oci:%s:modes" % QUIRKS, home + "/bundle",
                 user=NOBODY, group=NOBODY, extra_groups=[], env={"HOME": home, "TMPDIR": home, "PATH": os.environ["PATH"]})
    if t.check("rootless", done.returncode == 0, done.stderr.decode("utf-8", "replace")):
        want = [dict(r, uid=NOBODY, gid=NOBODY) for r in t.ls("oci:%s:modes" % QUIRKS)]
        t.same("rootless: tree", want, t.tree(home + "/bundle/rootfs"))
        config = json.load(open(home + "/bundle/config.json"))
        t.check("rootless: mapping", config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": NOBODY, "size": 1}])


def bundle(t, name, layout):
    """A generated image runs."""
    source, ours, theirs = "oci:%s:latest" % layout, t.path("ours", name), t.path("theirs", name)
    t.imageadm("unpack", "--quiet", "--bundle", *PLATFORM, source, ours)
    t.must("umoci", "unpack", "--image", layout + ":latest", theirs)
    configs = [json.load(open(b + "/config.json")) for b in (ours, theirs)]
    for key in ("args", "cwd", "user"):
        got, want = (c["process"].get(key) for c in configs)
        t.check("%s: %s as umoci" % (name, key), got == want, "%s, not %s" % (got, want))
    env = [dict(line.split("=", 1) for line in c["process"]["env"]) for c in configs]
    missing = {k: v for k, v in env[1].items() if k not in ("TERM", "HOME") and env[0].get(k) != v}
    t.check(name + ": env as umoci", not missing, str(missing))
    t.same(name + ": tree as umoci", t.tree(theirs + "/rootfs"), t.tree(ours + "/rootfs"), ("root", "dir_mtime_ns"))
    config = configs[0]
    config["process"]["args"] = ["/bin/sh", "-c", "echo run-$((6*7)); exit 3"]
    with open(ours + "/config.json", "w") as f:
        json.dump(config, f)
    done = t.run("runc", "run", "--bundle", ours, "aurora-%d-%s" % (os.getpid(), name))
    said = done.stdout.decode("utf-8", "replace").split()
    t.check(name + ": runc", done.returncode == 3 and said == ["run-42"],
            "exit %d: %s %s" % (done.returncode, said, done.stderr.decode("utf-8", "replace")[-600:]))


def run(t):
    memory = t.path("memory", "x")[:-2]
    t.must("mount", "-t", "tmpfs", "tmpfs", memory)
    try:
        for tag, verdict in quirk_tags():
            t.guard(quirk, tag, verdict, memory)
    finally:
        subprocess.run(["umount", memory], check=False)
    t.guard(rootless)
    for name, layout in t.images("small", "debian"):
        t.guard(bundle, name, layout)
