//! Reads JSON text to a tree, eight bytes at a time where that can be.

use super::{MAX_DEPTH, Node, Str};

/// The value that a text is, or where and what is wrong with it.
pub(super) fn read(text: &str) -> Result<Node<'_>, (usize, &'static str)> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, items: Vec::new(), members: Vec::new() };
    reader.whole().map_err(|what| (reader.at, what))
}

/// The same byte in all eight places of a word.
const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The top bit of each byte of `word` that cannot stand in a string as it is: a quote, a backslash, a control
/// character. Only the lowest such bit is to be relied on: a borrow may set others above it.
pub(super) const fn marks(word: u64) -> u64 {
    let quotes = (word ^ all(b'"')).wrapping_sub(all(1)) & !(word ^ all(b'"'));
    let backslashes = (word ^ all(b'\\')).wrapping_sub(all(1)) & !(word ^ all(b'\\'));
    let controls = word.wrapping_sub(all(0x20)) & !word;
    (quotes | backslashes | controls) & all(0x80)
}

/// The top bit of each byte of `word` that is no digit. Only the lowest such bit is to be relied on.
pub(super) const fn no_digits(word: u64) -> u64 {
    let digits = word ^ all(b'0');
    (digits.wrapping_add(all(0x80 - 10)) | digits) & all(0x80)
}

/// What is wrong at the reader's place.
type Read<T> = Result<T, &'static str>;

const UNENDED: &str = "a string does not end";
const CONTROL: &str = "a control character stands unescaped in a string";
const ESCAPE: &str = "an unknown escape in a string";
const SURROGATE: &str = "half of a surrogate pair in a string";
const NO_VALUE: &str = "no JSON value begins so";

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The items of the arrays that are being read, the innermost one's last. From here each array takes its own in
    /// one piece of just the right size.
    items: Vec<Node<'a>>,
    /// The same for the members of objects.
    members: Vec<(Str<'a>, Node<'a>)>,
}

impl<'a> Reader<'a> {
    /// The whole text, which is one value.
    fn whole(&mut self) -> Read<Node<'a>> {
        self.value(None, 0)?;
        self.space();
        if self.at < self.bytes.len() {
            return Err("more text after the JSON value");
        }
        self.items.pop().ok_or(NO_VALUE)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Moves on to the first byte that `stops` finds, eight at a time, or to the last few bytes of the text.
    #[inline(always)]
    fn skip(&mut self, stops: impl Fn(u64) -> u64) {
        while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let found = stops(u64::from_le_bytes(*eight));
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
    }

    /// The text from `start` to here. Both ends are next to an ASCII byte, so they are character boundaries.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Reads a value: the member of that name of the innermost object, or without a name, an item.
    fn value(&mut self, name: Option<&'a str>, depth: usize) -> Read<()> {
        self.space();
        match self.peek() {
            Some(b'"') => match self.string()? {
                Str::Page(text) => self.put_text(name, text),
                text @ Str::Own(_) => self.put(name, Node::Text(text)),
            },
            Some(b'-' | b'0'..=b'9') => {
                let text = self.number()?;
                self.put_number(name, text);
            }
            Some(b'{') => {
                let members = self.object(depth)?;
                self.put(name, Node::Object(members));
            }
            Some(b'[') => {
                let items = self.array(depth)?;
                self.put(name, Node::Array(items));
            }
            Some(b't') => {
                self.word("true")?;
                self.put(name, Node::Bool(true));
            }
            Some(b'f') => {
                self.word("false")?;
                self.put(name, Node::Bool(false));
            }
            Some(b'n') => {
                self.word("null")?;
                self.put(name, Node::Null);
            }
            Some(_) => return Err(NO_VALUE),
            None => return Err("the text ends where a value should be"),
        }
        Ok(())
    }

    fn put(&mut self, name: Option<&'a str>, node: Node<'a>) {
        match name {
            Some(name) => self.members.push((Str::Page(name), node)),
            None => self.items.push(node),
        }
    }

