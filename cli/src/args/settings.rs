//! What an OCI config is to say.

use aurora_convert::image::time::{Timestamp, parse_rfc3339};
use aurora_convert::ops::Settings;
use clap::Args;

/// What an OCI config is to say.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// The command: a JSON array of words, or a line for /bin/sh -c; nothing takes it away. CMD goes with the old one
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    entrypoint: Option<Command>,
    /// Its arguments, or the command where there is no entrypoint; as --entrypoint
    #[arg(long, value_name = "COMMAND", value_parser = parse_command)]
    cmd: Option<Command>,
    /// A variable of the environment; given once for each
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::parse_tag)]
    env: Vec<(String, String)>,
    /// The user who runs the command, and the group
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Where the command runs
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// A port it listens at; given once for each
    #[arg(long, value_name = "PORT[/PROTOCOL]", value_parser = parse_port)]
    expose: Vec<String>,
    /// A directory whose files are not the image's; given once for each
    #[arg(long, value_name = "PATH", value_parser = parse_absolute)]
    volume: Vec<String>,
    /// The signal that ends it
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// A label; given once for each
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::parse_tag)]
    label: Vec<(String, String)>,
    /// An annotation of the manifest; given once for each
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::parse_tag)]
    annotation: Vec<(String, String)>,
    /// Who made it
    #[arg(long, value_name = "TEXT")]
    author: Option<String>,
    /// When it was made: RFC 3339, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Timestamp>,
}

/// Words of a command; none takes it away.
#[derive(Debug, Clone)]
struct Command(Vec<String>);

fn parse_command(text: &str) -> Result<Command, String> {
    if text.is_empty() {
        return Ok(Command(Vec::new()));
    }
    if text.starts_with('[') {
        return serde_json::from_str(text).map(Command).map_err(|e| format!("not an array of words: {e}"));
    }
    Ok(Command(["/bin/sh", "-c", text].map(str::to_owned).into()))
}

fn parse_port(text: &str) -> Result<String, String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match (port.parse::<u16>(), protocol) {
        (Ok(1..), "tcp" | "udp" | "sctp") => Ok(format!("{port}/{protocol}")),
        _ => Err("a port is 1 to 65535, with /tcp, /udp or /sctp".into()),
    }
}

fn parse_absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a path from the root is needed: /…".into())
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    parse_rfc3339(text).ok_or_else(|| "a time as 2026-01-31T12:00:00Z is needed".into())
}

impl SettingsArgs {
    pub(crate) fn settings(&self) -> Settings {
        let words = |command: &Option<Command>| command.clone().map(|command| command.0);
        Settings {
            author: self.author.clone(),
            created: self.created,
            user: self.user.clone(),
            working_dir: self.workdir.clone(),
            stop_signal: self.stop_signal.clone(),
            entrypoint: words(&self.entrypoint),
            cmd: words(&self.cmd),
            env: self.env.clone(),
            labels: self.label.clone(),
            ports: self.expose.clone(),
            volumes: self.volume.clone(),
            annotations: self.annotation.clone(),
        }
    }
}
