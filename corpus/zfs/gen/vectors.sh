#!/bin/sh
# Guest script: makes the vectors of this folder. From the top of the repository:
#   tests/interop/zfsvm/run --cold --timeout 1800 --share corpus/zfs corpus/zfs/gen/vectors.sh
OUT=/share
. /share/gen/lib.sh

# --- the smallest ones
fs empty -o compression=off
snap tank/empty@a
emit empty ok - tank/empty@a
man empty tank/empty@a

fs hello -o compression=off
printf 'hello, stream\n' >hello.txt
chmod 640 hello.txt
touch -d '2024-02-29 12:34:56.123456789 UTC' hello.txt
snap tank/hello@a
emit hello ok - tank/hello@a
man hello tank/hello@a

# Blocks that fit into their block pointer: sent as DRR_WRITE_EMBEDDED only with -e.
fs embed -o compression=lz4
text 4096 >four-k
text 60 >sixty
text 131072 >one-block
head -c 20 /dev/zero >zeros-20
printf 'x' >x
snap tank/embed@a
emit embed-e ok - -e tank/embed@a
emit embed-ec ok - -e -c tank/embed@a
emit embed-plain ok - tank/embed@a
for v in embed-e embed-ec embed-plain; do man $v tank/embed@a; done

# --- file sizes, holes, record sizes
fs sizes -o compression=off
for s in 0 1 511 512 513 4095 4096 4097 65536 131071 131072 131073 262144 1048579; do lines $s s$s >size-$s; done
bytes 3000 random >random-3000
snap tank/sizes@a
emit sizes ok - tank/sizes@a
man sizes tank/sizes@a

fs sparse -o compression=lz4
truncate -s 1M all-hole
truncate -s 5000000000 huge-hole
py '
def at(name, size, *spots):
    with open(name, "wb") as f:
        f.truncate(size)
        for off, data in spots: f.seek(off); f.write(data)
at("hole-first", 500000, (400000, b"tail" * 100))
at("hole-last", 600000, (0, b"head" * 100))
at("islands", 3 << 20, (0, b"zero"), (1048676, b"one" * 50000), ((3 << 20) - 5, b"three"))
at("far", (1 << 40) + 7, (1 << 40, b"faraway"))
at("zeros-written", 300000, (0, bytes(300000)))
'
snap tank/sparse@a
emit sparse ok - tank/sparse@a
man sparse tank/sparse@a

fs big -o compression=off -o recordsize=1M
lines 2621440 big >two-and-a-half-m
lines 700000 mid >part-of-one
lines 1000 small >small
snap tank/big@a
emit record1m-L ok - -L tank/big@a
emit record1m-plain ok - tank/big@a
man record1m-L tank/big@a
man record1m-plain tank/big@a

# Records of 512 bytes: three levels of indirect blocks.
fs tiny -o compression=off -o recordsize=512
lines 614400 tiny >twelve-hundred-blocks
lines 513 tiny2 >two-blocks
snap tank/tiny@a
emit record512 ok - tank/tiny@a
man record512 tank/tiny@a

# --- directories and names
fs dirs -o compression=lz4
mkdir three hundred 'with space' 'żółć-日本語-😀'
for i in 1 2 3; do echo $i >three/$i; done
for i in $(seq 100); do echo $i >hundred/file-$i; done
echo nl >"$(printf 'new\nline')"
echo sp >'with space/a file '
echo u >'żółć-日本語-😀/ünï'
echo q >'quote"back\slash'"'"
echo s >' leading'
echo d >...
echo t >"$(printf 'tab\tbell\a')"
echo raw >"$(printf 'latin1-\351\377')"
echo max >"$(printf '%0255d' 7)"
mkdir "$(printf 'D%0254d' 8)"
echo in >"$(printf 'D%0254d' 8)/in"
d=deep
for i in $(seq 60); do mkdir $d; echo $i >$d/f; d=$d/d$i; done
mkdir empty-dir
snap tank/dirs@a
emit dirs ok - tank/dirs@a
man dirs tank/dirs@a

# A directory over the micro-ZAP's bounds: names longer than 49 bytes, then many of them.
fs fatzap -o compression=lz4
mkdir few many
echo 1 >"few/a-name-of-fifty-bytes-or-more-makes-the-zap-a-fat-one"
echo 2 >few/short
py '
for i in range(750):
    name = "many/an-entry-with-a-name-beyond-fifty-bytes-%04d-%s" % (i, "x" * (i % 23))
    with open(name, "w") as f: f.write(str(i)) if i % 3 == 0 else None
