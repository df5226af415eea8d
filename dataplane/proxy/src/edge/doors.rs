//! From a request on a connection to the story it belongs to.

use std::convert::Infallible;
use std::rc::Rc;

use http::{Request, Response};
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
    let mut response = pipeline::serve(&core, request).await;
    response.body_mut().tell_when_done(progress);
    Ok(response)
}
