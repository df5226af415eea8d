//! As much HTTP/1.1 as a load generator and a mock need, by hand: both share a core and must leave it to what is measured.

use memchr::{memchr, memmem};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Fixed(usize),
    Chunked,
    /// An answer without a length ends with its connection; a request without one has no body.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// The first line, without its end.
    pub first: &'a str,
    pub length: Length,
    pub close: bool,
    /// Bytes up to and with the empty line.
    pub size: usize,
}

impl Head<'_> {
    /// Of an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// Of a request.
    #[must_use]
    pub fn path(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }
}

/// `Ok(None)`: not all of it has arrived.
pub fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, &'static str> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = bytes.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or("a head that is not text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut head = Head { first, length: Length::Unknown, close: false, size: end + 4 };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header line without a colon")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = Length::Fixed(value.parse().map_err(|_| "a length that is not a number")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = Length::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(head))
}

/// Takes a chunked body apart, whatever the pieces it arrives in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunked {
    at: Place,
    left: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    /// Past the digits of a size line: an extension, or the carriage return.
    SizeEnd,
    Data,
    DataEnd,
    Trailer,
    Done,
}

impl Chunked {
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.at == Place::Done
    }

    /// Hands the payload found in `bytes` to `sink`; says how many bytes belong to the body.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize, &'static str> {
        let mut rest = bytes;
        while !self.is_done() && !rest.is_empty() {
            rest = match self.at {
                Place::Data => {
                    let (data, rest) = rest.split_at(self.left.min(rest.len()));
                    sink(data);
                    self.left -= data.len();
                    self.at = if self.left == 0 { Place::DataEnd } else { Place::Data };
                    rest
                }
                Place::Size | Place::SizeEnd | Place::DataEnd | Place::Trailer | Place::Done => self.line(rest)?,
            };
        }
        Ok(bytes.len() - rest.len())
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], &'static str> {
        let end = memchr(b'\n', bytes);
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
        match self.at {
            Place::Size => self.size(line)?,
            Place::Trailer => self.left += line.iter().filter(|byte| !b"\r\n".contains(byte)).count(),
            Place::SizeEnd | Place::DataEnd | Place::Data | Place::Done => {}
        }
        if end.is_some() {
            self.at = match self.at {
                Place::Size | Place::SizeEnd if self.left == 0 => Place::Trailer,
                Place::Size | Place::SizeEnd | Place::Data => Place::Data,
                Place::DataEnd => Place::Size,
                // An empty line ends the trailer; `left` counts what stands on it.
                Place::Trailer if self.left == 0 => Place::Done,
                Place::Trailer => {
                    self.left = 0;
                    Place::Trailer
                }
                Place::Done => Place::Done,
            };
        }
        Ok(rest)
    }

    fn size(&mut self, line: &[u8]) -> Result<(), &'static str> {
        for byte in line {
            match char::from(*byte).to_digit(16) {
                Some(digit) => {
                    let digit = usize::try_from(digit).unwrap_or_default();
                    let next = self.left.checked_mul(16).and_then(|left| left.checked_add(digit));
                    self.left = next.ok_or("a chunk beyond all measure")?;
                }
                None if b"\r\n; ".contains(byte) => {
                    self.at = Place::SizeEnd;
                    return Ok(());
                }
                None => return Err("a chunk size that is not a number"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_when_all_of_it_is_there() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nbody";
        assert_eq!(head(&bytes[..40]), Ok(None));
        let found = head(bytes).unwrap().unwrap();
        assert_eq!((found.status(), found.length, found.close), (Some(200), Length::Fixed(12), true));
        assert_eq!(&bytes[found.size..], b"body");
        let ask = head(b"POST /v1/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert_eq!((ask.path(), ask.length), ("/v1/x", Length::Chunked));
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_cut() {
        let bytes = b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nt: v\r\n\r\nnext";
        for cut in 0..bytes.len() {
            let mut chunked = Chunked::default();
            let mut payload = Vec::new();
            let (left, right) = bytes.split_at(cut);
            let mut used = chunked.feed(left, |data| payload.extend_from_slice(data)).unwrap();
            used += chunked.feed(right, |data| payload.extend_from_slice(data)).unwrap();
            assert_eq!(payload, b"helloabcdefghijklmnopqrstuvwxyz", "cut at {cut}");
            assert!(chunked.is_done());
            assert_eq!(&bytes[used..], b"next");
        }
        assert!(Chunked::default().feed(b"zz\r\n", |_| {}).is_err());
    }
}