for i in range(2250):
    os.link("many/an-entry-with-a-name-beyond-fifty-bytes-0000-", "many/link-%04d-%s" % (i, "y" * (45 + i % 7)))
'
snap tank/fatzap@a
emit fatzap ok - tank/fatzap@a
man fatzap tank/fatzap@a

fs norm -o compression=off -o normalization=formD -o casesensitivity=mixed
echo 1 >'Ångström'
echo 2 >UPPER
echo 3 >lower
snap tank/norm@a
emit norm-mixed ok - tank/norm@a
man norm-mixed tank/norm@a

fs ci -o compression=off -o casesensitivity=insensitive
mkdir Dir
echo 1 >Dir/ReadMe
snap tank/ci@a
emit case-insensitive ok - tank/ci@a
man case-insensitive tank/ci@a

# --- every kind of file
fs special -o compression=off
echo t >target
ln -s target short
ln -s "$(printf 'a/%.0s' $(seq 60))" middle-120
ln -s "$(printf 'long/%.0s' $(seq 60))end" long-303
ln -s "/$(printf '%01022d' 5)" long-1023
ln -s nowhere dangling
mkdir sub
echo h >hard-1; ln hard-1 hard-2; ln hard-1 sub/hard-3
mkfifo -m 622 fifo
py 's = socket.socket(socket.AF_UNIX); s.bind("socket")'
mknod null c 1 3; mknod big-chr c 4095 1048575; mknod blk b 259 300; mknod -m 600 zero-blk b 0 0
cp /usr/bin/sync prog; chmod 4755 prog
echo g >sgid; chmod 2711 sgid
mkdir -m 1777 sticky; mkdir sgid-dir; chmod 2775 sgid-dir
echo 0 >mode-0; chmod 0 mode-0
echo 7 >mode-7777; chmod 7777 mode-7777
echo o >owned; chown 70000:80000 owned
echo m >owned-max; chown 4294967294:4294967294 owned-max
chown -h 1234:4321 short
echo e >before-1970; touch -d '1969-12-31 23:59:58.25 UTC' before-1970
echo e >in-1901; touch -d '1901-12-13 20:45:52.000000001 UTC' in-1901
echo e >in-2106; touch -d '2106-02-07 06:28:16.999999999 UTC' in-2106
echo e >epoch; touch -d '1970-01-01 00:00:00 UTC' epoch
touch -h -d '2001-09-09 01:46:40.5 UTC' short
touch -d '2011-11-11 11:11:11.111111111 UTC' sub
snap tank/special@a
emit special ok - tank/special@a
man special tank/special@a

# A file without a name, still open: it is in the delete queue.
fs unlinked -o compression=off
echo kept >kept
echo gone >gone
exec 7<gone
rm gone
snap tank/unlinked@a
exec 7<&-
emit unlinked ok - tank/unlinked@a
man unlinked tank/unlinked@a

# --- extended attributes and ACLs
xattrs() {
    echo 1 >small; setfattr -n user.one -v 1 small; setfattr -n user.two -v two small
    echo 2 >binary; setfattr -n user.bin -v 0x0001fe00ff binary; setfattr -n user.empty binary
    echo 3 >root-only; setfattr -n trusted.t -v trust root-only; setfattr -n security.s -v sec root-only
    mkdir dir; setfattr -n user.of-a-dir -v yes dir
    ln -s small link; setfattr -h -n trusted.of-a-link -v yes link
    mkfifo fifo; setfattr -n trusted.of-a-fifo -v yes fifo
    echo 4 >many; for i in $(seq 40); do setfattr -n user.number-$i -v value-$i many; done
    py '
import hashlib
def big(name, n, key):
    open(name, "w").write(name)
    os.setxattr(name, key, hashlib.shake_128(name.encode()).digest(n))
big("b200", 200, "user.big"); big("b3000", 3000, "user.big"); big("b30000", 30000, "user.big")
big("b40000", 40000, "user.big"); big("b60000", 60000, "user.big")
os.setxattr("b3000", "user.utf-\u00e9", b"\xc3\xa9")
'
    # a long symlink (its target in the spill block) with attributes as well
    ln -s "$(printf 'long/%.0s' $(seq 50))end" long-link; setfattr -h -n trusted.l -v "$(text 300)" long-link
}
fs xattr-sa -o compression=lz4 -o xattr=sa
xattrs
snap tank/xattr-sa@a
emit xattr-sa ok - tank/xattr-sa@a
man xattr-sa tank/xattr-sa@a
fs xattr-dir -o compression=lz4 -o xattr=on
xattrs
snap tank/xattr-dir@a
emit xattr-dir ok - tank/xattr-dir@a
man xattr-dir tank/xattr-dir@a

