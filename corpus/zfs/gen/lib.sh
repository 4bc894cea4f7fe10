# Shell functions for the guest scripts that make test vectors; sourced with OUT set to the
# directory to fill (below /share). See ../README.md.

SEED=${SEED:-aurora}
: "${OUT:?}"
mkdir -p "$OUT"
: >"$OUT/index.jsonl"
failed=0

# bytes COUNT NAME: reproducible incompressible data, told apart by NAME (and SEED).
bytes() {
    python3 -c '
import hashlib, sys
n = int(sys.argv[1]); out = sys.stdout.buffer
sys.stdout.buffer.write(hashlib.shake_256((sys.argv[2]).encode()).digest(n))' "$1" "$SEED/$2"
}

# words COUNT NAME: reproducible data that compresses some two or three to one.
words() {
    python3 -c '
import hashlib, sys
n = int(sys.argv[1])
vocabulary = [b"pool ", b"dataset ", b"zone ", b"layer ", b"blob ", b"block ", b"record ", b"stream\n"]
pick = hashlib.shake_256(sys.argv[2].encode()).digest(n // 5 + 8)
sys.stdout.buffer.write(b"".join(vocabulary[p % 8] for p in pick)[:n])' "$1" "$SEED/$2"
}

# lines COUNT NAME: reproducible data that compresses well, with no two lines alike.
lines() {
    python3 -c '
import hashlib, sys
n = int(sys.argv[1])
fixed = hashlib.sha256(sys.argv[2].encode()).hexdigest().encode() * 2
sys.stdout.buffer.write(b"".join(b"%08d %s\n" % (i * 7919, fixed) for i in range(n // 138 + 1))[:n])' "$1" "$SEED/$2"
}

# text COUNT: one line over and over; compresses very well.
text() {
    yes "$SEED: all work and no play makes a dull stream" 2>/dev/null | head -c "$1"
}

# python3 -c with os and socket at hand, in the current directory.
py() { python3 -c "import os, socket, struct
$1"; }

# emit NAME EXPECT 'BASE' ARGS...: zfs send ARGS to NAME.zfs.gz, and a line of
# the index. EXPECT: ok, or a word for what a reader without keys or extras is to refuse.
# BASE: the stream that is to be received before this one, or - .
emit() {
    name=$1 expect=$2 base=$3
    shift 3
    if ! zfs send "$@" >/tmp/stream 2>/tmp/send.err; then
        echo "FAILED: $name: zfs send $*: $(cat /tmp/send.err)"
        failed=$((failed + 1))
        return 0
    fi
    [ -s /tmp/send.err ] && sed "s/^/note: $name: /" /tmp/send.err
    keep "$name" "$expect" "$base" "zfs send $*"
}

# keep NAME EXPECT BASE HOW: the stream in /tmp/stream becomes a vector.
keep() {
    gzip -6 -n -c /tmp/stream >"$OUT/$1.zfs.gz"
    size=$(stat -c %s /tmp/stream)
    python3 -c '
import json, sys
name, expect, base, how, size, sha, *kinds = sys.argv[1:]
row = {"stream": name + ".zfs.gz", "how": how, "size": int(size), "sha256": sha, "expect": expect}
if base != "-": row["base"] = base + ".zfs.gz"
print(json.dumps(row))' "$1" "$2" "$3" "$4" "$size" "$(sha256sum /tmp/stream | cut -d' ' -f1)" >>"$OUT/index.jsonl"
    printf '%-28s %9d bytes, gz %7d\n' "$1" "$size" "$(stat -c %s "$OUT/$1.zfs.gz")"
}

# man NAME DATASET@SNAP: the content that NAME should show, read from the snapshot.
man() {
    mkdir -p /tmp/snap
    mount -t zfs -o ro "$2" /tmp/snap || { echo "FAILED: mount $2"; failed=$((failed + 1)); return 0; }
    manifest /tmp/snap >"$OUT/$1.manifest.jsonl"
    umount /tmp/snap
}

# volman NAME VOLUME@SNAP: the same for a volume.
volman() {
    zfs set snapdev=visible "${2%@*}"
    manifest --volume "$(zvoldev "$2")" >"$OUT/$1.manifest.jsonl"
}

# fs NAME OPTIONS...: a new filesystem tank/NAME, and into it. snap NAME: a snapshot, when all is written.
fs() {
    n=$1
    shift
    zfs create "$@" "tank/$n" && cd "/tank/$n"
}
snap() { sync && zpool sync tank && zfs snapshot "$@"; }
