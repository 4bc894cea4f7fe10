//! The host's commands, and what undoes them.

use aurora_zones::{Action, Control, Dataset, Dialect, OwnDataset, Plan, Readonly, StepKind, Zone};
use oci_spec::runtime::Spec;
use serde_json::json;

use crate::bundles::bundle;
use crate::golden::options;

fn plan(number: usize, dialect: Dialect, dataset: &Dataset) -> Plan {
    let options = options(dialect);
    let zone = Zone::of_bundle(&bundle(number).1, &options).unwrap();
    let control = Control { dir: &options.control, podinit: "/opt/aurora/podinit", dataset: None };
    Plan::create(&zone, dataset, control, dialect)
}

fn clone() -> Dataset {
    Dataset::Clone {
        origin: "tank/images/web@final".to_owned(),
        name: "tank/zones/web".to_owned(),
        readonly: true,
    }
}

fn words<'a>(actions: impl Iterator<Item = &'a Action>) -> Vec<String> {
    actions
        .map(|action| match action {
            Action::Run(words) => {
                words.join(" ").replace("aurora-0123456789abcdef0123456789abcdef01234567", "ZONE")
            }
            Action::MakeDir(path) => format!("mkdir {path}"),
            Action::RemoveDir(path) => format!("rm {path}"),
            Action::WriteFile(path, _) => format!("write {path}"),
            Action::CopyProgram(from, to) => format!("copy {from} {to}"),
            Action::MakePipe(path) => format!("pipe {path}"),
        })
        .collect()
}

#[test]
fn a_zone_with_an_interface_on_illumos_gate() {
    let plan = plan(16, Dialect::Gate, &clone());
    let want = [
        "/usr/sbin/zfs clone -o mountpoint=/tank/zones/web -o devices=off -o readonly=on tank/images/web@final tank/zones/web",
        "mkdir /var/zonecontrol/web",
        "mkdir /var/zonecontrol/web/rw",
        "mkdir /var/zonecontrol/web/ro",
        "copy /opt/aurora/podinit /var/zonecontrol/web/ro/podinit",
        "write /var/zonecontrol/web/ro/config.json",
        "pipe /var/zonecontrol/web/rw/stdin",
        "pipe /var/zonecontrol/web/rw/stdout",
        "pipe /var/zonecontrol/web/rw/stderr",
        "/usr/sbin/dladm create-vnic -t -l igb0 -m 2:8:20:0:1:a auef0123456789_0",
        "write /var/zonecontrol/web/zonecfg",
        "/usr/sbin/zonecfg -z ZONE -f /var/zonecontrol/web/zonecfg",
        "/usr/sbin/zoneadm -z ZONE attach -F",
        "/usr/sbin/zoneadm -z ZONE ready",
    ];
    let actions: Vec<String> = words(plan.steps().iter().flat_map(|step| &step.actions));
    let unlike = |line: &String| !line.contains("create-vnic");
    assert_eq!(
        actions.iter().filter(|l| unlike(l)).collect::<Vec<_>>(),
        want.iter().filter(|l| !l.contains("create-vnic")).collect::<Vec<_>>()
    );
    let vnic = actions.iter().find(|line| !unlike(line)).unwrap();
    assert!(vnic.starts_with("/usr/sbin/dladm create-vnic -t -l igb0 -m 2:8:20:0:1:a au"), "{vnic}");
    let name = vnic.rsplit(' ').next().unwrap();
    assert!(plan_script(&plan).contains(&format!("set physical={name}\n")));
    assert_eq!(
        words(plan.undo(usize::MAX)),
        [
            "/usr/sbin/zoneadm -z ZONE halt",
            "/usr/sbin/zoneadm -z ZONE detach -F",
            "/usr/sbin/zonecfg -z ZONE delete -F",
            &format!("/usr/sbin/dladm delete-vnic -t {name}"),
            "rm /var/zonecontrol/web",
            "/usr/sbin/zfs destroy -r tank/zones/web",
        ]
    );
}

