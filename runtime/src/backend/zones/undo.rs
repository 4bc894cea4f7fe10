//! The journal played backwards. What is undone is looked for first: a step may never have been begun, and another command
//! may have undone it before it was killed.

use aurora_zones::{Step, StepKind};

use super::commands::Commands;
use super::control::RunDir;
use super::list::State;
use super::plan::{MONITOR, Ours};
use super::{fail, monitor};
use crate::backend::Handle;
use crate::{Error, Result};

/// Undoes all that a container's journal names, from the last to the first.
pub(super) fn all(at: &Handle<'_>, ours: &Ours, host: &Commands) -> Result<()> {
    for entry in at.record.undo.iter().rev() {
        if entry == MONITOR {
            monitor::end(at.dir, is_over(at, ours, host)?)?;
            continue;
        }
        let named = |step: &&Step| *entry == format!("{} {}", step.kind, step.object);
        let Some(step) = ours.plan.steps().iter().find(named) else {
            let problem = format!("nothing is known of what is to be undone: {entry:?}");
            return Err(Error::State { path: at.dir.join("state.json"), problem });
        };
        match step.kind {
            StepKind::RunDir => host.destroy_own(&step.object, at.id.as_str())?,
            _ => one(step, ours.zone(), host)?,
        }
        fail::point(&format!("undone-{}", step.kind));
    }
    Ok(())
}

/// Whether the program has ended: its monitor is about to end the same way then, and somebody may wait for that.
fn is_over(at: &Handle<'_>, ours: &Ours, host: &Commands) -> Result<bool> {
    let has_told = !matches!(RunDir::of(at.dir).exit(), Ok(None));
    Ok(has_told || !host.state(ours.zone())?.is_some_and(State::is_up))
}

fn one(step: &Step, zone: &str, host: &Commands) -> Result<()> {
    for action in &step.undo {
        if !is_there(step, zone, host)? {
            return Ok(());
        }
        if let Err(e) = host.perform(action)
            && is_there(step, zone, host)?
        {
            return Err(e);
        }
    }
    // What was said is not believed: whether it is so is looked at.
    match step.kind {
        StepKind::Ready => host.wait_down(zone),
        StepKind::Attach | StepKind::Configure if is_there(step, zone, host)? => {
            let found = host.state(zone)?.map_or("gone", State::name);
            Err(Error::ZoneState { zone: zone.to_owned(), wanted: "undone", found })
        }
        _ => Ok(()),
    }
}

/// Whether there is anything to undo.
fn is_there(step: &Step, zone: &str, host: &Commands) -> Result<bool> {
    Ok(match step.kind {
        StepKind::Dataset | StepKind::Readonly => host.has_dataset(&step.object)?,
        StepKind::Vnic => host.has_vnic(&step.object)?,
        StepKind::Configure => host.state(zone)?.is_some(),
        StepKind::Attach => host.state(zone)? == Some(State::Installed),
        StepKind::Ready => host.state(zone)?.is_some_and(State::is_up),
        // That of the run directory has an end of its own.
        StepKind::Zonepath | StepKind::Control | StepKind::RunDir => false,
    })
}
