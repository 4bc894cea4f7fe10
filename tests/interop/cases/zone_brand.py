"""The brand `aurora` for illumos-gate's systems: that its files have what the document types demand which these systems have
(brand.dtd.1, zone_platform.dtd.1), and that it is what the stand-ins of a zone host, and runz, take it for."""
import os
import re
import subprocess
import xml.etree.ElementTree as ET

from lib import TOP

FOLDER = os.path.join(TOP, "deploy", "brand", "aurora")
# What a brand is made of, in this order; of those with a question mark, each may be missing.
BRAND = ("modname? initname restartinit? login_cmd forcedlogin_cmd user_cmd install installopts? boot? sysboot? halt? shutdown? "
         "verify_cfg? verify_adm? postattach? postclone? postinstall? predetach? attach? detach? clone? presnap? postsnap? "
         "validatesnap? preuninstall? uninstall? prestatechange? poststatechange? query? privilege+").split()
# Attributes of each element: those that it must have, those that it may, and what some may be.
ATTRIBUTES = {
    "brand": ({"name"}, set()),
    "privilege": ({"set", "name"}, {"ip-type"}),
    "platform": ({"name", "allow-exclusive-ip"}, set()),
    "device": ({"match"}, {"name", "arch", "ip-type"}),
    "symlink": ({"source", "target"}, set()),
    "mount": ({"special", "directory", "type"}, {"opt"}),
    "global_mount": ({"special", "directory", "type"}, {"opt"}),
}
VALUES = {"set": {"default", "prohibited", "required"}, "ip-type": {"shared", "exclusive"}, "arch": {"sparc", "i386"},
          "allow-exclusive-ip": {"true", "false"}}


def wrong_attributes(element):
    must, may = ATTRIBUTES.get(element.tag, (set(), set()))
    has = set(element.attrib)
    return not must <= has <= must | may or any(value not in VALUES.get(name, {value}) for name, value in element.attrib.items())


def wrong_brand(root):
    """What is wrong with a brand, as its document type has it."""
    model = "".join("(?:%s )%s" % (name.rstrip("?+"), name[-1] if name[-1] in "?+" else "") for name in BRAND)
    names = "".join(child.tag + " " for child in root)
    if root.tag != "brand" or not re.fullmatch(model, names):
        return "not in the order of the document type: " + names
    return [ET.tostring(e) for e in root.iter() if wrong_attributes(e) or len(e) and e is not root]


def wrong_platform(root):
    if root.tag != "platform":
        return root.tag
    known = ("device", "global_mount", "mount", "symlink")
    return [ET.tostring(e) for e in root if e.tag not in known or len(e) or (e.text or "").strip()] + [
        ET.tostring(e) for e in root.iter() if wrong_attributes(e)]


def run(t):
    paths = [os.path.join(FOLDER, name) for name in ("config.xml", "platform.xml")]
    brand, platform = (ET.parse(path).getroot() for path in paths)
    t.check("config.xml", not wrong_brand(brand), wrong_brand(brand))
    t.check("platform.xml", not wrong_platform(platform), wrong_platform(platform))
    # The checks find what is missing.
    for name in ("initname", "install", "user_cmd", "privilege"):
        less = ET.parse(paths[0]).getroot()
        for child in less.findall(name):
            less.remove(child)
        t.check("config.xml without " + name, wrong_brand(less))
    less = ET.parse(paths[1]).getroot()
    del less.find("mount").attrib["type"]
    t.check("platform.xml: a mount without type", wrong_platform(less))
    for root in (brand, platform):
        t.check(root.tag + ": its name is the folder's", root.get("name") == os.path.basename(FOLDER), root.attrib)
    t.check("process 1", (brand.findtext("initname"), brand.findtext("restartinit")) == ("/.aurora/podinit", "false"))
    asked = [(p.get("name"), p.get("ip-type", "all")) for p in brand.iter("privilege") if p.get("set") != "required"]
    t.check("each privilege once", len(asked) == len(set(asked)), asked)
    allowed = {p.get("name") for p in brand.iter("privilege") if p.get("set") == "default"}
    needed = {p.get("name") for p in brand.iter("privilege") if p.get("set") == "required"}
    # proc_exec and proc_fork are of the basic set, which no zone is without.
    t.check("what is required is there", needed - {"proc_exec", "proc_fork"} <= allowed, needed - allowed)
    install = brand.findtext("install").split()
    t.check("install", install[0] == "/usr/lib/brand/aurora/install", install)
    done = subprocess.run([os.path.join(FOLDER, "install"), "web", "/zones/web"], capture_output=True)
    t.check("install is refused", done.returncode == 255 and b"web: " in done.stderr, done)
