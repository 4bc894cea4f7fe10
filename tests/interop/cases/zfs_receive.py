"""OCI images become streams that the kernel's `zfs receive` takes; it then shows what imageadm listed, and what the
kernel makes of the dataset afterwards, imageadm reads back.

Squashed: one full stream. Kept: a package, one snapshot a layer. Every quirk image; the generated ones are in zfs_images.
"""
import filecmp
import os

from lib import PLATFORM, QUIRKS, quirk_tags, read_rows

BATCH = 30  # streams in one machine run, so that one that hurts the kernel hides few others


def prepare(t, share, source, name, **more):
    """Writes both streams of an image, or one where they are the same; the jobs for the guest."""
    jobs = []
    for layers in ("squash", "keep"):
        stream = "%s.%s.zfs" % (name, layers)
        t.convert(source, "zfs:" + os.path.join(share, stream), "--layers", layers, *PLATFORM)
        if jobs and filecmp.cmp(os.path.join(share, jobs[0]["files"][0]), os.path.join(share, stream), shallow=False):
            continue
        jobs.append({"name": "%s.%s" % (name, layers), "files": [stream], "change": layers == "squash", **more})
    return jobs


def compare(t, share, source, job, answer, want):
    name = job["name"]
    if "error" in answer:
        t.fail(name, "the kernel: " + answer["error"])
        return
    out = os.path.join(share, "out", name)
    stream = "zfs:" + os.path.join(share, job["files"][0])
    t.same(name + ": mounted", want, read_rows(out + ".jsonl"))
    for snap in answer["snapshots"][:-1]:
        t.same("%s: snapshot %s" % (name, snap), t.ls("%s#@%s" % (stream, snap)), read_rows("%s@%s.jsonl" % (out, snap)))
    t.same(name + ": as imageadm reads it", want, t.ls(stream))
    if job.get("change"):
        changed = read_rows(out + ".changed.jsonl")
        t.same(name + ": changed, sent whole", changed, t.ls("zfs:%s.changed.full.zfs" % out))
        t.same(name + ": changed, sent as an increment", changed,
               t.ls("zfs:%s.changed.inc.zfs" % out, "--origin", stream))


def batch(t, images):
    share = t.path("share", "x")[:-2]
    for old in os.listdir(share):
        t.run("rm", "-rf", os.path.join(share, old))
    jobs, about = [], {}
    for name, source in images:
        def convert(t, name=name, source=source):
            want = t.ls(source, *PLATFORM)
            for job in prepare(t, share, source, name):
                jobs.append(job)
                about[job["name"]] = source, want
        t.guard(convert)
    answers = t.receive(share, jobs, timeout=1800)
    for job in jobs:
        source, want = about[job["name"]]
        t.guard(lambda t, job=job: compare(t, share, source, job, answers[job["name"]], want))


def run(t):
    images = [(tag, "oci:%s:%s" % (QUIRKS, tag)) for tag, _ in quirk_tags()]
    for at in range(0, len(images), BATCH):
        t.guard(batch, images[at:at + BATCH])
