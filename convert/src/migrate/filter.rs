//! Which images of a source are migrated.

use std::fmt;

use aurora_formats::model::Timestamp;
use aurora_formats::smartos::{Manifest, parse_iso};

use super::template::Fields;
use crate::imgapi;

/// Which images: all conditions must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// `FIELD=VALUE`, as `imageadm avail` has it.
    pub fields: Vec<imgapi::Filter>,
    /// Published then or later.
    pub since: Option<Date>,
    /// Published then or earlier.
    pub until: Option<Date>,
}

/// A day, or a moment of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Its first moment.
    first: Timestamp,
    /// Its last one.
    last: Timestamp,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Why a text is no [`Date`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a date is YYYY-MM-DD, or with a time YYYY-MM-DDTHH:MM:SSZ: {0}")]
pub struct DateError(String);

impl std::str::FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let bad = || DateError(text.chars().take(80).collect());
        if text.len() == 10 {
            let first = parse_iso(&format!("{text}T00:00:00Z")).ok_or_else(bad)?;
            let last = Timestamp { secs: first.secs + DAY - 1, nanos: 999_999_999 };
            return Ok(Self { first, last });
        }
        let at = parse_iso(text).ok_or_else(bad)?;
        Ok(Self { first: at, last: at })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = aurora_formats::smartos::to_iso(self.first);
        f.write_str(if self.first == self.last { &text } else { &text[..10] })
    }
}

impl Filters {
    /// What servers alone can tell of an image, and so have to be asked.
    pub(super) fn for_servers(&self) -> Vec<imgapi::Filter> {
        self.fields.iter().filter(|filter| filter.is_for_servers()).cloned().collect()
    }

    /// Whether a SmartOS image fits.
    pub(super) fn fit(&self, manifest: &Manifest) -> bool {
        self.fields.iter().all(|filter| filter.fits(manifest))
            && self.fit_date(manifest.published_at().ok().flatten())
    }

    /// Whether any other image fits: of it, name, version, type and os are known.
    pub(super) fn fit_fields(&self, fields: &Fields) -> bool {
        let mut object = aurora_formats::smartos::Object::default();
        let known = [
            ("name", &fields.name),
            ("version", &fields.version),
            ("type", &fields.image_type),
            ("os", &fields.os),
            ("published_at", &fields.published),
        ];
        for (name, value) in known.into_iter().filter(|(_, value)| !value.is_empty()) {
            object.set(name, value.as_str());
        }
        self.fit(&Manifest::new(object))
    }

    /// What is not known is neither before nor after.
    fn fit_date(&self, published: Option<Timestamp>) -> bool {
        let order = |at: Timestamp| (at.secs, at.nanos);
        let since = self.since.is_none_or(|date| published.is_some_and(|at| order(at) >= order(date.first)));
        let until = self.until.is_none_or(|date| published.is_some_and(|at| order(at) <= order(date.last)));
        since && until
    }

    /// As they were given, for the plan.
    pub(super) fn shown(&self) -> Vec<String> {
        let fields = self.fields.iter().map(ToString::to_string);
        let since = self.since.iter().map(|date| format!("since {date}"));
        fields.chain(since).chain(self.until.iter().map(|date| format!("until {date}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_dates_must_all_fit() {
        let manifest = Manifest::parse(
            br#"{"v":2,"name":"base","version":"1","os":"linux","tags":{"role":"os"},"published_at":"2020-02-29T12:00:00.000Z"}"#,
        )
        .unwrap();
        let filters = |fields: &[&str], since: &str, until: &str| Filters {
            fields: fields.iter().map(|text| text.parse().unwrap()).collect(),
            since: (!since.is_empty()).then(|| since.parse().unwrap()),
            until: (!until.is_empty()).then(|| until.parse().unwrap()),
        };
        for (fields, since, until, fits) in [
            (&["name=~as", "tag.role=os"][..], "", "", true),
            (&["name=other"], "", "", false),
            (&[], "2020-02-29", "2020-02-29", true),
            (&[], "2020-03-01", "", false),
            (&[], "", "2020-02-28", false),
            (&[], "2020-02-29T12:00:00Z", "2020-02-29T12:00:00Z", true),
            (&[], "2020-02-29T12:00:01Z", "", false),
            (&["os=linux"], "2019-01-01", "", true),
        ] {
            let filters = filters(fields, since, until);
            assert_eq!(filters.fit(&manifest), fits, "{filters:?}");
        }
        let no_date = Manifest::parse(br#"{"v":2,"name":"base"}"#).unwrap();
        assert!(!filters(&[], "2000-01-01", "").fit(&no_date));
        assert_eq!(filters(&["a=b"], "2020-01-02", "").shown(), ["a=b", "since 2020-01-02"]);
        for bad in ["", "2020", "2020-13-01", "yesterday", "2020-01-01x"] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }

    #[test]
    fn images_without_a_manifest_fit_by_what_is_known() {
        let fields = Fields { name: "web".into(), version: "1".into(), ..Fields::default() };
        let fits = |text: &str| {
            Filters { fields: vec![text.parse().unwrap()], ..Filters::default() }.fit_fields(&fields)
        };
        assert!(fits("name=web") && fits("version=1") && !fits("os=linux") && !fits("name=x"));
    }
}
