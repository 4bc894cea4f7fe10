//! A zone as commands for `zonecfg -z NAME -f FILE`.

use crate::word::Word;
use crate::{Dialect, Zone};

/// Lines, one command each.
struct Script(String);

impl Script {
    fn line(&mut self, words: &str) {
        self.0.push_str(words);
        self.0.push('\n');
    }

    fn set(&mut self, property: &str, value: &Word) {
        self.line(&format!("set {property}={}", value.quoted()));
    }

    fn resource(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("add {name}"));
        inside(self);
        self.line("end");
    }
}

impl Zone {
    /// The text. It ends with `commit`, so that zonecfg's exit status says whether the zone is configured.
    pub fn script(&self, dialect: Dialect) -> String {
        let mut script = Script(String::new());
        script.line("create -b");
        script.set("zonepath", &self.zonepath);
        script.set("brand", &self.brand);
        script.line("set autoboot=false");
        script.line("set ip-type=exclusive");
        for (name, value) in &self.properties {
            script.set(name, value);
        }
        for fs in &self.fs {
            script.resource("fs", |script| {
                script.set("dir", &fs.dir);
                script.set("special", &fs.special);
                script.set("type", &Word::fixed(fs.kind));
                if !fs.options.is_empty() {
                    let options: Vec<String> = fs.options.iter().map(Word::quoted).collect();
                    script.line(&format!("add options [{}]", options.join(",")));
                }
            });
        }
        for net in &self.nets {
            script.resource("net", |script| {
                script.set("physical", &net.physical);
                if let Some(address) = &net.allowed_address {
                    script.set("allowed-address", address);
                }
                if dialect.makes_vnics() {
                    if let Some(lower) = &net.lower {
                        script.set("global-nic", lower);
                    }
                    if let Some(mac) = &net.mac {
                        script.set("mac-addr", mac);
                    }
                    for (name, value) in &net.properties {
                        // The value is in quotes whatever it is: within parentheses, that is how the tools
                        // write it.
                        script.line(&format!("add property (name={name},value=\"{}\")", value.as_str()));
                    }
                }
            });
        }
        if let Some(hundredths) = self.capped_cpu {
            script.resource("capped-cpu", |script| {
                script.line(&format!("set ncpus={}.{:02}", hundredths / 100, hundredths % 100));
            });
        }
        let memory = &self.capped_memory;
        let sizes = [("physical", &memory.physical), ("swap", &memory.swap), ("locked", &memory.locked)];
        if sizes.iter().any(|(_, size)| size.is_some()) {
            script.resource("capped-memory", |script| {
                for (name, size) in sizes {
                    if let Some(size) = size {
                        script.set(name, size);
                    }
                }
            });
        }
        for dataset in &self.datasets {
            script.resource("dataset", |script| script.set("name", dataset));
        }
        for (name, value) in &self.attrs {
            script.resource("attr", |script| {
                script.set("name", &Word::fixed(name));
                script.line("set type=string");
                script.set("value", value);
            });
        }
        script.line("verify");
        script.line("commit");
        script.0
    }
}
