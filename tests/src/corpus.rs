//! Where test data is, and what its indexes say.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A path below `corpus/`.
pub fn corpus(path: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    top.join("corpus").join(path)
}

/// The uncompressed content of a `.gz` of the corpus.
pub fn gunzip(path: &Path) -> Vec<u8> {
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (_, mut reader) = aurora_engine::codec::reader(Box::new(file), 1 << 32, 1).unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A stream of `corpus/zfs`, as its index has it.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Without `.zfs.gz`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// ok, embedded-spill; encrypted, redacted, resume, partial.
    pub expect: String,
    /// Image names of the streams below it, base first.
    pub origins: Vec<String>,
    /// `dataset@snapshot` that it is the stream of.
    pub snapshot: String,
}

impl Stream {
    /// Its image name.
    pub fn image(&self) -> String {
        format!("zfs:{}", self.path.display())
    }

    /// The manifests beside it: the snapshot of a package that each is of (`None`: the stream's own), and the file.
    pub fn manifests(&self) -> Vec<(Option<String>, PathBuf)> {
        let folder = self.path.parent().expect("a file has a folder");
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(rest) = file.strip_suffix(".manifest.jsonl").and_then(|f| f.strip_prefix(&self.name))
            else {
                continue;
            };
            let dataset = self.snapshot.split('@').next().unwrap_or_default();
            if rest.is_empty() {
                found.push((None, path));
            } else if let Some(snap) = rest.strip_prefix('@') {
                found.push((Some(format!("{dataset}@{snap}")), path));
            } else if let Some(rest) = rest.strip_prefix(',') {
                found.push((Some(format!("tank/{}", rest.replace(',', "/"))), path));
            }
        }
        found.sort();
        found
    }
}

/// Every stream of `corpus/zfs` or of a folder below it.
pub fn streams(folder: &str) -> Vec<Stream> {
    let folder = corpus("zfs").join(folder);
    let text = fs::read_to_string(folder.join("index.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |name: &str| rows.iter().find(|r| r["stream"] == name).expect("a base is in the index");
    let of = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.iter()
        .map(|row| {
            let mut origins = Vec::new();
            let mut below = row["base"].as_str();
            while let Some(name) = below {
                origins.insert(0, format!("zfs:{}", folder.join(name).display()));
                below = find(name)["base"].as_str();
            }
            let file = of(row, "stream");
            Stream {
                name: file.trim_end_matches(".zfs.gz").to_owned(),
                path: folder.join(&file),
                expect: of(row, "expect"),
                origins,
                snapshot: of(row, "how").split(' ').next_back().unwrap_or_default().to_owned(),
            }
        })
        .collect()
}

/// Every tag of `corpus/oci/SET` (`quirks`, `malformed`) with what peers make of it.
pub fn quirk_tags(set: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(corpus(&format!("oci/{set}.expected/agreement.tsv"))).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        Some((cells.next()?, cells.next()?))
    };
    text.lines().skip(1).filter_map(row).collect()
}
