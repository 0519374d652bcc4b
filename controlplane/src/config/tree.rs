//! A configuration as a tree of values that know where they came from.

use std::{fmt, path::Path, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::ConfigError;

/// Where a value came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// Nowhere: it is not set.
    Unset,
    /// A line of a file, counted from 1.
    File { path: Arc<str>, line: u64 },
    /// A flag or its variable; no flag: a variable alone.
    Flag { flag: &'static str, variable: &'static str },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("configuration"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Flag { flag: "", variable } => f.write_str(variable),
            Self::Flag { flag, variable } => write!(f, "--{flag} (or {variable})"),
        }
    }
}

/// A value and its origin.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What YAML can say, as far as a configuration needs it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A configuration that says nothing.
pub(super) fn empty() -> Node {
    Node { origin: Origin::Unset, value: Value::Map(Vec::new()) }
}

/// Parses the file at `path`.
pub(super) fn from_file(path: &Path) -> Result<Node, ConfigError> {
    let name: Arc<str> = path.display().to_string().into();
    let whole = |problem: String| ConfigError { origin: name.to_string(), key: String::new(), problem };
    let text = std::fs::read_to_string(path).map_err(|e| whole(format!("cannot be read: {e}")))?;
    let raw: Spanned<Raw> = serde_saphyr::from_str(&text).map_err(|e| syntax_error(&name, &e))?;
    Ok(node(raw, &name))
}

fn syntax_error(name: &Arc<str>, error: &serde_saphyr::Error) -> ConfigError {
    let line = error.location().map_or(1, |l| l.line());
    let problem = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("expected each key once, but {key} is given here again: remove one of them")
        }
        error => format!("expected valid YAML: {}", error.to_string().lines().next().unwrap_or_default()),
    };
    ConfigError { origin: format!("{name}:{line}"), key: String::new(), problem }
}

fn node(raw: Spanned<Raw>, name: &Arc<str>) -> Node {
    let origin = Origin::File { path: name.clone(), line: raw.referenced.line() };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(b) => Value::Bool(b),
        Raw::Number(n) => Value::Number(n),
        Raw::Text(t) => Value::Text(t),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, name)).collect()),
        Raw::Map(entries) => Value::Map(entries.into_iter().map(|(key, raw)| entry(key, raw, name)).collect()),
    };
    Node { origin, value }
}

// A key's own line is what an editor should jump to, also when its value is a block that starts a line later.
fn entry(key: Spanned<String>, raw: Spanned<Raw>, name: &Arc<str>) -> (String, Node) {
    let mut value = node(raw, name);
    value.origin = Origin::File { path: name.clone(), line: key.referenced.line() };
    (key.value, value)
}

enum Raw {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
