//! What came back, read to its end, and what it means.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Deserialize;
use serde_json::Value;

use super::connect::Sender;
use super::{Address, Token};
use crate::table::plain;
use crate::trouble::{ApiFault, Refusal, Trouble};

/// An export of a hundred thousand keys fits several times.
const ANSWER_BYTES_MAX: usize = 256 << 20;

#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    body: Bytes,
}

pub(super) async fn exchange(
    mut sender: Sender,
    request: Request<Full<Bytes>>,
    address: &Address,
) -> Result<Answer, Trouble> {
    let broken = |why: &dyn std::fmt::Display| {
        let advice = "If it changed something, look at it with `turnpike get` before you repeat it.";
        let other = if address.is_tls() { "http" } else { "https" };
        Trouble::Unreachable(format!("no proper answer from {address}: {why}. Is it an {other}:// address?\n{advice}"))
    };
    let response = sender.send_request(request).await.map_err(|why| broken(&why))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|why| broken(&why))?.to_bytes();
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(plain);
    Ok(Answer { status: head.status, retry_after, body })
}

#[derive(Deserialize)]
struct Envelope {
    error: ApiError,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiError {
    #[serde(default)]
    code: String,
    message: String,
    #[serde(default)]
    faults: Vec<ApiFault>,
    #[serde(default)]
    faults_omitted: u64,
}

impl Answer {
    /// What was asked for, null if there is nothing to say; or the refusal.
    pub(super) fn value(self, address: &Address, token: &Token) -> Result<Value, Trouble> {
        if !self.status.is_success() {
            return Err(self.refusal(address, token));
        }
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
            .map_err(|why| strange(address, &format!("something that is not JSON ({why})")))
    }

    fn refusal(self, address: &Address, token: &Token) -> Trouble {
        let Ok(Envelope { error }) = serde_json::from_slice::<Envelope>(&self.body) else {
            let what = format!("{} without a word of explanation that we understand", self.status);
            return strange(address, &what);
        };
        let advice = match self.status {
            StatusCode::UNAUTHORIZED => Some(token.advice()),
            StatusCode::PAYLOAD_TOO_LARGE => Some("Split the files and apply them one after the other.".to_owned()),
            _ => None,
        };
        Trouble::Refused(Box::new(Refusal {
            status: self.status.as_u16(),
            code: error.code,
            message: plain(&error.message),
            faults: error.faults,
            faults_omitted: error.faults_omitted,
            retry_after: self.retry_after,
            advice,
        }))
    }
}

/// An answer that a control plane does not give.
pub(super) fn strange(address: &Address, what: &str) -> Trouble {
    let message = format!("{address} answered with {what}: is it the API of a Turnpike control plane of this version?");
    Trouble::Refused(Box::new(Refusal { message, ..Refusal::default() }))
}
