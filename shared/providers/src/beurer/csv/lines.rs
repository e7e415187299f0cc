//! From bytes to lines of cells.

use std::borrow::Cow;

use super::error::CsvError;
use super::{MAX_CELLS, MAX_FILE_BYTES, MAX_LINES};

/// A line that is not empty.
#[derive(Clone)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// Without the blanks around them.
    pub(super) cells: Vec<Cow<'a, str>>,
    /// Whether an empty line stands before it.
    pub(super) after_blank: bool,
}

impl Line<'_> {
    pub(super) fn cell(&self, at: usize) -> &str {
        self.cells.get(at).map_or("", |c| c.as_ref())
    }

    /// Its only cell, where it has no other. A spreadsheet that saved the file adds empty ones.
    pub(super) fn single(&self) -> Option<&str> {
        self.cells.iter().skip(1).all(|c| c.is_empty()).then(|| self.cell(0))
    }
}

/// The file as text, where it is one.
pub(super) fn text(file: &[u8]) -> Result<&str, CsvError> {
    if file.len() > MAX_FILE_BYTES {
        return Err(CsvError::TooLarge { bytes: file.len(), limit: MAX_FILE_BYTES });
    }
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let start = file.get(..file.len().min(1024)).unwrap_or_default();
    if file.iter().all(u8::is_ascii_whitespace) {
        return Err(CsvError::Empty);
    }
    if start.windows(5).any(|w| w == b"%PDF-") {
        return Err(CsvError::Pdf);
    }
    if start.starts_with(b"PK\x03\x04")
        || start.starts_with(b"\xd0\xcf\x11\xe0")
        || start.starts_with(b"\x1f\x8b")
    {
        return Err(CsvError::Spreadsheet);
    }
    let line = |at: usize| 1 + file.iter().take(at).filter(|b| **b == b'\n').count();
    // Every other byte of Latin text in UTF-16 is NUL.
    let nuls = start.iter().filter(|b| **b == 0).count();
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") || nuls * 4 > start.len() {
        return Err(CsvError::Utf16);
    }
    if let Some(at) = file.iter().position(|b| *b == 0) {
        return Err(CsvError::Nul { line: line(at) });
    }
    std::str::from_utf8(file).map_err(|e| CsvError::Encoding { line: line(e.valid_up_to()) })
}

/// The lines of a text that are not empty. A cell in quotes may hold separators and line breaks, and doubled quotes for
/// one; a quote that does not begin a cell, or that is not closed, is a character like any other.
pub(super) fn lines(text: &str) -> Result<Vec<Line<'_>>, CsvError> {
    let mut lines = Vec::new();
    let (mut rest, mut number, mut after_blank) = (text, 1, false);
    while !rest.is_empty() {
        let first = number;
        let mut cells = Vec::new();
        loop {
            let (cell, after) = cell(rest);
            number +=
                rest.len().checked_sub(after.len()).map_or(0, |n| breaks(rest.get(..n).unwrap_or_default()));
            cells.push(cell);
            if cells.len() > MAX_CELLS {
                return Err(CsvError::TooManyCells { line: first, limit: MAX_CELLS });
            }
            match after.strip_prefix(';') {
                Some(next) => rest = next,
                None => {
                    rest = after;
                    break;
                }
            }
        }
        rest = rest.strip_prefix('\r').unwrap_or(rest);
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        number += 1;
        if cells.iter().all(|c| c.is_empty()) {
            after_blank = true;
            continue;
        }
        lines.push(Line { number: first, cells, after_blank });
        if lines.len() > MAX_LINES {
            return Err(CsvError::TooManyLines { limit: MAX_LINES });
        }
        after_blank = false;
    }
    Ok(lines)
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// The longest that a cell in quotes may be, in bytes: a comment.
const MAX_QUOTED: usize = 4096;

/// The first cell, and what comes behind it.
fn cell(text: &str) -> (Cow<'_, str>, &str) {
    if let Some((cell, rest)) = text.strip_prefix('"').and_then(quoted) {
        return (cell, rest);
    }
    let end = text.find([';', '\n', '\r']).unwrap_or(text.len());
    let (cell, rest) = text.split_at(end);
    (Cow::Borrowed(trim(cell)), rest)
}

