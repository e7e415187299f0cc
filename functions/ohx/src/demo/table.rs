//! The table that the demo ends with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ohx_sandbox::compare::{RecordAndKind, Row};

use super::Comparison;

/// What stands to the left, words, and how many numbers follow.
const WORDS: [&str; 4] = ["patient", "provider", "record", "kind"];
const NUMBERS: [&str; 5] = ["provider", "EHR", "duplicates", "missing", "altered"];

/// Patient by provider and record (and kind): readings at the provider, Observations in the EHR, and what does not agree.
pub(crate) fn table(comparison: &Comparison, all_kinds: bool) -> String {
    let words = if all_kinds { WORDS.len() } else { WORDS.len() - 1 };
    let header = WORDS.iter().take(words).chain(&NUMBERS).map(ToString::to_string).collect();
    let mut lines: Vec<Vec<String>> = vec![header];
    let mut shown = "";
    for (patient, account, rows) in comparison {
        let mut before = String::new();
        for ((_, record, kind), row) in grouped(rows, account.records(), all_kinds) {
            let mut line = vec![String::new(); words];
            if shown != *patient {
                line[0] = (*patient).to_owned();
            }
            if before.is_empty() {
                line[1] = account.provider().to_owned();
            }
            if before != record {
                line[2].clone_from(&record);
            }
            if all_kinds {
                line[3] = kind;
            }
            (shown, before) = (patient, record);
            let numbers = [row.provider, row.ehr, row.duplicates, row.missing, row.altered + row.strange];
            line.extend(numbers.map(|n| n.to_string()));
            lines.push(line);
        }
    }
    aligned(&lines, words)
}

/// Rows in the order of the records, added up where kinds are not told apart.
fn grouped(
    rows: &BTreeMap<RecordAndKind, Row>,
    order: &[&str],
    all_kinds: bool,
) -> BTreeMap<(usize, String, String), Row> {
    let mut grouped = BTreeMap::<_, Row>::new();
    for ((record, kind), row) in rows {
        let at = order.iter().position(|usual| usual == record).unwrap_or(order.len());
        let kind = if all_kinds { kind.clone() } else { String::new() };
        *grouped.entry((at, record.clone(), kind)).or_default() += *row;
    }
    grouped
}

/// Words to the left, numbers to the right, and a rule under the first line.
fn aligned(lines: &[Vec<String>], words: usize) -> String {
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..words + NUMBERS.len()).map_while(width).collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a String cannot fail.
            let _infallible = if column < words {
                write!(text, "  {cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
        if at == 0 {
            let rule: usize = widths.iter().map(|w| w + 2).sum();
            let _infallible = writeln!(text, "  {}", "-".repeat(rule - 2));
        }
    }
    text
}
