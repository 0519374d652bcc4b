//! Reading one key or one section of the tree, with errors that name both.

use std::{fmt, ops::RangeInclusive};

use super::{
    ConfigError,
    tree::{Node, Origin, Value},
};

/// A mapping being read: keys are taken one by one, and what is left over at the end is an error.
pub(super) struct Section {
    path: String,
    entries: Vec<(String, Node)>,
    known: Vec<&'static str>,
}

/// One key's value, where it stands in the tree, and where it came from.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) node: Node,
}

impl Section {
    /// The value of `key`; `None` when it is absent or null.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        let (_, node) = self.entries.remove(at);
        let path = join(&self.path, key);
        (!matches!(node.value, Value::Null)).then_some(Field { path, node })
    }

    /// The mapping under `key`; an empty one when it is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Section, ConfigError> {
        match self.take(key) {
            Some(field) => field.section(),
            None => Ok(Section { path: join(&self.path, key), entries: Vec::new(), known: Vec::new() }),
        }
    }

    /// Refuses keys that nobody took, naming the nearest known one.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let Some((name, node)) = self.entries.into_iter().next() else { return Ok(()) };
        let near = self.known.iter().map(|k| (strsim::damerau_levenshtein(k, &name), *k)).min();
        let hint = match near {
            Some((distance, key)) if distance <= 1 + name.len() / 3 => format!("did you mean {key}?"),
            _ => format!("expected one of {}", self.known.join(", ")),
        };
        let problem = format!("unknown key; {hint}");
        Err(ConfigError { origin: node.origin.to_string(), key: join(&self.path, &name), problem })
    }
}

impl Field {
    /// An error about this value.
    pub(super) fn fault(&self, problem: impl fmt::Display) -> ConfigError {
        let problem = problem.to_string();
        ConfigError { origin: self.node.origin.to_string(), key: self.path.clone(), problem }
    }

    fn expected(&self, what: impl fmt::Display) -> ConfigError {
        self.fault(format!("expected {what}, got {}", Shown(&self.node.value)))
    }

    /// The value as a mapping.
    pub(super) fn section(self) -> Result<Section, ConfigError> {
        match self.node.value {
            Value::Map(entries) => Ok(Section { path: self.path, entries, known: Vec::new() }),
            _ => Err(self.expected("a mapping")),
        }
    }

    /// The value as a list; text from a flag is split at commas.
    pub(super) fn list(self) -> Result<Vec<Field>, ConfigError> {
        let items = match (self.node.value, &self.node.origin) {
            (Value::List(items), _) => items,
            (Value::Text(text), Origin::Flag { .. }) => split(&text, &self.node.origin),
            (value, _) => return Err(Self { path: self.path, node: Node { value, ..self.node } }.expected("a list")),
        };
        let path = self.path;
        Ok(items.into_iter().enumerate().map(|(i, node)| Field { path: format!("{path}[{i}]"), node }).collect())
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&str, ConfigError> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Number(_) | Value::Bool(_) => Err(self.expected("text (put it in quotes)")),
            _ => Err(self.expected("text")),
        }
    }

    /// The value as one of `choices`.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let found = match &self.node.value {
            Value::Text(text) => choices.iter().find(|(name, _)| name == text),
            _ => None,
        };
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.map(|(_, choice)| *choice).ok_or_else(|| self.expected(format!("one of {}", names())))
    }

    /// The value as a finite number in `range`, which `unit` says for people.
    pub(super) fn number(&self, range: RangeInclusive<f64>, unit: &str) -> Result<f64, ConfigError> {
        let what = || format!("a number from {} to {}{unit}", range.start(), range.end());
        self.as_number().filter(|n| range.contains(n)).ok_or_else(|| self.expected(what()))
    }

    /// The value as any number at all.
    pub(super) fn any_number(&self) -> Result<f64, ConfigError> {
        self.as_number().ok_or_else(|| self.expected("a number"))
    }

    /// The value as a whole number in `range`.
    pub(super) fn whole(&self, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
        let what = || format!("a whole number from {} to {}", range.start(), range.end());
        let fits = |n: &f64| n.fract() == 0.0 && (f64::from(*range.start())..=f64::from(*range.end())).contains(n);
        self.as_number().filter(fits).map(|n| n as u32).ok_or_else(|| self.expected(what()))
    }

    /// The value as true or false.
    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        match (&self.node.value, &self.node.origin) {
            (Value::Bool(b), _) => Ok(*b),
            (Value::Text(t), Origin::Flag { .. }) if t == "true" => Ok(true),
            (Value::Text(t), Origin::Flag { .. }) if t == "false" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    // Flags and variables are always text; in a file, quoted digits are text on purpose.
    fn as_number(&self) -> Option<f64> {
        match (&self.node.value, &self.node.origin) {
            (Value::Number(n), _) => Some(*n),
            (Value::Text(t), Origin::Flag { .. }) => t.trim().parse().ok(),
            _ => None,
        }
    }
}

/// The root as a section.
pub(super) fn root(node: Node) -> Result<Section, ConfigError> {
    match node.value {
        Value::Null => Ok(Section { path: String::new(), entries: Vec::new(), known: Vec::new() }),
        _ => Field { path: String::new(), node }.section(),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn split(text: &str, origin: &Origin) -> Vec<Node> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| Node { origin: origin.clone(), value: Value::Text(item.to_owned()) }).collect()
}

/// A value as an error message shows it.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("nothing"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Number(n) => write!(f, "{n}"),
            Value::Text(t) => write!(f, "{t:?}"),
            Value::List(_) => f.write_str("a list"),
            Value::Map(_) => f.write_str("a mapping"),
        }
    }
}