for x in sa on; do
    fs acl-$x -o compression=off -o acltype=posixacl -o xattr=$x
    echo 1 >plain
    echo 2 >one; setfacl -m u:1001:rw one
    echo 3 >more; setfacl -m u:1001:rwx,u:70000:r,g:1002:x,m::rw more
    mkdir dir; setfacl -d -m u:1001:rwx,g:1002:r dir; echo 4 >dir/inherits; mkdir dir/sub
    mkdir both; setfacl -m u:5:x both; setfacl -d -m g:6:w both
    echo 5 >acl-and-xattr; setfattr -n user.a -v b acl-and-xattr; setfacl -m g:7:r acl-and-xattr
    snap tank/acl-$x@a
    emit acl-$x ok - tank/acl-$x@a
    man acl-$x tank/acl-$x@a
done

# --- what changes an object's layout
fs large-dnode -o compression=lz4 -o dnodesize=auto -o xattr=sa
echo 1 >plain
echo 2 >x; setfattr -n user.x -v "$(text 250)" x
echo 3 >xx; setfattr -n user.x -v "$(text 900)" xx
zfs set dnodesize=16k tank/large-dnode; echo 4 >sixteen-k; setfattr -n user.y -v "$(text 9000)" sixteen-k
zfs set dnodesize=legacy tank/large-dnode; echo 5 >legacy
zfs set dnodesize=4k tank/large-dnode; mkdir d; ln -s "$(printf 'long/%.0s' $(seq 100))end" d/l
snap tank/large-dnode@a
emit large-dnode ok - tank/large-dnode@a
emit large-dnode-Lec ok - -L -e -c tank/large-dnode@a
man large-dnode tank/large-dnode@a
man large-dnode-Lec tank/large-dnode@a

for v in 3 4; do # before system attributes: the bonus holds a znode_phys_t
    fs v$v -o compression=off -o version=$v -o xattr=on
    echo 1 >one; chmod 2751 one; chown 70000:3 one
    mkdir d; echo 2 >d/two; ln d/two d/hard
    ln -s short s; ln -s "$(printf 'long/%.0s' $(seq 60))end" l
    setfattr -n user.a -v b one; mkfifo f; mknod n c 1 3
    touch -d '1969-12-31 23:59:58.25 UTC' one
    snap tank/v$v@a
    emit zpl-v$v ok - tank/v$v@a
    man zpl-v$v tank/v$v@a
done

fs project -o compression=off
mkdir p; echo 1 >p/a; echo 2 >b
zfs project -s -p 42 -r p || echo "note: no project quota"
echo 3 >p/inherits
snap tank/project@a
emit project-id ok - tank/project@a
man project-id tank/project@a

# --- incremental streams: a b c d
fs inc -o compression=lz4 -o acltype=posixacl
mkdir keep gone reuse
for i in $(seq 60); do echo $i >gone/$i; done
for i in $(seq 40); do lines 2000 r$i >reuse/$i; done
for f in untouched mode-only overwrite truncate-short truncate-zero grow punch-middle punch-all append rename-me \
    swap-a swap-b xattr-gain xattr-lose xattr-big-lose become-dir; do lines 300000 $f >keep/$f; done
