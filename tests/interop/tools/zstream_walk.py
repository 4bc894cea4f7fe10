#!/usr/bin/env python3
"""zstream_walk - independent reader of ZFS send streams (no kernel, stdlib only).

Reads one or more send stream files (full, then incrementals in order; or one
compound -R/-p/-I package) and prints the resulting file tree as JSON Lines.
Written from the facts in docs/zfs-send-stream.md as a cross-check tool.

  zstream_walk.py full.zfs [inc1.zfs ...]      tree of the last snapshot
  zstream_walk.py --records FILE...            one JSON line per record
  zstream_walk.py --objects FILE...            one JSON line per DMU object
  zstream_walk.py --dataset NAME@SNAP FILE...  pick a snapshot of a package
  zstream_walk.py --image OUT FILE...          zvol: write the raw disk image
  options: --no-verify  do not check the fletcher-4 checksums
           --no-hash    do not compute SHA-256 of file contents
           --acl        include decoded ACL entries

Encrypted raw streams (feature bit 24) are parsed at record level only.
Redacted ranges read as holes. Deduplicated (WRITE_BYREF) references are
resolved among the snapshots given.
"""
import argparse, base64, ctypes, ctypes.util, hashlib, json, os, struct, sys
import tempfile, zlib
from array import array
from itertools import accumulate

M64 = (1 << 64) - 1
RECLEN = 312
MAGIC = 0x2F5BACBAC
TYPES = ["BEGIN", "OBJECT", "FREEOBJECTS", "WRITE", "FREE", "END",
         "WRITE_BYREF", "SPILL", "WRITE_EMBEDDED", "OBJECT_RANGE", "REDACT"]
FEATURES = {0: "dedup", 1: "dedupprops", 2: "sa_spill", 16: "embed_data",
            17: "lz4", 19: "large_blocks", 20: "resuming", 21: "redacted",
            22: "compressed", 23: "large_dnode", 24: "raw", 25: "zstd",
            26: "holds", 27: "switch_to_large_blocks", 28: "longname",
            29: "large_microzap"}
OT_SA, OT_ZNODE, OT_FILE, OT_DIR, OT_MASTER = 44, 17, 19, 20, 21
OT_ZVOL, OT_ZVOL_PROP = 23, 24


class Bad(Exception):
    pass


# ------------------------------------------------------------ checksum
class Fletcher4:
    def __init__(self, swap):
        self.s = [0, 0, 0, 0]
        self.swap = swap          # stream byte order differs from this host

    def add(self, data):
        w = array("I")
        w.frombytes(data[:len(data) & ~3])
        if self.swap:
            w.byteswap()
        for i in range(0, len(w), 8192):
            cur = w[i:i + 8192]
            for k in range(4):
                cur = list(accumulate(cur, initial=self.s[k]))[1:]
                self.s[k] = cur[-1] & M64

    def value(self):
        return tuple(self.s)