    // Functions of their own, called with what fits into registers: a node that is first put together elsewhere and
    // then moved costs more than reading it.

    #[inline(never)]
    fn put_text(&mut self, name: Option<&'a str>, text: &'a str) {
        match name {
            Some(name) => self.members.push((Str::Page(name), Node::Text(Str::Page(text)))),
            None => self.items.push(Node::Text(Str::Page(text))),
        }
    }

    #[inline(never)]
    fn put_number(&mut self, name: Option<&'a str>, text: &'a str) {
        match name {
            Some(name) => self.members.push((Str::Page(name), Node::Number(Str::Page(text)))),
            None => self.items.push(Node::Number(Str::Page(text))),
        }
    }

    fn word(&mut self, word: &str) -> Read<()> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(NO_VALUE);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        self.skip(no_digits);
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err("a digit is missing in a number") }
    }

    fn number(&mut self) -> Read<&'a str> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err("a number begins with a needless zero");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(start))
    }

    #[inline(always)]
    fn string(&mut self) -> Read<Str<'a>> {
        self.at += 1;
        let start = self.at;
        self.plain();
        match self.peek() {
            Some(b'"') => {
                let text = self.since(start);
                self.at += 1;
                Ok(Str::Page(text))
            }
            Some(b'\\') => self.escaped(start).map(Str::from),
            Some(_) => Err(CONTROL),
            None => Err(UNENDED),
        }
    }

    /// Moves on to the next byte that cannot stand in a string as it is, or to the end of the text.
    #[inline(always)]
    fn plain(&mut self) {
        self.skip(marks);
        while !matches!(self.peek(), Some(b'"' | b'\\' | 0..0x20) | None) {
            self.at += 1;
        }
    }

    /// The rest of a string that has an escape in it.
    #[cold]
    fn escaped(&mut self, start: usize) -> Read<String> {
        let mut out = self.since(start).to_owned();
        loop {
            let plain = self.at;
            self.plain();
            out.push_str(self.since(plain));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err(CONTROL),
                None => return Err(UNENDED),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let c = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(ESCAPE),
        };
        self.at += 1;
        Ok(c)
    }

    fn hex4(&mut self) -> Read<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(ESCAPE)?;
        let value = digits.iter().try_fold(0, |sum, d| Some(sum * 16 + char::from(*d).to_digit(16)?));
        let value = value.ok_or(ESCAPE)?;
        self.at += 4;
        Ok(value)
    }

    fn unicode(&mut self) -> Read<char> {
        let first = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u")) {
                return Err(SURROGATE);
            }
            self.at += 2;
            let second = self.hex4()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(SURROGATE);
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or(SURROGATE)
    }

    fn array(&mut self, depth: usize) -> Read<Box<[Node<'a>]>> {
        self.descend(depth)?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Box::default());
        }
        let first = self.items.len();
        loop {
            self.value(None, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(self.items.split_off(first).into());
                }
                _ => return Err("an array goes on with neither a comma nor its end"),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Box<[(Str<'a>, Node<'a>)]>> {
        self.descend(depth)?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Box::default());
        }
        let first = self.members.len();
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err("an object's member has no name");
            }
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err("an object's member has no colon");
            }
            self.at += 1;
            match name {
                Str::Page(name) => self.value(Some(name), depth + 1)?,
                name @ Str::Own(_) => {
                    self.value(None, depth + 1)?;
                    let value = self.items.pop().ok_or(NO_VALUE)?;
                    self.members.push((name, value));
                }
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(self.members.split_off(first).into());
                }
                _ => return Err("an object goes on with neither a comma nor its end"),
            }
        }
    }

    fn descend(&mut self, depth: usize) -> Read<()> {
        if depth >= MAX_DEPTH {
            return Err("nested deeper than 64 levels");
        }
        self.at += 1;
        Ok(())
    }
}
