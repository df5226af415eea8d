//! Strings: where they end, whether their escapes exist, whether they are UTF-8, and what they say.

use super::{Flaw, Scanner, Spelling, What};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

impl Scanner<'_> {
    /// The scanner stands behind the opening quote and ends up behind the closing one.
    pub(super) fn string_rest(&mut self) -> Result<Spelling, Flaw> {
        let start = self.at;
        let mut high = 0;
        let mut spelling = Spelling::Plain;
        loop {
            let run = run(self.rest());
            self.at += run.length;
            high |= run.high;
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    spelling = Spelling::Escaped;
                    self.escape()?;
                }
                Some(_) => return Err(self.flaw(What::Control)),
                None => return Err(self.flaw(What::End)),
            }
        }
        if high != 0 {
            self.check_utf8(start)?;
        }
        self.at += 1;
        Ok(spelling)
    }

    /// Only strings that leave ASCII come here; outside of strings JSON is ASCII anyway.
    fn check_utf8(&self, start: usize) -> Result<(), Flaw> {
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        if simdutf8::basic::from_utf8(text).is_ok() {
            return Ok(());
        }
        // The fast check does not say where it failed.
        let valid = std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        Err(Flaw { at: start + valid, what: What::Utf8 })
    }

    /// The scanner stands at the backslash.
    #[inline]
    fn escape(&mut self) -> Result<(), Flaw> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode(),
            Some(_) => Err(self.flaw(What::Escape)),
            None => Err(self.flaw(What::End)),
        }
    }

    /// `\uXXXX`, and its second half when it is the first of a surrogate pair.
    fn unicode(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        let first = self.unit()?;
        let pairs = match first {
            0xdc00..=0xdfff => false,
            0xd800..=0xdbff if self.rest().starts_with(b"\\u") => matches!(self.unit()?, 0xdc00..=0xdfff),
            0xd800..=0xdbff => false,
            _ => true,
        };
        if pairs { Ok(()) } else { Err(Flaw { at: start, what: What::Surrogate }) }
    }

    fn unit(&mut self) -> Result<u32, Flaw> {
        let digits = self.bytes.get(self.at + 2..).and_then(|rest| rest.first_chunk::<4>());
        let Some(digits) = digits else {
            return Err(self.flaw(What::End));
        };
        let mut unit = 0;
        for digit in digits {
            let Some(value) = char::from(*digit).to_digit(16) else {
                return Err(self.flaw(What::Escape));
            };
            unit = unit << 4 | value;
        }
        self.at += 6;
        Ok(unit)
    }
}

/// How far text goes on before a quote, a backslash or a control character.
struct Run {
    length: usize,
    /// Not zero if a byte of it is not ASCII.
    high: u64,
}

/// Short runs end within four words, looked at eight bytes at a time; longer ones are worth the wide search.
#[inline]
fn run(bytes: &[u8]) -> Run {
    let mut rest = bytes;
    let mut length = 0;
    let mut high = 0;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        if 128 <= length {
            let wide = run_wide(rest);
            return Run { length: length + wide.length, high: high | wide.high };
        }
        let word = u64::from_le_bytes(*word);
        let special = special(word);
        if special != 0 {
            let bits = special.trailing_zeros();
            // The mark is the top bit of its byte: the bytes before it lie below.
            let before = word & ((1 << (bits - 7)) - 1);
            return Run { length: length + (bits / 8) as usize, high: high | before & HIGHS };
        }
        high |= word & HIGHS;
        length += 8;
        rest = behind;
    }
    for byte in rest {
        if is_special(*byte) {
            break;
        }
        high |= u64::from(*byte & 0x80);
        length += 1;
    }
    Run { length, high }
}

fn run_wide(bytes: &[u8]) -> Run {
    let length = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    let text = bytes.get(..length).unwrap_or_default();
    let (mut lowest, mut seen) = (u8::MAX, 0);
    for byte in text {
        lowest = lowest.min(*byte);
        seen |= byte;
    }
    let high = u64::from(seen & 0x80);
    if lowest < b' ' {
        let length = text.iter().position(|byte| *byte < b' ').unwrap_or(length);
        return Run { length, high };
    }
    Run { length, high }
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Marks the top bit of each special byte. Marks above the lowest may be wrong, the lowest never is.
#[inline]
fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zeros(word ^ (ONES * 0x22));
    let backslash = zeros(word ^ (ONES * 0x5c));
    (control | quote | backslash) & HIGHS
}

#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// What a string says whose escapes the scanner has found to be right. `raw` stands between the quotes, at `at`.
pub(super) fn unescape(raw: &[u8], at: usize) -> Result<String, Flaw> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    // What the scanner let pass, serde_json lets pass; should they ever differ, the document is refused.
    serde_json::from_slice(&quoted).map_err(|_| Flaw { at, what: What::Escape })
}

/// Text as a JSON string, quotes included.
pub(crate) fn quote(text: &str) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend_from_slice(&[b'\\', byte]),
            b'\n' => quoted.extend_from_slice(b"\\n"),
            0..b' ' => quoted.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
pub(super) fn run_of(bytes: &[u8]) -> (usize, bool) {
    let run = run(bytes);
    (run.length, run.high == 0)
}
