//! A strict JSON scanner: it checks every byte of a document, builds no value, and never recurses.

mod nest;
mod number;
mod text;

pub(crate) use text::quote;

use std::borrow::Cow;
use std::ops::Range;

/// Deeper documents are refused. Real ones (tool schemas in chat requests) stay below twenty.
pub const DEPTH_MAX: u32 = 64;
/// A request may hold this many values. Nothing is built from them, so one costs only its own bytes; the bound
/// is above what an embeddings request of 300,000 token numbers needs, and spares the upstream a bomb.
pub const VALUES_MAX: u32 = 1_000_000;

/// What is wrong with a document, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Flaw {
    pub at: usize,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum What {
    #[error("the document ends too early")]
    End,
    #[error("a value is expected")]
    Value,
    #[error("a key in double quotes is expected")]
    Key,
    #[error("a colon is expected")]
    Colon,
    #[error("a comma or a closing brace is expected")]
    InObject,
    #[error("a comma or a closing bracket is expected")]
    InArray,
    #[error("this is not a number")]
    Number,
    #[error("a control character stands unescaped in a string")]
    Control,
    #[error("this escape does not exist")]
    Escape,
    #[error("half of a surrogate pair stands alone")]
    Surrogate,
    #[error("this is not UTF-8")]
    Utf8,
    #[error("something follows the end of the document")]
    Trailing,
    #[error("the document is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("the document holds more than {VALUES_MAX} values")]
    TooMany,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    True,
    False,
    Number,
    String(Spelling),
    Array,
    Object,
}

/// Whether a string holds escapes; most do not, and are compared as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    Plain,
    Escaped,
}

/// A value that has been passed over: what it was and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) shape: Shape,
    pub(crate) span: Range<usize>,
}

/// The key of a member as it stands between its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'b> {
    raw: &'b [u8],
    at: usize,
    spelling: Spelling,
}

impl<'b> Key<'b> {
    /// Two spellings of one key are one key: `"\u006dodel"` says `model`.
    pub(crate) fn name(self) -> Result<Cow<'b, [u8]>, Flaw> {
        match self.spelling {
            Spelling::Plain => Ok(Cow::Borrowed(self.raw)),
            Spelling::Escaped => text::unescape(self.raw, self.at).map(|name| Cow::Owned(name.into_bytes())),
        }
    }
}

/// One member of an object.
#[derive(Debug)]
pub(crate) struct Member<'b> {
    pub(crate) key_at: usize,
    pub(crate) name: Cow<'b, [u8]>,
    pub(crate) value: Token,
}

#[derive(Debug)]
pub(crate) struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
    n_values: u32,
}

impl<'b> Scanner<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Scanner<'b> {
        Scanner::starting_at(bytes, 0)
    }

    pub(crate) fn starting_at(bytes: &'b [u8], at: usize) -> Scanner<'b> {
        Scanner { bytes, at, n_values: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Steps into an object and says whether it has members; `None` when something else stands here.
    pub(crate) fn enter_object(&mut self) -> Result<Option<bool>, Flaw> {
        self.space();
        match self.byte() {
            Some(b'{') => self.at += 1,
            Some(_) => return Ok(None),
            None => return Err(self.flaw(What::End)),
        }
        self.space();
        let empty = self.byte() == Some(b'}');
        self.at += usize::from(empty);
        Ok(Some(!empty))
    }

    /// The members of the object just entered, `depth` containers deep inside; ends up behind its brace.
    pub(crate) fn members<E: From<Flaw>>(
        &mut self,
        depth: u32,
        mut visit: impl FnMut(Member<'b>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let key_at = self.at;
            let name = self.key()?.name()?;
            let value = self.value(depth)?;
            visit(Member { key_at, name, value })?;
            if !self.next_member()? {
                return Ok(());
            }
        }
    }

    /// After a member: steps over the comma, or out of the object and says `false`.
    pub(crate) fn next_member(&mut self) -> Result<bool, Flaw> {
        self.space();
        match self.byte() {
            Some(b',') => self.at += 1,
            Some(b'}') => {
                self.at += 1;
                return Ok(false);
            }
            Some(_) => return Err(self.flaw(What::InObject)),
            None => return Err(self.flaw(What::End)),
        }
        self.space();
        Ok(true)
    }

    /// A key and its colon. The scanner stands at the key's quote.
    pub(crate) fn key(&mut self) -> Result<Key<'b>, Flaw> {
        match self.byte() {
            Some(b'"') => self.at += 1,
            Some(_) => return Err(self.flaw(What::Key)),
            None => return Err(self.flaw(What::End)),
        }
        let start = self.at;
        let spelling = self.string_rest()?;
        let raw = self.bytes.get(start..self.at - 1).unwrap_or_default();
        self.space();
        match self.byte() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.flaw(What::Colon)),
            None => return Err(self.flaw(What::End)),
        }
        Ok(Key { raw, at: start, spelling })
    }

    /// What the string in `span`, which this scanner has passed over, says.
    pub(crate) fn text(&self, span: &Range<usize>, spelling: Spelling) -> Result<Cow<'b, str>, Flaw> {
        let raw = self.bytes.get(span.start + 1..span.end - 1).unwrap_or_default();
        match spelling {
            Spelling::Plain => {
                let utf8 = |_| Flaw { at: span.start, what: What::Utf8 };
                std::str::from_utf8(raw).map(Cow::Borrowed).map_err(utf8)
            }
            Spelling::Escaped => text::unescape(raw, span.start).map(Cow::Owned),
        }
    }

    /// Passes over one whole value that stands `depth` containers deep.
    pub(crate) fn value(&mut self, depth: u32) -> Result<Token, Flaw> {
        self.space();
        let start = self.at;
        let shape = match self.byte() {
            Some(b'{') => {
                self.container(depth)?;
                Shape::Object
            }
            Some(b'[') => {
                self.container(depth)?;
                Shape::Array
            }
            _ => self.scalar()?,
        };
        Ok(Token { shape, span: start..self.at })
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Flaw> {
        self.space();
        if self.at < self.bytes.len() { Err(self.flaw(What::Trailing)) } else { Ok(()) }
    }

    fn scalar(&mut self) -> Result<Shape, Flaw> {
        self.count()?;
        match self.byte() {
            Some(b'"') => {
                self.at += 1;
                self.string_rest().map(Shape::String)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Shape::Number),
            Some(b't') => self.word(b"true", Shape::True),
            Some(b'f') => self.word(b"false", Shape::False),
            Some(b'n') => self.word(b"null", Shape::Null),
            Some(_) => Err(self.flaw(What::Value)),
            None => Err(self.flaw(What::End)),
        }
    }

    fn word(&mut self, word: &[u8], shape: Shape) -> Result<Shape, Flaw> {
        if !self.rest().starts_with(word) {
            let cut_short = word.starts_with(self.rest());
            return Err(self.flaw(if cut_short { What::End } else { What::Value }));
        }
        self.at += word.len();
        Ok(shape)
    }

    fn count(&mut self) -> Result<(), Flaw> {
        if VALUES_MAX <= self.n_values {
            return Err(self.flaw(What::TooMany));
        }
        self.n_values += 1;
        Ok(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn flaw(&self, what: What) -> Flaw {
        Flaw { at: self.at, what }
    }
}

#[cfg(test)]
mod tests;
