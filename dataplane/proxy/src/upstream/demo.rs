//! The built-in provider. Its voice is `dialect::demo`; the pauses and failures are the operator's wish.

use std::collections::VecDeque;

use bytes::Bytes;
use dialect::demo::{self, DemoAnswer};
use dialect::{Fault, FaultKind};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};
use policy::Demo;
use tokio::time::sleep;

use crate::gateway::now;
use crate::pipeline::Call;
use crate::upstream::letter::Letter;
use crate::upstream::source::Source;

pub(crate) async fn answer(wish: &Demo, call: &Call, letter: Letter, roll: u64) -> (Parts, Source) {
    if !wish.latency.is_zero() {
        sleep(wish.latency).await;
    }
    let failed = roll % 1000 < u64::from(wish.fail_permille);
    let answered = if failed { Err(failure()) } else { demo::answer(call.endpoint, &letter.whole(), roll, now()) };
    let (status, kind, pieces) = match answered {
        Ok(DemoAnswer::Whole(bytes)) => (StatusCode::OK, "application/json", VecDeque::from([bytes])),
        Ok(DemoAnswer::Events(events)) => (StatusCode::OK, "text/event-stream; charset=utf-8", VecDeque::from(events)),
        Err(fault) => {
            let status = if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
            let body: Bytes = dialect::write_fault(call.dialect, &fault);
            (status, "application/json", VecDeque::from([body]))
        }
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    (response.into_parts().0, Source::script(pieces, wish.chunk))
}

fn failure() -> Fault {
    Fault {
        kind: FaultKind::Unavailable,
        code: "demo_failure",
        message: "The demo provider failed, as it was told to.".into(),
        param: None,
    }
}
