//! A manifest as a whole: what it says, and the bytes it was.

use crate::model::Timestamp;

use super::upgrade::upgrade;
use super::{ImageFile, ImageOs, ImageType, Json, Object, SmartosError, Uuid};

/// A manifest of version 2. Reading is lenient as the reference is: numbers may be strings and the other way
/// round; what is there but makes no sense is an error of the accessor that needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    object: Object,
    /// The document, for as long as nobody has changed it.
    raw: Option<Box<[u8]>>,
}

impl Manifest {
    /// Reads a manifest; one of version 1 is upgraded.
    pub fn parse(bytes: &[u8]) -> Result<Self, SmartosError> {
        let (object, is_upgraded) = Self::upgraded(Json::parse(bytes)?)?;
        Ok(Self { object, raw: (!is_upgraded).then(|| bytes.into()) })
    }

    /// Takes a manifest out of a larger document.
    pub fn from_json(json: Json) -> Result<Self, SmartosError> {
        Ok(Self { object: Self::upgraded(json)?.0, raw: None })
    }

    fn upgraded(json: Json) -> Result<(Object, bool), SmartosError> {
        let actual = json.kind();
        let Json::Object(mut object) = json else { return Err(SmartosError::NotAnObject { actual }) };
        let is_upgraded = upgrade(&mut object)?;
        Ok((object, is_upgraded))
    }

    /// A new manifest of these members.
    pub fn new(object: Object) -> Self {
        Self { object, raw: None }
    }

    /// All members.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Sets a member. From now on the document is not the one that was read.
    pub fn set(&mut self, name: &str, value: impl Into<Json>) {
        let value = value.into();
        if self.object.get(name) != Some(&value) {
            self.object.set(name, value);
            self.raw = None;
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) {
        if self.object.remove(name).is_some() {
            self.raw = None;
        }
    }

    /// The document: the bytes that were read unless something was changed, else indented JSON and a newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.raw {
            Some(raw) => raw.to_vec(),
            None => (Json::Object(self.object.clone()).to_pretty() + "\n").into_bytes(),
        }
    }

    /// `uuid`
    pub fn uuid(&self) -> Result<Uuid, SmartosError> {
        self.uuid_of("uuid")?.ok_or(SmartosError::Missing { field: "uuid" })
    }

    /// `origin`: the image that this one is an increment of.
    pub fn origin(&self) -> Result<Option<Uuid>, SmartosError> {
        self.uuid_of("origin")
    }

    fn uuid_of(&self, field: &'static str) -> Result<Option<Uuid>, SmartosError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        // Some tools write upper case, which the reference refuses in validation only.
        let parsed = text.to_ascii_lowercase().parse();
        parsed.map(Some).map_err(|source| SmartosError::Uuid { field, source })
    }

    /// `name`
    pub fn name(&self) -> Result<Option<String>, SmartosError> {
        self.text("name")
    }

    /// `version`, also where it is a number.
    pub fn version(&self) -> Result<Option<String>, SmartosError> {
        self.text("version")
    }

    /// `type`
    pub fn image_type(&self) -> Result<ImageType, SmartosError> {
        let text = self.text("type")?.ok_or(SmartosError::Missing { field: "type" })?;
        text.parse().map_err(|()| self.wrong("type", "zone-dataset, lx-dataset, zvol, docker, lxd or other"))
    }

    /// `os`; docker layers for anything but Linux have none.
    pub fn os(&self) -> Result<Option<ImageOs>, SmartosError> {
        let Some(text) = self.text("os")? else { return Ok(None) };
        let parsed =
            text.parse().map_err(|()| self.wrong("os", "smartos, linux, windows, bsd, illumos or other"));
        parsed.map(Some)
    }

    /// `files`; none where an image was never uploaded, or is a docker layer as imgadm stores it.
    pub fn files(&self) -> Result<Vec<ImageFile>, SmartosError> {
        match self.object.get("files") {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::Array(files)) => {
                files.iter().enumerate().map(|(at, f)| ImageFile::parse(f, at)).collect()
            }
            Some(_) => Err(self.wrong("files", "an array")),
        }
    }

    /// `published_at`
    pub fn published_at(&self) -> Result<Option<Timestamp>, SmartosError> {
        let Some(text) = self.text("published_at")? else { return Ok(None) };
        parse_iso(&text).map(Some).ok_or_else(|| self.wrong("published_at", "YYYY-MM-DDTHH:MM:SS(.mmm)Z"))
    }

    /// `image_size`: MiB of a disk.
    pub fn image_size(&self) -> Result<Option<u64>, SmartosError> {
        match self.object.get("image_size") {
            None | Some(Json::Null) => Ok(None),
            Some(size) => {
                size.as_count().map(Some).ok_or_else(|| self.wrong("image_size", "a number of MiB"))
            }
        }
    }

    /// One of `tags`.
    pub fn tag(&self, name: &str) -> Option<&Json> {
        self.object.get("tags")?.as_object()?.get(name)
    }

    /// One of `requirements`.
    pub fn requirement(&self, name: &str) -> Option<&Json> {
        self.object.get("requirements")?.as_object()?.get(name)
    }

    /// A string field; a number is taken for its digits.
    pub fn text(&self, field: &str) -> Result<Option<String>, SmartosError> {
        match self.object.get(field) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(number @ Json::Number(_)) => Ok(Some(number.to_compact())),
            Some(_) => Err(self.wrong(field, "a string")),
        }
    }

    fn wrong(&self, field: &str, expected: &'static str) -> SmartosError {
        let actual = self.object.get(field).map_or_else(String::new, Json::shortened);
        SmartosError::Field { field: field.to_owned(), expected, actual }
    }
}

