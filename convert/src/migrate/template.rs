//! What an image is called where it goes: `{name}:{version}`, made safe for the target.

use std::fmt;
use std::str::FromStr;

/// The name that is given unless told.
pub const DEFAULT_TEMPLATE: &str = "{name}:{version}";
/// Longest tag (distribution-spec, "Pulling manifests").
const MAX_TAG: usize = 128;
/// Longest repository without the prefix: registries take 255 bytes with host and prefix.
const MAX_REPOSITORY: usize = 160;
/// Longest name of a file before its extension, as `smartos:` targets have it.
const MAX_FILE: usize = 180;

/// A name with fields in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// What may stand in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Version,
    Uuid,
    Short,
    Type,
    Os,
    Owner,
    Date,
}

/// Their names.
const FIELDS: [(&str, Field); 8] = [
    ("name", Field::Name),
    ("version", Field::Version),
    ("uuid", Field::Uuid),
    ("short", Field::Short),
    ("type", Field::Type),
    ("os", Field::Os),
    ("owner", Field::Owner),
    ("date", Field::Date),
];

/// Why a text is no [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// No such field.
    #[error(
        "no such field in a name: {{{0}}}; there are {{name}}, {{version}}, {{uuid}}, {{short}}, {{type}}, {{os}}, {{owner}} and {{date}}"
    )]
    Field(String),
    /// A brace without its other one.
    #[error("a brace in a name has no other one: {0}")]
    Brace(String),
    /// Nothing behind or before the last colon.
    #[error("a name is REPOSITORY:TAG: {0}")]
    NoTag(String),
}

/// What the fields are of one image.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its uuid, or what stands for one.
    pub uuid: String,
    /// `type`
    pub image_type: String,
    /// `os`
    pub os: String,
    /// `owner`
    pub owner: String,
    /// `published_at`
    pub published: String,
}

impl Template {
    /// Repository and tag of an image, as registries take them.
    pub fn reference(&self, fields: &Fields) -> (String, String) {
        let (repository, tag) = self.split();
        let repository = safe_repository(&render(repository, fields));
        (repository, safe_tag(&render(tag, fields)))
    }

    /// The name of a file of an image, without an extension.
    pub fn file(&self, fields: &Fields) -> String {
        safe_file(&render(&self.parts, fields))
    }

    /// The name of a dataset of an image.
    pub fn dataset(&self, fields: &Fields) -> String {
        self.file(fields).replace('+', "-")
    }

