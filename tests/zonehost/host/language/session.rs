//! A session of zonecfg: commands one by one, upon what was saved before.

use aurora_zones::Dialect;

use super::configured::{Configured, property};
use super::print::{export, info};
use super::resources::{check_global, check_property, resource};
use super::tokens::{Token, Value, pairs, tokens, values, word, words};

/// Whoever keeps configurations.
pub(crate) trait Keep {
    /// Saves one.
    fn commit(&mut self, configured: &Configured) -> Result<(), String>;
    /// Forgets what is saved.
    fn delete(&mut self) -> Result<(), String>;
    /// Shows something.
    fn print(&mut self, text: &str) -> Result<(), String>;
}

/// A resource between `add` or `select` and `end`.
struct Open {
    kind: String,
    properties: Vec<(String, String)>,
    /// Its place, if it was selected.
    place: Option<usize>,
}

/// One run of zonecfg.
pub(crate) struct Session {
    zone: String,
    dialect: Dialect,
    /// As it was saved; none if there is no such zone.
    saved: Option<Configured>,
    /// Whether it is installed: what the zone lives in can't be set then.
    installed: bool,
    current: Option<Configured>,
    open: Option<Open>,
    /// Global properties set here. Twice is a mistake in a file that a program has written.
    set: Vec<String>,
    changed: bool,
    done: bool,
}

impl Session {
    /// Begins. `saved` is what there is of this zone.
    pub(crate) fn new(zone: &str, saved: Option<Configured>, installed: bool, dialect: Dialect) -> Self {
        Self {
            zone: zone.to_owned(),
            dialect,
            saved,
            installed,
            current: None,
            open: None,
            set: Vec::new(),
            changed: false,
            done: false,
        }
    }

    /// Whether there is something that is not committed.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Whether a resource has not come to its end.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Obeys a line, command by command, up to the first that fails.
    pub(crate) fn line(&mut self, line: &str, keep: &mut dyn Keep) -> Result<(), String> {
        let tokens = tokens(line, self.dialect)?;
        for command in tokens.split(|t| *t == Token::Sign(';')) {
            if !self.done && !command.is_empty() {
                self.command(word(command.first())?, &command[1..], keep)?;
            }
        }
        Ok(())
    }

    /// What is tried at the end of every session: zonecfg(8), `commit`.
    pub(crate) fn commit(&mut self, keep: &mut dyn Keep) -> Result<(), String> {
        if self.open.is_some() {
            return Err("resource specification incomplete".to_owned());
        }
        let zone = self.zone.clone();
        let dialect = self.dialect;
        let configured = self.edited()?;
        configured.verify(dialect).map_err(|why| format!("{why}\nZone {zone} failed to verify"))?;
        keep.commit(configured)?;
        self.saved = self.current.clone();
        self.changed = false;
        Ok(())
    }

    fn edited(&mut self) -> Result<&mut Configured, String> {
        if self.current.is_none() {
            self.current = self.saved.clone();
        }
        self.current.as_mut().ok_or_else(|| format!("{}: No such zone configured", self.zone))
    }

    fn command(&mut self, command: &str, rest: &[Token], keep: &mut dyn Keep) -> Result<(), String> {
        if self.open.is_some() {
            return self.within(command, rest);
        }
        match command {
            "create" => self.create(&words(rest)?),
            "delete" => self.delete(&words(rest)?, keep),
            "commit" => {
                none(rest)?;
                self.commit(keep)
            }
            "verify" => {
                none(rest)?;
                let dialect = self.dialect;
                self.edited()?.verify(dialect)
            }
            "export" => {
                none(rest)?;
                let dialect = self.dialect;
                keep.print(&export(self.edited()?, dialect))
            }
            "info" => {
                let what = match words(rest)?[..] {
                    [] => None,
                    [one] => Some(one),
                    _ => return Err("words too many".to_owned()),
                };
                let zone = self.zone.clone();
                keep.print(&info(&zone, self.edited()?, what)?)
            }
            "revert" => match words(rest)?[..] {
                ["-F"] => {
                    (self.current, self.changed) = (None, false);
                    self.set.clear();
                    Ok(())
                }
                _ => Err(unforced("revert")),
            },
            "exit" => {
                self.done = true;
                Ok(())
            }
            "add" => self.add(&words(rest)?),
            "select" => self.select(rest),
            "remove" => self.remove(rest),
            "set" => self.set(rest),
            "clear" => self.clear(&words(rest)?),
            "end" | "cancel" => Err(format!("The {command} command only makes sense in the resource scope.")),
            other => Err(format!("no such command here: {other}")),
        }
    }

