//! From a request on a connection to the story it belongs to.

use std::convert::Infallible;
use std::rc::Rc;

use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, Version};
use hyper::body::Incoming;

use crate::edge::socket::Progress;
use crate::gateway::Core;
use crate::pipeline::{self, Answer};

/// Every request comes through here.
pub(crate) async fn enter(
    core: Rc<Core>,
    progress: Rc<Progress>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    progress.request_begins();
    // Chunked framing is where parsers disagree on where a request ends; nothing is read behind one of those.
    let is_last = request.version() <= Version::HTTP_11 && request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = pipeline::serve(&core, request).await;
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.body_mut().tell_when_done(progress);
    Ok(response)
}
