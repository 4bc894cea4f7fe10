//! Values as text of a format. The same value gives the same bytes: keys are sorted.

use serde::Deserialize;
use serde_json::Value;

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Toml,
    Yaml,
    Json,
    /// A string as it is.
    Text,
}

/// No configuration is larger. Text can be far larger than the value it comes from: TOML repeats all keys
/// above a table, YAML and JSON are indented.
const MAX_OUTPUT: usize = 16 << 20;

/// The text. An error says what of the value does not fit the format.
pub(super) fn render(format: Format, value: &Value) -> Result<Vec<u8>, String> {
    weigh(value, 0, &mut 0)?;
    let text = match format {
        Format::Text => value.as_str().ok_or("as text, data has to be a string")?.to_owned(),
        Format::Json => serde_json::to_string_pretty(value).map_err(|e| e.to_string())? + "\n",
        Format::Yaml => serde_saphyr::to_string(value).map_err(|e| e.to_string())?,
        Format::Toml => {
            let toml::Value::Table(table) = to_toml(value)? else {
                return Err("as TOML, data has to be an object".to_owned());
            };
            toml::to_string(&table).map_err(|e| e.to_string())?
        }
    };
    Ok(text.into_bytes())
}

/// Adds up what no format needs more than: `above` is the length of indentation and keys that a line can
/// begin with.
fn weigh(value: &Value, above: usize, sum: &mut usize) -> Result<(), String> {
    /// A byte of a string as an escape, in the worst case; and what stands around it.
    const ESCAPED: usize = 10;
    const AROUND: usize = 32;
    *sum += above + AROUND + value.as_str().map_or(0, |text| text.len() * ESCAPED);
    if *sum > MAX_OUTPUT {
        return Err(format!("too much data: as text it can take more than {MAX_OUTPUT} bytes"));
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| weigh(item, above + 4, sum)),
        Value::Object(members) => {
            members.iter().try_for_each(|(key, item)| weigh(item, above + 4 + key.len() * ESCAPED, sum))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn to_toml(value: &Value) -> Result<toml::Value, String> {
    Ok(match value {
        Value::Null => return Err("TOML has no null".to_owned()),
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => toml::Value::Integer(integer),
            (None, Some(float)) if number.is_f64() => toml::Value::Float(float),
            _ => return Err(format!("TOML's integers have 64 bits and a sign: {number}")),
        },
        Value::Array(items) => toml::Value::Array(items.iter().map(to_toml).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| Ok((key.clone(), to_toml(value)?));
            toml::Value::Table(members.iter().map(member).collect::<Result<_, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use yaml_rust2::{Yaml, YamlLoader};

    use super::*;

    fn text(format: Format, value: &Value) -> String {
        String::from_utf8(render(format, value).unwrap()).unwrap()
    }

    #[test]
    fn each_format() {
        let value = json!({"b": {"list": [1, 2.5, true], "s": "x"}, "a": "text\n\"q\""});
        assert_eq!(
            text(Format::Toml, &value),
            "a = \"\"\"\ntext\n\"q\"\"\"\"\n\n[b]\nlist = [1, 2.5, true]\ns = \"x\"\n"
        );
        assert_eq!(
            text(Format::Json, &value),
            "{\n  \"a\": \"text\\n\\\"q\\\"\",\n  \"b\": {\n    \"list\": [\n      1,\n      2.5,\n      true\n    ],\n    \"s\": \"x\"\n  }\n}\n"
        );
        assert_eq!(text(Format::Text, &json!("as it is")), "as it is");
    }

    #[test]
    fn what_does_not_fit() {
        let cases = [
            (Format::Toml, json!([1]), "as TOML, data has to be an object"),
            (Format::Toml, json!({"a": [null]}), "TOML has no null"),
            (
                Format::Toml,
                json!({"a": u64::MAX}),
                "TOML's integers have 64 bits and a sign: 18446744073709551615",
            ),
            (Format::Text, json!(1), "as text, data has to be a string"),
        ];
        for (format, value, want) in cases {
            assert_eq!(render(format, &value).unwrap_err(), want);
        }
    }

    #[test]
    fn output_is_bounded() {
        // 100 000 tables below a key of 100 000 bytes.
        let tables: serde_json::Map<_, _> = (0..100_000).map(|n| (n.to_string(), json!({}))).collect();
        let bomb = json!({ "k".repeat(100_000): tables });
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            assert!(render(format, &bomb).unwrap_err().starts_with("too much data"));
        }
    }

    /// The value that a YAML document stands for, as another reader understands it.
    fn from_yaml(yaml: &Yaml) -> Value {
        match yaml {
            Yaml::Real(_) => json!(yaml.as_f64().unwrap()),
            Yaml::Integer(n) => json!(n),
            Yaml::String(s) => json!(s),
            Yaml::Boolean(b) => json!(b),
            Yaml::Array(items) => items.iter().map(from_yaml).collect(),
            Yaml::Hash(members) => {
                members.iter().map(|(k, v)| (k.as_str().unwrap().to_owned(), from_yaml(v))).collect()
            }
            Yaml::Null => Value::Null,
            Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?}"),
        }
    }

    fn values(null: bool) -> impl Strategy<Value = Value> {
        let odd = [
            "",
            "yes",
            "No",
            "null",
            "~",
            "1",
            "0x1f",
            "1e3",
            ".inf",
            "-",
            "- a",
            "a: b",
            "#",
            "2024-01-01",
            "!t",
            " x ",
        ];
        let string = prop_oneof![
            any::<String>(),
            "[a-z:#'\"\\\\\n\t -]{0,12}",
            proptest::sample::select(odd.map(str::to_owned).to_vec()),
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000..1000_i32).prop_map(|n| json!(f64::from(n) / 8.0 + 0.0625)),
            string.clone().prop_map(Value::from),
            Just(if null { Value::Null } else { json!(0) }),
        ];
        let tree = leaf.prop_recursive(4, 32, 6, move |inner| {
            let key = prop_oneof!["[a-zA-Z0-9_.-]{1,8}", string.clone()];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(key, inner, 0..6).prop_map(|m| m.into_iter().collect()),
            ]
        });
        proptest::collection::btree_map("[a-z]{1,4}", tree, 0..5).prop_map(|m| m.into_iter().collect())
    }

    proptest! {
        #[test]
        fn another_reader_understands_yaml(value in values(true)) {
            let yaml = text(Format::Yaml, &value);
            let read = YamlLoader::load_from_str(&yaml).map_err(|e| TestCaseError::fail(format!("{e}\n{yaml}")))?;
            prop_assert_eq!(read.first().map_or(Value::Null, from_yaml), value, "{}", yaml);
        }

        #[test]
        fn a_reader_understands_toml(value in values(false)) {
            let toml = text(Format::Toml, &value);
            let read: Value = toml::from_str::<toml::Table>(&toml)
                .map(|table| serde_json::to_value(table).unwrap())
                .map_err(|e| TestCaseError::fail(format!("{e}\n{toml}")))?;
            prop_assert_eq!(read, value, "{}", toml);
        }
    }
}
