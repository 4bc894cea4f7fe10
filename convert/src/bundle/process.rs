//! The process: arguments, environment, directory, user.

use serde_json::{Value, json};

use super::{lose, text, texts, user};
use crate::image::Image;
use crate::tree::Tree;
use crate::{Ctx, Result};

/// Where programs are looked for when the image says nothing, as Docker has it.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What is run when the image says nothing, as umoci has it.
const SHELL: &str = "sh";

/// `process` of the runtime's config.
pub(super) fn process(image: &Image, tree: &Tree, ctx: &Ctx<'_>) -> Result<Value> {
    let mut args = texts(image, "Entrypoint");
    args.extend(texts(image, "Cmd"));
    if args.is_empty() {
        args.push(SHELL.to_owned());
    }
    let mut env = Vec::new();
    for line in texts(image, "Env") {
        match line.split_once('=') {
            Some((name, _)) if !name.is_empty() => env.push(line),
            _ => lose(ctx, format!("Env: no NAME=VALUE: {}", line.escape_default())),
        }
    }
    if !env.iter().any(|line| line.starts_with("PATH=")) {
        env.insert(0, PATH.to_owned());
    }
    let cwd = match text(image, "WorkingDir") {
        Some(dir) if dir.starts_with('/') => dir.to_owned(),
        // The runtime takes no other.
        Some(dir) => format!("/{dir}"),
        None => "/".to_owned(),
    };
    let user = user::user(text(image, "User").unwrap_or_default(), tree)?;
    Ok(json!({
        "terminal": false,
        "args": args,
        "env": env,
        "cwd": cwd,
        "user": user,
        "noNewPrivileges": true,
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cancel, NoProgress, Options};
    use aurora_formats::model::Metadata;

    #[test]
    fn conversion_is_that_of_the_specification() {
        let cases = [
            (json!({}), json!(["sh"]), json!([PATH]), "/"),
            (json!({"Entrypoint": ["/e"], "Cmd": ["a", "b"]}), json!(["/e", "a", "b"]), json!([PATH]), "/"),
            (
                json!({"Cmd": ["c"], "Env": ["A=1=2", "PATH=/x"]}),
                json!(["c"]),
                json!(["A=1=2", "PATH=/x"]),
                "/",
            ),
            (
                json!({"Entrypoint": null, "Cmd": ["c"], "WorkingDir": "/w"}),
                json!(["c"]),
                json!([PATH]),
                "/w",
            ),
            (json!({"WorkingDir": "w/x", "Env": ["NOEQ", "=x"]}), json!(["sh"]), json!([PATH]), "/w/x"),
        ];
        let tree = Tree::new(Metadata::default());
        for (config, args, env, cwd) in cases {
            let cancel = Cancel::default();
            let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
            let image = Image { config: config.as_object().unwrap().clone(), ..Image::default() };
            let made = process(&image, &tree, &ctx).unwrap();
            assert_eq!((&made["args"], &made["env"], &made["cwd"]), (&args, &env, &json!(cwd)), "{config}");
            assert_eq!(ctx.losses().len(), if config.to_string().contains("NOEQ") { 2 } else { 0 });
        }
    }
}