    fn create(&mut self, options: &[&str]) -> Result<(), String> {
        if self.current.is_some() {
            return Err("create does not come first".to_owned());
        }
        // Without -b it begins with a template, and those are the system's.
        if !options.contains(&"-b") || !options.iter().all(|option| ["-b", "-F"].contains(option)) {
            return Err("create begins with something".to_owned());
        }
        if self.installed {
            return Err(format!("Zone {} already installed; create not allowed.", self.zone));
        }
        if self.saved.is_some() && !options.contains(&"-F") {
            return Err(format!("Zone exists, {}", unforced("create")));
        }
        self.current = Some(Configured::default());
        self.changed = true;
        Ok(())
    }

    fn delete(&mut self, options: &[&str], keep: &mut dyn Keep) -> Result<(), String> {
        if *options != ["-F"] {
            return Err(unforced("delete"));
        }
        if self.saved.is_none() {
            return Err(format!("{}: No such zone configured", self.zone));
        }
        keep.delete()?;
        (self.current, self.saved, self.changed) = (None, None, false);
        Ok(())
    }

    fn add(&mut self, rest: &[&str]) -> Result<(), String> {
        let [kind] = rest else { return Err("not add RESOURCE".to_owned()) };
        resource(kind, self.dialect).ok_or_else(|| format!("no such resource: {kind}"))?;
        self.edited()?;
        self.open = Some(Open { kind: (*kind).to_owned(), properties: Vec::new(), place: None });
        Ok(())
    }

    /// The places of the resources of a kind that have all these properties.
    fn matching(&mut self, kind: &str, wanted: &[(&str, &str)]) -> Result<Vec<usize>, String> {
        resource(kind, self.dialect).ok_or_else(|| format!("no such resource: {kind}"))?;
        let all = self.edited()?.resources.iter().enumerate();
        let fits = |properties: &[(String, String)]| {
            wanted.iter().all(|(name, value)| property(properties, name) == Some(value))
        };
        Ok(all.filter(|(_, (known, has))| known == kind && fits(has)).map(|(place, _)| place).collect())
    }

    fn select(&mut self, rest: &[Token]) -> Result<(), String> {
        let kind = word(rest.first())?;
        let found = self.matching(kind, &pairs(&rest[1..])?)?;
        let [place] = found[..] else {
            return Err(format!("select {kind}: {} of them", found.len()));
        };
        let (kind, properties) = self.edited()?.resources[place].clone();
        self.open = Some(Open { kind, properties, place: Some(place) });
        Ok(())
    }

    fn remove(&mut self, rest: &[Token]) -> Result<(), String> {
        let force = word(rest.first())? == "-F";
        let rest = if force { &rest[1..] } else { rest };
        let kind = word(rest.first())?;
        let wanted = pairs(&rest[1..])?;
        let found = self.matching(kind, &wanted)?;
        if found.is_empty() && !force {
            return Err(format!("remove {kind}: No such entry"));
        }
        if found.len() > 1 && !force {
            return Err(
                "There are multiple instances of this resource.  Either qualify the resource to\nremove a \
                 single instance or use the -F option to remove all instances."
                    .to_owned(),
            );
        }
        for place in found.into_iter().rev() {
            self.edited()?.resources.remove(place);
        }
        self.changed = true;
        Ok(())
    }