/// What stands between an opening quote (before `text`) and its closing one, if a cell ends there.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('"')?;
        if at > MAX_QUOTED {
            return None;
        }
        let after = text.get(at + 1..)?;
        if after.starts_with('"') {
            from = at + 2;
            continue;
        }
        let after = after.trim_start_matches([' ', '\t']);
        if !(after.is_empty() || after.starts_with([';', '\n', '\r'])) {
            return None;
        }
        let inside = trim(text.get(..at)?);
        let inside = if inside.contains('"') {
            Cow::Owned(inside.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(inside)
        };
        return Some((inside, after));
    }
}

/// Without blanks, those that do not break, and marks that nobody sees.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{200b}')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(usize, Vec<String>)> {
        let of = |l: Line<'_>| (l.number, l.cells.into_iter().map(Cow::into_owned).collect());
        lines(text).unwrap().into_iter().map(of).collect()
    }

    #[test]
    fn cells_and_their_lines() {
        let texts = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        assert_eq!(read("a; b ;c\r\n\r\n;;\nd;"), [(1, texts(&["a", "b", "c"])), (4, texts(&["d", ""]))]);
        assert_eq!(read("\"a;b\";\"c\"\"d\"\ne"), [(1, texts(&["a;b", "c\"d"])), (2, texts(&["e"]))]);
        assert_eq!(
            read("1;\"two\nlines\";3\n4"),
            [(1, texts(&["1", "two\nlines", "3"])), (3, texts(&["4"]))]
        );
        // Quotes that are none.
        assert_eq!(read("1;\"open\n2;x"), [(1, texts(&["1", "\"open"])), (2, texts(&["2", "x"]))]);
        assert_eq!(read("1;5\" long;\"a\" b;c"), [(1, texts(&["1", "5\" long", "\"a\" b", "c"]))]);
        assert_eq!(read("7:41\u{202f};\u{feff}x"), [(1, texts(&["7:41", "x"]))]);
    }

    #[test]
    fn blank_lines_are_known_to_those_after_them() {
        let blank: Vec<bool> = lines("a\n\nb\nc\n;;;\nd").unwrap().iter().map(|l| l.after_blank).collect();
        assert_eq!(blank, [false, true, false, true]);
    }

    #[test]
    fn what_is_no_text_is_said_to_be_what_it_is() {
        let code = |file: &[u8]| text(file).map(|_| ()).map_err(|e| (e.code(), e.line()));
        let utf16: Vec<u8> = "Datum;Uhrzeit".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (file, expected) in [
            (&b"%PDF-1.7 ..."[..], ("pdf", None)),
            (b"PK\x03\x04....", ("spreadsheet", None)),
            (b"", ("empty", None)),
            (b"\xef\xbb\xbf \r\n", ("empty", None)),
            (b"\xff\xfeD\0a\0", ("utf-16", None)),
            (&utf16, ("utf-16", None)),
            (b"Blutdruck\nDatum;\0;Uhrzeit\n", ("nul", Some(2))),
            (b"Blutdruck\n\nGr\xf6\xdfe", ("encoding", Some(3))),
        ] {
            assert_eq!(code(file), Err(expected));
        }
        let large = vec![b'\0'; 50 * 1024 * 1024];
        assert_eq!(code(&large), Err(("too-large", None)));
        let wide = ";".repeat(MAX_CELLS + 1);
        assert_eq!(lines(&format!("a\n{wide}")).map_err(|e| e.line()).err(), Some(Some(2)));
    }

    proptest! {
        #[test]
        fn nothing_but_separators_and_quotes_is_lost(cells in prop::collection::vec("[a-z\";\n]{0,6}", 1..6)) {
            let line: Vec<String> = cells.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
            let read = read(&line.join(";"));
            let cells: Vec<String> = cells.iter().map(|c| trim(c).to_owned()).collect();
            if cells.iter().any(|c| !c.is_empty()) {
                prop_assert_eq!(&read[0].1, &cells);
                prop_assert_eq!(read.len(), 1);
            }
        }
    }
}
