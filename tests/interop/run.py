#!/usr/bin/env python3
"""run.py --bin IMAGEADM [--full] [--backports] [--jobs N] [--list] [NAME...]

Runs the cases of tests/interop/cases (all, or those named) and prints a line for each check that fails, a summary
for each case, and at the end "N passed, N failed". Exit status 0 when nothing failed.

  --bin PATH    the imageadm to test
  --full        with the large images, building those that are missing (about half an hour and 12 GB, once)
  --backports   against the newer ZFS of the machine (built with zfsvm/build --backports)
  --jobs N      so many cases at once, each with a process of its own; what they print comes when they end. 1 unless given
"""
import argparse
import concurrent.futures
import importlib
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib import Harness  # noqa: E402


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=False, default=os.environ.get("IMAGEADM"))
    p.add_argument("--full", action="store_true")
    p.add_argument("--backports", action="store_true")
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--list", action="store_true")
    p.add_argument("names", nargs="*", metavar="NAME")
    opt = p.parse_args()
    known = sorted(f[:-3] for f in os.listdir(os.path.join(HERE, "cases")) if f.endswith(".py") and f[0] != "_")
    if opt.list:
        print("\n".join(known))
        return 0
    unknown = [n for n in opt.names if n not in known]
    if unknown:
        p.error("no such case: %s (there are %s)" % (", ".join(unknown), ", ".join(known)))
    if not opt.bin or not os.access(opt.bin, os.X_OK):
        p.error("no imageadm at %s" % opt.bin)
    if os.geteuid() != 0:
        p.error("root only: owners, devices and a virtual machine are at stake")
    names = opt.names or known
    if opt.jobs > 1 and len(names) > 1:
        flags = ["--full"] * opt.full + ["--backports"] * opt.backports
        with concurrent.futures.ThreadPoolExecutor(opt.jobs) as pool:
            counts = list(pool.map(lambda name: apart(name, opt.bin, flags), names))
    else:
        counts = [one(name, opt) for name in names]
    passed, failed = (sum(c) for c in zip(*counts))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


def one(name, opt):
    """Runs a case here; how many of its checks passed and failed."""
    start = time.monotonic()
    print("--- %s" % name, flush=True)
    with Harness(name, os.path.abspath(opt.bin), opt.full, opt.backports) as t:
        t.guard(importlib.import_module("cases." + name).run)
    print("--- %s: %d passed, %d failed, %.0f s" % (name, t.passed, t.failed, time.monotonic() - start), flush=True)
    return t.passed, t.failed


def apart(name, binary, flags):
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--bin", binary, *flags, name], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = done.stdout.splitlines()
    last = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
    print("\n".join(lines[:-1] if last else lines + ["FAIL %s: exit %d" % (name, done.returncode)]), flush=True)
    return (int(last[1]), int(last[2])) if last else (0, 1)


if __name__ == "__main__":
    sys.exit(main())
