//! Two JSON trees, side by side.

use super::Changed;
use crate::json::{Node, write_string};

/// The longest list whose items are matched by what they say; those of longer ones are by their index.
const MATCHED: usize = 64;

/// The places in which two Observations differ, but for their identifiers and a tag of the system `ignored_tag`.
pub(super) fn tree_changes(
    before: &Node<'_>,
    after: &Node<'_>,
    ignored_tag: Option<&str>,
    out: &mut Vec<Changed>,
) {
    Walk { ignored_tag, path: String::new(), out }.nodes(before, after);
}

/// A node as compact JSON text, numbers with their digits.
pub(super) fn text(node: &Node<'_>) -> String {
    let mut out = String::new();
    write(node, &mut out);
    out
}

fn write(node: &Node<'_>, out: &mut String) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Node::Number(number) => out.push_str(number),
        Node::Text(text) => write_string(out, text),
        Node::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Node::Object(members) => {
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write_string(out, name);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

struct Walk<'w> {
    ignored_tag: Option<&'w str>,
    path: String,
    out: &'w mut Vec<Changed>,
}

impl Walk<'_> {
    fn nodes(&mut self, before: &Node<'_>, after: &Node<'_>) {
        match (before, after) {
            (Node::Object(old), Node::Object(new)) => {
                for (name, value) in old.iter() {
                    self.member(name, Some(value), after.get(name));
                }
                for (name, value) in new.iter().filter(|(name, _)| before.get(name).is_none()) {
                    self.member(name, None, Some(value));
                }
            }
            (Node::Array(old), Node::Array(new)) => {
                let counts = |node: &&Node<'_>| !self.is_ignored(node);
                let old: Vec<&Node<'_>> = old.iter().filter(counts).collect();
                let new: Vec<&Node<'_>> = new.iter().filter(counts).collect();
                for (at_old, at_new) in pairs(&old, &new) {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{}]", at_new.or(at_old).unwrap_or_default()));
                    let item = |list: &[&'_ Node<'_>], at: Option<usize>| {
                        at.and_then(|at| list.get(at).copied().map(text))
                    };
                    match (at_old.and_then(|at| old.get(at)), at_new.and_then(|at| new.get(at))) {
                        (Some(old), Some(new)) => self.nodes(old, new),
                        _ => self.push(item(&old, at_old), item(&new, at_new)),
                    }
                    self.path.truncate(length);
                }
            }
            _ if before == after => {}
            _ => self.push(Some(text(before)), Some(text(after))),
        }
    }

    fn member(&mut self, name: &str, before: Option<&Node<'_>>, after: Option<&Node<'_>>) {
        let length = self.path.len();
        if length == 0 && name == "identifier" {
            return;
        }
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        match (before, after) {
            (Some(before), Some(after)) => self.nodes(before, after),
            _ => self.push(before.map(text), after.map(text)),
        }
        self.path.truncate(length);
    }

    fn push(&mut self, before: Option<String>, after: Option<String>) {
        self.out.push(Changed { path: self.path.clone(), before, after });
    }

    fn is_ignored(&self, item: &Node<'_>) -> bool {
        let system = || match item.get("system") {
            Some(Node::Text(system)) => Some(system.as_ref()),
            _ => None,
        };
        self.path == "meta.tag" && self.ignored_tag.is_some() && system() == self.ignored_tag
    }
}

/// Which item of one list is which of the other, in the order of both: equal ones by what they are, then those between
/// them one after the other.
fn pairs(old: &[&Node<'_>], new: &[&Node<'_>]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut out = Vec::new();
    let (mut from_old, mut from_new) = (0, 0);
    let ends = std::iter::once((old.len(), new.len()));
    for (to_old, to_new) in same(old, new).into_iter().chain(ends) {
        for n in 0..(to_old - from_old).max(to_new - from_new) {
            let within = |from: usize, to: usize| (from + n < to).then_some(from + n);
            out.push((within(from_old, to_old), within(from_new, to_new)));
        }
        if to_old < old.len() {
            out.push((Some(to_old), Some(to_new)));
        }
        (from_old, from_new) = (to_old + 1, to_new + 1);
    }
    out
}

/// The longest row of items that are the same in both lists.
fn same(old: &[&Node<'_>], new: &[&Node<'_>]) -> Vec<(usize, usize)> {
    if old.len() > MATCHED || new.len() > MATCHED {
        return Vec::new();
    }
    let keys = |list: &[&Node<'_>]| list.iter().map(|item| key(item)).collect::<Vec<_>>();
    let (old, new) = (keys(old), keys(new));
    // lengths[i][j]: of the longest row in old[i..] and new[j..].
    let mut lengths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    let at = |lengths: &[Vec<usize>], i: usize, j: usize| {
        lengths.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default()
    };
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let longest = if a == b {
                at(&lengths, i + 1, j + 1) + 1
            } else {
                at(&lengths, i + 1, j).max(at(&lengths, i, j + 1))
            };
            lengths.get_mut(i).and_then(|row| row.get_mut(j)).into_iter().for_each(|l| *l = longest);
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if a == b {
            out.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if at(&lengths, i + 1, j) >= at(&lengths, i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

/// What an item is, whatever its value: its code, else all of it.
fn key(item: &Node<'_>) -> String {
    match (item.get("system"), item.get("code")) {
        (system, Some(code)) => format!("{}|{}", system.map(text).unwrap_or_default(), text(code)),
        _ => text(item),
    }
}