# ------------------------------------------------------------ decompression
def lz4_block(src, want):
    out = bytearray()
    i, n = 0, len(src)
    while i < n:
        tok = src[i]; i += 1
        ll = tok >> 4
        if ll == 15:
            while True:
                b = src[i]; i += 1
                ll += b
                if b != 255:
                    break
        out += src[i:i + ll]; i += ll
        if i >= n:
            break
        off = src[i] | src[i + 1] << 8; i += 2
        ml = tok & 15
        if ml == 15:
            while True:
                b = src[i]; i += 1
                ml += b
                if b != 255:
                    break
        ml += 4
        p = len(out) - off
        if off == 0 or p < 0:
            raise Bad("lz4: bad offset")
        if off >= ml:
            out += out[p:p + ml]
        else:
            pat = bytes(out[p:])
            out += (pat * (ml // off + 1))[:ml]
    if len(out) != want:
        raise Bad("lz4: got %d want %d" % (len(out), want))
    return bytes(out)


def lzjb(src, want):
    out = bytearray()
    i, mask, cmap = 0, 128, 0
    while len(out) < want:
        mask <<= 1
        if mask == 256:
            mask, cmap = 1, src[i]
            i += 1
        if cmap & mask:
            ml = (src[i] >> 2) + 3
            off = (src[i] << 8 | src[i + 1]) & 0x3ff
            i += 2
            p = len(out) - off
            if p < 0:
                raise Bad("lzjb: bad offset")
            for _ in range(ml):
                if len(out) >= want:
                    break
                out.append(out[p]); p += 1
        else:
            out.append(src[i]); i += 1
    return bytes(out)


def zle(src, want):
    out = bytearray()
    i = 0
    while i < len(src) and len(out) < want:
        n = src[i] + 1; i += 1
        if n <= 64:
            out += src[i:i + n]; i += n
        else:
            out += bytes(n - 64)
    if len(out) != want:
        raise Bad("zle: size")
    return bytes(out)


_zstd = None


def zstd(frame, want):
    global _zstd
    if _zstd is None:
        name = ctypes.util.find_library("zstd") or "libzstd.so.1"
        _zstd = ctypes.CDLL(name)
        _zstd.ZSTD_decompress.restype = ctypes.c_size_t
        _zstd.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t,
                                          ctypes.c_char_p, ctypes.c_size_t]
    src = b"\x28\xb5\x2f\xfd" + frame         # ZFS stores frames without magic
    dst = ctypes.create_string_buffer(want)
    got = _zstd.ZSTD_decompress(dst, want, src, len(src))
    if got != want:
        raise Bad("zstd: got %d want %d" % (got, want))
    return dst.raw


def decompress(alg, data, want):
    if alg in (0, 2):                          # inherit / off
        return data[:want]
    if alg == 3:
        return lzjb(data, want)
    if 5 <= alg <= 13:
        out = zlib.decompressobj().decompress(data)
        if len(out) != want:
            raise Bad("gzip: size")
        return out
    if alg == 14:
        return zle(data, want)
    if alg == 15:
        n = int.from_bytes(data[:4], "big")
        return lz4_block(data[4:4 + n], want)
    if alg == 16:
        n = int.from_bytes(data[:4], "big")
        return zstd(bytes(data[8:8 + n]), want)
    raise Bad("compression %d not supported" % alg)


# ------------------------------------------------------------ packed nvlist
class Xdr:
    def __init__(self, b, at=0):
        self.b, self.i = b, at

    def u32(self):
        v = int.from_bytes(self.b[self.i:self.i + 4], "big"); self.i += 4
        return v

    def i32(self):
        v = self.u32()
        return v - (1 << 32) if v >> 31 else v

    def u64(self):
        v = int.from_bytes(self.b[self.i:self.i + 8], "big"); self.i += 8
        return v

    def i64(self):
        v = self.u64()
        return v - (1 << 64) if v >> 63 else v

    def opaque(self, n):
        v = bytes(self.b[self.i:self.i + n]); self.i += (n + 3) & ~3
        return v

    def string(self):
        return self.opaque(self.u32()).decode("utf-8", "surrogateescape")


def xdr_nvlist(x):
    ver, flag = x.i32(), x.u32()
    if ver != 0:
        raise Bad("nvlist version %d" % ver)
    d = {}
    while True:
        start = x.i
        enc, dec = x.i32(), x.i32()
        if enc == 0 and dec == 0:
            return d
        name, ty, n = x.string(), x.i32(), x.i32()
        if ty == 1:
            v = True
        elif ty in (2, 3, 4, 5, 6, 22, 23):
            v = x.i32()
            if ty == 2 or ty == 23:
                v &= 0xff
            elif ty == 6:
                v &= 0xffffffff
        elif ty == 21:
            v = bool(x.i32())
        elif ty in (7, 18):
            v = x.i64()
        elif ty == 8:
            v = x.u64()
        elif ty == 9:
            v = x.string()
        elif ty == 10:
            v = x.opaque(n)
        elif ty in (11, 12, 13, 14, 24, 25, 26):
            v = [x.i32() for _ in range(x.u32())]
        elif ty == 15:
            v = [x.i64() for _ in range(x.u32())]
        elif ty == 16:
            v = [x.u64() for _ in range(x.u32())]
        elif ty == 17:
            v = [x.string() for _ in range(n)]
        elif ty == 19:
            v = xdr_nvlist(x)
        elif ty == 20:
            v = [xdr_nvlist(x) for _ in range(n)]
        else:
            raise Bad("nvpair type %d" % ty)
        if x.i != start + enc:
            raise Bad("nvpair %s: size %d, consumed %d" %
                      (name, enc, x.i - start))
        d[name] = v


class Native:
    """Pairs of a native-encoded nvlist, embedded lists depth first."""

    def __init__(self, b, E):
        self.b, self.E, self.i = b, E, 4

    def list(self, header=True):
        if header:                    # version, nvflag (packed as 8 bytes)
            ver, = struct.unpack_from(self.E + "i", self.b, self.i)
            self.i += 8
            if ver != 0:
                raise Bad("nvlist version %d" % ver)
        d = {}
        while True:
            at = self.i
            size, = struct.unpack_from(self.E + "i", self.b, at)
            if size == 0:
                self.i += 4
                return d
            nsz, _, n, ty = struct.unpack_from(self.E + "hhii", self.b, at + 4)
            name = self.b[at + 16:at + 16 + nsz - 1].decode(
                "utf-8", "surrogateescape")
            v = at + ((16 + nsz + 7) & ~7)
            self.i = at + size
            one = {2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "q", 8: "Q",
                   18: "q", 21: "i", 22: "b", 23: "B"}
            many = {10: "B", 11: "h", 12: "H", 13: "i", 14: "I", 15: "q",
                    16: "Q", 24: "i", 25: "b", 26: "B"}
            if ty == 1:
                val = True
            elif ty in one:
                val, = struct.unpack_from(self.E + one[ty], self.b, v)
            elif ty == 9:
                val = self.b[v:at + size].split(b"\0")[0].decode(
                    "utf-8", "surrogateescape")
            elif ty == 10:
                val = bytes(self.b[v:v + n])
            elif ty in many:
                val = list(struct.unpack_from("%s%d%s" % (self.E, n, many[ty]),
                                              self.b, v))
            elif ty == 17:
                val = [x.decode("utf-8", "surrogateescape") for x in
                       bytes(self.b[v + 8 * n:at + size]).split(b"\0")[:n]]
            elif ty == 19:
                val = self.list(False)
            elif ty == 20:
                val = [self.list(False) for _ in range(n)]
            else:
                raise Bad("native nvpair type %d" % ty)
            d[name] = val


def nvlist(b):
    if len(b) < 12:
        raise Bad("nvlist too short")
    if b[0] == 1:
        return xdr_nvlist(Xdr(b, 4))
    if b[0] == 0:
        return Native(b, "<" if b[1] else ">").list()
    raise Bad("nvlist encoding %d" % b[0])


# ------------------------------------------------------------ records
class Stream:
    """Iterates (name, fields, payload) over a file of records."""

    def __init__(self, f, verify=True):
        self.f, self.verify = f, verify
        self.E = None
        self.off = 0

    def read(self, n):
        b = self.f.read(n)
        while len(b) < n:
            m = self.f.read(n - len(b))
            if not m:
                raise Bad("truncated at %d" % (self.off + len(b)))
            b += m
        self.off += n
        return b

    def __iter__(self):
        ck = None
        kind = None
        ended = False
        while True:
            first = self.f.read(1)
            if not first:
                if not ended:
                    raise Bad("stream ends without END record")
                return
            self.off += 1
            rec = first + self.read(RECLEN - 1)
            at = self.off - RECLEN
            if self.E is None:
                for e in "<>":
                    if struct.unpack_from(e + "Q", rec, 8)[0] == MAGIC:
                        self.E = e
                if self.E is None:
                    raise Bad("no send stream magic")
                self.swap = (self.E == "<") != (sys.byteorder == "little")
            E = self.E
            U = lambda fmt, o: struct.unpack_from(E + fmt, rec, o)
            ty, plen = U("II", 0)
            if ty >= len(TYPES):
                raise Bad("record type %d at %d" % (ty, at))
            name = TYPES[ty]
            r = {"at": at}
            prev = None
            if name == "BEGIN":
                (r["magic"], r["versioninfo"], r["creation_time"], r["type"],
                 r["flags"], r["toguid"], r["fromguid"]) = U("QQQIIQQ", 8)
                if r["magic"] != MAGIC:
                    raise Bad("bad magic at %d" % at)
                r["toname"] = rec[56:312].split(b"\0")[0].decode(
                    "utf-8", "surrogateescape")
                r["hdrtype"] = r["versioninfo"] & 3
                fl = r["versioninfo"] >> 2
                r["features"] = [FEATURES.get(i, "bit%d" % i)
                                 for i in range(56) if fl >> i & 1]
                kind = r["hdrtype"]
                size = plen
                ck = Fletcher4(self.swap)
                ended = False
                if self.verify:
                    ck.add(rec)
            else:
                if self.verify and ck is not None:
                    prev = ck.value()
                    ck.add(rec[:280])
                    stored = U("QQQQ", 280)
                    if any(stored) and stored != ck.value():
                        raise Bad("record checksum mismatch at %d" % at)
                    ck.add(rec[280:])
                size = 0
            if name == "OBJECT":
                (r["object"], r["type"], r["bonustype"], r["blksz"],
                 r["bonuslen"], r["checksumtype"], r["compress"], r["dn_slots"],
                 r["flags"], r["raw_bonuslen"], r["toguid"], r["indblkshift"],
                 r["nlevels"], r["nblkptr"]) = U("QIIIIBBBBIQBBB", 8)
                r["maxblkid"], = U("Q", 56)
                size = r["raw_bonuslen"] or (r["bonuslen"] + 7) & ~7
            elif name == "FREEOBJECTS":
                r["firstobj"], r["numobjs"], r["toguid"] = U("QQQ", 8)
            elif name == "WRITE":
                (r["object"], r["type"], _, r["offset"], r["logical_size"],
                 r["toguid"], r["checksumtype"], r["flags"],
                 r["compressiontype"]) = U("QIIQQQBBB", 8)
                r["compressed_size"], = U("Q", 96)
                size = (r["compressed_size"] if r["compressiontype"]
                        else r["logical_size"])
            elif name in ("FREE", "REDACT"):
                r["object"], r["offset"], r["length"], r["toguid"] = U("QQQQ", 8)
            elif name == "END":
                r["checksum"] = U("QQQQ", 8)
                r["toguid"], = U("Q", 40)
                r["ok"] = None
                if self.verify and ck is not None:
                    r["ok"] = r["checksum"] == prev
                    if not r["ok"]:
                        raise Bad("END checksum mismatch at %d" % at)
                elif ck is None:
                    r["final"] = True          # trailing END of a package
                ck = None
                ended = True
            elif name == "WRITE_BYREF":
                (r["object"], r["offset"], r["length"], r["toguid"],
                 r["refguid"], r["refobject"], r["refoffset"]) = U("7Q", 8)
            elif name == "SPILL":
                (r["object"], r["length"], r["toguid"], r["flags"],
                 r["compressiontype"]) = U("QQQBB", 8)
                r["compressed_size"], = U("Q", 40)
                r["type"], = U("I", 84)
                size = r["compressed_size"] or r["length"]
            elif name == "WRITE_EMBEDDED":
                (r["object"], r["offset"], r["length"], r["toguid"],
                 r["compression"], r["etype"]) = U("QQQQBB", 8)
                r["lsize"], r["psize"] = U("II", 48)
                size = (r["psize"] + 7) & ~7
            elif name == "OBJECT_RANGE":
                r["firstobj"], r["numslots"], r["toguid"] = U("QQQ", 8)
            if size > 1 << 28:
                raise Bad("payload of %d bytes at %d" % (size, at))
            data = self.read(size) if size else b""
            if size and self.verify and ck is not None:
                ck.add(data)
            r["payload"] = size
            yield name, r, data


# ------------------------------------------------------------ DMU state
class Obj:
    __slots__ = ("type", "bonustype", "blksz", "bonuslen", "bonus", "slots",
                 "spill", "blocks", "cks", "comp")

    def clone(self):
        o = Obj()
        for s in Obj.__slots__:
            setattr(o, s, getattr(self, s))
        o.blocks = dict(self.blocks)
        return o


class Spool:
    def __init__(self):
        self.f = tempfile.TemporaryFile()
        self.n = 0

    def put(self, b):
        self.f.seek(self.n)
        self.f.write(b)
        at = self.n
        self.n += len(b)
        return at

    def get(self, at, n):
        self.f.seek(at)
        return self.f.read(n)


def nblkptr(bonustype, bonuslen):
    return 1 if bonustype == OT_SA else 1 + ((320 - min(320, bonuslen)) >> 7)


class Dataset:
    """The object set as a receiver would hold it after each substream."""

    def __init__(self, spool):
        self.spool = spool
        self.objs = {}
        self.E = "<"
        self.begin = None

    def clone(self):
        d = Dataset(self.spool)
        d.objs = {k: v.clone() for k, v in self.objs.items()}
        d.E = self.E
        return d

    # blocks: offset -> (length, spool offset); never overlapping
    def free(self, o, off, length):
        end = off + length if length != M64 else 1 << 65
        for b in list(o.blocks):
            n, at = o.blocks[b]
            if b >= end or b + n <= off:
                continue
            del o.blocks[b]
            if b < off:
                o.blocks[b] = (off - b, at)
            if b + n > end:
                o.blocks[end] = (b + n - end, at + (end - b))

    def write(self, o, off, data):
        cur = o.blocks.get(off)
        if cur is None or cur[0] != len(data):
            if o.blocks and (cur is not None or
                             any(b < off + len(data) and off < b + o.blocks[b][0]
                                 for b in ([max(o.blocks)] if off > max(o.blocks)
                                           else o.blocks))):
                self.free(o, off, len(data))
        o.blocks[off] = (len(data), self.spool.put(data))

    def read(self, o, off, n):
        out = bytearray(n)
        for b, (ln, at) in o.blocks.items():
            if b < off + n and off < b + ln:
                s, e = max(b, off), min(b + ln, off + n)
                out[s - off:e - off] = self.spool.get(at + s - b, e - s)
        return bytes(out)

    def apply(self, name, r, data, spillflag, full):
        objs = self.objs
        if name == "OBJECT":
            n = r["object"]
            slots = r["dn_slots"] or 1
            for s in range(n + 1, n + slots):
                objs.pop(s, None)
            old = objs.get(n)
            o = Obj()
            o.blocks, o.spill = {}, None
            o.type, o.bonustype = r["type"], r["bonustype"]
            o.blksz, o.bonuslen, o.slots = r["blksz"], r["bonuslen"], slots
            o.bonus = data
            o.cks, o.comp = r["checksumtype"], r["compress"]
            if old is not None:
                drop = slots != old.slots
                keep_blksz = False
                if r["blksz"] != old.blksz:
                    top = max((b + v[0] for b, v in old.blocks.items()),
                              default=0)
                    if (full or o.type != OT_FILE or old.type != OT_FILE or
                            top <= old.blksz or
                            self.gen(old) != self.gen(o)):
                        drop = True
                    else:
                        keep_blksz = True
                if nblkptr(o.bonustype, o.bonuslen) < nblkptr(old.bonustype,
                                                              old.bonuslen):
                    drop = True
                if keep_blksz and not drop:
                    o.blksz = old.blksz
                if not drop:
                    o.blocks = old.blocks
                if slots == old.slots and (r["flags"] & 4 or not spillflag):
                    o.spill = old.spill
            objs[n] = o
        elif name == "FREEOBJECTS":
            a, b = r["firstobj"], r["firstobj"] + r["numobjs"]
            if b - a > len(objs):
                for k in [k for k in objs if a <= k < b]:
                    del objs[k]
            else:
                for k in range(a, b):
                    objs.pop(k, None)
        elif name == "WRITE":
            if r["compressiontype"]:
                data = decompress(r["compressiontype"], data, r["logical_size"])
            self.write(self.need(r), r["offset"], data)
        elif name in ("FREE", "REDACT"):
            self.free(self.need(r), r["offset"], r["length"])
        elif name == "SPILL":
            self.need(r).spill = data
        elif name == "WRITE_EMBEDDED":
            o = self.need(r)
            if r["etype"] != 0:
                raise Bad("embedded type %d" % r["etype"])
            d = decompress(r["compression"], data[:r["psize"]], r["lsize"])
            if o.bonustype == OT_SA and \
                    r["offset"] == (-2 * r["length"]) & M64:
                o.spill = d                    # spill block sent as embedded
            else:
                self.write(o, r["offset"], d + bytes(r["length"] - len(d)))
        else:
            raise Bad("%s records are not supported" % name)

    def need(self, r):
        o = self.objs.get(r["object"])
        if o is None:
            raise Bad("record for missing object %d" % r["object"])
        return o

    def gen(self, o):
        if o.bonustype == OT_ZNODE:
            return struct.unpack_from(self.E + "Q", o.bonus, 64)[0]
        if o.bonustype == OT_SA and len(o.bonus) >= 32:
            h = (struct.unpack_from(self.E + "H", o.bonus, 4)[0] >> 10) * 8
            return struct.unpack_from(self.E + "Q", o.bonus, h + 16)[0]
        return None

    # -------------------------------------------------------- ZAP
    def zap(self, num):
        """-> dict name(bytes) -> (intlen, [ints]); also header facts."""
        o = self.objs[num]
        E = self.E
        b0 = self.read(o, 0, o.blksz)
        typ, = struct.unpack_from(E + "Q", b0, 0)
        out = {}
        if typ == (1 << 63) + 3:
            salt, norm = struct.unpack_from(E + "QQ", b0, 8)
            info = dict(kind="micro", salt=salt, normflags=norm, blksz=o.blksz)
            bad = 0
            for p in range(64, len(b0) - 63, 64):
                nm = b0[p + 14:p + 64].split(b"\0")[0]
                if nm:
                    v, cd = struct.unpack_from(E + "QI", b0, p)
                    out[nm] = (8, [v])
            info["entries"] = len(out)
            return out, info
        if typ != (1 << 63) + 1:
            raise Bad("object %d: not a ZAP (%#x)" % (num, typ))
        (magic, blk, nblk, shift, nxt, _, freeblk, nleafs, nent, salt, norm,
         flags) = struct.unpack_from(E + "12Q", b0, 8)
        bs = o.blksz.bit_length() - 1
        info = dict(kind="fat", salt=salt, normflags=norm, flags=flags,
                    blksz=o.blksz, entries=nent, leafs=nleafs, shift=shift,
                    ptrtbl_blk=blk, ptrtbl_numblks=nblk, freeblk=freeblk)
        if magic != 0x2F52AB2AB:
            raise Bad("ZAP magic")
        if nblk == 0:
            if shift != bs - 4:
                raise Bad("embedded ptrtbl shift %d" % shift)
            tbl = struct.unpack_from(E + "%dQ" % (1 << shift), b0, o.blksz // 2)
        else:
            raw = self.read(o, blk << bs, nblk << bs)
            tbl = struct.unpack(E + "%dQ" % (len(raw) // 8), raw)
            if len(tbl) != 1 << shift:
                raise Bad("external ptrtbl size")
        seen = {}
        for i, lb in enumerate(tbl):
            seen.setdefault(lb, []).append(i)
        if len(seen) != nleafs:
            raise Bad("zap %d: %d leafs in table, header says %d" %
                      (num, len(seen), nleafs))
        bits = 48 if flags & 1 else 28
        total = 0
        for lb, idxs in seen.items():
            leaf = self.read(o, lb << bs, 1 << bs)
            (lt, _, prefix, lm, nfree, lne, plen, fl,
             lf) = struct.unpack_from(E + "QQQIHHHHB", leaf, 0)
            if lt != 1 << 63 or lm != 0x2AB1EAF:
                raise Bad("zap leaf magic")
            if {i >> (shift - plen) for i in idxs} != {prefix} or \
                    len(idxs) != 1 << (shift - plen):
                raise Bad("zap leaf prefix")
            nh = 1 << (bs - 5)
            base = 48 + 2 * nh
            nch = ((1 << bs) - 2 * nh) // 24 - 2
            heads = struct.unpack_from(E + "%dH" % nh, leaf, 48)

            def chain(c):
                got = bytearray()
                while c != 0xffff:
                    p = base + 24 * c
                    if leaf[p] != 251:
                        raise Bad("zap array chunk")
                    got += leaf[p + 1:p + 22]
                    c, = struct.unpack_from(E + "H", leaf, p + 22)
                return bytes(got)
            n = 0
            for hi, c in enumerate(heads):
                while c != 0xffff:
                    p = base + 24 * c
                    (et, vl, nx, nc, nn, vc, vn, cd,
                     h) = struct.unpack_from(E + "BBHHHHHIQ", leaf, p)
                    if et != 252:
                        raise Bad("zap entry chunk")
                    if (h >> (64 - (bs - 5) - plen)) & (nh - 1) != hi or \
                            (plen and h >> (64 - plen) != prefix):
                        raise Bad("zap entry in wrong bucket")
                    nm = chain(nc)[:nn]
                    if nm[-1:] == b"\0":
                        nm = nm[:-1]
                    vb = chain(vc)[:vl * vn]
                    if norm == 0 and zap_hash(salt, nm, bits) != h:
                        raise Bad("zap hash of %r" % nm)
                    out[nm] = (vl, [int.from_bytes(vb[i:i + vl], "big")
                                    for i in range(0, len(vb), vl)])
                    n += 1
                    c = nx
            if n != lne:
                raise Bad("zap leaf entry count")
            free = 0
            c = fl
            while c != 0xffff and free < nfree + 1:
                p = base + 24 * c
                if leaf[p] != 253:
                    raise Bad("zap free chunk")
                c, = struct.unpack_from(E + "H", leaf, p + 22)
                free += 1
            if free != nfree:
                raise Bad("zap free list %d != %d" % (free, nfree))
            total += n
        if total != nent:
            raise Bad("zap entry count")
        return out, info

    def zap1(self, num):
        return {k.decode("utf-8", "surrogateescape"): v[1][0]
                for k, v in self.zap(num)[0].items()}


CRC = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = (_c >> 1) ^ (0xC96C5795D7870F42 if _c & 1 else 0)
    CRC.append(_c)


def zap_hash(salt, name, bits):
    h = salt
    for b in name:
        h = h >> 8 ^ CRC[(h ^ b) & 0xff]
    return h & ~((1 << (64 - bits)) - 1) & M64


# ------------------------------------------------------------ ZPL
LEGACY = [("ZPL_ATIME", 16), ("ZPL_MTIME", 16), ("ZPL_CTIME", 16),
          ("ZPL_CRTIME", 16), ("ZPL_GEN", 8), ("ZPL_MODE", 8), ("ZPL_SIZE", 8),
          ("ZPL_PARENT", 8), ("ZPL_LINKS", 8), ("ZPL_XATTR", 8),
          ("ZPL_RDEV", 8), ("ZPL_FLAGS", 8), ("ZPL_UID", 8), ("ZPL_GID", 8),
          ("ZPL_PAD", 32), ("ZPL_ZNODE_ACL", 88)]


class Zpl:
    def __init__(self, ds):
        self.ds = ds
        self.master = ds.zap1(1)
        self.version = self.master.get("VERSION")
        self.attrs = {i: [n, ln] for i, (n, ln) in enumerate(LEGACY)}
        self.layouts = {}
        sa = self.master.get("SA_ATTRS")
        self.sa = {}
        if sa:
            self.sa = ds.zap1(sa)
            if "REGISTRY" in self.sa:
                for k, v in ds.zap1(self.sa["REGISTRY"]).items():
                    self.attrs[v & 0xffff] = [k, v >> 24 & 0xffff,
                                              v >> 16 & 0xff]
            if "LAYOUTS" in self.sa:
                for k, (il, ints) in ds.zap(self.sa["LAYOUTS"])[0].items():
                    self.layouts[int(k)] = ints

    def sa_parse(self, buf, into, info=None):
        for E in (self.ds.E, "><"[self.ds.E == ">"]):
            if len(buf) >= 8 and struct.unpack_from(E + "I", buf)[0] == 0x2F505A:
                break
        else:
            raise Bad("SA magic %s" % bytes(buf[:4]).hex())
        li, = struct.unpack_from(E + "H", buf, 4)
        hs, lay = (li >> 10) * 8, li & 0x3ff
        if info is not None:
            info.append([lay, hs])
        if lay == 1:
            return
        attrs = self.layouts[lay]
        at, var = hs, 0
        nvar = sum(1 for a in attrs if self.attrs[a][1] == 0)
        want = 8 + (((nvar - 1) * 2 + 7) & ~7 if nvar > 1 else 0)
        if want != hs:
            raise Bad("SA header size %d, layout wants %d" % (hs, want))
        for a in attrs:
            name, ln = self.attrs[a][:2]
            if ln == 0:
                ln, = struct.unpack_from(E + "H", buf, 6 + 2 * var)
                var += 1
            into[name] = (E, bytes(buf[at:at + ln]))
            at = (at + ln + 7) & ~7

    def znode(self, num):
        o = self.ds.objs[num]
        A, info = {}, []
        if o.bonustype == OT_SA:
            if o.bonuslen:
                self.sa_parse(o.bonus, A, info)
            if o.spill is not None:
                self.sa_parse(o.spill, A, info)
        elif o.bonustype == OT_ZNODE:
            at = 0
            for n, ln in LEGACY:
                A[n] = (self.ds.E, o.bonus[at:at + ln]); at += ln
        else:
            raise Bad("object %d: bonus type %d" % (num, o.bonustype))

        def u(n, i=0):
            if n not in A:
                return None
            E, b = A[n]
            return struct.unpack_from(E + "Q", b, 8 * i)[0]
        z = {k: u("ZPL_" + k.upper()) for k in
             ("gen", "mode", "size", "parent", "links", "xattr", "rdev",
              "flags", "uid", "gid", "projid", "dacl_count")}
        for k in ("atime", "mtime", "ctime", "crtime"):
            if "ZPL_" + k.upper() in A:
                E, b = A["ZPL_" + k.upper()]
                z[k] = list(struct.unpack(E + "qQ", b))
        z["sa"] = info
        z["A"] = A
        return z

    def aces(self, z):
        if "ZPL_DACL_ACES" not in z["A"]:
            return None
        E, b = z["A"]["ZPL_DACL_ACES"]
        out, at = [], 0
        while at + 8 <= len(b):
            ty, fl, mask = struct.unpack_from(E + "HHI", b, at)
            at += 8
            e = {"type": ty, "flags": "%#x" % fl, "mask": "%#x" % mask}
            who = fl & 0x7040
            if who not in (0x1000, 0x2040, 0x4000):
                e["fuid"], = struct.unpack_from(E + "Q", b, at)
                at += 8
                if ty in (5, 6, 7, 8):
                    at += 32
            out.append(e)
        return out

    def symlink(self, num, z):
        if "ZPL_SYMLINK" in z["A"]:
            return z["A"]["ZPL_SYMLINK"][1]
        o = self.ds.objs[num]
        if o.bonustype == OT_ZNODE and z["size"] + 264 <= o.bonuslen:
            return o.bonus[264:264 + z["size"]]
        return self.ds.read(o, 0, z["size"])

    def xattrs(self, z):
        out = {}
        if z["xattr"]:
            for k, v in self.ds.zap(z["xattr"])[0].items():
                n = v[1][0] & 0xffffffffffff
                zx = self.znode(n)
                out[k.decode("utf-8", "surrogateescape")] = (
                    "dir", self.ds.read(self.ds.objs[n], 0, zx["size"]))
        if "ZPL_DXATTR" in z["A"] and z["A"]["ZPL_DXATTR"][1]:
            for k, v in nvlist(z["A"]["ZPL_DXATTR"][1]).items():
                out[k] = ("sa", v)
        return out

    def content_hash(self, o, size):
        h = hashlib.sha256()
        pos = 0
        zero = bytes(1 << 16)

        def pad(n):
            while n > 0:
                h.update(zero[:min(n, len(zero))])
                n -= len(zero)
        data = 0
        for b in sorted(o.blocks):
            ln, at = o.blocks[b]
            if b >= size:
                break
            pad(b - pos)
            ln = min(ln, size - b)
            h.update(self.ds.spool.get(at, ln))
            data += ln
            pos = b + ln
        pad(size - pos)
        return h.hexdigest(), data

    def walk(self, args):
        kinds = {1: "fifo", 2: "char", 4: "dir", 6: "block", 8: "file",
                 10: "symlink", 12: "socket", 13: "door"}
        stack = [("", self.master["ROOT"], 4, None)]
        seen = {}
        while stack:
            path, num, dtype, parent = stack.pop()
            z = self.znode(num)
            o = self.ds.objs[num]
            k = kinds.get(z["mode"] >> 12, "?%d" % (z["mode"] >> 12))
            row = {"path": path or "/", "object": num, "type": k,
                   "mode": "%07o" % z["mode"], "uid": z["uid"], "gid": z["gid"],
                   "size": z["size"], "links": z["links"], "gen": z["gen"],
                   "parent": z["parent"], "flags": "%#x" % z["flags"],
                   "mtime": z["mtime"], "atime": z["atime"],
                   "ctime": z["ctime"], "crtime": z["crtime"],
                   "blksz": o.blksz, "bonuslen": o.bonuslen,
                   "slots": o.slots, "sa": z["sa"]}
            if dtype is not None and dtype != z["mode"] >> 12 and path:
                row["dirent_type"] = dtype
            for a in ("projid", "xattr"):
                if z[a] is not None:
                    row[a] = z[a]
            if o.spill is not None:
                row["spill"] = len(o.spill)
            if k in ("char", "block") and z["rdev"] is not None:
                row["rdev"] = z["rdev"]
            if args.acl:
                row["acl"] = self.aces(z)
            x = self.xattrs(z)
            if x:
                row["xattrs"] = {
                    n: [w, base64.b64encode(v).decode()
                        if isinstance(v, bytes) else v]
                    for n, (w, v) in sorted(x.items())}
            if num in seen and k != "dir":
                row["hardlink_to"] = seen[num]
            else:
                seen[num] = path or "/"
                if k == "file" and not args.no_hash:
                    row["sha256"], row["data"] = self.content_hash(o, z["size"])
            if k == "symlink":
                row["target"] = self.symlink(num, z).decode(
                    "utf-8", "surrogateescape")
            if k == "dir":
                ents, info = self.ds.zap(num)
                row["zap"] = info
                for nm, (il, v) in sorted(ents.items(), reverse=True):
                    stack.append((path + "/" + nm.decode(
                        "utf-8", "surrogateescape"), v[0] & 0xffffffffffff,
                        v[0] >> 60 or None, num))
            emit(row)


def emit(row):
    sys.stdout.write(json.dumps(row, ensure_ascii=True) + "\n")


# ------------------------------------------------------------ main
def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument("files", nargs="+")
    ap.add_argument("--records", action="store_true")
    ap.add_argument("--objects", action="store_true")
    ap.add_argument("--dataset")
    ap.add_argument("--image")
    ap.add_argument("--no-verify", action="store_true")
    ap.add_argument("--no-hash", action="store_true")
    ap.add_argument("--acl", action="store_true")
    args = ap.parse_args()
    spool = Spool()
    snaps = {}                               # toguid -> Dataset
    last = None
    for fn in args.files:
        f = sys.stdin.buffer if fn == "-" else open(fn, "rb")
        st = Stream(f, not args.no_verify)
        ds, beg, skip = None, None, False
        for name, r, data in st:
            if args.records:
                row = dict(rec=name, **r)
                if name == "BEGIN" and data:
                    row["nvlist"] = nvlist(data)
                if name == "OBJECT":
                    row["bonus"] = data.hex()
                for k in ("toguid", "fromguid", "refguid"):
                    if k in row:
                        row[k] = "%#x" % row[k]
                if name == "END":
                    row["checksum"] = ["%#x" % w for w in row["checksum"]]
                sys.stdout.write(json.dumps(row, default=lambda b: b.hex())
                                 + "\n")
                continue
            if name == "BEGIN":
                if r["hdrtype"] == 2:
                    continue
                beg = r
                if "raw" in r["features"]:
                    sys.stderr.write("skipping raw stream %s\n" % r["toname"])
                    skip = True
                    continue
                skip = False
                if r["fromguid"]:
                    base = snaps.get(r["fromguid"])
                    if base is None:
                        raise Bad("incremental source %#x not seen" %
                                  r["fromguid"])
                    ds = base.clone()
                elif "resuming" in r["features"]:
                    raise Bad("resuming streams are not supported")
                else:
                    ds = Dataset(spool)
                ds.E = st.E
                ds.begin = r
            elif skip:
                skip = name != "END"
            elif name == "END":
                if ds is not None:
                    snaps[beg["toguid"]] = ds
                    if not args.dataset or beg["toname"] == args.dataset:
                        last = ds
                ds = None
            else:
                if ds is None:
                    raise Bad("%s outside a substream" % name)
                if name == "WRITE_BYREF":
                    ref = (ds if r["refguid"] == beg["toguid"]
                           else snaps.get(r["refguid"]))
                    if ref is None or r["refobject"] not in ref.objs:
                        raise Bad("WRITE_BYREF source not seen")
                    ds.write(ds.need(r), r["offset"],
                             ref.read(ref.objs[r["refobject"]],
                                      r["refoffset"], r["length"]))
                    continue
                ds.apply(name, r, data, bool(beg["flags"] & 8),
                         not beg["fromguid"])
    if args.records:
        return
    if last is None:
        raise Bad("no snapshot found")
    b = last.begin
    if args.objects:
        for n in sorted(last.objs):
            o = last.objs[n]
            emit({"object": n, "type": o.type, "bonustype": o.bonustype,
                  "blksz": o.blksz, "bonuslen": o.bonuslen, "slots": o.slots,
                  "checksum": o.cks, "compress": o.comp,
                  "blocks": len(o.blocks),
                  "bytes": sum(v[0] for v in o.blocks.values()),
                  "spill": len(o.spill) if o.spill is not None else None,
                  "bonus": o.bonus.hex()})
        return
    head = {"dataset": b["toname"], "toguid": "%#x" % b["toguid"],
            "fromguid": "%#x" % b["fromguid"], "created": b["creation_time"],
            "features": b["features"], "flags": b["flags"],
            "type": {2: "zfs", 3: "zvol"}.get(b["type"], b["type"]),
            "objects": len(last.objs)}
    if b["type"] == 3:
        props = last.zap1(2)
        o = last.objs[1]
        head.update(volsize=props["size"], volblocksize=o.blksz, props=props)
        z = Zpl.__new__(Zpl)
        z.ds = last
        if not args.no_hash:
            head["sha256"], head["data"] = z.content_hash(o, props["size"])
        if args.image:
            with open(args.image, "wb") as out:
                out.truncate(props["size"])
                for off in sorted(o.blocks):
                    ln, at = o.blocks[off]
                    if off < props["size"]:
                        out.seek(off)
                        out.write(spool.get(at, min(ln, props["size"] - off)))
        emit(head)
        return
    zpl = Zpl(last)
    dq = zpl.master.get("DELETE_QUEUE")
    head.update(master=zpl.master, sa_master=zpl.sa,
                registry={v[0]: [k] + v[1:] for k, v in zpl.attrs.items()},
                layouts=zpl.layouts,
                unlinked=sorted(last.zap1(dq).values()) if dq else None)
    emit(head)
    zpl.walk(args)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)
    except Bad as e:
        sys.stderr.write("zstream_walk: %s\n" % e)
        sys.exit(1)
