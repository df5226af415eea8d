//! accept: what is asked, where, and in which letter.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dialect::{Endpoint, Head};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, sleep, timeout};
use vocab::Dialect;

use crate::config::Limits;
use crate::error::{BadLetter, Error};

const URI_BYTES_MAX: usize = 8 << 10;
/// A body may take this long and a second for each kilobyte.
const BODY_GRACE: Duration = Duration::from_secs(10);
const BODY_BYTES_A_SECOND: u64 = 1024;
/// What is read of a letter that will not be answered, so that its sender gets to hear why.
const HEAR_OUT_BYTES: usize = 256 << 10;
const HEAR_OUT: Duration = Duration::from_secs(2);

/// What a path stands for.
pub(super) enum Address<'p> {
    Ask(Endpoint),
    Models,
    Model(Cow<'p, str>),
}

/// A question, read but not opened: its head suffices to admit and route it.
pub(crate) struct Call {
    pub(crate) dialect: Dialect,
    pub(crate) endpoint: Endpoint,
    pub(crate) head: Head<'static>,
    pub(crate) body: Bytes,
}

/// The path and method decide; nothing else is looked at, and no path means two things.
pub(super) fn address(head: &Parts) -> Result<Address<'_>, Error> {
    let path = head.uri.path();
    if URI_BYTES_MAX < path.len() + head.uri.query().map_or(0, str::len) {
        return Err(Error::Letter(BadLetter::UriTooLong));
    }
    if head.headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(Error::Letter(BadLetter::TwoHosts));
    }
    let (address, method) = match Endpoint::of_path(path) {
        Some(endpoint) => (Address::Ask(endpoint), Method::POST),
        None => {
            let below = dialect::below_base(path).find_map(|rest| rest.strip_prefix("models"));
            match below.map(|rest| (rest, rest.strip_prefix('/'))) {
                Some(("", _)) => (Address::Models, Method::GET),
                Some((_, Some(name))) if !name.is_empty() => (Address::Model(decoded(name)), Method::GET),
                Some(_) | None => return Err(Error::Letter(BadLetter::NoSuchPath)),
            }
        }
    };
    if head.method == method { Ok(address) } else { Err(Error::Letter(BadLetter::WrongMethod)) }
}

/// Clients disagree on whether a slash in a name is escaped. What does not decode to text names no model.
fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| behind.split_first_chunk::<2>())
            .flatten()
            .filter(|(digits, _)| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|(digits, behind)| {
                Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, behind))
            });
        let (byte, behind) = escaped.unwrap_or((*first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Reads the letter, within bounds of size and time, and looks at its head.
pub(super) async fn read(endpoint: Endpoint, head: &Parts, body: Incoming, limits: Limits) -> Result<Call, Error> {
    if head.headers.contains_key(CONTENT_ENCODING) {
        return Err(hear_out(Error::Letter(BadLetter::Encoded), &head.headers, body).await);
    }
    let body = whole(&head.headers, body, limits.body_bytes_max).await?;
    let dialect = Dialect::Openai;
    let head = dialect::peek(dialect, endpoint, &body).map_err(Error::Malformed)?.into_owned();
    Ok(Call { dialect, endpoint, head, body })
}

async fn whole(headers: &HeaderMap, mut body: Incoming, bytes_max: usize) -> Result<Bytes, Error> {
    let too_large = || Error::Letter(BadLetter::TooLarge { bytes_max });
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(hear_out(too_large(), headers, body).await);
    }
    let started = Instant::now();
    let mut patience = pin!(None);
    let mut all = BytesMut::new();
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = late(patience.as_mut(), started, all.len()) => return Err(Error::Letter(BadLetter::Slow)),
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Error::Letter(BadLetter::Torn))?.into_data() else { continue };
        if all.is_empty() {
            if body.is_end_stream() {
                // The ordinary case: it came in one piece, and is not copied.
                return if data.len() > bytes_max { Err(too_large()) } else { Ok(data) };
            }
            all.reserve(announced.unwrap_or(data.len() * 2));
        }
        if all.len() + data.len() > bytes_max {
            return Err(hear_out(too_large(), headers, body).await);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// Comes back when so few bytes are no longer excused by the time that has passed.
async fn late(mut patience: std::pin::Pin<&mut Option<tokio::time::Sleep>>, started: Instant, bytes: usize) {
    let earned = u64::try_from(bytes).unwrap_or(u64::MAX) / BODY_BYTES_A_SECOND;
    let deadline = started + BODY_GRACE + Duration::from_secs(earned.min(86_400));
    if patience.is_none() {
        patience.set(Some(sleep(deadline.duration_since(started))));
    }
    if let Some(mut waiting) = patience.as_mut().as_pin_mut() {
        if waiting.deadline() < deadline {
            waiting.as_mut().reset(deadline);
        }
        waiting.await;
    }
}

/// Takes in a little of a letter that is refused unread: closing at once could tear the refusal out of the wire.
pub(super) async fn hear_out(error: Error, headers: &HeaderMap, mut body: Incoming) -> Error {
    // Who asks whether to send the letter at all has not sent it yet.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return error;
    }
    let listening = async {
        let mut heard = 0;
        while let Some(Ok(frame)) = body.frame().await {
            heard += frame.data_ref().map_or(0, Bytes::len);
            if heard > HEAR_OUT_BYTES {
                break;
            }
        }
    };
    // Late or not, the refusal follows.
    _ = timeout(HEAR_OUT, listening).await;
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_escaped_or_not() {
        for (name, meant) in
            [("a/b", "a/b"), ("a%2Fb", "a/b"), ("%61%2f", "a/"), ("a%", "a%"), ("%zz%2", "%zz%2"), ("%ff", "%ff")]
        {
            assert_eq!(decoded(name), meant);
        }
    }
}
