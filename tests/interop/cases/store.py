"""The local store is a layout as any other: skopeo and umoci read what imageadm has put there, imageadm reads what they
have put there, and neither's garbage collection takes anything of the other's."""
import json


def run(t):
    store, tree, out = t.path("store"), t.path("tree"), t.path("out")
    t.must("mkdir", "-p", tree + "/etc")
    t.must("sh", "-c", "head -c 3000000 /dev/urandom > '%s/data'; echo x > '%s/etc/x'; ln '%s/data' '%s/twin'"
           % (tree, tree, tree, tree))
    aurora = [t.bin, "--store", store]
    t.must(*aurora, "convert", "--quiet", "dir:" + tree, "web:1.4")
    want = t.ls("dir:" + tree)

    def listed(name):
        done = t.run(*aurora, "ls", "--jsonl", name)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def sound(what):
        done = t.run(*aurora, "fsck")
        t.check(what + ": fsck", done.returncode == 0, done.stdout.decode("utf-8", "replace"))

    t.same("imageadm to the store", want, listed("web:1.4"))
    t.must("skopeo", "copy", "--quiet", "oci:%s:web:1.4" % store, "oci:%s:web" % out)
    t.same("skopeo from the store", want, t.ls("oci:%s:web" % out))
    t.must("umoci", "unpack", "--image", store + ":web:1.4", t.path("bundle"))
    t.same("umoci from the store", want, t.tree(t.path("bundle") + "/rootfs"), ("root",))
    sound("after reading")

    t.must("skopeo", "copy", "--quiet", "oci:%s:web" % out, "oci:%s:skopeo" % store)
    t.must("umoci", "new", "--image", store + ":empty")
    t.same("skopeo to the store", want, listed("skopeo"))
    t.must(*aurora, "rm", "--quiet", "web:1.4")
    t.must(*aurora, "gc", "--quiet")
    t.same("what skopeo named stays", want, listed("skopeo"))
    t.must(*aurora, "tag", "--quiet", "skopeo", "web:2")
    t.must("umoci", "rm", "--image", store + ":skopeo")
    t.must("umoci", "gc", "--layout", store)
    t.same("what imageadm named stays", want, listed("web:2"))
    names = [i.get("name") for i in json.loads(t.run(*aurora, "list", "--json").stdout)["images"]]
    t.check("all names", names == ["empty", "web"], str(names))
    sound("after all")
