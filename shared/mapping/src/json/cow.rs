//! A text that borrows from the page where it can, in two words.

use std::fmt;
use std::ops::Deref;

/// A text: a piece of the page, or one of its own where the page has it with escapes.
///
/// Half as long again as a `&str` is what a `Cow` takes, and a page has many. The second box is the price of it, paid
/// by the few texts that have escapes.
#[derive(Clone)]
pub(crate) enum Str<'a> {
    /// As it stands in the page.
    Page(&'a str),
    /// Unescaped.
    Own(Box<Box<str>>),
}

impl Str<'_> {
    /// The same text, with a life of its own.
    pub(crate) fn into_owned(self) -> Str<'static> {
        Str::Own(match self {
            Self::Page(text) => Box::new(text.into()),
            Self::Own(text) => text,
        })
    }
}

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Page(text) => text,
            Self::Own(text) => text,
        }
    }
}

impl AsRef<str> for Str<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self::Page(text)
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Self::Own(Box::new(text.into()))
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Str<'_> {}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_two_words() {
        assert_eq!(size_of::<Str<'_>>(), 2 * size_of::<usize>());
    }
}