fn plan_script(plan: &Plan) -> String {
    let written = plan.steps().iter().flat_map(|step| &step.actions).find_map(|action| match action {
        Action::WriteFile(path, text) if path.ends_with("/zonecfg") => Some(text.clone()),
        _ => None,
    });
    written.unwrap()
}

#[test]
fn what_was_begun_is_undone_backwards_and_nothing_else() {
    for dialect in Dialect::ALL {
        let plan = plan(0, dialect, &Dataset::Adopt { readonly: None });
        assert_eq!(plan.undo(0).count(), 0);
        for begun in 1..=plan.steps().len() {
            // One step more is undone first, and the rest as before.
            let (now, before) = (words(plan.undo(begun)), words(plan.undo(begun - 1)));
            let own = words(plan.steps()[begun - 1].undo.iter());
            // That a zone's path is for root alone may stay.
            assert_eq!(own.is_empty(), plan.steps()[begun - 1].kind == StepKind::Zonepath);
            assert_eq!(now, [own, before].concat());
        }
        // What was there before stays.
        let all = words(plan.undo(usize::MAX)).join("\n");
        assert!(!all.contains("zfs") && !all.contains("uninstall"), "{all}");
    }
}

#[test]
fn an_adopted_dataset_on_smartos_as_it_is_shown() {
    let plan = plan(0, Dialect::SmartOs, &Dataset::Adopt { readonly: None });
    let want = "\
# zonepath
/usr/bin/chmod 700 /tank/zones/web
mkdir -p -m 700 /tank/zones/web/root/.aurora
mkdir -p -m 700 /tank/zones/web/root/.aurora-run
# control
mkdir -p -m 700 /var/zonecontrol/web
mkdir -p -m 700 /var/zonecontrol/web/rw
mkdir -p -m 700 /var/zonecontrol/web/ro
install -m 755 /opt/aurora/podinit /var/zonecontrol/web/ro/podinit
cat >/var/zonecontrol/web/ro/config.json <<'END'
CONFIG
END
mkfifo -m 600 /var/zonecontrol/web/rw/stdin
mkfifo -m 600 /var/zonecontrol/web/rw/stdout
mkfifo -m 600 /var/zonecontrol/web/rw/stderr
#   undone by: rm -rf /var/zonecontrol/web
# configure
cat >/var/zonecontrol/web/zonecfg <<'END'
";
    let zone = Zone::of_bundle(&bundle(0).1, &options(Dialect::SmartOs)).unwrap();
    let want = &want.replace("CONFIG", &format!("{:#}", zone.podinit()));
    let text = plan.dry_run();
    assert!(text.starts_with(want), "{text}");
    assert!(text.contains(&format!("{want}{}END\n", plan_script(&plan))), "{text}");
    assert!(text.ends_with(
        "# ready\n/usr/sbin/zoneadm -z aurora-0123456789abcdef0123456789abcdef01234567 ready\n\
         #   undone by: /usr/sbin/zoneadm -z aurora-0123456789abcdef0123456789abcdef01234567 halt\n\
         # start: /usr/sbin/zoneadm -z aurora-0123456789abcdef0123456789abcdef01234567 boot\n"
    ));
    assert_eq!(
        words([plan.start(), plan.kill(), Plan::list()].iter()),
        ["/usr/sbin/zoneadm -z ZONE boot", "/usr/sbin/zoneadm -z ZONE halt", "/usr/sbin/zoneadm list -c -p",]
    );
}

#[test]
fn what_an_adopted_dataset_was_told_it_is_told_again() {
    let undone = |before: Option<&str>| {
        let readonly = Readonly { dataset: "tank/web".to_owned(), before: before.map(str::to_owned) };
        let plan = plan(0, Dialect::SmartOs, &Dataset::Adopt { readonly: Some(readonly) });
        let done = words(plan.steps().iter().flat_map(|step| &step.actions));
        assert_eq!(done[3], "/usr/sbin/zfs set readonly=on tank/web");
        words(plan.undo(usize::MAX)).pop().unwrap()
    };
    assert_eq!(undone(Some("off")), "/usr/sbin/zfs set readonly=off tank/web");
    assert_eq!(undone(None), "/usr/sbin/zfs inherit -S readonly tank/web");
}

