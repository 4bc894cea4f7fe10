//! Everything that exists, as one document: that nothing is left is one comparison.

use std::fs;

use serde_json::{Value, json};

use super::failure::{Failure, Result};
use super::mounts;
use super::processes;
use super::state::Place;

/// Zones with their states, VNICs, datasets, mounts and processes below the roots of all
/// zones that there have been, and keepers.
pub(crate) fn dump(place: &Place) -> Result<Value> {
    let held = place.hold()?;
    let host = &held.host;
    let zones: serde_json::Map<_, _> =
        host.zones.iter().map(|(name, zone)| (name.clone(), json!(zone.state.name()))).collect();
    let mut mounted = Vec::new();
    for root in &host.roots {
        mounted.extend(mounts::below(root)?);
    }
    let processes = processes::below(&host.roots).map_err(|e| Failure::linux("/proc", &e))?;
    let processes: Vec<_> = processes.iter().map(|(pid, words)| format!("{pid} {words}")).collect();
    Ok(json!({
        "zones": zones,
        "vnics": host.vnics.keys().collect::<Vec<_>>(),
        "datasets": host.datasets.keys().collect::<Vec<_>>(),
        "mounts": mounted,
        "processes": processes,
        "keepers": keepers(place)?,
    }))
}

/// Zones with a keeper: their doors.
fn keepers(place: &Place) -> Result<Vec<String>> {
    let folder = place.file("zones");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Failure::linux(&folder.to_string_lossy(), &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if super::door::connect(place, &name).is_some() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}