/// What imgadm keeps of an installed image, `/var/imgadm/images/POOL-UUID.json`, and an element of `list -j`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The manifest; of an image that imgadm did not install, only its uuid is known.
    pub manifest: Object,
    /// The pool it is in.
    pub zpool: Option<String>,
    /// The server it came from.
    pub source: Option<String>,
}

impl Record {
    /// Reads a record; `None` where the document is something else (a bare manifest, for example).
    pub fn from_json(json: &Json) -> Option<Self> {
        let object = json.as_object()?;
        let manifest = object.get("manifest")?.as_object()?.clone();
        let text = |name| object.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Self { manifest, zpool: text("zpool"), source: text("source") })
    }
}

/// A time as manifests write it, in UTC with milliseconds.
pub fn to_iso(time: Timestamp) -> String {
    let (days, seconds) = (time.secs.div_euclid(86_400), time.secs.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millis = time.nanos / 1_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads `YYYY-MM-DDTHH:MM:SS`, a fraction of any length, and `Z` or an offset.
pub fn parse_iso(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let mark = |at: usize| text.as_bytes().get(at).copied();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, b)| mark(*at) == Some(*b)) || !matches!(mark(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_time =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let mut rest = text.get(19..).filter(|_| is_time)?;
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let kept: String = fraction[..digits].chars().chain(std::iter::repeat('0')).take(9).collect();
        nanos = kept.parse().ok().filter(|_| digits > 0)?;
        rest = &fraction[digits..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            let part = |p: &str| p.parse::<i64>().ok().filter(|n| p.len() == 2 && (0..60).contains(n));
            sign * (part(hours)? * 3600 + part(minutes)? * 60)
        }
    };
    let secs = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp { secs, nanos })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March, so that the
/// leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day counted from 1970-01-01: the way back of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_documents_keep_their_bytes_and_changed_ones_their_order() {
        let text = b"{ \"v\":\"2\",\n\t\"version\": 1.5, \"x\":1, \"uuid\":\"1F9B7958-289e-4ea3-8f88-5486a40d6823\" }";
        let mut manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.to_bytes(), text);
        assert_eq!(manifest.version().unwrap().as_deref(), Some("1.5"));
        assert_eq!(manifest.uuid().unwrap().to_string(), "1f9b7958-289e-4ea3-8f88-5486a40d6823");
        manifest.set("x", 1);
        assert_eq!(manifest.to_bytes(), text, "nothing was changed");
        manifest.set("x", 2);
        let bytes = String::from_utf8(manifest.to_bytes()).unwrap();
        assert!(bytes.starts_with("{\n  \"v\": \"2\",\n  \"version\": 1.5,\n  \"x\": 2,"), "{bytes}");
    }

    #[test]
    fn fields_that_make_no_sense_are_named() {
        let manifest = |text: &str| Manifest::parse(text.as_bytes()).unwrap();
        let cases: Vec<(SmartosError, &str)> = vec![
            (manifest(r#"{"v":2}"#).uuid().unwrap_err(), "manifest has no field: uuid"),
            (
                manifest(r#"{"v":2,"type":"x"}"#).image_type().unwrap_err(),
                "manifest field type is not zone-dataset, lx-dataset, zvol, docker, lxd or other: \"x\"",
            ),
            (
                manifest(r#"{"v":2,"files":[{"size":-1}]}"#).files().unwrap_err(),
                "manifest field files[0].size is not a number of bytes: -1",
            ),
            (
                manifest(r#"{"v":2,"origin":"x"}"#).origin().unwrap_err(),
                "manifest field origin: not a lower-case uuid: \"x\"",
            ),
            (Manifest::parse(b"[]").unwrap_err(), "manifest is no JSON object: found an array"),
        ];
        for (error, want) in cases {
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn installed_records_hold_manifests() {
        for (name, version) in
            [("installed-record-pkgbuild.json", true), ("installed-record-orphan.json", false)]
        {
            let path = format!("{}/../corpus/smartos/{name}", env!("CARGO_MANIFEST_DIR"));
            let record = Record::from_json(&Json::parse(&std::fs::read(path).unwrap()).unwrap()).unwrap();
            assert_eq!(record.zpool.as_deref(), Some("zones"));
            assert_eq!(Manifest::from_json(record.manifest.into()).is_ok(), version, "{name}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        let cases = [
            ("1970-01-01T00:00:00.000Z", 0, 0),
            ("2012-10-11T14:40:57.936Z", 1_349_966_457, 936_000_000),
            ("2000-02-29T23:59:59.000Z", 951_868_799, 0),
            ("1969-12-31T23:59:59.500Z", -1, 500_000_000),
        ];
        for (text, secs, nanos) in cases {
            let time = Timestamp { secs, nanos };
            assert_eq!((parse_iso(text), to_iso(time).as_str()), (Some(time), text));
        }
        assert_eq!(parse_iso("2012-10-11T16:40:57+02:00"), Some(Timestamp::from_secs(1_349_966_457)));
        assert_eq!(to_iso(parse_iso("2014-11-21T02:55:35.850292608Z").unwrap()), "2014-11-21T02:55:35.850Z");
        for bad in [
            "",
            "2012-10-11",
            "2012-13-11T00:00:00Z",
            "2012-10-11T00:00:00",
            "2012-10-11T00:00:00.Z",
            "2012-10-11T00:00:00é",
        ] {
            assert_eq!(parse_iso(bad), None, "{bad}");
        }
    }
}
