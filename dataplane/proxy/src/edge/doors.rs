//! From a request on a connection to the story it belongs to.

use std::convert::Infallible;
use std::rc::Rc;

use http::header::{ALLOW, CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Version};
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
    let presence = progress.request();
    // Chunked framing is where parsers disagree on where a request ends; nothing is read behind one of those.
    let is_last = request.version() <= Version::HTTP_11 && request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = pipeline::serve(&core, request).await;
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response.body_mut().accompany(presence);
    Ok(response)
}
