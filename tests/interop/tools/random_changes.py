"""Changes a tree at random: random_changes.py ROOT SEED COUNT. The same seed makes the same changes of the same tree."""
import os
import random
import shutil
import stat
import sys


def walk(root):
    """Directories and other names below a root, sorted."""
    dirs, rest = [root], []
    for at, names, files in os.walk(root):
        for name in sorted(names):
            path = os.path.join(at, name)
            (rest if os.path.islink(path) else dirs).append(path)
        rest.extend(os.path.join(at, name) for name in files)
    return sorted(dirs), sorted(rest)


class Changes:
    def __init__(self, root, seed):
        self.root, self.r, self.count = root, random.Random(seed), 0

    def look(self):
        self.dirs, self.rest = walk(self.root)

    def data(self, most=200000):
        size = self.r.choice([0, 1, 511, 4096, self.r.randrange(most)])
        return self.r.randbytes(size) if self.r.random() < 0.5 else b"text " * (size // 5)

    def new_name(self):
        self.count += 1
        stem = self.r.choice(["n", "a name", "\u00e9t\u00e9", "long" * 30, ".hidden", "back\\slash"])
        return os.path.join(self.r.choice(self.dirs), "%s-%x" % (stem, self.r.getrandbits(40)))

    def file(self):
        found = [p for p in self.rest if stat.S_ISREG(os.lstat(p).st_mode)]
        return self.r.choice(found) if found else None

    def any(self):
        return self.r.choice(self.rest + self.dirs[1:]) if self.rest or self.dirs[1:] else None

    def remove(self, path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    # --- what there is to be done; each may find nothing to do

    def create(self, path=None):
        path = path or self.new_name()
        kind = self.r.choice("ffffffddslpc")
        if kind == "f":
            with open(path, "xb") as f:
                f.write(self.data())
        elif kind == "d":
            os.mkdir(path)
        elif kind == "s":
            os.symlink(self.r.choice(["..", "/etc/none", "n", "x" * 300]), path)
        elif kind == "l" and self.file():
            os.link(self.file(), path)
        elif kind == "p":
            os.mkfifo(path, 0o640)
        elif kind == "c":
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))

    def write(self):
        path = self.file()
        if path:
            with open(path, "r+b") as f:
                how = self.r.randrange(4)
                if how == 0:
                    f.truncate(self.r.randrange(100000))
                elif how == 1:
                    f.seek(0, 2)
                    f.write(self.data(5000))
                elif how == 2:
                    f.seek(self.r.randrange(300000))
                    f.write(self.data(5000))
                else:
                    f.write(b"!")

    def rename(self):
        path, to = self.any(), self.new_name()
        if path and not to.startswith(path + "/"):
            os.rename(path, to)

    def delete(self):
        path = self.any()
        # A tree that only shrinks tests little.
        if path and (self.r.random() < 0.3 or not os.path.isdir(path)):
            self.remove(path)

    def change_type(self):
        path = self.any()
        if path:
            self.remove(path)
            self.look()
            self.create(path)

    def link(self):
        path = self.file()
        if path:
            os.link(path, self.new_name())

    def unlink_shared(self):
        """Writes a file anew under one of its names: the others keep what it was."""
        path = self.file()
        if path:
            os.unlink(path)
            with open(path, "xb") as f:
                f.write(self.data())

    def mode(self):
        path = self.any()
        if path and not os.path.islink(path):
            os.chmod(path, self.r.choice([0o644, 0o755, 0o4755, 0o2770, 0o1777, 0o400]))

    def owner(self):
        path = self.any()
        if path:
            os.lchown(path, self.r.choice([0, 1, 1000, 65534, 200000]), self.r.choice([0, 5, 1000]))

    def attribute(self):
        path = self.any()
        if path and stat.S_IFMT(os.lstat(path).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            name = self.r.choice(["user.a", "user.b", "security.thing"])
            if name in os.listxattr(path) and self.r.random() < 0.4:
                os.removexattr(path, name)
            else:
                os.setxattr(path, name, self.r.randbytes(self.r.choice([1, 20, 300])))

    def time(self):
        path = self.any()
        if path:
            os.utime(path, ns=(0, self.r.randrange(10**18, 2 * 10**18)), follow_symlinks=False)

    def run(self, count):
        steps = [self.create] * 5 + [self.write] * 4 + [self.rename] * 4 + [self.delete] * 3 + [
            self.change_type, self.change_type, self.link, self.unlink_shared, self.unlink_shared, self.mode, self.owner,
            self.attribute, self.attribute, self.time]
        for _ in range(count):
            self.look()
            self.r.choice(steps)()


if __name__ == "__main__":
    Changes(sys.argv[1], int(sys.argv[2])).run(int(sys.argv[3]))
