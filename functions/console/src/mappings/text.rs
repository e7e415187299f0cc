//! Texts: a document's own examples, its version, JSON on lines, and what two documents differ in.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

/// The most lines of a difference that are shown.
const MOST_LINES: usize = 400;

/// How long two texts are compared before a coarser comparison has to do.
const COMPARED_FOR: Duration = Duration::from_millis(300);

/// A made-up page that a document brings to be tested with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) name: String,
    pub(super) page: String,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The pages of a document's examples, where they are written as blocks. Found by their look, because a document that does not
/// parse has them as well.
pub(super) fn examples(document: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut name = "";
    let mut lines = document.lines().skip_while(|line| !line.starts_with("examples:")).skip(1).peekable();
    while let Some(line) = lines.next() {
        let key = line.trim_start_matches([' ', '-']);
        if let Some(said) = key.strip_prefix("name:") {
            name = said.trim().trim_matches(['"', '\'']);
        }
        if !matches!(key.trim_end(), "page: |" | "page: |-" | "page: >" | "page: >-") {
            continue;
        }
        let outer = line.len() - key.len();
        let mut block = Vec::new();
        while let Some(inner) = lines.next_if(|inner| inner.trim().is_empty() || indent(inner) > outer) {
            block.push(inner);
        }
        let shift = block.iter().filter(|l| !l.trim().is_empty()).map(|l| indent(l)).min().unwrap_or(0);
        let text: Vec<_> = block.iter().map(|line| line.get(shift..).unwrap_or_default()).collect();
        found.push(Example { name: name.to_owned(), page: text.join("\n").trim_end().to_owned() });
    }
    found
}

/// The document under another version: the number in its line `version:` is replaced. `None` where it has no such line.
pub(super) fn with_version(document: &str, version: u32) -> Option<String> {
    let mut done = false;
    let lines = document.split_inclusive('\n').map(|line| {
        let rest = line.strip_prefix("version:").filter(|_| !done);
        let Some(rest) = rest else { return line.to_owned() };
        done = true;
        // A remark stays.
        let behind = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        format!("version: {version}{behind}")
    });
    let text: String = lines.collect();
    done.then_some(text)
}

/// JSON on lines of its own. Numbers and texts stay letter by letter.
pub(super) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut letters = json.chars().peekable();
    while let Some(letter) = letters.next() {
        if in_text {
            out.push(letter);
            in_text = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' | '[' => {
                out.push(letter);
                while letters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if letters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    continue;
                }
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = letter == '"';
                out.push(letter);
            }
        }
    }
    out
}

/// A line of a difference.
pub(super) struct DiffLine {
    /// `add`, `del`, `same`, or `gap` where lines are left out.
    pub(super) class: &'static str,
    /// `+`, `-` or a blank.
    pub(super) sign: &'static str,
    /// For who does not see the sign.
    pub(super) word: &'static str,
    /// The line in the newer text, else in the older one; from 1.
    pub(super) number: usize,
    pub(super) text: String,
}

/// What two texts differ in, with two lines around each place.
pub(super) struct Diff {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) lines: Vec<DiffLine>,
    /// Whether there is more than is shown.
    pub(super) more: bool,
}

impl Diff {
    pub(super) fn of(before: &str, after: &str) -> Self {
        let diff = TextDiff::configure().timeout(COMPARED_FOR).diff_lines(before, after);
        let mut found = Self { added: 0, removed: 0, lines: Vec::new(), more: false };
        for (nth, group) in diff.grouped_ops(2).iter().enumerate() {
            if nth > 0 {
                found.push(DiffLine { class: "gap", sign: "", word: "", number: 0, text: "…".to_owned() });
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let (class, sign, word) = match change.tag() {
                    ChangeTag::Insert => ("add", "+", "added"),
                    ChangeTag::Delete => ("del", "-", "removed"),
                    ChangeTag::Equal => ("same", " ", ""),
                };
                found.added += usize::from(class == "add");
                found.removed += usize::from(class == "del");
                let number = change.new_index().or(change.old_index()).map_or(0, |index| index + 1);
                let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
                found.push(DiffLine { class, sign, word, number, text });
            }
        }
        found
    }

    fn push(&mut self, line: DiffLine) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(line);
        } else {
            self.more = true;
        }
    }

    /// Whether they are the same.
    pub(super) fn nothing(&self) -> bool {
        self.added + self.removed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "mapping: a/b\nversion: 1 # ours\nobserve:\n  page: |\n    no\nexamples:\n  - name: one\n    page: |\n      {\"a\":\n        1}\n\n    \
                            expect: |\n      []\n  - name: \"two\"\n    page: |-\n      {}\n";

    #[test]
    fn examples_are_found_by_their_look() {
        let example = |name: &str, page: &str| Example { name: name.into(), page: page.into() };
        assert_eq!(examples(DOCUMENT), [example("one", "{\"a\":\n  1}"), example("two", "{}")]);
        assert_eq!(examples("mapping: [\n"), []);
    }

    #[test]
    fn another_version_changes_one_line() {
        let changed = with_version(DOCUMENT, 1000).unwrap();
        assert_eq!(changed, DOCUMENT.replace("version: 1 #", "version: 1000 #"));
        assert_eq!(with_version("mapping: a/b\n", 1000), None);
    }

    #[test]
    fn json_keeps_its_digits_and_texts() {
        let lines = pretty(r#"{"a":72.10,"b":[],"c":{ },"d":["x\"{,}:\\",1e2]}"#);
        assert_eq!(
            lines,
            "{\n  \"a\": 72.10,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    \"x\\\"{,}:\\\\\",\n    1e2\n  ]\n}"
        );
    }

    #[test]
    fn a_difference_has_its_place() {
        let diff = Diff::of("a\nb\nc\n", "a\nB\nc\nd\n");
        let shown: Vec<_> = diff.lines.iter().map(|l| format!("{}{}{}", l.number, l.sign, l.text)).collect();
        assert_eq!(shown, ["1 a", "2-b", "2+B", "3 c", "4+d"]);
        assert_eq!((diff.added, diff.removed, diff.nothing()), (2, 1, false));
        assert!(Diff::of("a\n", "a\n").nothing());
    }
}
