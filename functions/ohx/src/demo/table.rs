//! The table that the demo ends with.

use std::fmt::Write as _;

use super::Comparison;

/// Patient by measure: readings at the provider, Observations in the EHR, and what does not agree.
pub(crate) fn table(comparison: &Comparison) -> String {
    let header = ["patient", "measure", "provider", "EHR", "duplicates", "missing", "altered"];
    let mut lines: Vec<[String; 7]> = vec![header.map(str::to_owned)];
    for (patient, rows) in comparison {
        let mut name = *patient;
        for (kind, row) in rows {
            let numbers = [row.provider, row.ehr, row.duplicates, row.missing, row.altered + row.strange];
            let [provider, ehr, duplicates, missing, altered] = numbers.map(|n| n.to_string());
            lines.push([name.to_owned(), kind.clone(), provider, ehr, duplicates, missing, altered]);
            name = "";
        }
    }
    let width = |column: usize| lines.iter().map(|l| l[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            // Words to the left, numbers to the right. Writing to a String cannot fail.
            let width = widths[column];
            let _infallible =
                if column < 2 { write!(text, "  {cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.push('\n');
        if at == 0 {
            let rule: usize = widths.iter().map(|w| w + 2).sum();
            let _infallible = writeln!(text, "  {}", "-".repeat(rule - 2));
        }
    }
    text
}
