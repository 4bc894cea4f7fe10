//! What `events --stats` prints, in runc's members.

use libcgroups::stats::{BlkioDeviceStat, HugeTlbStats, MemoryData, Stats};
use serde_json::{Value, json};

/// The member `data`.
pub(super) fn json(stats: &Stats) -> Value {
    let memory = &stats.memory;
    json!({
        "cpu": {
            "usage": {
                "total": stats.cpu.usage.usage_total,
                "percpu": stats.cpu.usage.per_core_usage_total,
                "kernel": stats.cpu.usage.usage_kernel,
                "user": stats.cpu.usage.usage_user,
            },
            "throttling": {
                "periods": stats.cpu.throttling.periods,
                "throttledPeriods": stats.cpu.throttling.throttled_periods,
                "throttledTime": stats.cpu.throttling.throttled_time,
            },
        },
        "memory": {
            "cache": memory.cache,
            "usage": data(&memory.memory),
            "swap": data(&memory.memswap),
            "kernel": data(&memory.kernel),
            "kernelTCP": data(&memory.kernel_tcp),
            // A map in any order there; ours keeps one.
            "raw": memory.stats.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
        },
        "pids": {"current": stats.pids.current, "limit": stats.pids.limit},
        "blkio": {
            "ioServiceBytesRecursive": devices(&stats.blkio.service_bytes),
            "ioServicedRecursive": devices(&stats.blkio.serviced),
            "ioQueueRecursive": devices(&stats.blkio.queued),
            "ioServiceTimeRecursive": devices(&stats.blkio.service_time),
            "ioWaitTimeRecursive": devices(&stats.blkio.wait_time),
            "ioMergedRecursive": devices(&stats.blkio.merged),
            "ioTimeRecursive": devices(&stats.blkio.time),
            "sectorsRecursive": devices(&stats.blkio.sectors),
        },
        "hugetlb": stats.hugetlb.iter().map(|(k, v)| (k.clone(), pages(v))).collect::<serde_json::Map<_, _>>(),
    })
}

fn data(of: &MemoryData) -> Value {
    json!({"limit": of.limit, "usage": of.usage, "max": of.max_usage, "failcnt": of.fail_count})
}

fn pages(of: &HugeTlbStats) -> Value {
    json!({"usage": of.usage, "max": of.max_usage, "failcnt": of.fail_count})
}

fn devices(list: &[BlkioDeviceStat]) -> Value {
    let device = |of: &BlkioDeviceStat| json!({"major": of.major, "minor": of.minor, "op": of.op_type, "value": of.value});
    list.iter().map(device).collect()
}
