#!/bin/sh
# Guest script: makes the vectors of 2.3/, with a newer sender. From the top of the repository:
#   tests/interop/zfsvm/run --backports --cold --timeout 900 --share corpus/zfs corpus/zfs/gen/vectors-2.3.sh
OUT=/share/2.3 SEED=aurora23
. /share/gen/lib.sh

fs empty
snap tank/empty@a
emit empty ok - tank/empty@a
man empty tank/empty@a

# 2.3's defaults (compression=on, xattr=sa), a little of everything
fs mixed -o acltype=posixacl
echo 1 >one; lines 300000 m >m; truncate -s 1M hole; mkdir d; ln one d/hard
ln -s t s; ln -s "$(printf 'long/%.0s' $(seq 60))end" l
setfattr -n user.a -v "$(text 100)" one; setfattr -n user.b -v "$(text 9000)" m; setfacl -m u:70000:rw d
mkfifo f; mknod c c 1 3; chmod 4755 m; touch -d '1960-06-06 06:06:06.6 UTC' one
for i in $(seq 60); do echo $i >"d/an-entry-with-a-name-of-more-than-fifty-bytes-in-all-$i"; done
snap tank/mixed@a
rm d/hard s; echo 2 >>m; mv l L; truncate -s 5 one
snap tank/mixed@b
emit mixed ok - tank/mixed@a
emit mixed-i ok mixed -i @a tank/mixed@b
# 2.3 sends a spill block that is embedded as DRR_WRITE_EMBEDDED at offset -2 * its length: a known bug of
# the sender (see tests/interop/zfsvm/NOTES.md). The manifest is what the sender had.
emit mixed-Lec embedded-spill - -L -e -c tank/mixed@b
emit mixed-R ok - -R tank/mixed@b
man mixed tank/mixed@a; man mixed-i tank/mixed@b; man mixed-Lec tank/mixed@b
man mixed-R@a tank/mixed@a; man mixed-R@b tank/mixed@b

# names beyond 255 bytes
fs longname -o longname=on && {
    echo 1 >short
    echo 2 >"$(printf '%0255d' 1)"; echo 3 >"$(printf '%0256d' 2)"; echo 4 >"$(printf '%01023d' 3)"
    snap tank/longname@a
    emit longname ok - tank/longname@a
    man longname tank/longname@a
}

fs big -o recordsize=4M -o compression=zstd
lines 5000000 big >five-m
snap tank/big@a
emit record4m-Lc ok - -L -c tank/big@a
man record4m-Lc tank/big@a

zfs create -s -V 8M tank/vol
lines 100000 v | dd of=$(zvoldev tank/vol) conv=notrunc 2>/dev/null
snap tank/vol@a
emit vol ok - tank/vol@a
volman vol tank/vol@a

cat /sys/module/zfs/version
echo "failed: $failed"
[ "$failed" = 0 ]