    fn set(&mut self, rest: &[Token]) -> Result<(), String> {
        let (name, value) = assigned(rest)?;
        check_global(name, value, self.dialect)?;
        if self.installed && ["zonepath", "brand"].contains(&name) {
            return Err(format!("Zone {} already installed; set {name} not allowed.", self.zone));
        }
        if self.set.iter().any(|known| known == name) {
            return Err(format!("{name} twice"));
        }
        let configured = self.edited()?;
        configured.properties.retain(|(known, _)| known != name);
        configured.properties.push((name.to_owned(), value.to_owned()));
        self.set.push(name.to_owned());
        self.changed = true;
        Ok(())
    }

    fn clear(&mut self, rest: &[&str]) -> Result<(), String> {
        let [name] = rest else { return Err("not clear PROPERTY".to_owned()) };
        if ["zonename", "zonepath", "brand"].contains(name) {
            return Err(format!("{name}: clearing this property is not allowed"));
        }
        self.edited()?.properties.retain(|(known, _)| known != name);
        self.changed = true;
        Ok(())
    }

    /// A command within a resource.
    fn within(&mut self, command: &str, rest: &[Token]) -> Result<(), String> {
        let dialect = self.dialect;
        let Some(open) = self.open.as_mut() else { return Err("in no resource".to_owned()) };
        match command {
            "add" => {
                let name = word(rest.first())?;
                for value in values(&rest[1..])? {
                    check_property(&open.kind, name, &value, true, dialect)?;
                    open.properties.push((name.to_owned(), value.text()));
                }
                Ok(())
            }
            "set" => {
                let (name, value) = assigned(rest)?;
                let given = Value::Simple(value.to_owned());
                check_property(&open.kind, name, &given, false, dialect)?;
                if open.place.is_some() {
                    open.properties.retain(|(known, _)| known != name);
                }
                open.properties.push((name.to_owned(), value.to_owned()));
                Ok(())
            }
            "remove" => {
                let name = word(rest.first())?;
                for value in values(&rest[1..])? {
                    open.properties.retain(|known| *known != (name.to_owned(), value.text()));
                }
                Ok(())
            }
            "clear" => {
                let name = word(rest.first())?;
                none(&rest[1..])?;
                open.properties.retain(|(known, _)| known != name);
                Ok(())
            }
            "cancel" => {
                none(rest)?;
                self.open = None;
                Ok(())
            }
            "end" => {
                none(rest)?;
                self.end()
            }
            other => Err(format!("no such command here: {other}")),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(Open { kind, properties, place }) = &self.open else {
            return Err("in no resource".to_owned());
        };
        let known = resource(kind, self.dialect).ok_or_else(|| format!("no such resource: {kind}"))?;
        if let Some(missing) = known.required.iter().find(|name| property(properties, name).is_none()) {
            return Err(format!("{kind}: {missing} not specified"));
        }
        if known.any && properties.is_empty() {
            return Err(format!("{kind} with nothing in it"));
        }
        for (n, (name, _)) in properties.iter().enumerate() {
            let many = known.lists.contains(&name.as_str());
            if !many && properties[..n].iter().any(|(other, _)| other == name) {
                return Err(format!("{name} twice"));
            }
        }
        let (made, place) = ((kind.clone(), properties.clone()), *place);
        let resources = &mut self.edited()?.resources;
        match place {
            Some(place) => resources[place] = made,
            None => resources.push(made),
        }
        self.open = None;
        self.changed = true;
        Ok(())
    }
}

fn none(rest: &[Token]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err("words too many".to_owned()) }
}

fn assigned(rest: &[Token]) -> Result<(&str, &str), String> {
    match pairs(rest)?[..] {
        [one] => Ok(one),
        _ => Err("not set PROPERTY=VALUE".to_owned()),
    }
}

/// Nobody is asked here: there is never a terminal.
fn unforced(command: &str) -> String {
    format!("input not from terminal and -F not specified:\n{command} command ignored, exiting.")
}
