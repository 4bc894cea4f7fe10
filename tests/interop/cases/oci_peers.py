"""Quirk images unpacked by imageadm equal what at least two other tools unpack; tars that imageadm writes are what GNU
tar takes them for; broken images are refused."""
import os

from lib import IMAGES, MALFORMED, PLATFORM, QUIRKS, for_host, quirk_expected, quirk_tags, read_rows


def quirk(t, tag, verdict):
    source = "oci:%s:%s" % (QUIRKS, tag)
    got = t.ls(source, *PLATFORM)
    want, ignore = quirk_expected(tag, verdict)
    t.same(tag + ": as the peers, or the specification", want, got, ignore)
    want = got
    to = t.path("dir", tag)
    t.convert(source, "dir:" + to, *PLATFORM)
    t.same(tag + ": dir", for_host(want), t.tree(to))
    tar, extracted = t.path("tar", tag + ".tar"), t.path("extracted", tag)
    t.convert(source, "tar:" + tar, *PLATFORM)
    t.same(tag + ": tar", want, t.ls("tar:" + tar))
    os.makedirs(extracted)
    t.must("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", tar, "-C", extracted)
    t.same(tag + ": GNU tar", for_host(want), t.tree(extracted))


def malformed(t):
    for tag in sorted({r.split("\t")[0] for r in open(MALFORMED + ".expected/agreement.tsv")} - {"tag"}):
        out = t.path("malformed", tag + ".zfs")
        done = t.run(t.bin, "convert", "--quiet", "oci:%s:%s" % (MALFORMED, tag), "zfs:" + out, *PLATFORM)
        said = done.stderr.decode("utf-8", "replace")
        fine = done.returncode == 1 and said.startswith("error:") and "panicked" not in said and not os.path.exists(out)
        t.check(tag, fine, "exit %d: %s" % (done.returncode, said))


def generated(t, name, layout):
    """A large image equals what umoci unpacked of it when it was made."""
    t.same(name + ": as umoci", read_rows("%s/expected/%s.jsonl.gz" % (IMAGES, name)),
           t.ls("oci:%s:latest" % layout), ("root",))


def run(t):
    for tag, verdict in quirk_tags():
        t.guard(quirk, tag, verdict)
    t.guard(malformed)
    for name, layout in t.images():
        t.guard(generated, name, layout)
