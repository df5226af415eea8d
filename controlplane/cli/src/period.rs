//! Spans of time and instants as a person writes them: `90s`, `24h`, `1d12h`, or RFC 3339.

use std::time::{SystemTime, UNIX_EPOCH};

use vocab::Timestamp;

/// The clock of this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A span in seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("write a span like 90s, 30m, 24h, 7d or 1h30m, not {text:?}");
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let unit = after.chars().next().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after.get(unit.len_utf8()..).unwrap_or_default();
    }
    Ok(total)
}

/// An instant, or how long after `now` it is.
pub(crate) fn later(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    instant(text, |ms| now.plus_ms(ms))
}

/// An instant, or how long before `now` it was.
pub(crate) fn earlier(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    instant(text, |ms| Timestamp::from_ms(now.as_ms().saturating_sub(ms)))
}

fn instant(text: &str, from_span: impl Fn(u64) -> Timestamp) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let span = seconds(text)
        .map_err(|_| format!("write an instant like 2030-01-31T00:00:00Z or a span like 24h or 30d, not {text:?}"))?;
    Ok(from_span(span.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, expected) in
            [("0", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), ("1d12h", 129_600), ("2w", 1_209_600)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "h", "5", "5x", "-1h", "1.5h", "1h 5", "99999999999999999999s", "9999999999999999999w", "1é"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_instant_stands_for_itself_and_a_span_for_its_distance_from_now() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        assert_eq!(later("1d", now).unwrap().to_string(), "2026-06-02T12:00:00Z");
        assert_eq!(earlier("24h", now).unwrap().to_string(), "2026-05-31T12:00:00Z");
        assert_eq!(earlier("2026-01-01T00:00:00Z", now).unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert!(later("tomorrow", now).unwrap_err().contains("2030-01-31T00:00:00Z"));
    }
}
