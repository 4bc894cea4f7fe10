"""Streams that the library writes of trees with something of everything (`convert/tests/zfs_streams`), some in chains: the
kernel receives them, shows what is in them, lets all be changed and removed, and finds no error in the pool.

No imageadm is asked. `--full` adds a directory of 300 000 names.
"""
import os
import shutil

from lib import HERE, TOP, TREE_MANIFEST

# One machine run each, so that a kernel that is hurt hides few others; about two minutes each on two slow cores.
BATCHES = ("tiny kinds sizes sparse tebibyte acls spills volume", "chain growth illumos", "dirs", "modes")


def batch(t, made, names):
    share = t.path("share-" + names[0], "x")[:-2]
    for f in os.listdir(made):
        if f.split("@")[0].rsplit(".", 1)[0] in names:
            shutil.copyfile(os.path.join(made, f), os.path.join(share, f))
    shutil.copyfile(TREE_MANIFEST, share + "/tree_manifest.py")
    shutil.copyfile(os.path.join(HERE, "guest", "zfs_write.py"), share + "/zfs_write.py")
    printed = t.vm(share, "cd /share && exec python3 -B zfs_write.py || true\n", 1800)
    streams = len([f for f in os.listdir(share) if f.endswith(".zfs")])
    t.check(" ".join(names), "done: %d streams, 0 problems" % streams in printed, printed[-1500:])


def run(t):
    made = t.path("made", "x")[:-2]
    env = dict(os.environ, AURORA_ZFS_OUT=made)
    t.must("cargo", "test", "--manifest-path", TOP + "/Cargo.toml", "-q", "-p", "aurora-convert", "--test", "zfs_streams", "--",
           "--ignored", env=env, timeout=3600)
    for names in BATCHES + (("huge-dir",) if t.full else ()):
        t.guard(batch, made, names.split())