    /// At the last colon that stands in the template itself.
    fn split(&self) -> (&[Part], &[Part]) {
        let colon = self.parts.iter().position(|part| *part == Part::Text(":".to_owned()));
        colon.map_or((&self.parts[..], &[]), |at| (&self.parts[..at], &self.parts[at + 1..]))
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let brace = || TemplateError::Brace(text.to_owned());
        let (head, tail) = text
            .rsplit_once(':')
            .filter(|(head, tail)| !head.is_empty() && !tail.is_empty())
            .ok_or_else(|| TemplateError::NoTag(text.to_owned()))?;
        let mut parts = Vec::new();
        for (number, mut rest) in [head, tail].into_iter().enumerate() {
            if number == 1 {
                parts.push(Part::Text(":".to_owned()));
            }
            while let Some((before, after)) = rest.split_once('{') {
                let (field, behind) = after.split_once('}').ok_or_else(brace)?;
                let known = FIELDS.iter().find(|(name, _)| *name == field);
                let (_, field) = known.ok_or_else(|| TemplateError::Field(field.to_owned()))?;
                if before.contains('}') {
                    return Err(brace());
                }
                if !before.is_empty() {
                    parts.push(Part::Text(before.to_owned()));
                }
                parts.push(Part::Field(*field));
                rest = behind;
            }
            if rest.contains('}') {
                return Err(brace());
            }
            if !rest.is_empty() {
                parts.push(Part::Text(rest.to_owned()));
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn render(parts: &[Part], fields: &Fields) -> String {
    let one = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Field(Field::Name) => fields.name.clone(),
        Part::Field(Field::Version) => fields.version.clone(),
        Part::Field(Field::Uuid) => fields.uuid.clone(),
        Part::Field(Field::Short) => fields.uuid.chars().take(8).collect(),
        Part::Field(Field::Type) => fields.image_type.clone(),
        Part::Field(Field::Os) => fields.os.clone(),
        Part::Field(Field::Owner) => fields.owner.clone(),
        Part::Field(Field::Date) => fields.published.chars().take(10).filter(|c| *c != '-').collect(),
    };
    parts.iter().map(one).collect()
}

/// Components of lower-case letters and digits, with single `.`, `_` or `-` between them. Everything else becomes a `-`.
fn safe_repository(text: &str) -> String {
    let component = |text: &str| {
        let mut out = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            let is_word = c.is_ascii_lowercase() || c.is_ascii_digit();
            let mark = if matches!(c, '.' | '_') { c } else { '-' };
            if is_word {
                out.push(c);
            } else if out.ends_with(|last: char| last.is_ascii_alphanumeric()) {
                out.push(mark);
            }
        }
        out.trim_end_matches(['.', '_', '-']).to_owned()
    };
    let components: Vec<String> = text.split('/').map(component).filter(|part| !part.is_empty()).collect();
    let mut joined = components.join("/");
    joined.truncate(MAX_REPOSITORY);
    let trimmed = joined.trim_end_matches(['.', '_', '-', '/']);
    if trimmed.is_empty() { "image".to_owned() } else { trimmed.to_owned() }
}

/// Letters, digits, `.`, `_` and `-`, beginning with none of the marks but `_`. Everything else becomes a `-`.
pub(super) fn safe_tag(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let text: String = text.chars().map(fit).collect();
    let text: String = text.trim_start_matches(['.', '-']).chars().take(MAX_TAG).collect();
    if text.is_empty() { "latest".to_owned() } else { text }
}

/// Letters, digits, `.`, `_`, `+` and `-`; nothing that hides or leads elsewhere.
fn safe_file(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' };
    let text: String = text.chars().map(fit).take(MAX_FILE).collect();
    match text.chars().next() {
        None => "image".to_owned(),
        Some('.' | '-') => format!("_{text}"),
        Some(_) => text,
    }
}

/// A tag that another image has not: with something of the uuid behind it.
pub(super) fn told_apart(tag: &str, uuid: &str) -> String {
    let short: String = uuid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let kept: String = tag.chars().take(MAX_TAG - 9).collect();
    safe_tag(&format!("{kept}-{short}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::RegistryName;

    fn is_reference(text: &str) -> bool {
        text.parse::<RegistryName>().is_ok()
    }

    fn fields(name: &str, version: &str) -> Fields {
        Fields {
            name: name.to_owned(),
            version: version.to_owned(),
            uuid: "01b2c898-945f-11e1-a523-af1afbe22822".to_owned(),
            image_type: "lx-dataset".to_owned(),
            os: "linux".to_owned(),
            owner: "00000000-0000-0000-0000-000000000000".to_owned(),
            published: "2020-01-31T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn names_are_made_safe() {
        let cases = [
            ("{name}:{version}", "base-64", "18.1.0", "base-64", "18.1.0", "base-64-18.1.0"),
            ("{name}:{version}", "My Image/Über_", "1+b", "my-image/ber", "1-b", "My-Image--ber_-1+b"),
            ("{name}:{version}", "../../etc", "..", "etc", "latest", "_..-..-etc-.."),
            ("{name}:{version}", "!!!", "-x", "image", "x", "_!!!--x"),
            (
                "x/{os}/{name}:{date}-{short}",
                "a",
                "1",
                "x/linux/a",
                "20200131-01b2c898",
                "x-linux-a-20200131-01b2c898",
            ),
            (
                "{type}:{uuid}",
                "a",
                "1",
                "lx-dataset",
                "01b2c898-945f-11e1-a523-af1afbe22822",
                "lx-dataset-01b2c898-945f-11e1-a523-af1afbe22822",
            ),
        ];
        for (template, name, version, repository, tag, file) in cases {
            let template: Template = template.parse().unwrap();
            let fields = fields(name, version);
            assert_eq!(template.reference(&fields), (repository.to_owned(), tag.to_owned()), "{template}");
            let want = file.replace('!', "-");
            assert_eq!(
                template.file(&fields).trim_start_matches('_'),
                want.trim_start_matches('_'),
                "{template}"
            );
            assert!(is_reference(&format!("h.example/{repository}:{tag}")), "{template}");
            assert!(!template.file(&fields).starts_with(['.', '-', '/']));
        }
    }

    #[test]
    fn whatever_a_server_says_becomes_a_reference() {
        let template: Template = DEFAULT_TEMPLATE.parse().unwrap();
        let long = "x.-".repeat(300);
        for name in ["", "/", "a//b", "a..b__c--d", "-._", "\u{202e}x", &long, "A\nB", "x/"] {
            let (repository, tag) = template.reference(&fields(name, name));
            let text = format!("h.example/p/{repository}:{tag}");
            assert!(is_reference(&text), "{name:?}: {text}");
            assert!(is_reference(&format!("h.example/x:{}", told_apart(&tag, "01b2c898-9"))), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_template_is_told() {
        for (text, says) in [
            ("{name}", "REPOSITORY:TAG"),
            ("{name}:", "REPOSITORY:TAG"),
            ("{nam}:x", "{nam}; there are {name}"),
            ("{name:x", "no such field"),
            ("a}:x", "no other one"),
            ("a:x{", "no other one"),
        ] {
            let error = text.parse::<Template>().unwrap_err().to_string();
            assert!(error.contains(says) || error.contains("no other one"), "{text}: {error}");
        }
        assert_eq!("{name}:{version}".parse::<Template>().unwrap().to_string(), DEFAULT_TEMPLATE);
    }
}
