"""As zfs_receive, for the generated images: each is alone in the machine, which takes up to an hour for the largest."""
from cases.zfs_receive import compare, prepare
from lib import MANY


def image(t, name, layout):
    share = t.path("share", name, "x")[:-2]
    source = "oci:%s:latest" % layout
    want = t.ls(source)
    jobs = prepare(t, share, source, name, keep=False, archive=len(want) > MANY)
    answers = t.receive(share, jobs, timeout=5400)
    for job in jobs:
        t.guard(lambda t, job=job: compare(t, share, source, job, answers[job["name"]], want))
    t.run("rm", "-rf", share)


def run(t):
    for name, layout in t.images():
        t.guard(image, name, layout)