/// It is there before anything is written to it, and goes when no zone has it any more.
#[test]
fn a_run_directory_of_its_own() {
    let options = options(Dialect::OmniOs);
    let zone = Zone::of_bundle(&bundle(0).1, &options).unwrap();
    let own = OwnDataset::of_run_dir("tank/c", &options.name, &options.id, &options.control);
    let control = Control { dir: &options.control, podinit: "/p", dataset: Some(&own) };
    let plan = Plan::create(&zone, &Dataset::Adopt { readonly: None }, control, Dialect::OmniOs);
    let done = words(plan.steps().iter().flat_map(|step| &step.actions));
    assert_eq!(
        done[3..7],
        [
            "mkdir /var/zonecontrol/web",
            "/usr/sbin/zfs create -o mountpoint=/var/zonecontrol/web/rw -o devices=off -o setuid=off -o quota=64M \
             -o aurora:container=web_1.example+x tank/c/ZONE-run",
            "/usr/bin/chmod 700 /var/zonecontrol/web/rw",
            "mkdir /var/zonecontrol/web/ro",
        ]
    );
    let undone = words(plan.undo(usize::MAX));
    let at = |wanted: &str| undone.iter().position(|line| line == wanted).unwrap();
    assert!(at("/usr/sbin/zoneadm -z ZONE halt") < at("/usr/sbin/zfs destroy -rf tank/c/ZONE-run"));
    assert!(at("/usr/sbin/zonecfg -z ZONE delete -F") < at("/usr/sbin/zfs destroy -rf tank/c/ZONE-run"));
}

#[test]
fn a_dataset_of_an_image_is_marked_when_it_is_made() {
    let own = OwnDataset::of_image("tank", "aurora-1", "web", "/x/web", None);
    assert_eq!(
        own.dry_run(),
        "# dataset\n\
         /usr/sbin/zfs create -o mountpoint=/x/web -o devices=off -o aurora:container=web tank/aurora-1\n\
         #   undone by: /usr/sbin/zfs destroy -rf tank/aurora-1\n"
    );
    let bounded = OwnDataset::of_image("tank", "aurora-1", "web", "/x/web", Some(1 << 30)).create();
    assert!(words([bounded].iter())[0].contains(" -o quota=1073741824 -o aurora:container=web "));
    assert_eq!(
        words([OwnDataset::mark("a"), OwnDataset::below("a"), OwnDataset::all()].iter()),
        [
            "/usr/sbin/zfs get -H -o value,source aurora:container a",
            "/usr/sbin/zfs list -H -r -t filesystem,volume -o name a",
            "/usr/sbin/zfs list -H -t filesystem,volume -o name",
        ]
    );
}

#[test]
fn hooks_that_run_within_are_podinits() {
    let (_, spec) = bundle(19);
    let mut spec = serde_json::to_value(spec).unwrap();
    spec["hooks"] =
        json!({ "startContainer": [{ "path": "/bin/x", "timeout": 5 }], "poststart": [{ "path": "/y" }] });
    let spec: Spec = serde_json::from_value(spec).unwrap();
    let zone = Zone::of_bundle(&spec, &options(Dialect::OmniOs)).unwrap();
    assert_eq!(zone.podinit()["hooks"], json!({ "startContainer": [{ "path": "/bin/x", "timeout": 5 }] }));
    let annotations = json!({ "dev.aurora.zone.brand": "lx", "dev.aurora.zone.kernel-version": "5.10.0" });
    assert_eq!(
        zone.podinit()["aurora"]["state"],
        json!({ "ociVersion": "1.0.2", "id": "web_1.example+x", "bundle": "/var/lib/bundles/web", "annotations": annotations })
    );
}
