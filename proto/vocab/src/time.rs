//! Instants, as milliseconds since 1970 in UTC. Arithmetic only: this module never asks what time it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DAY_MS: u64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z, the last instant that can be written.
const LAST_MS: u64 = 253_402_300_799_999;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instant is written like 2030-01-31T23:59:59Z or 2030-01-31T23:59:59.999+02:00")]
pub struct NotATimestamp;

impl Timestamp {
    /// Later than the year 9999 is the year 9999.
    #[must_use]
    pub fn from_ms(ms: u64) -> Timestamp {
        Timestamp(ms.min(LAST_MS))
    }

    #[must_use]
    pub fn as_ms(self) -> u64 {
        self.0
    }

    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp::from_ms(self.0.saturating_add(ms))
    }

    /// How much later this is than `earlier`; 0 when it is not.
    #[must_use]
    pub fn since_ms(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The number of whole minutes since 1970: the bucket usage is counted in.
    #[must_use]
    pub fn minute(self) -> u64 {
        self.0 / 60_000
    }
}

/// RFC 3339 in UTC, with milliseconds only where there are some.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0 / DAY_MS);
        let second = self.0 % DAY_MS / 1000;
        let (hour, minute, second, ms) = (second / 3600, second / 60 % 60, second % 60, self.0 % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if ms > 0 {
            write!(f, ".{ms:03}")?;
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        parse(text).ok_or(NotATimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let plain = (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second < 60;
    if !plain || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let ms =
        (days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second) * 1000 + milliseconds(fraction)?;
    let shifted = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => ms,
        ("+", offset) => ms.checked_sub(offset_ms(offset)?)?,
        ("-", offset) => ms + offset_ms(offset)?,
        _ => return None,
    };
    (shifted <= LAST_MS).then_some(Timestamp(shifted))
}

fn numbers<const N: usize>(text: &str, between: char, widths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(between);
    let mut values = [0; N];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}

fn milliseconds(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<3}").get(..3)?.parse().ok()
}

fn offset_ms(offset: &str) -> Option<u64> {
    let [hours, minutes] = numbers(offset, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some((hours * 60 + minutes) * 60_000)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this day.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let leaps_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let years = (year - 1970) * 365 + leaps_before(year) - leaps_before(1970);
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>() + day - 1
}

fn date_of(days: u64) -> (u64, u64, u64) {
    // A year has at least 365 days, so this guess is never too early; step back until it fits.
    let mut year = 1970 + days / 365;
    while days_before(year, 1, 1) > days {
        year -= 1;
    }
    let mut rest = days - days_before(year, 1, 1);
    let mut month = 1;
    while rest >= days_in(year, month) {
        rest -= days_in(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_read_and_written() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2030-01-01T00:00:00Z", 1_893_456_000_000),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789),
            ("9999-12-31T23:59:59.999Z", LAST_MS),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(ms)), "{text}");
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }

    #[test]
    fn zones_are_taken_into_account() {
        let noon = "2026-06-01T12:00:00Z".parse::<Timestamp>();
        assert_eq!("2026-06-01T14:00:00+02:00".parse(), noon);
        assert_eq!("2026-06-01 07:30:00.000-04:30".parse(), noon);
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "now",
            "2030-01-01",
            "2030-13-01T00:00:00Z",
            "2030-02-29T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00:00+0200",
            "1969-12-31T23:59:59Z",
            "2030-1-1T00:00:00Z",
            "2030-01-01T00:00:00.Z",
            "+030-01-01T00:00:00Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATimestamp), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives() {
        for day in 0..146_097 {
            let instant = Timestamp(day * DAY_MS);
            assert_eq!(instant.to_string().parse(), Ok(instant));
        }
    }
}