echo small >keep/small-grows
lines 5000 q >keep/mid-shrinks
setfattr -n user.a -v 1 keep/xattr-lose
setfattr -n user.a -v "$(text 3000)" keep/xattr-big-lose
ln keep/untouched keep/second-name
ln -s "$(printf 'long/%.0s' $(seq 60))end" keep/link
snap tank/inc@a
rm -r gone
rm reuse/1* reuse/2*
mkdir reuse/d1 reuse/d2; ln -s x reuse/l1; for i in $(seq 100 110); do echo new $i >reuse/$i; done
chmod 700 keep/mode-only; touch -d '2020-01-01 UTC' keep/mode-only
py '
with open("keep/overwrite", "r+b") as f: f.seek(131000); f.write(b"OVER" * 100)
os.truncate("keep/truncate-short", 140000); os.truncate("keep/truncate-zero", 0); os.truncate("keep/grow", 2000000)
os.truncate("keep/mid-shrinks", 700)
with open("keep/append", "ab") as f: f.write(b"more" * 30000)
with open("keep/small-grows", "ab") as f: f.write(b"grown " * 50000)
'
fallocate -p -o 131072 -l 131072 keep/punch-middle
fallocate -p -o 0 -l 300000 keep/punch-all
mv keep/rename-me keep/renamed; mv keep/swap-a t; mv keep/swap-b keep/swap-a; mv t keep/swap-b
setfattr -n user.new -v "$(text 2000)" keep/xattr-gain; setfacl -m u:9:r keep/xattr-gain
setfattr -x user.a keep/xattr-lose; setfattr -x user.a keep/xattr-big-lose
rm keep/become-dir; mkdir keep/become-dir; echo in >keep/become-dir/in
rm keep/link; ln -s short keep/link
snap tank/inc@b
rm -r reuse keep/untouched; mv keep kept
truncate -s 1000 kept/overwrite
lines 140000 fresh >fresh
snap tank/inc@c
zfs bookmark tank/inc@c tank/inc#mark
snap tank/inc@d # nothing changed
cd /tank/inc; rm fresh; echo e >e; rm -r kept
snap tank/inc@e
emit inc-full-a ok - tank/inc@a
emit inc-i-a-b ok inc-full-a -i @a tank/inc@b
emit inc-i-b-c ok inc-i-a-b -i @b tank/inc@c
emit inc-i-c-d ok inc-i-b-c -i @c tank/inc@d
emit inc-i-mark-e ok inc-i-c-d -i '#mark' tank/inc@e
emit inc-i-a-c ok inc-full-a -i @a tank/inc@c
emit inc-I-a-d ok inc-full-a -I @a tank/inc@d
emit inc-full-d ok - tank/inc@d
man inc-full-a tank/inc@a; man inc-i-a-b tank/inc@b; man inc-i-b-c tank/inc@c; man inc-i-c-d tank/inc@d
man inc-i-mark-e tank/inc@e; man inc-i-a-c tank/inc@c; man inc-full-d tank/inc@d
for s in b c d; do man inc-I-a-d@$s tank/inc@$s; done

# --- a replication package
fs repl -o compression=lz4 -o atime=off -o quota=100M -o org.example:note=top
echo 1 >one
zfs create -o mountpoint=/tank/repl/here -o recordsize=16k tank/repl/kid
zfs create -o compression=zstd tank/repl/kid/grandkid
lines 50000 kid >/tank/repl/here/data; echo g >/tank/repl/here/grandkid/g
snap -r tank/repl@s1
zfs clone -o org.example:note=clone tank/repl/kid@s1 tank/repl/clone
echo c >/tank/repl/clone/only-in-clone; rm /tank/repl/clone/data
echo 2 >/tank/repl/two
snap -r tank/repl@s2
emit repl-R-s2 ok - -R tank/repl@s2
emit repl-Rp-s1 ok - -R -p tank/repl@s1
emit repl-kid-s1 ok - tank/repl/kid@s1
man repl-kid-s1 tank/repl/kid@s1
for d in '' /kid /kid/grandkid; do man "repl-Rp-s1,repl$(echo $d | tr / ,)@s1" tank/repl$d@s1; done
echo 3 >/tank/repl/three; rm /tank/repl/one; zfs destroy -r tank/repl/kid/grandkid
zfs rename tank/repl/clone tank/repl/moved; zfs create tank/repl/late; echo l >/tank/repl/late/l
zfs set quota=200M tank/repl
snap -r tank/repl@s3
emit repl-R-I-s2-s3 ok repl-R-s2 -R -I @s2 tank/repl@s3
emit repl-R-i-s1-s3 ok repl-Rp-s1 -R -i @s1 tank/repl@s3
emit repl-clone ok repl-kid-s1 -i tank/repl/kid@s1 tank/repl/moved@s2
man repl-clone tank/repl/moved@s2
for s in s1 s2; do man "repl-R-s2,repl@$s" tank/repl@$s; man "repl-R-s2,repl,kid@$s" tank/repl/kid@$s; done
man 'repl-R-s2,repl,clone@s2' tank/repl/moved@s2
for v in repl-R-I-s2-s3 repl-R-i-s1-s3; do
    for d in '' /kid /moved /late; do man "$v,repl$(echo $d | tr / ,)@s3" tank/repl$d@s3; done
