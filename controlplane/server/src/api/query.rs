//! What stands behind the question mark, and percent-encoding.

use super::error::Error;

/// Each parameter once, and none that is not known: a misspelt `dryRun` must not become a change.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Params, Error> {
        let mut params: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = |text: &str| decode(&text.replace('+', " "));
            let (Some(name), Some(value)) = (read(name), read(value)) else {
                return Err(Error::bad("a query parameter is not percent-encoded UTF-8"));
            };
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Error::bad(format!("there is no query parameter {name:?} here; there are: {known}")));
            }
            if params.iter().any(|(other, _)| *other == name) {
                return Err(Error::bad(format!("the query parameter {name:?} is there twice")));
            }
            params.push((name, value));
        }
        Ok(Params(params))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::bad(format!("{name} is true or false"))),
        }
    }

    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Error> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Error::bad(format!("{name} is a number from 1 to {most}")))
    }
}

/// `None` when what comes out is not UTF-8, or a `%` stands alone.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let code = digit(rest.next()?)?.checked_mul(16)?.checked_add(digit(rest.next()?)?)?;
        bytes.push(u8::try_from(code).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// A place in a list, as letters that survive every shell and every URL.
pub(super) fn cursor(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn read_cursor(text: &str) -> Result<String, Error> {
    let pairs = text.as_bytes().chunks(2).map(|pair| format!("%{}", String::from_utf8_lossy(pair))).collect::<String>();
    let name = decode(&pairs).filter(|name| cursor(name) == text);
    name.ok_or_else(|| Error::bad("this cursor was not made here: take `next` of the page before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_nothing_unknown_passes() {
        let params = Params::read(Some("a=x%2Fy+z&b"), &["a", "b", "c"]).unwrap();
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("x/y z"), Some(""), None));
        for bad in ["dryrun=true", "a=%zz", "a=%f", "a=%ff", "a=1&a=2"] {
            assert!(Params::read(Some(bad), &["dryRun", "a"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_and_numbers_say_what_they_mean() {
        let params = Params::read(Some("a=true&b=yes&n=5&m=0"), &["a", "b", "n", "m"]).unwrap();
        assert!(params.flag("a").unwrap() && params.flag("b").is_err() && !params.flag("c").unwrap());
        assert_eq!(params.number("n", 1, 10).unwrap(), 5);
        assert_eq!(params.number("x", 7, 10).unwrap(), 7);
        assert!(params.number("m", 1, 10).is_err() && params.number("n", 1, 4).is_err());
    }

    #[test]
    fn a_cursor_survives_and_others_are_refused() {
        for name in ["a", "vendor/model@1+2", "é"] {
            assert_eq!(read_cursor(&cursor(name)).unwrap(), name);
        }
        for bad in ["x", "6", "zz", "ff", "6A"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}
