//! The text for forty bundles in three dialects, as it is. After a change that is meant, `AURORA_BLESS=1`
//! writes the files anew; what changed is then seen in the difference of the commit.

use std::fmt::Write as _;
use std::path::PathBuf;

use aurora_zones::{Dialect, Options, Zone};

use crate::bundles::{COUNT, bundle};
use crate::checker::check;

pub(crate) fn options(dialect: Dialect) -> Options {
    Options {
        dialect,
        name: "aurora-0123456789abcdef0123456789abcdef01234567".to_owned(),
        id: "web_1.example+x".to_owned(),
        zonepath: "/tank/zones/web".to_owned(),
        bundle: "/var/lib/bundles/web".to_owned(),
        brand: match dialect {
            Dialect::Gate => "ipkg",
            Dialect::OmniOs => "lipkg",
            Dialect::SmartOs => "joyent-minimal",
        }
        .to_owned(),
        control: "/var/zonecontrol/web".to_owned(),
    }
}

fn golden(number: usize) -> String {
    let (features, spec) = bundle(number);
    let mut text = format!(
        "bundle {number}: {}\n",
        if features.is_empty() { "nothing".into() } else { features.join(", ") }
    );
    for dialect in Dialect::ALL {
        let _ = writeln!(text, "\n==> {}", dialect.name());
        match Zone::of_bundle(&spec, &options(dialect)) {
            Ok(zone) => {
                let script = zone.script(dialect);
                check(&script, dialect)
                    .unwrap_or_else(|e| panic!("bundle {number}, {}: {e}\n{script}", dialect.name()));
                text.push_str(&script);
                let _ = writeln!(text, "podinit: {}", zone.podinit());
                for note in zone.notes() {
                    let _ = writeln!(text, "note: {}: {}", note.field, note.why);
                }
            }
            Err(refusal) => {
                let _ = writeln!(text, "refused: {refusal}");
            }
        }
    }
    text
}

#[test]
fn forty_bundles_in_three_dialects() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../tests/zones/golden"].iter().collect();
    let bless = std::env::var_os("AURORA_BLESS").is_some();
    for number in 0..COUNT {
        let path = folder.join(format!("{number:02}.txt"));
        let text = golden(number);
        if bless {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let want = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(text, want, "{}", path.display());
    }
}