done
emit props-p ok - -p tank/repl@s1
man props-p tank/repl@s1

# --- compressed blocks
for c in lz4 zstd zstd-19 gzip-9 lzjb zle; do
    fs comp-$c -o compression=$c
    lines 200000 comp >lines; words 100000 comp >words; bytes 5000 comp >random
    py 'open("zeros", "wb").write((b"a" * 50 + bytes(4000)) * 40)'
    echo short >short
    snap tank/comp-$c@a
    emit comp-$c-c ok - -c tank/comp-$c@a
    man comp-$c-c tank/comp-$c@a
done
emit comp-zstd-Lec ok - -L -e -c tank/comp-zstd@a
man comp-zstd-Lec tank/comp-zstd@a
emit comp-zstd-plain ok - tank/comp-zstd@a
man comp-zstd-plain tank/comp-zstd@a
emit raw-w-plain ok - -w tank/comp-lz4@a
man raw-w-plain tank/comp-lz4@a
emit dedup-D ok - -D tank/comp-lz4@a
man dedup-D tank/comp-lz4@a

# --- encryption
head -c 32 /dev/zero >/tmp/key
fs crypt -o compression=lz4 -o encryption=on -o keyformat=raw -o keylocation=file:///tmp/key
echo secret >secret
lines 200000 secret >more
snap tank/crypt@a
emit crypt-w encrypted - -w tank/crypt@a
emit crypt-plain ok - tank/crypt@a
man crypt-plain tank/crypt@a

# --- redacted
fs red -o compression=off
lines 400000 r >file; echo open >open
snap tank/red@a
zfs clone tank/red@a tank/red-clone
py 'f = open("/tank/red-clone/file", "r+b"); f.seek(131072); f.write(b"x" * 131072)'
snap tank/red-clone@r
zfs redact tank/red@a book tank/red-clone@r && emit redacted redacted - --redact book tank/red@a

# --- a broken-off receive: the whole, and what a resume token yields
fs resume -o compression=off
for i in 1 2 3; do lines 400000 resume$i >f$i; done
snap tank/resume@a
emit resume-whole ok - tank/resume@a
man resume-whole tank/resume@a
zfs send tank/resume@a | head -c 700000 | zfs receive -s -u tank/resumed
token=$(zfs get -H -o value receive_resume_token tank/resumed)
emit resume-rest resume - -t "$token"
emit resume-saved partial - -S tank/resumed

# --- volumes
for b in 8k 16k; do
    zfs create -s -V 16M -o volblocksize=$b -o compression=off tank/vol$b
    dev=$(zvoldev tank/vol$b)
    lines 300000 vol >/tmp/v; dd if=/tmp/v of=$dev bs=64k conv=notrunc 2>/dev/null
    dd if=/tmp/v of=$dev bs=64k seek=100 conv=notrunc 2>/dev/null
    echo last | dd of=$dev bs=512 seek=32767 conv=notrunc,sync 2>/dev/null
    snap tank/vol$b@a
    text 20000 | dd of=$dev bs=4k seek=1 conv=notrunc 2>/dev/null
    blkdiscard -o 6553600 -l 262144 $dev
    sync; snap tank/vol$b@b
    emit vol$b-full ok - tank/vol$b@a
    emit vol$b-i ok vol$b-full -i @a tank/vol$b@b
    volman vol$b-full tank/vol$b@a; volman vol$b-i tank/vol$b@b
done
zfs set volsize=24M tank/vol8k
snap tank/vol8k@c
emit vol8k-i-grown ok vol8k-i -p -i @b tank/vol8k@c
volman vol8k-i-grown tank/vol8k@c

cat /sys/module/zfs/version
echo "failed: $failed"
[ "$failed" = 0 ]
